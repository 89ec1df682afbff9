"""Inbound calls from Twilio: signed requests, as fast as they are answered and at a fixed rate."""

import base64
import hashlib
import hmac
import time
from pathlib import Path
from urllib.parse import urlencode

from inputs import INBOUND
from lab import Failed, Portal, say
from measure import Bench

TOKEN = "bench-token"
PUBLIC_URL = "http://bench.example"

# What Twilio says of each call.
CALL = {
    "AccountSid": "AC" + "0" * 32, "ApiVersion": "2010-04-01", "CallStatus": "ringing", "CallerCity": "",
    "CallerCountry": "DE", "Direction": "inbound", "From": "+4930123456", "To": "+15559876543",
    "Caller": "+4930123456", "Called": "+15559876543", "StirVerstat": "TN-Validation-Passed-A",
    "CallToken": "%7B%22parentCallInfoToken%22%3A%22" + "e" * 200 + "%22%7D",
}  # fmt: skip


def run(bench: Bench) -> None:
    lab = bench.lab
    say("inbound calls")
    lab.fresh()
    (lab.work / "inbound.yaml").write_text(INBOUND)
    lab.reconcile("apply", "--no-reload", "-f", "inbound.yaml")
    options = ("--public-url", PUBLIC_URL, "--log-format", "json")
    with lab.serving(*options, TWILIO_AUTH_TOKEN=TOKEN) as portal:
        calls = Calls(bench, portal)
        calls.ring("warm", bench.size(2000), 500)
        calls.ring("up", bench.size(20_000), 1000)
        calls.wait_until_recorded()
        _measure_races(bench, calls)
        _measure_outage(bench, calls)
        memory = portal.resident()
    lab.reconcile("calls", "--tenant", "bench", "--limit", 1)
    bench.within("calls, 1,000 a second: the 99th percentile", "up p99", 0.015)
    bench.within("  with the database away", "away p99", 0.015)
    for name, words in (("up", ""), ("away", " with the database away")):
        bench.case(f"    median{words}", bench.figures.median(f"{name} median"), "us")
        bench.case(f"    longest{words}", bench.figures.median(f"{name} longest"), "us")
    bench.within("  processor time of a call", "up each", 0.00025)
    waiting = bench.size(20_000) + bench.size(60_000)
    bench.within(f"{waiting:,} calls that wait are recorded (20,000 a second)", "catch-up", waiting / 20_000)
    bench.case(f"  memory after {calls.answered:,} calls", memory, "KiB", at_most=80 * 1024)


class Calls:
    """The calls of one server: signed, sent, and counted."""

    def __init__(self, bench: Bench, portal: Portal) -> None:
        self.bench, self.portal = bench, portal
        self.batch = self.answered = 0
        self.last = ""

    def sign(self, count: int) -> Path:
        """Writes so many signed requests, each of another call."""
        self.batch += 1
        self.answered += count
        path = self.bench.lab.work / f"calls.{self.batch}"
        with path.open("w") as file:
            for number in range(count):
                self.last = f"CA{self.batch:08x}{number:024x}"
                call = CALL | {"CallSid": self.last}
                text = f"{PUBLIC_URL}/webhooks/twilio" + "".join(name + call[name] for name in sorted(call))
                signature = base64.b64encode(hmac.digest(TOKEN.encode(), text.encode(), hashlib.sha1)).decode()
                file.write(f"{signature} {urlencode(call)}\n")
        return path

    def send(self, how: str, number: int, requests: Path) -> list[int]:
        """Sends them `open`, so many a second, or `closed`, over so many connections. Gives the client's figures."""
        client = self.bench.lab.client("calls")
        figures = self.bench.lab.run(client, how, self.portal.address, number, requests)
        requests.unlink()
        return [int(figure) for figure in figures.split()]

    def ring(self, name: str, count: int, rate: int) -> None:
        """Notes latencies, and the processor time of a call."""
        requests = self.sign(count)
        before = self.portal.processor()
        latencies = self.send("open", rate, requests)
        for kind, latency in zip(("median", "p99", "longest"), latencies, strict=True):
            self.bench.figures.note(f"{name} {kind}", latency)
        self.bench.figures.note(f"{name} each", (self.portal.processor() - before) // count)

    def wait_until_recorded(self) -> None:
        """Waits until every answered call is in the database.

        The last one sent is looked for first: to count them all again and again would take the processor from those who
        record them.
        """
        lab, until = self.bench.lab, time.monotonic() + 120
        last = f"select 1 from calls where call_sid = '{self.last}'"
        while not (lab.sql(last) and count_calls(self.bench) >= self.answered):
            if time.monotonic() > until:
                raise Failed(f"only {count_calls(self.bench)} of {self.answered} calls are recorded")
            time.sleep(0.05)


def count_calls(bench: Bench) -> int:
    return int(bench.lab.sql("select count(*) from calls"))


def _measure_races(bench: Bench, calls: Calls) -> None:
    """So many answers of `/healthz`, then so many calls, each as fast as the clients can."""
    say("inbound calls as fast as they are answered, beside /healthz")
    lab, figures = bench.lab, bench.figures
    for clients in (1, 16, 64):
        count = bench.size(5000 if clients == 1 else 20_000)

        def once(clients: int = clients, count: int = count) -> None:
            requests = calls.sign(count)
            healthz = int(lab.run(*calls.portal.load(clients, count, "GET", "/healthz")))
            figures.note(f"healthz {clients}", healthz)
            figures.note(f"calls {clients}", calls.send("closed", clients, requests)[0])
            # What waits to be recorded must not disturb the next round.
            calls.wait_until_recorded()

        bench.rounds(5, once)
        ours, floor = (count * 1_000_000 / figures.median(f"{what} {clients}") for what in ("calls", "healthz"))
        plural = "connection" if clients == 1 else "connections"
        bench.case(f"calls over {clients} {plural} : /healthz", ours, "/s", floor=floor, at_least_part=0.4)


def _measure_outage(bench: Bench, calls: Calls) -> None:
    """The database goes away; what was answered meanwhile is recorded as soon as it is back."""
    say("inbound calls, the database away")
    lab, recorded = bench.lab, calls.answered
    lab.admin(f"alter database {lab.database} allow_connections false")
    lab.admin(f"select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{lab.database}'")
    calls.ring("away", bench.size(20_000), 1000)
    calls.ring("flood", bench.size(60_000), 4000)
    lab.admin(f"alter database {lab.database} allow_connections true")
    # The server looks for it now and then: that wait is no work.
    while count_calls(bench) <= recorded:
        time.sleep(0.02)
    began = time.monotonic()
    calls.wait_until_recorded()
    bench.figures.note("catch-up", (time.monotonic() - began) * 1_000_000)
