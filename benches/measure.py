"""Figures, the cases they make, and how these are shown."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import Failed, Lab

GNU_TIME = "/usr/bin/time"


class Figures:
    """What was measured, by name: microseconds, or KiB."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.noted: dict[str, list[float]] = defaultdict(list)
        gnu = os.path.exists(GNU_TIME) and subprocess.run([GNU_TIME, "-f", "%M", "true"], capture_output=True)
        self.has_gnu_time = bool(gnu) and gnu.returncode == 0

    def note(self, name: str, value: float) -> None:
        self.noted[name].append(value)

    def median(self, name: str) -> float:
        return statistics.median_high(self.noted[name])

    def last(self, name: str) -> float:
        return self.noted[name][-1]

    def clock(self, name: str, *command: object) -> None:
        """Notes how long a whole process took."""
        began = time.perf_counter_ns()
        # Printed into nothing: to read it would cost the measured program time.
        self.lab.run(*command, stdout=subprocess.DEVNULL)
        self.note(name, (time.perf_counter_ns() - began) // 1000)

    def reconcile(self, name: str, *args: object) -> None:
        self.clock(name, self.lab.binary, *args)

    def psql(self, name: str, *args: object) -> None:
        self.clock(name, *self.lab.sql_command(*args))

    def weigh(self, name: str, *args: object) -> None:
        """Notes how long `reconcile` took, and under `NAME memory` the most memory that was resident."""
        if self.has_gnu_time:
            rss = self.lab.work / "rss"
            self.clock(name, GNU_TIME, "-q", "-f", "%M", "-o", rss, self.lab.binary, *args)
            self.note(f"{name} memory", int(rss.read_text()))
            return
        began, peak = time.perf_counter_ns(), 0
        command = [str(word) for word in (self.lab.binary, *args)]
        process = subprocess.Popen(
            command, env=self.lab.env, cwd=self.lab.work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # Not `wait4`: that also counts what this interpreter had in memory before the program replaced it.
        while process.poll() is None:
            seen = re.search(r"VmHWM:\s*([0-9]+)", _status(process.pid))
            peak = int(seen[1]) if seen else peak
            time.sleep(0.005)
        if process.returncode != 0:
            raise Failed(f"`{' '.join(command)}` ended with {process.returncode}")
        self.note(name, (time.perf_counter_ns() - began) // 1000)
        self.note(f"{name} memory", peak)

    @property
    def weighed_by(self) -> str:
        return "by GNU time" if self.has_gnu_time else "VmHWM read every 5 ms, so a little low"


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return ""


def _time(us: float) -> str:
    if us < 1000:
        return f"{us:.0f} us"
    return f"{us / 1000:.1f} ms" if us < 1_000_000 else f"{us / 1_000_000:.2f} s"


# How a value of each unit is shown.
SHOWN: dict[str, Callable[[float], str]] = {
    "us": _time,
    "KiB": lambda kib: f"{kib / 1024:.1f} MiB" if kib >= 1024 else f"{kib:.2f} KiB",
    "/s": lambda rate: f"{rate:.0f}/s",
    "": lambda count: f"{count:.0f}",
}


@dataclass(frozen=True)
class Case:
    """One line of the report: what we took, beside the floor if there is one."""

    section: str
    name: str
    ours: float
    unit: str
    floor: float | None = None
    # At most so many times the floor; at least such a part of it; at most so much. One of them, or none.
    at_most_times: float | None = None
    at_least_part: float | None = None
    at_most: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.floor if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; `None` if there is none."""
        if self.at_most_times is not None:
            return self.ours <= self.at_most_times * (self.floor or 0)
        if self.at_least_part is not None:
            return self.ours >= self.at_least_part * (self.floor or 0)
        return None if self.at_most is None else self.ours <= self.at_most

    @property
    def goal(self) -> str:
        if self.at_most_times is not None:
            return f"{self.at_most_times:g}x"
        if self.at_least_part is not None:
            return f"{self.at_least_part:.0%}"
        return "-" if self.at_most is None else SHOWN[self.unit](self.at_most)

    def cells(self) -> list[str]:
        show = SHOWN[self.unit]
        floor = "-" if self.floor is None else show(self.floor)
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}x"
        return [self.name, show(self.ours), floor, ratio, self.goal]

    def document(self) -> dict[str, object]:
        return {
            "section": self.section, "name": self.name.strip(), "unit": self.unit or "count",
            "ours": self.ours, "floor": self.floor, "ratio": self.ratio,
            "at_most_times": self.at_most_times, "at_least_part": self.at_least_part, "at_most": self.at_most,
            "met": self.met,
        }  # fmt: skip


class Bench:
    """What a section gets: the lab, its figures, and how its cases are reported."""

    def __init__(self, lab: Lab, section: str, quick: bool, cases: list[Case]) -> None:
        self.lab, self.section, self.quick, self.cases = lab, section, quick, cases
        self.figures = Figures(lab)

    def size(self, users: int) -> int:
        """A number of users or requests; a hundredth of it with `--quick`."""
        return max(users // 100, 1) if self.quick else users

    def rounds(self, number: int, once: Callable[[], None]) -> None:
        """Measures several times, ours and its floor by turns."""
        for _ in range(1 if self.quick else number):
            once()

    def case(self, name: str, ours: float, unit: str, **goal: float | None) -> None:
        self.cases.append(Case(self.section, name, ours, unit, **goal))

    def compare(self, name: str, ours: str, floor: str, at_most_times: float | None, unit: str = "us") -> None:
        """A case of two medians."""
        median = self.figures.median
        self.case(name, median(ours), unit, floor=median(floor), at_most_times=at_most_times)

    def within(self, name: str, ours: str, seconds: float) -> None:
        """A case with a limit of time."""
        self.case(name, self.figures.median(ours), "us", at_most=seconds * 1_000_000)

    def below(self, name: str, ours: str, mebibytes: float) -> None:
        """A case with a limit of memory."""
        self.case(name, self.figures.median(ours), "KiB", at_most=mebibytes * 1024)
