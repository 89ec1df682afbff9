"""The servers, and the one environment that every measured program gets."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

# Variables of the caller that would change what is measured.
FOREIGN = re.compile(r"(RECONCILE|ASTERISK|PG|GIT)|(CI|DATABASE_URL)$")


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Failed(Exception):
    """A program that is measured, or that a measurement needs, did not do its part."""


class Lab:
    """A throw-away PostgreSQL (with fsync, unlike the tests') and Asterisk, and a folder to work in.

    Used as a context: everything is stopped and removed in the end.
    """

    def __init__(self, binary: Path) -> None:
        self.binary = binary
        self.databases = 0

    def __enter__(self) -> Lab:
        with ExitStack() as stack:
            subprocess.run([TOP / "tests/lab/setup", "postgres", "asterisk"], check=True)
            self.work = Path(tempfile.mkdtemp(prefix="rc-bench-"))
            stack.callback(shutil.rmtree, self.work, ignore_errors=True)
            self.work.chmod(0o755)  # As root, PostgreSQL runs as another user.
            say("starting PostgreSQL and Asterisk")
            synced = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"]
            # A database of 300,000 users is larger than the 128 MB that PostgreSQL takes by default; with those, the measured
            # databases push each other out. PostgreSQL's manual advises a quarter of the machine's memory.
            memory = ["shared_buffers=1GB"]
            options = [word for setting in synced + memory for word in ("-c", setting)]
            self.server = stack.enter_context(self._served("postgres", *options))
            stack.enter_context(self._served("asterisk"))
            self._prepare()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def _served(self, script: str, *options: str) -> Iterator[str]:
        """Runs a server of the lab. Gives what it says when it is ready."""
        server = subprocess.Popen(
            [TOP / "tests/lab" / script, self.work / script, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            word, _, ready = server.stdout.readline().strip().partition(" ")
            if word != "ready":
                raise Failed(f"{script} does not start")
            yield ready
        finally:
            server.stdin.close()
            server.wait()

    def _prepare(self) -> None:
        # Debian's `psql` is a slow wrapper: not that one.
        folder = Path(self._found("RECONCILE_PG_BIN"))
        self.psql, self.pgbench = folder / "psql", folder / "pgbench"
        self.asterisk_etc = self.work / "asterisk/etc"
        self.env = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
        self.env |= {
            "LC_ALL": "C.UTF-8",
            "RECONCILE_SECRET_KEY": base64.b64encode(os.urandom(32)).decode(),
            "RECONCILE_STATE_DIR": str(self.work / "state"),
            "RECONCILE_HOST": "bench",
            "RECONCILE_ACTOR": "bench",
            "ASTERISK_COMMAND": str(self.work / "asterisk/bin/asterisk"),
        }
        self.admin("create database migrated")
        self.use("migrated")
        self.reconcile("migrate")
        self.without_asterisk()

    def _found(self, variable: str) -> str:
        """Where the lab found or put a tool."""
        lab = os.environ.get("RECONCILE_LAB") or TOP / "target/lab"
        script = f'. "$0/env"; printf %s "${variable}"'
        return subprocess.run(["bash", "-c", script, lab], check=True, capture_output=True, text=True).stdout

    # ------------------------------------------------------------- programs
    def run(self, *command: object, stdout: int = subprocess.PIPE) -> str:
        """Runs a program to its end. Gives what it printed, unless that goes elsewhere."""
        words = [str(word) for word in command]
        ended = subprocess.run(
            words, env=self.env, cwd=self.work, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True
        )
        if ended.returncode != 0:
            last = "\n".join(ended.stderr.splitlines()[-5:])
            raise Failed(f"`{' '.join(words)}` ended with {ended.returncode}: {last}")
        return ended.stdout or ""

    def reconcile(self, *args: object) -> str:
        return self.run(self.binary, *args)

    def client(self, name: str) -> Path:
        """Builds a client of `benches`: `rustc` alone can, and it takes less of the two cores than others do."""
        program = self.work / name
        if not program.exists():
            self.run("rustc", "--edition", "2024", "-O", "-o", program, TOP / f"benches/{name}.rs")
        return program

    # ------------------------------------------------------------- database
    def use(self, database: str) -> None:
        self.database = database
        self.env["DATABASE_URL"] = self.server.replace(":///postgres", f":///{database}")

    def fresh(self, template: str = "migrated") -> None:
        """Makes and uses a new database; there are no generated files and no notes of earlier runs."""
        if self.databases > 0:
            self.admin(f"drop database bench{self.databases} with (force)")
        self.databases += 1
        self.admin(f"create database bench{self.databases} template {template}")
        self.use(f"bench{self.databases}")
        for folder in ("state", "etc"):
            shutil.rmtree(self.work / folder, ignore_errors=True)
        (self.work / "etc").mkdir()

    def sql_command(self, *args: object, server: bool = False) -> list[object]:
        url = self.server if server else self.env["DATABASE_URL"]
        return [self.psql, "-XAtq", "-v", "ON_ERROR_STOP=1", url, *args]

    def sql(self, text: str) -> str:
        return self.run(*self.sql_command("-c", text)).strip()

    def admin(self, text: str) -> str:
        return self.run(*self.sql_command("-c", text, server=True)).strip()

    @contextmanager
    def logged_statements(self) -> Iterator[None]:
        """Lets PostgreSQL log what new sessions of the present database ask."""
        self.admin(f"alter database {self.database} set log_statement = 'all'")
        yield
        self.admin(f"alter database {self.database} set log_statement = 'none'")

    def count_statements(self, what: Callable[[], object]) -> int:
        """Counts the statements that PostgreSQL saw while `what()` ran."""
        log = self.work / "postgres/log"
        before = log.stat().st_size
        what()
        text = log.read_bytes()[before:].decode(errors="replace")
        return len(re.findall(r"LOG:  (?:statement|execute [^\n]*):", text))

    # ------------------------------------------------------------- Asterisk
    def with_asterisk(self) -> None:
        self.env["ASTERISK_CONFIG_DIR"] = str(self.asterisk_etc)

    def without_asterisk(self, folder: str = "etc") -> None:
        self.env["ASTERISK_CONFIG_DIR"] = str(self.work / folder)

    def ask(self, command: str) -> str:
        return self.run(self.env["ASTERISK_COMMAND"], "-rx", command)

    def forget(self) -> None:
        """Makes Asterisk one without our phones, beside a new database."""
        for folder in ("pjsip.d", "extensions.d"):
            shutil.rmtree(self.asterisk_etc / folder / "bench", ignore_errors=True)
        for command in ("module reload res_pjsip.so", "dialplan reload"):
            if "eloaded" not in self.ask(command):
                raise Failed(f"Asterisk does not `{command}`")
        self.fresh()

    # --------------------------------------------------------------- server
    @contextmanager
    def serving(self, *args: str, **env: str) -> Iterator[Portal]:
        """Runs `reconcile serve` on the present database."""
        token = self.reconcile(
            "token", "new", f"bench{time.monotonic_ns()}", "--tenant", "bench",
            "--scope", "read", "--scope", "write", "--scope", "apply",
        ).strip()  # fmt: skip
        log = self.work / "portal.log"
        with log.open("w") as stderr:
            command = [self.binary, "serve", "--listen", "127.0.0.1:0", *args]
            process = subprocess.Popen(command, env=self.env | env, cwd=self.work, stderr=stderr)
        try:
            while not (listens := re.search(r"listening on http://([0-9.:]+)", log.read_text())):
                if process.poll() is not None:
                    raise Failed(f"the server does not start: {log.read_text()[-500:]}")
                time.sleep(0.02)
            yield Portal(self, process.pid, listens[1], token)
        finally:
            process.terminate()
            ended = process.wait()
        if ended != 0:
            raise Failed(f"the server ended with {ended}: {log.read_text()[-500:]}")


class Portal:
    """A running server, as its clients see it and as the kernel does."""

    def __init__(self, lab: Lab, pid: int, address: str, token: str) -> None:
        self.lab, self.pid, self.address, self.token = lab, pid, address, token

    def load(self, clients: int, requests: int, method: str, path: str, *body: str) -> list[object]:
        """The command that sends so many requests; any refusal is an error."""
        return [self.lab.client("load"), self.address, self.token, clients, requests, method, path, *body]

    def resident(self) -> int:
        """How many KiB are in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*([0-9]+)", status)[1])

    def processor(self) -> int:
        return processor_of(self.pid)


def processor_of(*pids: int) -> int:
    """The processor time that processes took up to now, in microseconds."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1_000_000 // os.sysconf("SC_CLK_TCK")
