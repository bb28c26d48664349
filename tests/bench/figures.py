# SPDX-License-Identifier: MIT
"""Figures: from the lines that guest-stubs/bench prints, to the budgets, to build/bench.json.

build/bench.json holds {"format": 1, "runs": [RUN, ...]}, a RUN being

    {"system": "mica", "platform": "bochs-vmx", "case": "bench", "mitigations": "off",
     "operations": {"cpuid": {"min": 150, "mean": 150}, "ipi": {"skipped": "one CPU"}}}

with other systems ("kvm", "bare") by who measures them: collect.py joins what lies at
build/tests/*/bench.json, of the same format.  Numbers are ticks of the TSC; on an
emulator with one CPU these are instructions.  tests/bench/budgets.cfg says what its lines mean.
"""

import configparser
import json
import re
from dataclasses import dataclass
from pathlib import Path

BUDGETS = Path(__file__).resolve().parent / "budgets.cfg"
PLATFORMS = ("bochs-vmx", "bochs-svm", "qemu-svm")  # the columns of the budgets
LINE = re.compile(r"^(?:\[[^]]+\] )?bench (\S+) (?:(\d+) (\d+)|skipped (.+))$", re.MULTILINE)
FORMAT = 1


@dataclass
class Budget:
    """What an operation shall cost at last, and what it must not exceed now."""

    goal: int
    limit: int


def read_operations(output):
    """{name: {"min", "mean"} or {"skipped"}} of what the payload printed."""
    operations = {}
    for name, least, mean, reason in LINE.findall(output):
        operations[name] = {"skipped": reason} if reason else {"min": int(least), "mean": int(mean)}
    return operations


def ended(output):
    return re.search(r"^(?:\[[^]]+\] )?bench end$", output, re.MULTILINE) is not None


def mitigations(work):
    """What the mica.conf of a case says of measures against speculation."""
    return re.search(r"^ *mitigations = (\w+)", (work / "guests/mica.conf").read_text(), re.MULTILINE).group(1)


def cost(operations, name):
    """The least of an operation, or of the sum of several ("a+b"); None without a figure."""
    parts = [operations.get(part, {}).get("min") for part in name.split("+")]
    return None if None in parts else sum(parts)


def parse_budgets(text):
    """{operation: {platform: Budget}}; "-" stands for none."""
    budgets = {}
    for name, value in text.items():
        cells = dict(zip(PLATFORMS, value.split(), strict=True))
        pairs = {platform: cell.split("/") for platform, cell in cells.items() if cell != "-"}
        budgets[name] = {platform: Budget(int(goal), int(limit)) for platform, (goal, limit) in pairs.items()}
    return budgets


def read_budgets(case):
    """The budgets of a case's section."""
    parser = configparser.ConfigParser(delimiters=("=",), comment_prefixes=("#",))
    parser.read(BUDGETS)
    return parse_budgets(parser[case]) if case in parser else {}


def write_json(path, runs):
    path.write_text(json.dumps({"format": FORMAT, "runs": runs}, indent=1) + "\n")


def read_json(path):
    data = json.loads(path.read_text())
    if data["format"] != FORMAT:
        raise ValueError(f"{path}: format {data['format']} is unknown")
    return data["runs"]
