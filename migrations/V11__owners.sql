-- Who let a user go: the file all at once, or the API one by one. Of those before nobody knows.
alter table former_users add column managed_by text not null default 'file' check (managed_by in ('file', 'api'));

-- A number belongs to a user or an object, or is on hold for its former owner. `held_for` and `freed_numbers.email_key`
-- name an object by its kind and its name, with a blank between them.
alter table extensions
    add column object_id uuid references objects (id) on delete cascade,
    drop constraint extensions_check,
    drop constraint extensions_check1,
    add constraint extensions_one_owner check (num_nonnulls(user_id, object_id, held_for) = 1),
    add constraint extensions_freed_at check ((held_for is null) = (freed_at is null));
create unique index extensions_objects on extensions (object_id) where object_id is not null;
drop index extensions_on_hold;
create index extensions_on_hold on extensions (tenant_id) where held_for is not null;

-- What newcomers to a tenant meet; none before it is recorded.
create or replace function meet_users(of_slug text, keys text[], wanted integer[], page bigint)
returns table (
    tenant uuid, settings text, at timestamptz, taken_below integer, version text, present text[], taken integer[],
    held integer[], held_for text[], freed_at timestamptz[], numbers integer[]
) language plpgsql stable set search_path from current set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    return query
    select t.id, t.settings::text, now(), t.taken_below, t.xmin::text,
           array(select u.email_key from users u where u.tenant_id = t.id and u.email_key = any (keys)),
           array(select e.number from extensions e
                 where e.tenant_id = t.id and e.number = any (wanted) and e.held_for is null),
           h.numbers, h.emails, h.times,
           array(select e.number from extensions e
                 where e.tenant_id = t.id and e.number >= t.taken_below order by e.number limit page)
    from tenants t, lateral (
        select coalesce(array_agg(e.number), '{}') as numbers, coalesce(array_agg(e.held_for), '{}') as emails,
               coalesce(array_agg(e.freed_at), '{}') as times
        from extensions e where e.tenant_id = t.id and e.held_for is not null
    ) as h
    where t.slug = of_slug;
end $$;

-- Adds users whose addresses and numbers are nobody's, an audit row for each, and their answers.
create or replace function add_users(
    of_tenant uuid, ids uuid[], emails text[], keys text[], names text[], managers text[], protections boolean[],
    phones text[], sealed bytea[], declared boolean[], salts bytea[], secrets bytea[], digests bytea[],
    numbers integer[], slug text, of_host text, actors text[], changes text[], tokens bigint[], once_keys text[],
    requests bytea[], answers bytea[], answered_at timestamptz, none_below integer, of_version text
) returns void language plpgsql set search_path from current set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    insert into users (id, tenant_id, email, email_key, name, managed_by, protected, phone,
           secret_sealed, secret_declared, secret_salt, secret_fingerprint, digest_fingerprint)
    select n.id, of_tenant, n.email, n.email_key, n.name, n.managed_by, n.protected, n.phone::jsonb,
           n.sealed, n.declared, n.salt, n.secret, n.digest
    from unnest(ids, emails, keys, names, managers, protections, phones, sealed, declared, salts, secrets, digests)
         as n (id, email, email_key, name, managed_by, protected, phone, sealed, declared, salt, secret, digest);

    -- A number on hold stays recorded while it passes on.
    if exists (select from extensions e where e.tenant_id = of_tenant and e.held_for is not null
                                          and e.number = any (numbers)) then
        update extensions e set user_id = n.id, held_for = null, freed_at = null
        from unnest(ids, numbers) as n (id, number)
        where e.tenant_id = of_tenant and e.held_for is not null and e.number = n.number;
    end if;
    insert into extensions (tenant_id, number, user_id)
    select of_tenant, n.number, n.id from unnest(ids, numbers) as n (id, number)
    where not exists (select from extensions e where e.user_id = n.id);

    insert into apply_audit_log (tenant, host, command, actor, counts, diff, outcome, finished_at)
    select slug, of_host, 'create user', n.actor, '{"create": 1}', n.change, 'recorded', now()
    from unnest(actors, changes) as n (actor, change);

    if tokens <> '{}' then
        insert into idempotency_keys (tenant_id, token, key, request, answer, created_at)
        select of_tenant, n.token, n.key, n.request, n.answer, answered_at
        from unnest(tokens, once_keys, requests, answers) as n (token, key, request, answer);
    end if;

    -- Unless somebody, of whatever program, took numbers away since it was read, or is about to.
    update tenants t set taken_below = none_below
    from (select id from tenants where id = of_tenant and taken_below < none_below and xmin::text = of_version
          for no key update skip locked) as unchanged
    where t.id = unchanged.id;
end $$;
