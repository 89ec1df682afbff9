-- The lowest free number is found by a query, and users are added by plain statements: no function keeps either.

-- Whoever reads meanwhile waits behind this one.
set local lock_timeout = '30s';

drop trigger extensions_deleted on extensions;
drop trigger extensions_updated on extensions;
drop trigger extensions_truncated on extensions;
drop trigger tenants_settings_changed on tenants;
drop function extensions_gone, extensions_moved, extensions_emptied, settings_changed, meet_users, add_users;
alter table tenants drop column taken_below;
