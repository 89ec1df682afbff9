#!/usr/bin/env python3
"""How fast `reconcile` is, each figure beside a floor that is measured in the same run.

Starts a throw-away PostgreSQL (with fsync, unlike the tests') and Asterisk from tests/lab, below $TMPDIR or /tmp: that
folder's disk is part of what is measured. Prints a table and asserts nothing. A figure is the median of several runs, ours
and its floor by turns; whole processes, from start to end. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab import TOP, Failed, Lab, say
from measure import Bench, Case, Figures

SECTIONS = ("plan", "sync", "growth", "apply", "api", "calls")


def main() -> None:
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    binary = args.binary or _build()
    if not os.access(binary, os.X_OK):
        sys.exit(f"bench: there is no program `{binary}`")
    cases: list[Case] = []
    began = time.monotonic()
    try:
        with Lab(binary.resolve()) as lab:
            for section in args.only or SECTIONS:
                bench = Bench(lab, section, args.quick, cases)
                importlib.import_module(f"sections.{section}").run(bench)
            report = _describe(lab) | {"quick": args.quick, "seconds": round(time.monotonic() - began)}
    except Failed as failed:
        sys.exit(f"bench: {failed}")
    except KeyboardInterrupt:
        sys.exit(130)
    report["cases"] = [case.document() for case in cases]
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")
    _show(report, cases)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "binary", nargs="?", type=Path,
        help="the program to measure; without it, the release of this source, which is built first",
    )  # fmt: skip
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section alone; may be given again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report there, for programs")
    parser.add_argument(
        "--quick", action="store_true",
        help="a hundredth of the users and requests, once: shows that the bench works, and nothing about speed",
    )  # fmt: skip
    return parser.parse_args()


def _build() -> Path:
    say("building the release")
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=TOP, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "release/reconcile"


def _describe(lab: Lab) -> dict[str, object]:
    """Says what was measured, and on which machine."""
    git = ["git", "-C", TOP, "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "format_version": 1,
        "program": lab.reconcile("--version").strip(),
        "program_bytes": lab.binary.stat().st_size,
        "source": commit or "no git",
        "cores": len(os.sched_getaffinity(0)),
        "processor": models[0] if models else "unknown",
        "memory_gib": round(memory / 2**30),
        "filesystem": lab.run("stat", "-f", "-c", "%T", lab.work).strip(),
        "folder": str(lab.work.parent),
        "postgresql": lab.admin("show server_version").split()[0],
        "asterisk": lab.ask("core show version").split()[1],
        "memory_by": Figures(lab).weighed_by,
    }


def _show(report: dict[str, object], cases: list[Case]) -> None:
    print(
        "{program}, {program_bytes} bytes; source at {source}\n"
        "{cores} cores ({processor}), {memory_gib} GiB, {filesystem} below {folder}\n"
        "PostgreSQL {postgresql}, fsync on, by socket; Asterisk {asterisk}\n"
        "Medians of whole processes; memory is the most resident, {memory_by}.\n".format(**report)
    )
    rows = [["case : floor", "ours", "floor", "ratio", "goal"], *(case.cells() for case in cases)]
    for name, ours, floor, ratio, goal in rows:
        print(f"{name:60} {ours:>11} {floor:>11} {ratio:>8} {goal:>10}")
    missed = [case.name.strip() for case in cases if case.met is False]
    met = sum(case.met is True for case in cases)
    print(f"\n{met} goals met, {len(missed)} missed; this took {report['seconds']} s.")
    for name in missed:
        print(f"MISSED: {name}")
    if report["quick"]:
        print("A quick run: these figures say nothing about speed.")


if __name__ == "__main__":
    main()
