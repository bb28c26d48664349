#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the given tools/run command, whose guests are guest-stubs/bench, judges what they print by the
budgets of the case, and prints TAP.  The figures stay beside the log of the run, as bench.json.
"""

import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import figures
import tap



def argument(command, name):
    return command[command.index(name) + 1]


def judge(operations, budgets, platform):
    """(ok, what) of each operation that has a budget here."""
    for name, columns in budgets.items():
        budget = columns.get(platform)
        if budget is None:
            continue
        cost = figures.cost(operations, name)
        parts = ", ".join(f"{part}: {operations.get(part, 'no figure')}" for part in name.split("+"))
        if cost is None:
            yield False, f"{name} is measured ({parts})"
        else:
            yield cost <= budget.limit, f"{name} costs {cost}, at most {budget.limit}; the goal is {budget.goal}"


def main():
    command = sys.argv[1:]
    platform, work = argument(command, "--platform"), Path(argument(command, "--log")).parent
    case = work.name.partition(".")[0]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    operations = figures.read_operations(result.stdout)
    run = {"system": "mica", "platform": platform, "case": case, "operations": operations}
    figures.write_json(work / "bench.json", [run | {"mitigations": figures.mitigations(work)}])
    checks = [(result.returncode == 0, "runs to its end"), (figures.ended(result.stdout), "says that it has ended")]
    checks += judge(operations, figures.read_budgets(case), platform)
    return tap.conclude(checks, result.stdout)


if __name__ == "__main__":
    sys.exit(main())
