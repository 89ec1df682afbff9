-- Calls, as the servers wrote them down: events come in any order, some of them twice.

-- Later ones never give way to earlier ones.
create type call_status as enum (
    'received', 'routed', 'ringing', 'in-progress', 'canceled', 'no-answer', 'busy', 'failed', 'completed'
);

create table calls (
    call_sid         text collate "C" primary key,
    -- The tenant's slug; none where nobody takes the call.
    tenant           text collate "C",
    -- When something became known about it for the first time.
    first_event_at   timestamptz not null,
    status           call_status not null,
    -- What the first request said, and what was decided; null until that is known. Numbers are as sent, in full.
    from_number      text,
    to_number        text,
    direction        text,
    caller_class     text,
    received_at      timestamptz,
    routed_at        timestamptz,
    response_ms      double precision,
    rule             text,
    reason           text,
    targets          jsonb,
    degraded         text,
    -- When each request came that asked what to do with the call: one is what there should be.
    asked_at         timestamptz[] not null,
    retries          integer generated always as (greatest(cardinality(asked_at) - 1, 0)) stored,
    -- When somebody answered.
    answered_at      timestamptz,
    duration_seconds integer,
    -- Who was dialled last, and in which step.
    routed_step      integer,
    routed_dialer    text
);
create index calls_newest on calls (tenant, first_event_at desc, call_sid desc);

create table call_steps (
    call_sid         text collate "C" not null references calls (call_sid) on delete cascade,
    step             integer not null,
    dialer           text collate "C",
    started_at       timestamptz,
    ended_at         timestamptz,
    outcome          text collate "C",
    duration_seconds integer,
    sip_code         integer,
    primary key (call_sid, step)
);

-- Events that the tables refused, whole, each once; `digest` is the hash of the event.
create table call_dead_letters (
    digest     bytea primary key,
    event      text not null,
    error      text not null,
    refused_at timestamptz not null default now()
);

-- Who may see calls.
alter table api_tokens drop constraint api_tokens_scopes_check,
    add constraint api_tokens_scopes_check
        check (scopes <> '{}' and scopes <@ array['read', 'write', 'apply', 'calls']);
