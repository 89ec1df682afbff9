-- What the last apply made live, so that a plan sees without the files which phones a change that is
-- recorded already will make log in again. Who was renamed from which address, and who had a number last.

-- The fingerprint of the digest that the last apply of any host made live. `null` before the first one.
alter table users add column digest_applied bytea;
alter table trunk_secrets add column fingerprint_applied bytea;

-- The hash of everything that a run recorded and rendered. `apply --expect` also accepts the id of a
-- run whose target is still the present one. `null` in rows that earlier versions wrote.
alter table apply_audit_log add column target text;
create index apply_audit_log_plan on apply_audit_log (tenant, plan_id);

-- The `previously` that made the row what it is, by its key. A rename that is done is not done again, also
-- if another user has the former address now. `null` if there was none.
alter table users add column previous_key text;

-- Who had a number until when, for 30 days: whoever gets it is called by people who mean the former user.
create table freed_numbers (
    tenant_id uuid not null references tenants (id),
    number    integer not null,
    email_key text not null,
    freed_at  timestamptz not null,
    primary key (tenant_id, number)
);
