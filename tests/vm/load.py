#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the given tools/run command, in which two Linux guests do the same load (tests/linux/load.c), one of them
without its paravirtual features, and the exits of each are printed (`stat`) before and after.  Prints TAP about
the difference, and keeps the figures for tests/bench/report.py.
"""

import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[:0] = [str(Path(__file__).resolve().parents[1] / folder) for folder in (".", "bench")]
import exits
import figures
import tap

GUESTS = ("on", "off")  # where the features are
MOST = 50  # percent of the exits without the features


def argument(command, name):
    return command[command.index(name) + 1]


def keep(command, loads):
    """As one more run for build/bench.json."""
    work = Path(argument(command, "--log")).parent
    case, platform = work.name.split(".")
    run = {"system": "mica", "platform": platform, "case": case, "mitigations": "auto", "operations": {}, "load": loads}
    figures.write_json(work / "bench.json", [run])


def judge(loads):
    """(ok, what) of what is wanted."""
    totals = {guest: sum(kinds.values()) for guest, kinds in loads.items()}
    for guest, kinds in loads.items():
        largest = sorted(kinds.items(), key=lambda item: -item[1])
        print(f"# {guest}: {', '.join(f'{kind} {count}' for kind, count in largest)}")
    what = f"{totals['on']} exits with the features, {totals['off']} without: at most {MOST}%"
    return totals["on"] * 100 <= totals["off"] * MOST, what


def main():
    command = sys.argv[1:]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    pairs = {guest: exits.statistics(result.stdout, guest) for guest in GUESTS}
    checks = [(result.returncode == 0, "both do the load"),
              (all(len(pair) == 2 for pair in pairs.values()), "the exits are printed before and after")]
    if checks[1][0]:
        loads = {guest: exits.taken(*pair) for guest, pair in pairs.items()}
        keep(command, loads)
        checks.append(judge(loads))
    return tap.conclude(checks, result.stdout)


sys.exit(main())
