"""`plan` where nothing changed."""

from inputs import FETCH_ALL, declare_users
from lab import say
from measure import Bench

# A plan that finds a change ends with 2, which fails the measurement.
UNCHANGED = ("plan", "--no-asterisk", "--detailed-exitcode")


def run(bench: Bench) -> None:
    lab, figures, users = bench.lab, bench.figures, bench.size(1000)
    say(f"plan of {users:,} users")
    file = declare_users(lab.work, users)
    lab.fresh()
    lab.reconcile("apply", "--no-reload", "-f", file)

    def once() -> None:
        figures.reconcile("plan", *UNCHANGED, "-f", file)
        figures.psql("fetch", "-c", FETCH_ALL)

    bench.rounds(15, once)
    bench.compare(f"plan, {users:,} users, no change : psql fetches the rows", "plan", "fetch", 3)
    with lab.logged_statements():
        seen = lab.count_statements(lambda: lab.reconcile(*UNCHANGED, "-f", file))
    bench.case("plan: statements that PostgreSQL saw", seen, "", at_most=8)
