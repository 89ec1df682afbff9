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
