#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Collects the figures of the last runs of the bench cases into build/bench.json, and prints them as a
table beside their goals.  --lower brings the fail lines of budgets.cfg down to what was reached plus 5%.
"""

import argparse
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import figures

ROOT = figures.BUDGETS.parent.parent.parent
MARGIN = 1.05


def cell(cost, budget):
    figure = "-" if cost is None else str(cost)
    return figure if budget is None else f"{figure} / {budget.goal}"


def print_case(case, runs):
    """The least of 1,000 rounds / the goal, by platform."""
    operations = {run["platform"]: run["operations"] for run in runs if run["case"] == case}
    budgets = figures.read_budgets(case)
    if not budgets:
        return
    print(f"{case:24}" + "".join(f"{platform:>16}" for platform in figures.PLATFORMS))
    for name, columns in budgets.items():
        row = [(figures.cost(operations.get(platform, {}), name), columns.get(platform)) for platform in figures.PLATFORMS]
        print(f"  {name:22}" + "".join(f"{cell(*pair):>16}" for pair in row))


def lowered(text, runs):
    """The text of budgets.cfg with its fail lines at what the runs reached plus 5%, where that is less."""
    case, lines = None, []
    for line in text.splitlines():
        if section := re.fullmatch(r"\[(.+)\]", line):
            case = section.group(1)
        elif match := re.fullmatch(r"(\S+)( += +)(.*)", line):
            line = match.group(1) + match.group(2) + lower_cells(case, match.group(1), match.group(3), runs)
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def lower_cells(case, name, text, runs):
    cells = []
    for platform, value in zip(figures.PLATFORMS, text.split(), strict=True):
        costs = [figures.cost(run["operations"], name) for run in runs if (run["case"], run["platform"]) == (case, platform)]
        if value != "-" and costs and costs[0] is not None:
            goal, limit = value.split("/")
            value = f"{goal}/{min(int(limit), int(costs[0] * MARGIN))}"
        cells.append(f"{value:14}")
    return "".join(cells)


def main():
    parser = argparse.ArgumentParser(description="collect the figures of the bench cases")
    parser.add_argument("--build", type=Path, default=ROOT / "build", metavar="DIR")
    parser.add_argument("--lower", action="store_true", help="bring the fail lines down")
    options = parser.parse_args()
    runs = [run for file in sorted(options.build.glob("tests/*/bench.json")) for run in figures.read_json(file)]
    figures.write_json(options.build / "bench.json", runs)
    runs = [run for run in runs if run["system"] == "mica"]
    for case in sorted({run["case"] for run in runs}):
        print_case(case, runs)
    if options.lower:
        figures.BUDGETS.write_text(lowered(figures.BUDGETS.read_text(), runs))


main()
