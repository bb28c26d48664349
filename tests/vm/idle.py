#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks that an idle guest costs nothing: runs the given tools/run command, whose script prints the
guest's exits (`stat`) before and after ten seconds of sleep, and prints TAP about the difference.
"""

import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import exits
import tap

SECONDS = 10
OTHER_EXITS = 50  # a second: besides HLT, the timer's interrupt and the MSR writes that arm and end it
FREE = ("hlt", "host event", "wrmsr", "interrupt window")
ALL_EXITS = 400  # a second, of every kind: a poll tick would take more


def judge(blocks):
    """(ok, what) of each property."""
    yield len(blocks) == 2, "the exits are printed before and after"
    if len(blocks) != 2:
        return
    taken = exits.taken(*blocks)
    other = sum(count for kind, count in taken.items() if kind not in FREE)
    total = sum(taken.values())
    yield taken.get("hlt", 0) > 0, "the CPU is halted"
    yield other < OTHER_EXITS * SECONDS, f"{other} exits besides the timer's in {SECONDS} seconds"
    yield total < ALL_EXITS * SECONDS, f"{total} exits of every kind: there is no poll tick"


def main():
    result = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    checks = [(result.returncode == 0, "the guest sleeps and wakes"), *judge(exits.statistics(result.stdout, "debian"))]
    return tap.conclude(checks, result.stdout)


sys.exit(main())
