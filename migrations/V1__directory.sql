-- What is recorded: tenants, their users, one extension each, and who applied what when.

-- One row: the identity of this directory. It stands in the head of every rendered file, so that a
-- wrong or empty database can never wipe the files of another.
create table directory (
    only_row   boolean primary key default true check (only_row),
    id         uuid not null default gen_random_uuid(),
    created_at timestamptz not null default now()
);
insert into directory default values;

create table tenants (
    id         uuid primary key,
    slug       text not null unique,
    settings   jsonb not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table users (
    id                 uuid primary key,
    tenant_id          uuid not null references tenants (id),
    email              text not null,
    email_key          text not null,
    name               text not null,
    managed_by         text not null check (managed_by in ('file', 'api')),
    protected          boolean not null default false,
    phone              jsonb not null default '{}',
    -- The sealed SIP secret, and what tells a change of it apart without opening the seal.
    secret_sealed      bytea not null,
    secret_declared    boolean not null,
    secret_salt        bytea not null,
    secret_fingerprint bytea not null,
    digest_fingerprint bytea not null,
    created_at         timestamptz not null default now(),
    updated_at         timestamptz not null default now(),
    unique (tenant_id, email_key)
);

-- A number in use has a user; a freed one on hold remembers whose it was.
create table extensions (
    tenant_id  uuid not null references tenants (id),
    number     integer not null check (number between 1 and 99999999),
    user_id    uuid unique references users (id) on delete cascade,
    held_for   text,
    freed_at   timestamptz,
    constraint extensions_number_once unique (tenant_id, number),
    check ((user_id is null) = (held_for is not null)),
    check ((user_id is null) = (freed_at is not null))
);

-- Addresses that were a user's once: a file that still holds one of them was not written by a
-- stranger.
create table former_users (
    tenant_id  uuid not null references tenants (id),
    email_key  text not null,
    left_at    timestamptz not null default now(),
    primary key (tenant_id, email_key)
);

create table apply_audit_log (
    id          bigint generated always as identity primary key,
    tenant      text not null,
    host        text not null,
    command     text not null,
    actor       text not null,
    git_commit  text,
    plan_id     text,
    counts      jsonb not null,
    files       jsonb not null default '{}',
    phases      jsonb not null default '{}',
    outcome     text not null check (outcome in
        ('open', 'recorded', 'rendered', 'live', 'rolled_back', 'not_live', 'failed', 'interrupted')),
    message     text,
    started_at  timestamptz not null default now(),
    finished_at timestamptz
);
create index apply_audit_log_open on apply_audit_log (tenant, host) where outcome = 'open';
