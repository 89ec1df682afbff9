-- What lets an apply be undone: the secrets of deleted users, what the file said at each run, and which generations must
-- not be made live again without a word.

-- The generated secrets of users who were deleted, sealed for the row that they had. They come back with the user.
create table former_secrets (
    tenant_id     uuid not null references tenants (id),
    email_key     text not null,
    user_id       uuid not null,
    secret_sealed bytea not null,
    left_at       timestamptz not null default now(),
    primary key (tenant_id, email_key)
);

-- The files of a desired state by name, each state once; `digest` is the hash of the document.
create table desired_states (
    tenant    text not null,
    digest    bytea not null,
    files     jsonb not null,
    stored_at timestamptz not null default now(),
    primary key (tenant, digest)
);

alter table apply_audit_log
    -- What the file said.
    add column desired    bytea,
    -- The hash of the rendered files, secrets and marks masked.
    add column generation text,
    -- Whether this run put its files back, or an administrator did.
    add column is_bad     boolean not null default false;
create index apply_audit_log_bad on apply_audit_log (tenant, host) where is_bad;
