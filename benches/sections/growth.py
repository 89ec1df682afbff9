"""Ten times as many users, and three times as many again: time and memory."""

from inputs import INSERT_ALL, declare_calls, declare_users
from lab import say
from measure import Bench
from sections.plan import UNCHANGED


def run(bench: Bench) -> None:
    sizes = [bench.size(users) for users in (10_000, 100_000, 300_000)]
    _measure_sync(bench, sizes)
    _measure_reading(bench, sizes)
    few, many, more = sizes
    for name in ("check", "plan", "sync"):
        for large, small, times, memory in ((many, few, 11, 11), (more, many, 4, 3.3)):
            # From 100,000 to 300,000, the floor itself grows more than linearly.
            ours, floor = f"{name} {large}", f"{name} {small}"
            bench.compare(f"{name}, {large:,} users : {small:,}", ours, floor, times)
            bench.compare(f"  memory of {name}", f"{ours} memory", f"{floor} memory", memory, "KiB")
    for large, small in ((many, few), (more, many)):
        bench.compare(f"(psql inserts {large:,} users : {small:,})", f"insert {large}", f"insert {small}", None)
    median = bench.figures.median
    each = (median(f"plan {many} memory") - median("plan 0 memory")) / many
    bench.case(f"plan, {many:,} users: memory for each of them", each, "KiB", at_most=2.5)
    _measure_rules(bench)


def _measure_sync(bench: Bench, sizes: list[int]) -> None:
    lab, figures = bench.lab, bench.figures
    say("first sync of " + _listed(sizes))

    def once(sizes: list[int]) -> None:
        for users in sizes:
            (lab.work / "insert.sql").write_text(INSERT_ALL.format(users=users))
            lab.fresh()
            figures.psql(f"insert {users}", "-f", "insert.sql")
            lab.fresh()
            figures.weigh(f"sync {users}", "sync", "-f", f"{users}.yaml")

    for users in sizes:
        declare_users(lab.work, users)
    bench.rounds(3, lambda: once(sizes))
    bench.rounds(2, lambda: once(sizes[:2]))


def _measure_reading(bench: Bench, sizes: list[int]) -> None:
    """`check` and `plan`, which also of a file without users: what memory a plan takes in any case."""
    lab, figures = bench.lab, bench.figures
    say("check and plan of " + _listed(sizes))

    def keep(users: int) -> None:
        lab.use(f"kept{users}")
        lab.without_asterisk(f"etc{users}")

    for users in [0, *sizes]:
        declare_users(lab.work, users)
        lab.admin(f"create database kept{users} template migrated")
        (lab.work / f"etc{users}").mkdir()
        keep(users)
        lab.reconcile("apply", "--no-reload", "-f", f"{users}.yaml")

    def once(sizes: list[int]) -> None:
        for users in sizes:
            keep(users)
            figures.weigh(f"check {users}", "check", "-f", f"{users}.yaml")
            figures.weigh(f"plan {users}", *UNCHANGED, "-f", f"{users}.yaml")

    bench.rounds(3, lambda: once([0, *sizes]))
    bench.rounds(4, lambda: once(sizes[:2]))
    lab.without_asterisk()
    for users in [0, *sizes]:
        lab.admin(f"drop database kept{users} with (force)")


def _measure_rules(bench: Bench) -> None:
    """Users with a public number and a rule each, ten with a trunk and a dialer."""
    lab, figures = bench.lab, bench.figures
    few, many = bench.size(1000), bench.size(10_000)
    say(f"check and plan of {few:,} and {many:,} users, each with a rule and a public number")
    files = {users: declare_calls(lab.work, users) for users in (few, many)}

    def once() -> None:
        for users, file in files.items():
            lab.fresh()
            figures.reconcile(f"check {users} rules", "check", "-f", file)
            figures.reconcile(f"plan {users} rules", "plan", "--no-asterisk", "-f", file)

    bench.rounds(5, once)
    for name in ("check", "plan"):
        case = f"{name}, {many:,} users with a rule each : {few:,}"
        bench.compare(case, f"{name} {many} rules", f"{name} {few} rules", 11)


def _listed(sizes: list[int]) -> str:
    return ", ".join(f"{users:,}" for users in sizes) + " users"
