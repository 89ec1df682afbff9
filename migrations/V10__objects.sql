-- What a file declares beside users and settings: objects, a row each. SQL knows no kind from here on.

-- Whoever reads meanwhile waits behind this one.
set local lock_timeout = '30s';

create table objects (
    id         uuid primary key default gen_random_uuid(),
    tenant_id  uuid not null references tenants (id),
    kind       text not null,
    -- What identifies it among those of its kind. Empty if there is only one.
    name       text not null,
    -- The version of the form of `body`.
    version    smallint not null,
    managed_by text not null default 'file' check (managed_by in ('file', 'api')),
    protected  boolean not null default false,
    -- The document as a file could hold it, without secrets, numbers resolved. A user is named by `users.id`.
    body       jsonb not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (tenant_id, kind, name)
);

-- The secrets of objects, sealed. The seal is bound to `object_id`.
create table secrets (
    object_id           uuid primary key references objects (id) on delete cascade,
    secret_sealed       bytea not null,
    secret_salt         bytea not null,
    secret_fingerprint  bytea not null,
    -- The fingerprint that the last apply of any host made live. `null` before the first one.
    fingerprint_applied bytea
);

-- Whose a public number is: the index of owners is the rule. An earlier version let several tenants have one number: then
-- one of them is the owner, and the next one is it once that one gives it up.
create table public_numbers (
    number   text not null,
    tenant   text not null,
    is_owner boolean not null,
    -- Whether it is recorded, and whether callers reach it. The tenant has it no more once it is neither.
    recorded boolean not null,
    applied  boolean not null,
    check (recorded or applied),
    primary key (tenant, number)
);
create unique index public_numbers_owners on public_numbers (number) where is_owner;
create index public_numbers_others on public_numbers (number) where not is_owner;

-- The documents of before: one of all objects.

-- A document that is damaged, where a list should be.
create function reconcile_list(value jsonb) returns jsonb language sql immutable as $$
    select case jsonb_typeof(value) when 'array' then value else '[]' end
$$;

-- Users are named by their rows. One who is not recorded keeps the name, so that the next plan shows who is lost.
create function reconcile_by_row(tenant uuid, targets jsonb) returns jsonb language sql stable as $$
    select coalesce(jsonb_agg(case
               when jsonb_typeof(t.target) = 'object' and t.target ? 'user' then jsonb_build_object('user', coalesce(
                   (select to_jsonb(u.id) from users u where u.tenant_id = tenant and u.email_key = t.target ->> 'user'),
                   jsonb_build_object('former', coalesce(t.target ->> 'user', 'null'))))
               else t.target end order by t.n), '[]')
    from jsonb_array_elements(reconcile_list(targets)) with ordinality as t (target, n)
$$;

insert into objects (id, tenant_id, kind, name, version, body)
select coalesce(s.id, gen_random_uuid()), t.id, m.kind, o.key, 1, o.value
from tenants t
     cross join (values ('trunk', 'trunks'), ('dialer', 'dialers'), ('hours', 'hours')) as m (kind, field)
     cross join jsonb_each(case jsonb_typeof(t.routes -> m.field) when 'object' then t.routes -> m.field else '{}' end) as o
     left join trunk_secrets s on s.tenant_id = t.id and m.kind = 'trunk' and s.trunk = o.key;

-- A rule is named by what it is for, as the program names it.
insert into objects (tenant_id, kind, name, version, protected, body)
select tenant_id, 'route', name || case when nth > 1 then ' (' || nth || ')' else '' end, 1, protected, body
from (
    select named.*, row_number() over (partition by tenant_id, name order by n) as nth
    from (
        select t.id as tenant_id, r.n, coalesce(r.rule -> 'protected' = 'true', false) as protected,
               'to ' || coalesce(r.rule -> 'to' ->> 'did', 'default')
                   || coalesce((select ' from ' || string_agg(coalesce(f.caller ->> 'prefix', f.caller #>> '{}'), ', ' order by f.n)
                                from jsonb_array_elements(reconcile_list(r.rule -> 'from')) with ordinality as f (caller, n)), '')
                   || coalesce(' when ' || (r.rule ->> 'when'), '') as name,
               r.rule || jsonb_build_object('route', reconcile_by_row(t.id, r.rule -> 'route'))
                   || case when jsonb_typeof(r.rule -> 'otherwise') = 'array'
                           then jsonb_build_object('otherwise', reconcile_by_row(t.id, r.rule -> 'otherwise'))
                           else '{}' end as body
        from tenants t cross join jsonb_array_elements(reconcile_list(t.routes -> 'rules')) with ordinality as r (rule, n)
        where jsonb_typeof(r.rule) = 'object'
    ) as named
) as numbered;

insert into objects (tenant_id, kind, name, version, body)
select id, 'default_route', '', 1, reconcile_by_row(id, routes -> 'default_route')
from tenants where reconcile_list(routes -> 'default_route') <> '[]'
union all
select t.id, m.kind, '', 1, t.routes -> m.kind
from tenants t cross join (values ('public_sip_host'), ('caller_id')) as m (kind)
where jsonb_typeof(t.routes -> m.kind) = 'string';

drop function reconcile_by_row, reconcile_list;

insert into secrets (object_id, secret_sealed, secret_salt, secret_fingerprint, fingerprint_applied)
select s.id, s.secret_sealed, s.secret_salt, s.secret_fingerprint, s.fingerprint_applied
from trunk_secrets s join objects o on o.id = s.id;

-- Where two tenants had a number, as by an earlier version, it is that of the first in the alphabet.
insert into public_numbers (number, tenant, is_owner, recorded, applied)
select number, tenant, row_number() over (partition by number order by tenant collate "C") = 1, bool_or(recorded), bool_or(applied)
from (
    select slug as tenant, jsonb_path_query(routes, '$.rules[*].to.did') #>> '{}' as number, true as recorded, false as applied
    from tenants
    union all
    select tenant, jsonb_path_query(applied, '$.routes.rules[*].to.did') #>> '{}', false, true from applied_routes
) as n
where number ~ '^\+[1-9][0-9]{6,14}$'
group by number, tenant;

drop table trunk_secrets;
alter table tenants drop column routes;

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
