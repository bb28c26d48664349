#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the given tools/run command on qemu-svm, in which a guest executes marks (guest-stubs/net/bench.c), and counts
the hypervisor's instructions and the guests' exits between them.  Judges what one thing of each part takes by the
budgets of the case, and prints TAP:

    NAME              instructions for one
    NAME-exits-1000   exits for a thousand of its units
"""

import re
import struct
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import boot
import figures
import judge
import tap

COUNTS = struct.Struct("=3Q")  # struct counts of count.c: instructions of the hypervisor, others, entries
MARKS = 16
PART = re.compile(r"^(?:\[[^]]+\] )?part (\d+) (\S+) (\d+) (\d+)$", re.MULTILINE)


def read_marks(path):
    """The counts at each mark; those that are shown first are the last ones."""
    data = path.read_bytes()
    return [COUNTS.unpack_from(data, COUNTS.size * (1 + mark)) for mark in range(MARKS)]


def operations(output, marks):
    found = {}
    for number, name, count, units in PART.findall(output):
        begin, end = marks[2 * int(number)], marks[2 * int(number) + 1]
        root, others, entries = (after - before for before, after in zip(begin, end, strict=True))
        each = -(-root // int(count))
        per_mille = -(-entries * 1000 // (int(count) * int(units)))
        print(f"# {name}: {root} instructions of the hypervisor, {others} of guests, {entries} exits for {count}")
        found[name] = {"min": each, "mean": each}
        found[f"{name}-exits-1000"] = {"min": per_mille, "mean": per_mille}
    return found


def main():
    command = sys.argv[1:]
    build, work = Path(boot.argument(command, "--build")), Path(boot.argument(command, "--log")).parent
    platform, case = boot.argument(command, "--platform"), work.name.partition(".")[0]
    counters = work / "counters"
    command += [*([] if "--" in command else ["--"]), *boot.plugin(build, counters)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    found = operations(result.stdout, read_marks(counters))
    figures.write_json(work / "bench.json", [
        {"system": "mica", "platform": platform, "case": case, "mitigations": "off", "operations": found}])
    checks = [(result.returncode == 0, "runs to its end"), (figures.ended(result.stdout), "says that it has ended")]
    checks += judge.judge(found, figures.read_budgets(case), platform)
    return tap.conclude(checks, result.stdout)


if __name__ == "__main__":
    sys.exit(main())
