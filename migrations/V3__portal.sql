-- What the portal API needs: who may use it, and which of its answers are given again.

-- The first 8 bytes of a token are its id and no secret; the rest is known by its hash only.
create table api_tokens (
    id         bigint primary key,
    tenant     text not null,
    name       text not null,
    hash       bytea not null,
    scopes     text[] not null check (scopes <> '{}' and scopes <@ array['read', 'write', 'apply']),
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);
create unique index api_tokens_name_once on api_tokens (tenant, name) where revoked_at is null;

-- What was answered to a request that made a user, sealed as it holds a secret; kept for a day.
create table idempotency_keys (
    tenant_id  uuid not null references tenants (id),
    token      bigint not null references api_tokens (id),
    key        text not null,
    -- The hash of the request: the same key with another request is a mistake.
    request    bytea not null,
    answer     bytea not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, token, key)
);
create index idempotency_keys_age on idempotency_keys (tenant_id, created_at);

-- Numbers on hold are looked up without reading those in use.
create index extensions_on_hold on extensions (tenant_id) where user_id is null;
