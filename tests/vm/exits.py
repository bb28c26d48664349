# SPDX-License-Identifier: MIT
"""The exits of a guest, as the monitor's `stat` prints them."""

import re

BLOCK = re.compile(r"^(\S+): \d+ exits\n((?:  .*\n)+)", re.MULTILINE)
KIND = re.compile(r"^  (\S.*?) +(\d+) +[\d.]+%$", re.MULTILINE)


def statistics(output, guest):
    """{kind: count} of each `stat` of this guest."""
    return [{kind: int(count) for kind, count in KIND.findall(block)} for name, block in BLOCK.findall(output) if name == guest]


def taken(before, after):
    """What has come between two of them."""
    return {kind: count - before.get(kind, 0) for kind, count in after.items() if count > before.get(kind, 0)}
