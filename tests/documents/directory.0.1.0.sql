--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: call_status; Type: TYPE; Schema: public; Owner: -
--

CREATE TYPE public.call_status AS ENUM (
    'received',
    'routed',
    'ringing',
    'in-progress',
    'canceled',
    'no-answer',
    'busy',
    'failed',
    'completed'
);


--
-- Name: add_users(uuid, uuid[], text[], text[], text[], text[], boolean[], text[], bytea[], boolean[], bytea[], bytea[], bytea[], integer[], text, text, text[], text[], bigint[], text[], bytea[], bytea[], timestamp with time zone, integer, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.add_users(of_tenant uuid, ids uuid[], emails text[], keys text[], names text[], managers text[], protections boolean[], phones text[], sealed bytea[], declared boolean[], salts bytea[], secrets bytea[], digests bytea[], numbers integer[], slug text, of_host text, actors text[], changes text[], tokens bigint[], once_keys text[], requests bytea[], answers bytea[], answered_at timestamp with time zone, none_below integer, of_version text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
begin
    insert into users (id, tenant_id, email, email_key, name, managed_by, protected, phone,
           secret_sealed, secret_declared, secret_salt, secret_fingerprint, digest_fingerprint)
    select n.id, of_tenant, n.email, n.email_key, n.name, n.managed_by, n.protected, n.phone::jsonb,
           n.sealed, n.declared, n.salt, n.secret, n.digest
    from unnest(ids, emails, keys, names, managers, protections, phones, sealed, declared, salts, secrets, digests)
         as n (id, email, email_key, name, managed_by, protected, phone, sealed, declared, salt, secret, digest);

    -- A number on hold stays recorded while it passes on.
    if exists (select from extensions e where e.tenant_id = of_tenant and e.user_id is null
                                          and e.number = any (numbers)) then
        update extensions e set user_id = n.id, held_for = null, freed_at = null
        from unnest(ids, numbers) as n (id, number)
        where e.tenant_id = of_tenant and e.user_id is null and e.number = n.number;
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


--
-- Name: extensions_emptied(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.extensions_emptied() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
begin
    update tenants set taken_below = 0;
    return null;
end $$;


--
-- Name: extensions_gone(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.extensions_gone() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
begin
    update tenants set taken_below = least(taken_below, gone.lowest)
    from (select tenant_id, min(number) as lowest from old_rows group by tenant_id) as gone
    where id = gone.tenant_id;
    return null;
end $$;


--
-- Name: extensions_moved(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.extensions_moved() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
begin
    update tenants set taken_below = least(taken_below, gone.lowest)
    from (select tenant_id, min(number) as lowest
          from (select tenant_id, number from old_rows except select tenant_id, number from new_rows) as left_rows
          group by tenant_id) as gone
    where id = gone.tenant_id;
    return null;
end $$;


--
-- Name: meet_users(text, text[], integer[], bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.meet_users(of_slug text, keys text[], wanted integer[], page bigint) RETURNS TABLE(tenant uuid, settings text, at timestamp with time zone, taken_below integer, version text, present text[], taken integer[], held integer[], held_for text[], freed_at timestamp with time zone[], numbers integer[])
    LANGUAGE plpgsql STABLE
    SET search_path TO '$user', 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
begin
    return query
    select t.id, t.settings::text, now(), t.taken_below, t.xmin::text,
           array(select u.email_key from users u where u.tenant_id = t.id and u.email_key = any (keys)),
           array(select e.number from extensions e
                 where e.tenant_id = t.id and e.number = any (wanted) and e.user_id is not null),
           h.numbers, h.emails, h.times,
           array(select e.number from extensions e
                 where e.tenant_id = t.id and e.number >= t.taken_below order by e.number limit page)
    from tenants t, lateral (
        select coalesce(array_agg(e.number), '{}') as numbers, coalesce(array_agg(e.held_for), '{}') as emails,
               coalesce(array_agg(e.freed_at), '{}') as times
        from extensions e where e.tenant_id = t.id and e.user_id is null
    ) as h
    where t.slug = of_slug;
end $$;


--
-- Name: routes_applied(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.routes_applied() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    perform pg_notify('reconcile_applied', new.tenant);
    return null;
end $$;


--
-- Name: settings_changed(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.settings_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    new.taken_below := 0;
    return new;
end $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: api_tokens; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.api_tokens (
    id bigint NOT NULL,
    tenant text NOT NULL,
    name text NOT NULL,
    hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT api_tokens_scopes_check CHECK (((scopes <> '{}'::text[]) AND (scopes <@ ARRAY['read'::text, 'write'::text, 'apply'::text, 'calls'::text])))
);


--
-- Name: applied_routes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.applied_routes (
    tenant text NOT NULL,
    run bigint NOT NULL,
    applied jsonb NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: apply_audit_log; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.apply_audit_log (
    id bigint NOT NULL,
    tenant text NOT NULL,
    host text NOT NULL,
    command text NOT NULL,
    actor text NOT NULL,
    git_commit text,
    plan_id text,
    counts jsonb NOT NULL,
    files jsonb DEFAULT '{}'::jsonb NOT NULL,
    phases jsonb DEFAULT '{}'::jsonb NOT NULL,
    outcome text NOT NULL,
    message text,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    diff text DEFAULT ''::text NOT NULL,
    target text,
    CONSTRAINT apply_audit_log_outcome_check CHECK ((outcome = ANY (ARRAY['open'::text, 'recorded'::text, 'rendered'::text, 'live'::text, 'rolled_back'::text, 'not_live'::text, 'failed'::text, 'interrupted'::text])))
);


--
-- Name: apply_audit_log_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.apply_audit_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.apply_audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: call_dead_letters; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.call_dead_letters (
    digest bytea NOT NULL,
    event text NOT NULL,
    error text NOT NULL,
    refused_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: call_steps; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.call_steps (
    call_sid text NOT NULL COLLATE pg_catalog."C",
    step integer NOT NULL,
    dialer text COLLATE pg_catalog."C",
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    outcome text COLLATE pg_catalog."C",
    duration_seconds integer,
    sip_code integer
);


--
-- Name: calls; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.calls (
    call_sid text NOT NULL COLLATE pg_catalog."C",
    tenant text COLLATE pg_catalog."C",
    first_event_at timestamp with time zone NOT NULL,
    status public.call_status NOT NULL,
    from_number text,
    to_number text,
    direction text,
    caller_class text,
    received_at timestamp with time zone,
    routed_at timestamp with time zone,
    response_ms double precision,
    rule text,
    reason text,
    targets jsonb,
    degraded text,
    asked_at timestamp with time zone[] NOT NULL,
    retries integer GENERATED ALWAYS AS (GREATEST((cardinality(asked_at) - 1), 0)) STORED,
    answered_at timestamp with time zone,
    duration_seconds integer,
    routed_step integer,
    routed_dialer text,
    fallback_step integer,
    fallback_at timestamp with time zone
);


--
-- Name: directory; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.directory (
    only_row boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT directory_only_row_check CHECK (only_row)
);


--
-- Name: extensions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.extensions (
    tenant_id uuid NOT NULL,
    number integer NOT NULL,
    user_id uuid,
    held_for text,
    freed_at timestamp with time zone,
    CONSTRAINT extensions_check CHECK (((user_id IS NULL) = (held_for IS NOT NULL))),
    CONSTRAINT extensions_check1 CHECK (((user_id IS NULL) = (freed_at IS NOT NULL))),
    CONSTRAINT extensions_number_check CHECK (((number >= 1) AND (number <= 99999999)))
);


--
-- Name: former_users; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.former_users (
    tenant_id uuid NOT NULL,
    email_key text NOT NULL,
    left_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: freed_numbers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.freed_numbers (
    tenant_id uuid NOT NULL,
    number integer NOT NULL,
    email_key text NOT NULL,
    freed_at timestamp with time zone NOT NULL
);


--
-- Name: idempotency_keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.idempotency_keys (
    tenant_id uuid NOT NULL,
    token bigint NOT NULL,
    key text NOT NULL,
    request bytea NOT NULL,
    answer bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: refinery_schema_history; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.refinery_schema_history (
    version integer NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);


--
-- Name: tenants; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tenants (
    id uuid NOT NULL,
    slug text NOT NULL,
    settings jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    taken_below integer DEFAULT 0 NOT NULL,
    routes jsonb
);


--
-- Name: trunk_secrets; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.trunk_secrets (
    tenant_id uuid NOT NULL,
    trunk text NOT NULL,
    id uuid NOT NULL,
    secret_sealed bytea NOT NULL,
    secret_salt bytea NOT NULL,
    secret_fingerprint bytea NOT NULL,
    fingerprint_applied bytea
);


--
-- Name: users; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.users (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    name text NOT NULL,
    managed_by text NOT NULL,
    protected boolean DEFAULT false NOT NULL,
    phone jsonb DEFAULT '{}'::jsonb NOT NULL,
    secret_sealed bytea NOT NULL,
    secret_declared boolean NOT NULL,
    secret_salt bytea NOT NULL,
    secret_fingerprint bytea NOT NULL,
    digest_fingerprint bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    digest_applied bytea,
    previous_key text,
    CONSTRAINT users_managed_by_check CHECK ((managed_by = ANY (ARRAY['file'::text, 'api'::text])))
);


--
-- Data for Name: api_tokens; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.api_tokens VALUES (3159098285286756097, 'acme', 'gold', '\x3aac9b2c06d78443ab9ec02422def015cf9f71fec43bc839eef58a13e36c670a', '{read,write,apply,calls}', '2026-11-28 21:08:30.750445+00', NULL);
INSERT INTO public.api_tokens VALUES (880186620007446501, 'acme', 'gold2', '\x9e92034960b46edd2e80373719b5aeb0dd319ef21687721ac1aee69d545af2b7', '{read,write,apply,calls}', '2026-11-28 21:09:02.162602+00', NULL);
INSERT INTO public.api_tokens VALUES (-5564102742563431330, 'acme', 'gold3', '\xb0187db29b549d067345ab97d8e49e10f6981d01c10ff38c1933df51ed78498b', '{read,write,apply,calls}', '2026-11-28 21:09:40.618613+00', NULL);


--
-- Data for Name: applied_routes; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.applied_routes VALUES ('acme', 8, '{"run": 8, "users": {"bo.li@example.com": "acme-2010", "ana.silva@example.com": "acme-1000"}, "routes": {"hours": {"office": {"open": ["mon-fri 09:00-18:00", "sat 22:00-02:00"], "closed": ["2026-12-25", "2026-12-26"], "timezone": "Europe/Berlin"}}, "rules": [{"to": {"did": "+15559876543"}, "from": [{"prefix": "+49*"}, "withheld"], "when": "office", "route": [{"dialer": "dialfire"}, {"dialer": "zendesk_talk"}, {"user": "bo.li@example.com"}], "otherwise": [{"user": "bo.li@example.com"}, "hangup"], "protected": true}, {"to": "default", "from": [{"prefix": "+1*"}], "when": null, "route": [{"dialer": "desk"}, "busy"], "otherwise": null, "protected": false}], "trunks": {"backup": {"host": "backup.example", "realm": null, "identify": ["192.0.2.7"], "register": false, "username": null}, "carrier": {"host": "198.51.100.7:5070", "realm": "carrier.example", "identify": ["203.0.113.0/28", "203.0.113.99"], "register": true, "username": "acme"}}, "dialers": {"desk": {"ring": 30, "trunk": "carrier", "target": {"number": {"given": "+4930555001"}}, "caller_id": "caller"}, "shown": {"ring": 30, "trunk": null, "target": {"number": {"given": "+4930555003"}}, "caller_id": "always-called"}, "mobile": {"ring": 30, "trunk": null, "target": {"number": {"given": "+4930555002"}}, "caller_id": {"number": "+15559876543"}}, "dialfire": {"ring": 25, "trunk": "carrier", "target": {"number": {"given": "+4930123456"}}, "caller_id": "called"}, "zendesk_talk": {"ring": 20, "trunk": "backup", "target": {"sip": "sip:acme@talk.example"}, "caller_id": "called"}}, "caller_id": "+15559876543", "default_route": [{"dialer": "mobile"}, {"dialer": "shown"}, {"user": "ana.silva@example.com"}], "public_sip_host": "sip.example.com"}, "tenant": "acme"}', '2026-11-28 21:09:50.808465+00');


--
-- Data for Name: apply_audit_log; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.apply_audit_log OVERRIDING SYSTEM VALUE VALUES (1, 'acme', 'pbx-test', 'apply', 'tester', NULL, 'p1-8b7e14002e6ad498', '{"adopt": 0, "create": 3, "delete": 0, "rename": 0, "update": 0, "inbound": 13}', '{"pjsip.d/acme/generated_endpoints.conf": "e59a5a2c3efd114acce676e79a66eedbd4dcaada61c8ecb34366e52ab99ad4bb", "extensions.d/acme/generated_routing.conf": "d6ec29baf277f53b44037cbeb07921183ebd7f280dbf03e7d6e2b1d518e568a0"}', '{"check": 8, "write": 8, "record": 61, "render": 79}', 'rendered', NULL, '2026-11-28 21:07:56.771054+00', '2026-11-28 21:07:56.987494+00', '+ trunk backup  host backup.example; identify 192.0.2.7
+ trunk carrier  host 198.51.100.7:5070; identify 203.0.113.0/28,203.0.113.99; username acme; secret (sensitive); realm carrier.example; register
+ dialer desk  number +4930555001; caller_id caller; ring 30s; trunk carrier
+ dialer dialfire  number +4930123456; ring 25s; trunk carrier
+ dialer mobile  number +4930555002; caller_id +15559876543; ring 30s
+ dialer shown  number +4930555003; caller_id called; ring 30s
+ dialer zendesk_talk  sip sip:acme@talk.example; ring 20s; trunk backup
+ hours office  timezone Europe/Berlin; open mon-fri 09:00-18:00 and sat 22:00-02:00; closed 2026-12-25,2026-12-26
+ route to +15559876543 from +49*, withheld when office  -> dialfire, then zendesk_talk, then bo.li@example.com; otherwise bo.li@example.com, then hangup; protected
+ route to default from +1*  -> desk, then busy
+ default_route  -> mobile, then shown, then ana.silva@example.com
+ public_sip_host  -> sip.example.com
+ caller_id  -> +15559876543
--- pjsip.d/acme/generated_endpoints.conf
+++ pjsip.d/acme/generated_endpoints.conf
@@ -0,0 +1,156 @@
+; Written by reconcile for the tenant acme: change its YAML file, the next apply replaces this one.
+; directory (directory)
+
+[acme-auth](!)
+type = auth
+auth_type = digest
+realm = asterisk
+
+[acme-aor](!)
+type = aor
+max_contacts = 3
+remove_existing = yes
+qualify_frequency = 60
+default_expiration = 300
+minimum_expiration = 60
+maximum_expiration = 3600
+
+[acme-phone](!)
+type = endpoint
+@tenant = acme
+context = acme-internal
+message_context = acme-nowhere
+transport = transport-udp
+disallow = all
+allow = g722,alaw
+direct_media = no
+rtp_symmetric = yes
+force_rport = yes
+rewrite_contact = yes
+dtmf_mode = rfc4733
+rtp_timeout = 120
+rtp_timeout_hold = 600
+send_pai = yes
+
+; ana.silva@example.com
+[acme-1000](acme-auth)
+username = acme-1000
+password_digest = (sensitive)
+[acme-1000](acme-aor)
+[acme-1000](acme-phone)
+auth = acme-1000
+aors = acme-1000
+callerid = "Ana Silva" <1000>
+
+; cy@example.com
+[acme-1001](acme-auth)
+username = acme-1001
+password_digest = (sensitive)
+[acme-1001](acme-aor)
+[acme-1001](acme-phone)
+auth = acme-1001
+aors = acme-1001
+callerid = "Cy" <1001>
+
+; bo.li@example.com
+[acme-2010](acme-auth)
+realm = asterisk
+username = acme-2010
+password_digest = (sensitive)
+[acme-2010](acme-aor)
+max_contacts = 2
+[acme-2010](acme-phone)
+auth = acme-2010
+aors = acme-2010
+callerid = "Bo Li" <2010>
+transport = transport-tls
+disallow = all
+allow = opus,ulaw
+
+; trunk backup
+[acme-trunk-backup]
+type = aor
+contact = sip:backup.example
+qualify_frequency = 10
+qualify_timeout = 1.0
+[acme-trunk-backup]
+type = endpoint
+context = acme-inbound
+message_context = acme-nowhere
+aors = acme-trunk-backup
+transport = transport-udp
+disallow = all
+allow = g722,alaw
+identify_by = ip
+allow_transfer = no
+allow_subscribe = no
+direct_media = no
+rtp_symmetric = yes
+dtmf_mode = rfc4733
+rtp_timeout = 120
+rtp_timeout_hold = 600
+send_pai = yes
+trust_id_outbound = yes
+[acme-trunk-backup]
+type = identify
+endpoint = acme-trunk-backup
+match = 192.0.2.7
+
+; trunk carrier
+[acme-trunk-carrier]
+type = auth
+auth_type = digest
+username = acme
+realm = carrier.example
+password_digest = (sensitive)
+[acme-trunk-carrier]
+type = aor
+contact = sip:198.51.100.7:5070
+qualify_frequency = 10
+qualify_timeout = 1.0
+[acme-trunk-carrier]
+type = endpoint
+context = acme-inbound
+message_context = acme-nowhere
+aors = acme-trunk-carrier
+outbound_auth = acme-trunk-carrier
+transport = transport-udp
+disallow = all
+allow = g722,alaw
+identify_by = ip
+allow_transfer = no
+allow_subscribe = no
+direct_media = no
+rtp_symmetric = yes
+dtmf_mode = rfc4733
+rtp_timeout = 120
+rtp_timeout_hold = 600
+send_pai = yes
+trust_id_outbound = yes
+[acme-trunk-carrier]
+type = identify
+endpoint = acme-trunk-carrier
+match = 203.0.113.0/28
+match = 203.0.113.99
+[acme-trunk-carrier]
+type = registration
+server_uri = sip:198.51.100.7:5070
+client_uri = sip:acme@198.51.100.7:5070
+contact_user = acme
+outbound_auth = acme-trunk-carrier
+transport = transport-udp
+retry_interval = 60
+forbidden_retry_interval = 300
+fatal_retry_interval = 300
+max_retries = 1000000
+auth_rejection_permanent = no
+
+; generation
+[(generation)](acme-auth)
+username = (generation)
+password_digest = (sensitive)
+[(generation)](acme-aor)
+max_contacts = 0
+[(generation)](acme-phone)
+auth = (generation)
+context = acme-nowhere
--- extensions.d/acme/generated_routing.conf
+++ extensions.d/acme/generated_routing.conf
@@ -0,0 +1,181 @@
+; Written by reconcile for the tenant acme: change its YAML file, the next apply replaces this one.
+; directory (directory)
+
+; What phones may dial: each other (1000-1099, 2000-2099), then the operator''s contexts.
+[acme-internal]
+exten => _10[0-8]X,hint,PJSIP/acme-${EXTEN}
+exten => _10[0-8]X,1,Goto(acme-ring,${EXTEN},1)
+exten => _109[1-9],hint,PJSIP/acme-${EXTEN}
+exten => _109[1-9],1,Goto(acme-ring,${EXTEN},1)
+exten => _200[02-9],hint,PJSIP/acme-${EXTEN}
+exten => _200[02-9],1,Goto(acme-ring,${EXTEN},1)
+exten => _20[1-9]X,hint,PJSIP/acme-${EXTEN}
+exten => _20[1-9]X,1,Goto(acme-ring,${EXTEN},1)
+include => outbound
+include => internal
+
+[acme-ring]
+exten => _X!,1,Gosub(acme-leg,${EXTEN},1)
+ same => n,GotoIf($["${GOSUB_RETVAL}" = "nobody"]?unallocated)
+ same => n,GotoIf($["${GOSUB_RETVAL}" = "away"]?unavailable)
+ same => n,GotoIf($["${DIALSTATUS}" = "NOANSWER" | "${HANGUPCAUSE}" = "0"]?unavailable)
+ same => n,Hangup(${HANGUPCAUSE})
+ same => n(unavailable),Hangup(20)
+ same => n(unallocated),Hangup(1)
+
+; All devices of a number. A contact that is no plain SIP address is left out.
+[acme-leg]
+exten => _X!,1,GotoIf($["${AST_SORCERY(res_pjsip,endpoint,acme-${EXTEN},@tenant)}" != "acme"]?nobody)
+ same => n,Set(CONTACT_IDS=${PJSIP_AOR(acme-${EXTEN},contact)})
+ same => n,Set(LINE=)
+ same => n(next),Set(CONTACT_ID=${SHIFT(CONTACT_IDS)})
+ same => n,GotoIf(${ISNULL(${CONTACT_ID})}?dial)
+ same => n,GotoIf($["${PJSIP_CONTACT(${CONTACT_ID},status)}" = "Unreachable"]?next)
+ same => n,Set(CONTACT=${PJSIP_CONTACT(${CONTACT_ID},uri)})
+ same => n,GotoIf(${REGEX("^sips?:([A-Za-z0-9_.!~*+%=-]+@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(\;[A-Za-z0-9_.!~*+-]+(=[A-Za-z0-9_.!~*+%:/-]+)?)*$" ${CONTACT})}?:odd)
+ same => n,GotoIf(${REGEX("\;maddr" ${TOLOWER(${CONTACT})})}?odd)
+ same => n,GotoIf($[${LEN(${LINE})} + ${LEN(${CONTACT})} > 3900]?odd)
+ same => n,Set(LINE=${LINE}&PJSIP/acme-${EXTEN}/${CONTACT})
+ same => n,Goto(next)
+ same => n(odd),Log(NOTICE,a contact of ${EXTEN} is no plain SIP address and does not ring)
+ same => n,Goto(next)
+ same => n(dial),GotoIf(${ISNULL(${LINE})}?away)
+ same => n,Dial(${LINE:1},30,i${ARG1})
+ same => n,Return(rang)
+ same => n(away),Return(away)
+ same => n(nobody),Return(nobody)
+
+; Calls from trunks arrive here; they lead to the targets below and nowhere else.
+[acme-inbound]
+exten => +15559876543,1,Set(CALLED=+15559876543)
+ same => n,Goto(acme-caller,+15559876543,1)
+exten => 15559876543,1,Goto(+15559876543,1)
+exten => _+15559876543\;!,1,Goto(+15559876543,1)
+exten => _15559876543\;!,1,Goto(+15559876543,1)
+exten => acme-1000,1,Goto(acme-caller,p1000,1)
+exten => _acme-1000\;!,1,Goto(acme-caller,p1000,1)
+exten => acme-2010,1,Goto(acme-caller,p2010,1)
+exten => _acme-2010\;!,1,Goto(acme-caller,p2010,1)
+exten => _[!-~].,1,Set(CALLED=${FILTER(+0-9,${CUT(EXTEN,\;,1)})})
+ same => n,Goto(acme-caller,default,1)
+exten => _[0-9+*#],1,Set(CALLED=${FILTER(+0-9,${CUT(EXTEN,\;,1)})})
+ same => n,Goto(acme-caller,default,1)
+exten => s,1,Set(CALLED=${FILTER(+0-9,${CUT(EXTEN,\;,1)})})
+ same => n,Goto(acme-caller,default,1)
+
+; Who calls: a number in E.164 form, `withheld`, or nothing of the kind.
+[acme-caller]
+exten => _[+dp].,1,ExecIf($["${TESTTIME}" = ""]?Set(TESTTIME=${EPOCH}))
+ same => n,Set(FROM_NUMBER=${CALLERID(num)})
+ same => n,Set(FROM_NAME=${CALLERID(name)})
+ same => n,Set(FROM_SHOWN=${CALLERID(pres)})
+ same => n,Set(CALLER=)
+ same => n,GotoIf(${REGEX("^[[:space:]]*([+]*(anonymous|restricted|unknown|unavailable|blocked|private|withheld|266696687|7378742833|2562533|8656696|86282452253))?[[:space:]]*$" ${TOLOWER(${FROM_NUMBER})})}?withheld)
+ same => n,GotoIf(${REGEX("^[[:space:]]*[+][1-9][0-9]{1,14}[[:space:]]*$" ${FROM_NUMBER})}?number:decide)
+ same => n(number),Set(CALLER=${FILTER(+0-9,${FROM_NUMBER})})
+ same => n,Goto(decide)
+ same => n(withheld),Set(CALLER=withheld)
+ same => n(decide),Goto(acme-rules,${EXTEN},1)
+
+; The first rule that is for the call decides.
+[acme-rules]
+exten => +15559876543,1,Gosub(acme-hours,1,1)
+ same => n,GotoIf($["${CALLER:0:3}" = "+49" & ${GOSUB_RETVAL} = 1]?acme-targets,r26dcf2a3f464,1)
+ same => n,GotoIf($["${CALLER:0:3}" = "+49" & ${GOSUB_RETVAL} = 0]?acme-targets,o26dcf2a3f464,1)
+ same => n,Gosub(acme-hours,1,1)
+ same => n,GotoIf($["${CALLER}" = "withheld" & ${GOSUB_RETVAL} = 1]?acme-targets,r26dcf2a3f464,1)
+ same => n,GotoIf($["${CALLER}" = "withheld" & ${GOSUB_RETVAL} = 0]?acme-targets,o26dcf2a3f464,1)
+ same => n,Goto(default,1)
+exten => default,1,GotoIf($["${CALLER:0:2}" = "+1"]?acme-targets,r9fd12fbabad8,1)
+ same => n,Goto(acme-targets,default,1)
+exten => _p.,1,Goto(acme-targets,${EXTEN},1)
+
+; Opening hours; a range ends with the minute that is named last.
+[acme-hours]
+; office
+exten => 1,1,Set(TODAY=${STRFTIME(${TESTTIME},Europe/Berlin,%Y-%m-%d)})
+ same => n,GotoIf($["${TODAY}" = "2026-12-25"]?closed)
+ same => n,GotoIf($["${TODAY}" = "2026-12-26"]?closed)
+ same => n,GotoIfTime(00:00-01:59,sun,*,*,Europe/Berlin?open)
+ same => n,GotoIfTime(09:00-17:59,mon&tue&wed&thu&fri,*,*,Europe/Berlin?open)
+ same => n,GotoIfTime(22:00-23:59,sat,*,*,Europe/Berlin?open)
+ same => n(closed),Return(0)
+ same => n(open),Return(1)
+
+; Who gets the calls of a rule, in turn; `o`: outside its hours.
+[acme-targets]
+; to +15559876543 from +49*, withheld when office
+exten => r26dcf2a3f464,1,Set(CAUSE=20)
+ same => n,Gosub(acme-dialers,d0dd7dc9da0d5,1)
+ same => n,Gosub(acme-dialers,dd4633d762c8e,1)
+ same => n,Gosub(acme-phones,2010,1)
+ same => n,Hangup(${CAUSE})
+exten => o26dcf2a3f464,1,Set(CAUSE=20)
+ same => n,Gosub(acme-phones,2010,1)
+ same => n,Hangup(21)
+; to default from +1*
+exten => r9fd12fbabad8,1,Set(CAUSE=20)
+ same => n,Gosub(acme-dialers,d49be417ad740,1)
+ same => n,Hangup(17)
+; any other call
+exten => default,1,Set(CAUSE=20)
+ same => n,Gosub(acme-dialers,dd524c1a0811d,1)
+ same => n,Gosub(acme-dialers,dbaaf53622a51,1)
+ same => n,Gosub(acme-phones,1000,1)
+ same => n,Hangup(${CAUSE})
+; the phone `acme-1000`, called by its name
+exten => p1000,1,Set(CAUSE=20)
+ same => n,Gosub(acme-phones,1000,1)
+ same => n,Hangup(${CAUSE})
+; the phone `acme-2010`, called by its name
+exten => p2010,1,Set(CAUSE=20)
+ same => n,Gosub(acme-phones,2010,1)
+ same => n,Hangup(${CAUSE})
+
+; Dialers, over their trunks. What they forward a call to is not followed, nor is the caller told who answers.
+[acme-dialers]
+; desk
+exten => d49be417ad740,1,Set(CALLERID(num)=${CALLED})
+ same => n,ExecIf($["${CALLER:0:1}" = "+"]?Set(CALLERID(num)=${CALLER}))
+ same => n,Set(CALLERID(name)=)
+ same => n,Set(CALLERID(pres)=allowed_not_screened)
+ same => n,Dial(PJSIP/+4930555001@acme-trunk-carrier,30,iI)
+ same => n,Goto(acme-next,s,1)
+; dialfire
+exten => d0dd7dc9da0d5,1,Set(CALLERID(num)=+15559876543)
+ same => n,Set(CALLERID(name)=)
+ same => n,Set(CALLERID(pres)=allowed_not_screened)
+ same => n,Dial(PJSIP/+4930123456@acme-trunk-carrier,25,iI)
+ same => n,Goto(acme-next,s,1)
+; mobile
+exten => dd524c1a0811d,1,Return() ; it has no trunk: the next target gets the call
+; shown
+exten => dbaaf53622a51,1,Return() ; it has no trunk: the next target gets the call
+; zendesk_talk
+exten => dd4633d762c8e,1,Set(CALLERID(num)=+15559876543)
+ same => n,Set(CALLERID(name)=)
+ same => n,Set(CALLERID(pres)=allowed_not_screened)
+ same => n,Dial(PJSIP/acme-trunk-backup/sip:acme@talk.example,20,iI)
+ same => n,Goto(acme-next,s,1)
+
+; Users'' phones; they see who calls, and the caller is not told who answers.
+[acme-phones]
+exten => _X!,1,Set(CALLERID(num)=${FROM_NUMBER})
+ same => n,Set(CALLERID(name)=${FROM_NAME})
+ same => n,Set(CALLERID(pres)=${FROM_SHOWN})
+ same => n,Gosub(acme-leg,${EXTEN},1(I))
+ same => n,GotoIf($["${GOSUB_RETVAL}" = "rang"]?:away)
+ same => n,Goto(acme-next,s,1)
+ same => n(away),Return()
+
+; After a target: the next one, unless somebody answered or the caller gave up.
+[acme-next]
+exten => s,1,GotoIf($["${DIALSTATUS}" = "ANSWER" | "${DIALSTATUS}" = "CANCEL"]?over)
+ same => n,Set(CAUSE=${HANGUPCAUSE})
+ same => n,ExecIf($["${DIALSTATUS}" = "NOANSWER" | ${CAUSE} = 0]?Set(CAUSE=19))
+ same => n,Return()
+ same => n(over),Hangup()
+
+; generation
+[acme-generation]
+exten => (generation),1,NoOp()
', '9ff5b14b8b43f76a484720962d2fedec3b1d21690080b4979654ccac3b20e90e');
INSERT INTO public.apply_audit_log OVERRIDING SYSTEM VALUE VALUES (2, 'acme', 'pbx-test', 'apply', 'tester', NULL, 'p1-41622d28d3b638d4', '{"adopt": 0, "create": 0, "delete": 1, "rename": 0, "update": 0}', '{"pjsip.d/acme/generated_endpoints.conf": "6cd51b4ef75c5929b3328a681cb3c9bbbb958d785de81f1b8b8d17d0951f9243", "extensions.d/acme/generated_routing.conf": "d6ec29baf277f53b44037cbeb07921183ebd7f280dbf03e7d6e2b1d518e568a0"}', '{"check": 80, "write": 12, "record": 322, "render": 286}', 'rendered', NULL, '2026-11-28 21:07:57.343326+00', '2026-11-28 21:07:58.049795+00', '--- pjsip.d/acme/generated_endpoints.conf
+++ pjsip.d/acme/generated_endpoints.conf
@@ -42,16 +42,6 @@
 aors = acme-1000
 callerid = "Ana Silva" <1000>
 
-; cy@example.com
-[acme-1001](acme-auth)
-username = acme-1001
-password_digest = (sensitive)
-[acme-1001](acme-aor)
-[acme-1001](acme-phone)
-auth = acme-1001
-aors = acme-1001
-callerid = "Cy" <1001>
-
 ; bo.li@example.com
 [acme-2010](acme-auth)
 realm = asterisk
', 'ddc8cce420692d944b91038a34b426809047566981524db24b15651790a1f55c');
INSERT INTO public.apply_audit_log OVERRIDING SYSTEM VALUE VALUES (3, 'acme', 'pbx-test', 'apply', 'tester', NULL, 'p1-f1fb12824d552f71', '{"adopt": 0, "create": 1, "delete": 0, "rename": 0, "update": 0}', '{"pjsip.d/acme/generated_endpoints.conf": "fa24728e3da320a31d6691fa701583e09686d3bad119fba9fd97d728b3b33d03", "extensions.d/acme/generated_routing.conf": "d6ec29baf277f53b44037cbeb07921183ebd7f280dbf03e7d6e2b1d518e568a0"}', '{"check": 16, "write": 8, "record": 383, "render": 104}', 'rendered', NULL, '2026-11-28 21:07:58.528234+00', '2026-11-28 21:07:59.047533+00', '--- pjsip.d/acme/generated_endpoints.conf
+++ pjsip.d/acme/generated_endpoints.conf
@@ -42,6 +42,16 @@
 aors = acme-1000
 callerid = "Ana Silva" <1000>
 
+; cy@example.com
+[acme-1001](acme-auth)
+username = acme-1001
+password_digest = (sensitive)
+[acme-1001](acme-aor)
+[acme-1001](acme-phone)
+auth = acme-1001
+aors = acme-1001
+callerid = "Cy" <1001>
+
 ; bo.li@example.com
 [acme-2010](acme-auth)
 realm = asterisk
', 'fb8b0883d11b0a0c3d65aabbbde65ccf3b9f5804223c7b683ef5975471d51479');
INSERT INTO public.apply_audit_log OVERRIDING SYSTEM VALUE VALUES (4, 'acme', 'pbx-test', 'apply', 'tester', NULL, 'p1-6354f16811654914', '{"adopt": 0, "create": 0, "delete": 0, "rename": 0, "update": 0}', '{"pjsip.d/acme/generated_endpoints.conf": "fa24728e3da320a31d6691fa701583e09686d3bad119fba9fd97d728b3b33d03", "extensions.d/acme/generated_routing.conf": "d6ec29baf277f53b44037cbeb07921183ebd7f280dbf03e7d6e2b1d518e568a0"}', '{"check": 22, "write": 0, "record": 31, "render": 3}', 'rendered', NULL, '2026-11-28 21:08:29.061389+00', '2026-11-28 21:08:29.119678+00', '', 'fb8b0883d11b0a0c3d65aabbbde65ccf3b9f5804223c7b683ef5975471d51479');
INSERT INTO public.apply_audit_log OVERRIDING SYSTEM VALUE VALUES (5, 'acme', 'pbx-test', 'apply', 'tester', NULL, 'p1-41622d28d3b638d4', '{"adopt": 0, "create": 0, "delete": 1, "rename": 0, "update": 0}', '{"pjsip.d/acme/generated_endpoints.conf": "6cd51b4ef75c5929b3328a681cb3c9bbbb958d785de81f1b8b8d17d0951f9243", "extensions.d/acme/generated_routing.conf": "d6ec29baf277f53b44037cbeb07921183ebd7f280dbf03e7d6e2b1d518e568a0"}', '{"check": 22, "write": 2, "record": 72, "render": 21}', 'rendered', NULL, '2026-11-28 21:08:29.358628+00', '2026-11-28 21:08:29.477398+00', '--- pjsip.d/acme/generated_endpoints.conf
+++ pjsip.d/acme/generated_endpoints.conf
@@ -42,16 +42,6 @@
 aors = acme-1000
 callerid = "Ana Silva" <1000>
 
-; cy@example.com
-[acme-1001](acme-auth)
-username = acme-1001
-password_digest = (sensitive)
-[acme-1001](acme-aor)
-[acme-1001](acme-phone)
-auth = acme-1001
-aors = acme-1001
-callerid = "Cy" <1001>
-
 ; bo.li@example.com
 [acme-2010](acme-auth)
 realm = asterisk
', 'ddc8cce420692d944b91038a34b426809047566981524db24b15651790a1f55c');
INSERT INTO public.apply_audit_log OVERRIDING SYSTEM VALUE VALUES (6, 'acme', 'pbx-test', 'apply', 'tester', NULL, 'p1-f1fb12824d552f71', '{"adopt": 0, "create": 1, "delete": 0, "rename": 0, "update": 0}', '{"pjsip.d/acme/generated_endpoints.conf": "a9def1a71f1a5a6e323dace8881b665cad6b3c5200a2903e1632dcb84be5f219", "extensions.d/acme/generated_routing.conf": "d6ec29baf277f53b44037cbeb07921183ebd7f280dbf03e7d6e2b1d518e568a0"}', '{"check": 80, "write": 15, "record": 199, "render": 88}', 'rendered', NULL, '2026-11-28 21:08:29.922673+00', '2026-11-28 21:08:30.296476+00', '--- pjsip.d/acme/generated_endpoints.conf
+++ pjsip.d/acme/generated_endpoints.conf
@@ -42,6 +42,16 @@
 aors = acme-1000
 callerid = "Ana Silva" <1000>
 
+; cy@example.com
+[acme-1001](acme-auth)
+username = acme-1001
+password_digest = (sensitive)
+[acme-1001](acme-aor)
+[acme-1001](acme-phone)
+auth = acme-1001
+aors = acme-1001
+callerid = "Cy" <1001>
+
 ; bo.li@example.com
 [acme-2010](acme-auth)
 realm = asterisk
', '90ac5800f84b16d8c444f73c637f4ec91badcc4e4679f7071354873be1ae7321');
INSERT INTO public.apply_audit_log OVERRIDING SYSTEM VALUE VALUES (7, 'acme', 'pbx-test', 'create user', 'token gold3', NULL, NULL, '{"create": 1}', '{}', '{}', 'recorded', NULL, '2026-11-28 21:09:45.902625+00', '2026-11-28 21:09:45.902625+00', '+ portal@example.com  extension 1002
', NULL);
INSERT INTO public.apply_audit_log OVERRIDING SYSTEM VALUE VALUES (8, 'acme', 'pbx-test', 'apply', 'tester', NULL, 'p1-39ebb647c5784072', '{"adopt": 0, "create": 0, "delete": 0, "rename": 0, "update": 0}', '{"pjsip.d/acme/generated_endpoints.conf": "45cb9720f3cdf63f07e893130b1b00b5d58fe2852c59f9744f3341519e7e3f6e", "extensions.d/acme/generated_routing.conf": "d6ec29baf277f53b44037cbeb07921183ebd7f280dbf03e7d6e2b1d518e568a0"}', '{"check": 5, "write": 0, "record": 14, "render": 5}', 'rendered', NULL, '2026-11-28 21:09:50.781186+00', '2026-11-28 21:09:50.808984+00', '--- pjsip.d/acme/generated_endpoints.conf
+++ pjsip.d/acme/generated_endpoints.conf
@@ -52,6 +52,16 @@
 aors = acme-1001
 callerid = "Cy" <1001>
 
+; portal@example.com
+[acme-1002](acme-auth)
+username = acme-1002
+password_digest = (sensitive)
+[acme-1002](acme-aor)
+[acme-1002](acme-phone)
+auth = acme-1002
+aors = acme-1002
+callerid = "Por Tal" <1002>
+
 ; bo.li@example.com
 [acme-2010](acme-auth)
 realm = asterisk
', '6a2e0a949d7ec9d97debee54bee144ccf39f756baefa8c11e9844921b87f1b45');


--
-- Data for Name: call_dead_letters; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: call_steps; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.call_steps VALUES ('CA00000000000000000000000000000001', 0, 'dialfire', '2026-11-28 21:09:08.427638+00', NULL, NULL, NULL, NULL);
INSERT INTO public.call_steps VALUES ('CA00000000000000000000000000000002', 0, 'dialfire', '2026-11-28 21:09:11.57656+00', NULL, NULL, NULL, NULL);
INSERT INTO public.call_steps VALUES ('CA00000000000000000000000000000003', 0, 'dialfire', '2026-11-28 21:09:45.939004+00', '2026-11-28 21:09:45.950868+00', 'no-answer', 7, 480);
INSERT INTO public.call_steps VALUES ('CA00000000000000000000000000000003', 1, 'zendesk_talk', '2026-11-28 21:09:45.950868+00', NULL, NULL, NULL, NULL);


--
-- Data for Name: calls; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.calls VALUES ('CA00000000000000000000000000000001', 'acme', '2026-11-28 21:09:08.427638+00', 'routed', '+4930111222', '+15559876543', 'inbound', 'e164', '2026-11-28 21:09:08.427638+00', '2026-11-28 21:09:08.428118+00', 0.483, 'to +15559876543 from +49*, withheld when office', 'to +15559876543 from +49* when office: decides, as `office` is open', '["dialfire", "zendesk_talk", "bo.li@example.com"]', NULL, '{"2026-11-28 21:09:08.427638+00"}', DEFAULT, NULL, NULL, 0, 'dialfire', NULL, NULL);
INSERT INTO public.calls VALUES ('CA00000000000000000000000000000002', 'acme', '2026-11-28 21:09:11.57656+00', 'routed', '+4930111222', '+15559876543', 'inbound', 'e164', '2026-11-28 21:09:11.57656+00', '2026-11-28 21:09:11.577004+00', 0.445, 'to +15559876543 from +49*, withheld when office', 'to +15559876543 from +49* when office: decides, as `office` is open', '["dialfire", "zendesk_talk", "bo.li@example.com"]', NULL, '{"2026-11-28 21:09:11.57656+00"}', DEFAULT, NULL, NULL, 0, 'dialfire', NULL, NULL);
INSERT INTO public.calls VALUES ('CA00000000000000000000000000000003', 'acme', '2026-11-28 21:09:45.939004+00', 'completed', '+4930111222', '+15559876543', 'inbound', 'e164', '2026-11-28 21:09:45.939004+00', '2026-11-28 21:09:45.93942+00', 0.418, 'to +15559876543 from +49*, withheld when office', 'to +15559876543 from +49* when office: decides, as `office` is open', '["dialfire", "zendesk_talk", "bo.li@example.com"]', NULL, '{"2026-11-28 21:09:45.939004+00"}', DEFAULT, NULL, 31, 1, 'zendesk_talk', NULL, NULL);


--
-- Data for Name: directory; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.directory VALUES (true, '449eef46-b09c-453d-a01d-f099a9e9ee12', '2026-11-28 21:07:55.662105+00');


--
-- Data for Name: extensions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.extensions VALUES ('448a239e-6618-4f9f-96e2-f7ea5dc629f9', 1000, 'fef72782-04c2-4726-bd3c-e6af4473a67e', NULL, NULL);
INSERT INTO public.extensions VALUES ('448a239e-6618-4f9f-96e2-f7ea5dc629f9', 2010, 'baf07aca-ce83-4c64-9896-4901209c26b6', NULL, NULL);
INSERT INTO public.extensions VALUES ('448a239e-6618-4f9f-96e2-f7ea5dc629f9', 1001, '2facdd89-5136-4e25-adbc-2432fc7f6d60', NULL, NULL);
INSERT INTO public.extensions VALUES ('448a239e-6618-4f9f-96e2-f7ea5dc629f9', 1002, 'cac96407-13f7-4bb6-9602-2f3462c1f7e6', NULL, NULL);


--
-- Data for Name: former_users; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.former_users VALUES ('448a239e-6618-4f9f-96e2-f7ea5dc629f9', 'cy@example.com', '2026-11-28 21:08:29.358628+00');


--
-- Data for Name: freed_numbers; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.freed_numbers VALUES ('448a239e-6618-4f9f-96e2-f7ea5dc629f9', 1001, 'cy@example.com', '2026-11-28 21:08:29.338571+00');


--
-- Data for Name: idempotency_keys; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.idempotency_keys VALUES ('448a239e-6618-4f9f-96e2-f7ea5dc629f9', -5564102742563431330, 'gold-1', '\x9c317324c54b43fa7bcb1f2e912b348a8a1ad0302a41e2fef8cf2fdb720b5ce8', '\x01630dcd2966c4336687434dbfb6fffe9629ff5fcfb969bc98daebd6e2b28f5760df56af3dd08d567006bd5dec94679365ea4417ffe76d7ab8fbaf84d40e543199033e076eba9b94004d1608e39a4db12ef7441c4813c92148354698b6fcedf653950cd170e80d0c46b9a22dc710e27a297dd0f61120868d1a7630fffec070161849901aff5edfad6266fb6940d7832cd708ae2960493360d3353e5cd66dee0ef6220865dcb953b93c4a9d806904ea81b6e7f33b3e76c54012783482b492da758cb85e1804317bdbcdd092deb6954d84aff02b2095a003c4fa35ce84cb76da2fc2f3668672638caef7b8fe9f9472b273d0ca4c8abad69873bb9d5802c3cd1ade3ada31e5089656709c0b34d63f935b2d89cb1ca1b8f90aaddaa150c46da6f67e2627343d27e011112c2d0e9cb2a871ca3e77e67e3cebed66bad3e668dd5eefab67f2747c', '2026-11-28 21:09:45.900088+00');


--
-- Data for Name: refinery_schema_history; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.refinery_schema_history VALUES (1, 'directory', '2026-11-28T21:07:55.660955152Z', '12760499059151870081');
INSERT INTO public.refinery_schema_history VALUES (2, 'history', '2026-11-28T21:07:55.661001551Z', '17829589935921891069');
INSERT INTO public.refinery_schema_history VALUES (3, 'portal', '2026-11-28T21:07:55.661006147Z', '17197553837290445031');
INSERT INTO public.refinery_schema_history VALUES (4, 'taken_below', '2026-11-28T21:07:55.661015246Z', '2158176646568446873');
INSERT INTO public.refinery_schema_history VALUES (5, 'add_users', '2026-11-28T21:07:55.661020685Z', '6713342071383517131');
INSERT INTO public.refinery_schema_history VALUES (6, 'inbound', '2026-11-28T21:07:55.661027454Z', '5456432820386970079');
INSERT INTO public.refinery_schema_history VALUES (7, 'calls', '2026-11-28T21:07:55.661032525Z', '6114300226840389293');
INSERT INTO public.refinery_schema_history VALUES (8, 'fallback', '2026-11-28T21:07:55.66103775Z', '7861952281392802292');
INSERT INTO public.refinery_schema_history VALUES (9, 'applied_last', '2026-11-28T21:07:55.661042383Z', '18019755706089944596');


--
-- Data for Name: tenants; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tenants VALUES ('448a239e-6618-4f9f-96e2-f7ea5dc629f9', 'acme', '{"range": "1000-1099, 2000-2099", "phones": {"realm": "asterisk", "codecs": ["g722", "alaw"], "devices": 3, "transport": "transport-udp"}, "country": "DE", "include": ["outbound", "internal"], "reserved": [1090, 2001], "hold_days": 30, "endpoint_names": "tenant-extension"}', '2026-11-28 21:07:56.771054+00', '2026-11-28 21:07:56.771054+00', 1003, '{"hours": {"office": {"open": ["mon-fri 09:00-18:00", "sat 22:00-02:00"], "closed": ["2026-12-25", "2026-12-26"], "timezone": "Europe/Berlin"}}, "rules": [{"to": {"did": "+15559876543"}, "from": [{"prefix": "+49*"}, "withheld"], "when": "office", "route": [{"dialer": "dialfire"}, {"dialer": "zendesk_talk"}, {"user": "bo.li@example.com"}], "otherwise": [{"user": "bo.li@example.com"}, "hangup"], "protected": true}, {"to": "default", "from": [{"prefix": "+1*"}], "when": null, "route": [{"dialer": "desk"}, "busy"], "otherwise": null, "protected": false}], "trunks": {"backup": {"host": "backup.example", "realm": null, "identify": ["192.0.2.7"], "register": false, "username": null}, "carrier": {"host": "198.51.100.7:5070", "realm": "carrier.example", "identify": ["203.0.113.0/28", "203.0.113.99"], "register": true, "username": "acme"}}, "dialers": {"desk": {"ring": 30, "trunk": "carrier", "target": {"number": {"given": "+4930555001"}}, "caller_id": "caller"}, "shown": {"ring": 30, "trunk": null, "target": {"number": {"given": "+4930555003"}}, "caller_id": "always-called"}, "mobile": {"ring": 30, "trunk": null, "target": {"number": {"given": "+4930555002"}}, "caller_id": {"number": "+15559876543"}}, "dialfire": {"ring": 25, "trunk": "carrier", "target": {"number": {"given": "+4930123456"}}, "caller_id": "called"}, "zendesk_talk": {"ring": 20, "trunk": "backup", "target": {"sip": "sip:acme@talk.example"}, "caller_id": "called"}}, "caller_id": "+15559876543", "default_route": [{"dialer": "mobile"}, {"dialer": "shown"}, {"user": "ana.silva@example.com"}], "public_sip_host": "sip.example.com"}');


--
-- Data for Name: trunk_secrets; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.trunk_secrets VALUES ('448a239e-6618-4f9f-96e2-f7ea5dc629f9', 'carrier', '00f5df8a-24c9-4bd5-899a-0eb12a7f9f5b', '\x01630dcd2966c433661dd6f21115a57dbd3b59ece1ed04582f306bcc5f56b4d38e3bb4a375cf6f10b01fe61f55a256c8726331f1594cd0eec4a433a6637c637bc8b3924034d4', '\x350cf30cad4caa0816315f0f58845914', '\x182371d7fee3864b6e0f11490c875b02204ccec80261b17ae2185f4028521354', '\x182371d7fee3864b6e0f11490c875b02204ccec80261b17ae2185f4028521354');


--
-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.users VALUES ('fef72782-04c2-4726-bd3c-e6af4473a67e', '448a239e-6618-4f9f-96e2-f7ea5dc629f9', 'ana.silva@example.com', 'ana.silva@example.com', 'Ana Silva', 'file', true, '{}', '\x01630dcd2966c433667cc4a0d738b7da0c9515a4aad964937c55c2ffb95aef55a81150ff9e6a73cc26d41aeea212342de9dc3e833f04fe13fbb5bd27a96511b691655c582ec30fa7f1', false, '\x5fd022a8468ef8bbbb8fc9c1843d3f00', '\x40c5a326c1deff8f602107a733d40bf5e2c01e13214a77aa80dc2b58efc3e2aa', '\x197b31ac1b8fe2f7352f7482e9a32b8589e0f818d276e63b6e47a86ae807b455', '2026-11-28 21:07:56.771054+00', '2026-11-28 21:07:56.771054+00', '\x197b31ac1b8fe2f7352f7482e9a32b8589e0f818d276e63b6e47a86ae807b455', NULL);
INSERT INTO public.users VALUES ('baf07aca-ce83-4c64-9896-4901209c26b6', '448a239e-6618-4f9f-96e2-f7ea5dc629f9', 'bo.li@example.com', 'bo.li@example.com', 'Bo Li', 'file', false, '{"realm": "asterisk", "codecs": ["opus", "ulaw"], "devices": 2, "transport": "transport-tls"}', '\x01630dcd2966c4336659ac8335e2d05813bc6728a9831d7e7da00933d7a54647c55136a975a9209becedd665454278615df6cc5deaf35d5f4585bb7290cce79b0c2ebf104201b3bb56', false, '\x0fc8eb5677124c7962011ad8a04f795d', '\x7a6581abd795f186db4bff4e7ad814bc2810dad9ef72a47b426efc8560034d42', '\x67aceb791d9f9fb41369025900c2949c07a027a95e8bbac5668b4c2770345757', '2026-11-28 21:07:56.771054+00', '2026-11-28 21:07:56.771054+00', '\x67aceb791d9f9fb41369025900c2949c07a027a95e8bbac5668b4c2770345757', NULL);
INSERT INTO public.users VALUES ('2facdd89-5136-4e25-adbc-2432fc7f6d60', '448a239e-6618-4f9f-96e2-f7ea5dc629f9', 'cy@example.com', 'cy@example.com', 'Cy', 'file', false, '{}', '\x01630dcd2966c4336684e3d4939ce376430b0523182dc5dc8b81f26bc372d19d760b4e06f28b6d79279c9c6f0ea8621ea6777114f9ca6cc8eda6ce183151fb1ee7433799a21f5c654d', false, '\xfc3b9a9bcaa877869dd3393fe410a582', '\xf5b37f79dfa386888318289b53f4a2d8352780e6932907720f9be24d79ead614', '\xdfbdc4b77816786cea71abfe4736b272f1a179999355dbd457d640a91c3614d5', '2026-11-28 21:08:29.922673+00', '2026-11-28 21:08:29.922673+00', '\xdfbdc4b77816786cea71abfe4736b272f1a179999355dbd457d640a91c3614d5', NULL);
INSERT INTO public.users VALUES ('cac96407-13f7-4bb6-9602-2f3462c1f7e6', '448a239e-6618-4f9f-96e2-f7ea5dc629f9', 'portal@example.com', 'portal@example.com', 'Por Tal', 'api', false, '{}', '\x01630dcd2966c433663b4aae4753030399a2450a2fc76a6b4202aaeaacd8f32de4d7054cc75e0a09c44e865c182466635f54ee8af492a8cd6f7fdb37323b508bcdd6dee9993bfbf6bb', false, '\x634582970ea681896aec277cf84f77e8', '\x2dfed3799665f6bceddcc29b3feb086696916a022564a3de2f351a1084f8d7eb', '\x045b67c56e00cf07f2929a847f34f94de12ac443310b5494fbba5d73014658bc', '2026-11-28 21:09:45.902625+00', '2026-11-28 21:09:45.902625+00', '\x045b67c56e00cf07f2929a847f34f94de12ac443310b5494fbba5d73014658bc', NULL);


--
-- Name: apply_audit_log_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.apply_audit_log_id_seq', 8, true);


--
-- Name: api_tokens api_tokens_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (id);


--
-- Name: applied_routes applied_routes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.applied_routes
    ADD CONSTRAINT applied_routes_pkey PRIMARY KEY (tenant);


--
-- Name: apply_audit_log apply_audit_log_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.apply_audit_log
    ADD CONSTRAINT apply_audit_log_pkey PRIMARY KEY (id);


--
-- Name: call_dead_letters call_dead_letters_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.call_dead_letters
    ADD CONSTRAINT call_dead_letters_pkey PRIMARY KEY (digest);


--
-- Name: call_steps call_steps_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.call_steps
    ADD CONSTRAINT call_steps_pkey PRIMARY KEY (call_sid, step);


--
-- Name: calls calls_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.calls
    ADD CONSTRAINT calls_pkey PRIMARY KEY (call_sid);


--
-- Name: directory directory_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.directory
    ADD CONSTRAINT directory_pkey PRIMARY KEY (only_row);


--
-- Name: extensions extensions_number_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.extensions
    ADD CONSTRAINT extensions_number_once UNIQUE (tenant_id, number);


--
-- Name: extensions extensions_user_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.extensions
    ADD CONSTRAINT extensions_user_id_key UNIQUE (user_id);


--
-- Name: former_users former_users_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.former_users
    ADD CONSTRAINT former_users_pkey PRIMARY KEY (tenant_id, email_key);


--
-- Name: freed_numbers freed_numbers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.freed_numbers
    ADD CONSTRAINT freed_numbers_pkey PRIMARY KEY (tenant_id, number);


--
-- Name: idempotency_keys idempotency_keys_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, token, key);


--
-- Name: refinery_schema_history refinery_schema_history_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refinery_schema_history
    ADD CONSTRAINT refinery_schema_history_pkey PRIMARY KEY (version);


--
-- Name: tenants tenants_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);


--
-- Name: tenants tenants_slug_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_slug_key UNIQUE (slug);


--
-- Name: trunk_secrets trunk_secrets_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.trunk_secrets
    ADD CONSTRAINT trunk_secrets_id_key UNIQUE (id);


--
-- Name: trunk_secrets trunk_secrets_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.trunk_secrets
    ADD CONSTRAINT trunk_secrets_pkey PRIMARY KEY (tenant_id, trunk);


--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- Name: users users_tenant_id_email_key_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_tenant_id_email_key_key UNIQUE (tenant_id, email_key);


--
-- Name: api_tokens_name_once; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX api_tokens_name_once ON public.api_tokens USING btree (tenant, name) WHERE (revoked_at IS NULL);


--
-- Name: apply_audit_log_open; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX apply_audit_log_open ON public.apply_audit_log USING btree (tenant, host) WHERE (outcome = 'open'::text);


--
-- Name: apply_audit_log_plan; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX apply_audit_log_plan ON public.apply_audit_log USING btree (tenant, plan_id);


--
-- Name: apply_audit_log_tenant; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX apply_audit_log_tenant ON public.apply_audit_log USING btree (tenant, host, id);


--
-- Name: calls_newest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX calls_newest ON public.calls USING btree (tenant, first_event_at DESC, call_sid DESC);


--
-- Name: extensions_on_hold; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX extensions_on_hold ON public.extensions USING btree (tenant_id) WHERE (user_id IS NULL);


--
-- Name: idempotency_keys_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idempotency_keys_age ON public.idempotency_keys USING btree (tenant_id, created_at);


--
-- Name: applied_routes applied_routes_written; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER applied_routes_written AFTER INSERT OR UPDATE ON public.applied_routes FOR EACH ROW EXECUTE FUNCTION public.routes_applied();


--
-- Name: extensions extensions_deleted; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER extensions_deleted AFTER DELETE ON public.extensions REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.extensions_gone();


--
-- Name: extensions extensions_truncated; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER extensions_truncated AFTER TRUNCATE ON public.extensions FOR EACH STATEMENT EXECUTE FUNCTION public.extensions_emptied();


--
-- Name: extensions extensions_updated; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER extensions_updated AFTER UPDATE ON public.extensions REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.extensions_moved();


--
-- Name: tenants tenants_settings_changed; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER tenants_settings_changed BEFORE UPDATE ON public.tenants FOR EACH ROW WHEN ((old.settings IS DISTINCT FROM new.settings)) EXECUTE FUNCTION public.settings_changed();


--
-- Name: call_steps call_steps_call_sid_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.call_steps
    ADD CONSTRAINT call_steps_call_sid_fkey FOREIGN KEY (call_sid) REFERENCES public.calls(call_sid) ON DELETE CASCADE;


--
-- Name: extensions extensions_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.extensions
    ADD CONSTRAINT extensions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);


--
-- Name: extensions extensions_user_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.extensions
    ADD CONSTRAINT extensions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;


--
-- Name: former_users former_users_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.former_users
    ADD CONSTRAINT former_users_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);


--
-- Name: freed_numbers freed_numbers_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.freed_numbers
    ADD CONSTRAINT freed_numbers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);


--
-- Name: idempotency_keys idempotency_keys_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);


--
-- Name: idempotency_keys idempotency_keys_token_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_token_fkey FOREIGN KEY (token) REFERENCES public.api_tokens(id);


--
-- Name: trunk_secrets trunk_secrets_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.trunk_secrets
    ADD CONSTRAINT trunk_secrets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);


--
-- Name: users users_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);


--
-- PostgreSQL database dump complete
--


