-- Inbound calls: what is recorded, and what was applied.

-- All that is declared about inbound calls, with numbers resolved; none where nothing is.
alter table tenants add column routes jsonb;

-- The secrets of trunks, sealed as those of users are; `id` is what they are bound to.
create table trunk_secrets (
    tenant_id          uuid not null references tenants (id),
    trunk              text not null,
    id                 uuid not null unique,
    secret_sealed      bytea not null,
    secret_salt        bytea not null,
    secret_fingerprint bytea not null,
    primary key (tenant_id, trunk)
);

-- What callers reach: written when an apply ends, by any host; an earlier run never replaces a later.
create table applied_routes (
    tenant     text primary key,
    run        bigint not null,
    applied    jsonb not null,
    applied_at timestamptz not null default now()
);

-- Servers that listen take it over at once.
create function routes_applied() returns trigger language plpgsql as $$
begin
    perform pg_notify('reconcile_applied', new.tenant);
    return null;
end $$;
create trigger applied_routes_written after insert or update on applied_routes
    for each row execute function routes_applied();
