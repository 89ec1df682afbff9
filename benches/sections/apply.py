"""`apply` with a running Asterisk, whose reload is no work of ours."""

from inputs import declare_users
from lab import say
from measure import Bench

PHASES = ("check", "record", "render", "write", "contacts", "read back")


def run(bench: Bench) -> None:
    say("with Asterisk")
    bench.lab.with_asterisk()
    _measure_small(bench)
    few, many = bench.size(1000), bench.size(10_000)
    _measure_one_change(bench, few, 9)
    _measure_one_change(bench, many, 5)
    for users in (few, many):
        bench.compare(f"apply of one change among {users:,} : a bare reload", f"change {users}", f"reload {users}", None)
    bench.within(f"  our own time at {few:,}", f"own {few}", 0.25)
    bench.within(f"  our own time at {many:,}", f"own {many}", 1)
    median = bench.figures.median
    for phase in PHASES:
        # Below 10 ms a phase is a constant.
        floor = max(median(f"{phase} {few}"), 10_000)
        name = f"    phase: {phase}, {many:,} : {few:,}, or 10 ms"
        bench.case(name, median(f"{phase} {many}"), "us", floor=floor, at_most_times=10)
    bench.lab.without_asterisk()


def _measure_small(bench: Bench) -> None:
    lab, figures = bench.lab, bench.figures
    file = declare_users(lab.work, 100)

    def first() -> None:
        lab.forget()
        figures.reconcile("first", "apply", "-f", file)

    bench.rounds(5, first)
    grown = lab.work / "grown.yaml"
    grown.write_text((lab.work / file).read_text())

    def create() -> None:
        number = len(figures.noted["create"]) + 1
        with grown.open("a") as text:
            text.write(f"  - {{ email: new.{number}@example.com, name: New {number} }}\n")
        figures.reconcile("create", "apply", "-f", grown)

    bench.rounds(7, create)
    file = declare_users(lab.work, 500)
    lab.forget()
    lab.reconcile("sync", "-f", file)
    bench.rounds(15, lambda: figures.reconcile("list", "users", "-f", file))
    bench.within("create one user and apply it, 100 users", "create", 2)
    bench.within("first apply of 100 users, reload and read-back", "first", 10)
    bench.within("list 500 users", "list", 1)


def _measure_one_change(bench: Bench, users: int, rounds: int) -> None:
    """One user changed among many.

    Our own time is the wall time less what the reload itself took inside of it, for two reloads of 10,000 phones differ by
    more than all the rest.
    """
    lab, figures = bench.lab, bench.figures
    say(f"one change among {users:,} users")
    declared = (lab.work / declare_users(lab.work, users)).read_text()
    changed, middle = lab.work / "changed.yaml", (users + 1) // 2
    lab.forget()
    lab.reconcile("apply", "-f", f"{users}.yaml")

    def once() -> None:
        number = len(figures.noted[f"change {users}"]) + 1
        changed.write_text(declared.replace(f"Given Family {middle}\n", f"Changed {number}\n"))
        figures.reconcile(f"change {users}", "apply", "-f", changed)
        phases = _last_phases(bench)
        for phase in PHASES:
            figures.note(f"{phase} {users}", phases[phase])
        figures.note(f"own {users}", figures.last(f"change {users}") - phases["reload"])
        figures.clock(f"reload {users}", lab.env["ASTERISK_COMMAND"], "-rx", "module reload res_pjsip.so")

    bench.rounds(rounds, once)


def _last_phases(bench: Bench) -> dict[str, int]:
    """How many microseconds each phase of the last apply took."""
    rows = bench.lab.sql(
        "select key, value from apply_audit_log, jsonb_each_text(phases) "
        f"where id = (select max(id) from apply_audit_log) and key in {(*PHASES, 'reload')}"
    )
    phases = (row.split("|") for row in rows.splitlines())
    return {phase: int(milliseconds) * 1000 for phase, milliseconds in phases}
