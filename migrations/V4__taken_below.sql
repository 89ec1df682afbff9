-- Where the search for the lowest free number begins, so that it need not pass all users.

-- Each number of the tenant's range below this one has a row in `extensions` or is reserved. Whoever
-- adds rows raises it; whoever takes some away, by whatever program, has it lowered here.
alter table tenants add column taken_below integer not null default 0;

-- The tenant's row is written even where it stays as it is: whoever read it before then knows that
-- what was read with it is out of date.
create function extensions_gone() returns trigger language plpgsql set search_path from current as $$
begin
    update tenants set taken_below = least(taken_below, gone.lowest)
    from (select tenant_id, min(number) as lowest from old_rows group by tenant_id) as gone
    where id = gone.tenant_id;
    return null;
end $$;
create trigger extensions_deleted after delete on extensions
    referencing old table as old_rows for each statement execute function extensions_gone();

create function extensions_moved() returns trigger language plpgsql set search_path from current as $$
begin
    update tenants set taken_below = least(taken_below, gone.lowest)
    from (select tenant_id, min(number) as lowest
          from (select tenant_id, number from old_rows except select tenant_id, number from new_rows) as left_rows
          group by tenant_id) as gone
    where id = gone.tenant_id;
    return null;
end $$;
create trigger extensions_updated after update on extensions
    referencing old table as old_rows new table as new_rows for each statement execute function extensions_moved();

create function extensions_emptied() returns trigger language plpgsql set search_path from current as $$
begin
    update tenants set taken_below = 0;
    return null;
end $$;
create trigger extensions_truncated after truncate on extensions
    for each statement execute function extensions_emptied();

-- Another range, or other reserved numbers.
create function settings_changed() returns trigger language plpgsql as $$
begin
    new.taken_below := 0;
    return new;
end $$;
create trigger tenants_settings_changed before update on tenants
    for each row when (old.settings is distinct from new.settings) execute function settings_changed();
