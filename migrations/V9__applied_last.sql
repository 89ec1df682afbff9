-- What the last apply made live, so that a plan sees without the files which phones a change that is
-- recorded already will make log in again.

-- The fingerprint of the digest that the last apply of any host made live. `null` before the first one.
alter table users add column digest_applied bytea;
alter table trunk_secrets add column fingerprint_applied bytea;

-- The hash of everything that a run recorded and rendered. `apply --expect` also accepts the id of a
-- run whose target is still the present one. `null` in rows that earlier versions wrote.
alter table apply_audit_log add column target text;
create index apply_audit_log_plan on apply_audit_log (tenant, plan_id);
