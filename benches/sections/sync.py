"""The first `sync` of a tenant, and its first `apply` without a reload."""

from inputs import INSERT_ALL, declare_users
from lab import TOP, say
from measure import Bench


def run(bench: Bench) -> None:
    lab, figures, users = bench.lab, bench.figures, bench.size(1000)
    say(f"first sync and apply of {users:,} users")
    file = declare_users(lab.work, users)
    insert = INSERT_ALL.format(users=users)
    (lab.work / "insert.sql").write_text(insert)
    # A plain `sorted` would read V10 before V2.
    migrations = sorted((TOP / "migrations").glob("*.sql"), key=lambda path: int(path.name[1:].split("__")[0]))
    tables = "".join(path.read_text() for path in migrations)
    (lab.work / "all.sql").write_text(tables + insert)

    def once() -> None:
        lab.fresh()
        figures.reconcile("sync", "sync", "-f", file)
        lab.fresh()
        figures.psql("insert", "-f", "insert.sql")
        lab.fresh()
        figures.reconcile("apply", "apply", "--no-reload", "-f", file)
        lab.fresh("template1")
        figures.reconcile("sync of an empty database", "sync", "-f", file)
        lab.fresh("template1")
        figures.psql("tables and insert", "-f", "all.sql")

    bench.rounds(9, once)
    bench.compare(f"first sync, {users:,} users : psql inserts as many", "sync", "insert", 5)
    empty = "  in an empty database : psql makes the tables too"
    bench.compare(empty, "sync of an empty database", "tables and insert", 5)
    bench.compare(f"first apply --no-reload, {users:,} users : that sync", "apply", "sync", 2)
