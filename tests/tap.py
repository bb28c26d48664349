# SPDX-License-Identifier: MIT
"""Results of checks, and reading them from TAP: "ok 3 - what was expected", then the plan "1..n"."""

import re
import sys
from dataclasses import dataclass

CHECK = re.compile(r"(not )?ok (\d+)(?: - ?| )?(.*)")
PLAN = re.compile(r"1\.\.(\d+)(?:\s*# *skip *(.*))?", re.IGNORECASE)
SKIP = re.compile(r"\s*# *skip *(.*)", re.IGNORECASE)


@dataclass
class Result:
    status: str  # "passed", "failed" or "skipped"
    name: str
    detail: tuple = ()  # lines that explain a failure; the reason of a skip


def passed(name):
    return Result("passed", name)


def failed(name, lines=()):
    return Result("failed", name, tuple(lines))


def skipped(name, reason):
    return Result("skipped", name, (reason,))


def check(ok, name, lines=()):
    return passed(name) if ok else failed(name, lines)


def one_check(match):
    failure, _, text = match.groups()
    skip = SKIP.search(text)
    if skip and not failure:
        return skipped(text[: skip.start()], skip.group(1))
    return failed(text) if failure else passed(text)


def parse(lines):
    """The results of one test's output.  Silence, a missing plan and a wrong plan are failures."""
    results, plan = [], None
    for line in lines:
        match = PLAN.fullmatch(line.strip())
        if match:
            plan = int(match.group(1))
            if plan == 0 and match.group(2):
                return [skipped("all", match.group(2))]
        elif match := CHECK.fullmatch(line.strip()):
            results.append(one_check(match))
        elif line.startswith("#") and results and results[-1].status == "failed":
            results[-1].detail += (line.lstrip("# "),)
    if plan is None:
        results.append(failed("it says how many checks it made", ["no plan was printed"]))
    elif plan != len(results) or plan == 0:
        results.append(failed("all checks are seen", [f"the plan is 1..{plan}, {len(results)} were seen"]))
    return results


LAST_LINES = 20  # of what failed


def conclude(checks, output):
    """Prints checks, (ok, what), of a run, the first of which is that it ended well; returns the exit status."""
    for number, (ok, what) in enumerate(checks, 1):
        print(f"{'ok' if ok else 'not ok'} {number} - {what}")
    print(f"1..{len(checks)}")
    if not checks[0][0]:
        print("\n".join(output.splitlines()[-LAST_LINES:]), file=sys.stderr)
    return 0 if all(ok for ok, _ in checks) else 1


class Reporter:
    """Prints results as one TAP stream, and counts them."""

    def __init__(self):
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def report(self, case, results):
        for result in results:
            self.counts[result.status] += 1
            number = sum(self.counts.values())
            word = "not ok" if result.status == "failed" else "ok"
            skip = f" # SKIP {result.detail[0]}" if result.status == "skipped" else ""
            print(f"{word} {number} - {case}: {result.name}{skip}")
            if result.status == "failed":
                for line in result.detail:
                    print(f"#   {line}")
        print(end="", flush=True)

    def finish(self):
        """The plan and the last line; returns the exit status.  A run without a pass is none."""
        print(f"1..{sum(self.counts.values())}")
        print(", ".join(f"{count} {status}" for status, count in self.counts.items()), flush=True)
        return 0 if self.counts["failed"] == 0 and self.counts["passed"] > 0 else 1
