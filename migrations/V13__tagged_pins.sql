-- A hash of a PIN gives the PIN away: there are 100,000. From here on each PIN has a random tag, sealed with it, and every
-- hash covers both. Nothing that was hashed without a tag stays. The next apply gives the PINs of before their tags.

-- Whoever reads meanwhile waits behind this one.
set local lock_timeout = '30s';

alter table secrets alter column secret_fingerprint drop not null;

update secrets s set secret_fingerprint = null, fingerprint_applied = null
from objects o where o.id = s.object_id and o.kind = 'box';

-- The hash of what a run led to covers the fingerprints of then.
update apply_audit_log a set target = null
where target is not null and exists (
    select from tenants t join objects o on o.tenant_id = t.id where t.slug = a.tenant and o.kind in ('box', 'last_box'));

-- The files of a run, by path, each with its SHA-256.
update apply_audit_log set files = files - array(
    select path from jsonb_object_keys(files) as path where path like '%/generated\_voicemail.conf')
where jsonb_typeof(files) = 'object' and files::text like '%/generated\_voicemail.conf%';
