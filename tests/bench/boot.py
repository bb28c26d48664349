#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the given tools/run command, which boots Linux on qemu-svm and then prints its exits (`stat`), and
counts instructions on the way: those of the hypervisor and the guest's, from the first entry to the line by
which userspace says that it is there.  Judges their ratio by the budgets of the case, and prints TAP.
"""

import re
import struct
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import figures
import tap

MARKER = "mica-guest: userspace reached"
COUNTERS = struct.Struct("=3Q")  # the first of struct counters, count.c
KIND = re.compile(r"^  (\S.*?) +(\d+) +[\d.]+%$", re.MULTILINE)
LARGEST = 3


def argument(command, name):
    return command[command.index(name) + 1]


def image_range(build):
    """Where the hypervisor's instructions lie: the first and the last address of its image."""
    symbols = subprocess.run(["nm", build / "mica.debug.elf"], check=True, capture_output=True, text=True).stdout
    return (re.search(rf"^(\S+) \S {name}$", symbols, re.MULTILINE).group(1) for name in ("__image_start", "__image_end"))


def plugin(build, counters):
    begin, end = image_range(build)
    return ["-plugin", f"{build}/count.so,counters={counters},begin=0x{begin},end=0x{end}"]


def watch(command, counters):
    """(exit status, output, what was counted when the marker came)."""
    counted, output = None, ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout:
            output += line
            if MARKER in line and counted is None:
                counted = COUNTERS.unpack_from(counters.read_bytes())
    return process.returncode, output, counted


def main():
    command = sys.argv[1:]
    build, work = Path(argument(command, "--build")), Path(argument(command, "--log")).parent
    platform, case = argument(command, "--platform"), work.name.partition(".")[0]
    counters = work / "counters"
    status, output, counted = watch([*command, *([] if "--" in command else ["--"]), *plugin(build, counters)], counters)
    checks = [(status == 0 and counted is not None, "boots and ends")]
    if counted:
        root, guest, entries = counted
        exits = {kind: int(count) for kind, count in KIND.findall(output)}
        share = root * 10000 // guest
        run = {
            "system": "mica", "platform": platform, "case": case, "mitigations": figures.mitigations(work),
            "operations": {"root-share": {"min": share, "mean": share}},
            "boot": {"hypervisor": root, "guest": guest, "entries": entries, "exits": exits},
        }
        figures.write_json(work / "bench.json", [run])
        largest = sorted(exits.items(), key=lambda item: -item[1])[:LARGEST]
        print(f"# {guest} instructions of the guest, {root} of the hypervisor in {entries} exits; "
              f"most: {', '.join(f'{kind} {count}' for kind, count in largest)}")
        if budget := figures.read_budgets(case).get("root-share", {}).get(platform):
            checks.append((share <= budget.limit, f"the hypervisor takes {share} of 10000 instructions of the guest, "
                           f"at most {budget.limit}; the goal is {budget.goal}"))
    return tap.conclude(checks, output)


if __name__ == "__main__":
    sys.exit(main())
