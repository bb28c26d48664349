#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks what stands on the screen: runs the given tools/run command with QEMU's monitor beside it, takes a
picture of the display when the lines have come that are asked for, reads the characters back from its
pixels by Mica's own font, and prints TAP.

    screen.py [--blind] COMMAND...
The screen must hold the last lines of the serial console, as they are.  With --blind there is no such console:
the screen itself is looked at until the prompt stands there.
"""

import re
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "boot"))
from pages import ask_monitor

ROOT = Path(__file__).resolve().parent.parent.parent
PROMPT = "mica>"
WIDTH, HEIGHT, TOP = 8, 16, 1  # of a cell; where a glyph begins in it
SETTLE = 2.0  # seconds for the screen to catch up
BLIND_TIMEOUT = 60.0
GLYPH = re.compile(r"^ +\{((?:0x[0-9a-f]{2}, ){12}0x[0-9a-f]{2})\},", re.MULTILINE)
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def read_font():
    """{rows of a cell: character}; an inverted cell, the cursor, is the character too."""
    text = (ROOT / "drivers/font.c").read_text()
    font = {}
    for code, match in enumerate(GLYPH.finditer(text), 0x20):
        rows = [0] * TOP + [int(value, 16) for value in match.group(1).split(", ")]
        rows += [0] * (HEIGHT - len(rows))
        font[bytes(rows)] = chr(code)
        font[bytes(row ^ 0xFF for row in rows)] = chr(code)
    return font


def read_picture(path):
    """Width, height and pixels of a PPM file."""
    data = path.read_bytes()
    width, height = (int(word) for word in data[:64].split()[1:3])
    return width, height, data[-width * height * 3 :]


def read_screen(path, font):
    """The lines of text in a picture; what is no character is a replacement character."""
    width, height, pixels = read_picture(path)
    ink = bytes(1 if value else 0 for value in pixels[::3])
    lines = []
    for top in range(0, height - HEIGHT + 1, HEIGHT):
        line = ""
        for left in range(0, width - WIDTH + 1, WIDTH):
            rows = bytearray()
            for y in range(top, top + HEIGHT):
                row = 0
                for bit in ink[y * width + left : y * width + left + WIDTH]:
                    row = row << 1 | bit
                rows.append(row)
            line += font.get(bytes(rows), "\ufffd")
        lines.append(line.rstrip())
    return lines


class Machine:
    def __init__(self, command, folder):
        self.folder = Path(folder)
        self.monitor = f"{folder}/monitor"
        command = [*command, *([] if "--" in command else ["--"]), "-monitor", f"unix:{self.monitor},server,nowait"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.output = ""

    def read(self, timeout):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            return False
        data = self.process.stdout.read1(65536)
        self.output += data.decode(errors="replace")
        return bool(data)

    def screen(self, font):
        picture = self.folder / "screen.ppm"
        ask_monitor(self.monitor, f"screendump {picture}")
        return read_screen(picture, font)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def wait_for_prompt(machine):
    """False if the run ends before the prompt stands there for good."""
    while True:
        if not machine.read(60):
            return False
        while machine.read(SETTLE):
            pass
        if machine.output.split("\n")[-1].startswith(PROMPT):
            return True


def wait_for_screen(machine, font):
    """The screen when the prompt has come, or at the end of the patience."""
    deadline = time.monotonic() + BLIND_TIMEOUT
    while True:
        time.sleep(SETTLE)
        lines = machine.screen(font) if Path(machine.monitor).exists() else []
        if any(line.startswith(PROMPT) for line in lines) or time.monotonic() > deadline:
            return lines


def judge(lines):
    """(ok, what, detail) of what both ways to look have to find."""
    text = "\n".join(lines)
    yield "\ufffd" not in text, "everything on the screen is a character", lines
    yield re.search(r"^\[ +0\.\d+\] mica: 1 cpu", text, re.MULTILINE), "the screen shows the start", lines
    yield re.search(r"^\[ +0\.\d+\] framebuffer: \d+ x \d+ pixels, \d+ x \d+ characters$", text, re.MULTILINE), (
        "the screen says how large it is"), lines
    yield re.search(r"^\[hello\] 1\.\.\d+$", text, re.MULTILINE), "and what a guest says", lines
    yield [line for line in lines if line][-1:] == [PROMPT], "and the prompt at its end", lines


def inspect(command):
    blind = command[0] == "--blind"
    command = command[1:] if blind else command
    font = read_font()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(command, folder)
        try:
            if blind:
                lines = wait_for_screen(machine, font)
                machine.read(0)
                yield "mica: 1 cpu" in machine.output, "before the configuration is read there is a serial console", []
                yield PROMPT not in machine.output, "then there is none", []
            else:
                yield wait_for_prompt(machine), "Mica reaches its prompt", []
                lines = machine.screen(font)
                serial = ESCAPES.sub("", machine.output).replace("\r", "").rstrip().split("\n")
                shown = [line for line in lines if line]
                count = min(len(serial), len(shown))
                yield [line.rstrip() for line in serial[-count:] if line.strip()] == shown[-count:], (
                    "the screen holds the last lines of the serial console"), lines
            yield from judge(lines)
        finally:
            machine.stop()


def main():
    failures = 0
    for number, (ok, what, detail) in enumerate(inspect(sys.argv[1:]), 1):
        print(f"{'ok' if ok else 'not ok'} {number} - {what}")
        if not ok:
            failures += 1
            print("".join(f"# {line}\n" for line in detail), end="")
    print(f"1..{number}")
    return 1 if failures else 0


sys.exit(main())
