-- What a run changed in the files, secrets masked, for `reconcile history N`.
alter table apply_audit_log add column diff text not null default '';
create index apply_audit_log_tenant on apply_audit_log (tenant, host, id);
