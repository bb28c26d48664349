#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks W^X in the live page tables of Mica: no page is writable and executable at once.

Runs the given tools/run command with QEMU's monitor beside it, waits for Mica's prompt, reads the page
tables that the CPU uses from QEMU ("info tlb") and prints TAP.
"""

import re
import socket
import subprocess
import sys
import tempfile
import time

PROMPT = "mica>"
QEMU_PROMPT = b"(qemu) "
# Virtual and physical address, and QEMU's nine letters: X for no-execute, G P D A C T U W.
MAPPING = re.compile(r"^([0-9a-f]{16}): ([0-9a-f]{16}) ([X-])[G-]([P-])[D-][A-][C-][T-]([U-])([W-])", re.MULTILINE)
KERNEL_HALF = 1 << 63


def read_until(connection, marker):
    data = b""
    while not data.endswith(marker):
        chunk = connection.recv(65536)
        if not chunk:
            break
        data += chunk
    return data.decode(errors="replace")


def ask_monitor(path, question):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(path)
        read_until(connection, QEMU_PROMPT)
        connection.sendall(question.encode() + b"\n")
        return read_until(connection, QEMU_PROMPT)


def wait_for_prompt(process):
    """Copies the run's output as TAP comments until the prompt; False if it ends before."""
    line = ""
    while character := process.stdout.read(1):
        line = "" if character == "\n" else line + character
        if character == "\n" or not line.startswith(PROMPT):
            continue
        return True
    return False


def mappings(text):
    """(address, no-execute, user, writable) of each page."""
    for match in MAPPING.finditer(text):
        gva, _, no_execute, _, user, writable = match.groups()
        yield int(gva, 16), no_execute == "X", user == "U", writable == "W"


def judge(pages):
    """(ok, what, examples) of each property."""
    both = [gva for gva, no_execute, _, writable in pages if writable and not no_execute]
    user = [gva for gva, _, user, _ in pages if user]
    code = [gva for gva, no_execute, _, _ in pages if not no_execute]
    yield len(pages) > 8, f"the page tables are read: {len(pages)} pages", []
    yield not both, "no page is both writable and executable", both
    yield not user, "no page is the user's", user
    yield bool(code) and all(gva >= KERNEL_HALF for gva in code), "code lies in the upper half alone", code


def report(checks):
    failures = 0
    for number, (ok, what, examples) in enumerate(checks, 1):
        print(f"{'ok' if ok else 'not ok'} {number} - {what}")
        if not ok:
            failures += 1
            print("# at " + " ".join(f"{gva:#x}" for gva in examples[:8]))
    print(f"1..{number}")
    return failures


def inspect(command):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/monitor"
        command = [*command, *([] if "--" in command else ["--"]), "-monitor", f"unix:{path},server,nowait"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace")
        try:
            if not wait_for_prompt(process):
                return [(False, "Mica reaches its prompt", [])]
            time.sleep(0.5)
            return judge(list(mappings(ask_monitor(path, "info tlb"))))
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(1 if report(inspect(sys.argv[1:])) else 0)
