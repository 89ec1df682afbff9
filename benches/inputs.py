"""What is declared, and the rows that a database gets without us: as many bytes each as ours."""

from __future__ import annotations

from pathlib import Path

HEAD = "version: 1\ntenant: bench\nextensions:\n  range: {range}\n"

# The rows of one new user as `POST /users` writes them, for pgbench. They belong to a tenant of their own, so that their
# numbers are not in the way of those that the API gives.
CREATE_ONE = """\
begin;
with made as (
  insert into users (id, tenant_id, email, email_key, name, managed_by, secret_sealed, secret_declared, secret_salt,
      secret_fingerprint, digest_fingerprint)
    select gen_random_uuid(), t.id, 'floor.' || n || '@example.com', 'floor.' || n || '@example.com', 'Given Family',
      'api', decode(repeat('a7', 73), 'hex'), false, decode(repeat('a7', 16), 'hex'), decode(repeat('a7', 32), 'hex'),
      decode(repeat('a7', 32), 'hex')
    from tenants t, nextval('floor') n where t.slug = 'floor' returning tenant_id, id)
insert into extensions (tenant_id, number, user_id) select tenant_id, currval('floor'), id from made;
insert into apply_audit_log (tenant, host, command, actor, counts, diff, outcome, finished_at)
  values ('floor', 'bench', 'create user', 'token bench', '{"create":1}', '+ floor@example.com  extension 600000',
    'recorded', now());
commit;
"""

# One transaction that inserts a tenant with its users.
INSERT_ALL = """\
begin;
insert into tenants (id, slug, settings) values (gen_random_uuid(), 'bench', '{{}}');
insert into users (id, tenant_id, email, email_key, name, managed_by, secret_sealed, secret_declared, secret_salt,
    secret_fingerprint, digest_fingerprint)
  select gen_random_uuid(), t.id, format('user.%s@example.com', n), format('user.%s@example.com', n), 'Given Family ' || n,
    'file', decode(repeat('a7', 73), 'hex'), false, decode(repeat('a7', 16), 'hex'), decode(repeat('a7', 32), 'hex'),
    decode(repeat('a7', 32), 'hex')
  from tenants t, generate_series(100001, 100000 + {users}) n;
insert into extensions (tenant_id, number, user_id)
  select tenant_id, 99999 + row_number() over (order by email_key), id from users;
commit;
"""

FETCH_ALL = """\
select u.id, u.email, u.name, u.managed_by, u.protected, u.phone, e.number, u.secret_declared, u.secret_salt,
  u.secret_fingerprint, u.digest_fingerprint from users u join extensions e on e.user_id = u.id"""

INBOUND = """\
version: 1
tenant: bench
users: []
dialers:
  desk: { number: "+15551234567", ring: 30s }
  night: { sip: "sip:night@talk.example", ring: 20s }
hours:
  office: { timezone: Europe/Berlin, open: ["mon-fri 09:00-18:00"] }
inbound:
  - { to: "+15559876543", from: ["+49*", withheld], when: office, route: [desk, night], otherwise: [night] }
default_route: [desk]
"""


def _range(users: int) -> str:
    return "1000-2999" if users <= 1000 else "100000-499999"


def email(number: int) -> str:
    return f"user.{number:06}@example.com"


def declare_users(folder: Path, users: int) -> str:
    """Writes a file with so many users. Gives its name."""
    entries = "".join(f"  - email: {email(n)}\n    name: Given Family {n}\n" for n in range(1, users + 1))
    name = f"{users}.yaml"
    text = HEAD.format(range=_range(users)) + (f"users:\n{entries}" if users else "users: []\n")
    (folder / name).write_text(text)
    return name


def declare_calls(folder: Path, users: int) -> str:
    """Writes a file in which each user has a public number and a rule for it, and ten share a trunk and a dialer."""
    numbers, tens = range(1, users + 1), range(1, users // 10 + 1)
    lines = [HEAD.format(range=_range(users)) + "public_sip_host: pbx.example.com\nusers:"]
    lines += [f"  - email: {email(n)}\n    name: Given Family {n}" for n in numbers]
    lines += ["trunks:"] + [f"  t{n}: {{ host: 10.0.{n // 250}.{n % 250 + 1} }}" for n in tens]
    lines += ["dialers:"] + [f'  d{n}: {{ number: "+4930900{n:05}", trunk: t{n} }}' for n in tens]
    rule = '  - {{ to: "+4930100{n:05}", route: [{who}, d{ten}] }}'
    lines += ["inbound:"] + [rule.format(n=n, who=email(n), ten=(n - 1) // 10 + 1) for n in numbers]
    name = f"calls-{users}.yaml"
    (folder / name).write_text("\n".join(lines) + "\n")
    return name
