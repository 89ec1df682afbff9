"""The portal API."""

import time

from inputs import CREATE_ONE, declare_users
from lab import Portal, processor_of, say
from measure import Bench


def run(bench: Bench) -> None:
    _measure_creates(bench)
    _measure_reading(bench)
    _measure_apply(bench)


class Creates:
    """Makes users, other ones each time."""

    def __init__(self) -> None:
        self.batch = 0

    def by(self, portal: Portal, clients: int, users: int) -> list[object]:
        self.batch += 1
        body = f'{{"name":"Given Family {{}}","email":"p{self.batch}.{{}}@example.com"}}'
        return portal.load(clients, users, "POST", "/users", body)


def _measure_creates(bench: Bench) -> None:
    lab, figures, users = bench.lab, bench.figures, bench.size(1000)
    say("the portal API")
    creates = Creates()
    (lab.work / "create.sql").write_text(CREATE_ONE)
    (lab.work / "nobody.yaml").write_text("version: 1\ntenant: bench\nextensions:\n  range: 100000-499999\nusers: []\n")
    lab.fresh()
    lab.reconcile("sync", "-f", "nobody.yaml")
    lab.sql("create sequence floor start 600000")
    lab.sql("insert into tenants (id, slug, settings) values (gen_random_uuid(), 'floor', '{}')")
    with lab.serving() as portal:
        time.sleep(1)
        bench.case("memory of the idle server", portal.resident(), "KiB", at_most=40 * 1024)
        lab.run(*creates.by(portal, 1, 100))

        def once() -> None:
            figures.clock("one", *creates.by(portal, 1, users))
            pgbench = [lab.pgbench, "-n", "-c", 1, "-t", users, "-f", "create.sql", lab.env["DATABASE_URL"]]
            figures.clock("pgbench", *pgbench)
            figures.clock("sixteen", *creates.by(portal, 16, users))

        bench.rounds(3, once)
    bench.compare(f"POST /users, {users:,} by one client : pgbench", "one", "pgbench", 3)
    bench.compare(f"POST /users, {users:,} by 16 clients : by one", "sixteen", "one", 1)
    with lab.logged_statements(), lab.serving() as portal:
        lab.run(*creates.by(portal, 1, 1))
        seen = lab.count_statements(lambda: lab.run(*creates.by(portal, 1, 1)))
    bench.case("POST /users: statements that PostgreSQL saw", seen, "")


def _measure_reading(bench: Bench) -> None:
    lab, figures, users, requests = bench.lab, bench.figures, bench.size(1000), bench.size(100_000)
    say(f"{requests:,} requests")
    lab.fresh()
    lab.reconcile("sync", "-f", declare_users(lab.work, users))
    lab.sql("vacuum analyze")
    with lab.serving() as portal:
        lab.run(*portal.load(1, 50, "GET", "/users"))
        backends = lab.sql("select pid from pg_stat_activity where application_name = 'reconcile'").split()
        backends = [int(pid) for pid in backends]

        def once() -> None:
            ours, theirs = portal.processor(), processor_of(*backends)
            lab.run(*portal.load(1, 300, "GET", "/users"))
            figures.note("ours", portal.processor() - ours)
            figures.note("theirs", processor_of(*backends) - theirs)

        bench.rounds(5, once)
        case = f"GET /users of {users:,}, processor time, 300 times : PostgreSQL"
        bench.compare(case, "ours", "theirs", 3)
        lab.run(*portal.load(16, requests, "GET", "/users?limit=20"))
        case = f"memory of the server after {requests:,} requests"
        bench.case(case, portal.resident(), "KiB", at_most=80 * 1024)


def _measure_apply(bench: Bench) -> None:
    lab, figures, users = bench.lab, bench.figures, bench.size(1000)
    say(f"POST /apply of {users:,} users")
    file = declare_users(lab.work, users)
    lab.with_asterisk()

    def once() -> None:
        lab.forget()
        lab.reconcile("sync", "-f", file)
        figures.reconcile("command", "apply", "-f", file)
        lab.forget()
        lab.reconcile("sync", "-f", file)
        with lab.serving() as portal:
            figures.clock("portal", *portal.load(1, 1, "POST", "/apply"))

    bench.rounds(5, once)
    bench.compare(f"POST /apply of {users:,} users : reconcile apply", "portal", "command", 1.1)
    lab.without_asterisk()
