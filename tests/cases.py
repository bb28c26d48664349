# SPDX-License-Identifier: MIT
"""The cases of tests/vm/cases.cfg: how each becomes a boot of Mica, and how its output is judged.

The format of the file is described at its top.
"""

import configparser
import ctypes
import operator
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tap

ROOT = Path(__file__).resolve().parent.parent
PLATFORMS = ("qemu-svm", "bochs-vmx", "bochs-svm")
BOCHS_TIMEOUTS = 5  # what is given for QEMU is this many times as much on Bochs
BOCHS_COSTS = 3
LAST_LINES = 20
ERROR_LINES = 70  # of tools/run: the last lines of the machine, or its panic
PASTED_LINE = "abcdefghijklmnopqrstuvwxyz0123456789" + "-" * 27
KEYS = {
    "platforms", "stubs", "guests", "files", "conf", "image", "arguments", "memory", "smp", "cpu", "icount", "filler",
    "timeout", "seconds", "asked", "until", "script", "expect", "absent", "program", "damaged",
}
DOTTED_KEYS = {"stub", "end", "skip", "limit", "least"}

HOST_CONFIG = "[host]\nconsole = com1\nframebuffer = off\nwhen-done = poweroff\n"  # for exact figures: no drawing
STUB_DEFAULTS = {"memory": "16M", "testdev": "on", "console": "no"}
STUB_END = "exited with 16"  # what a stub that has passed gives to the debug-exit port


@dataclass
class Case:
    """One boot: a section of the file on one platform."""

    name: str
    platform: str
    keys: dict
    build: Path

    @property
    def title(self):
        return f"{self.name} on {self.platform}"

    def get(self, key, default=None):
        """The value for this platform, else for all."""
        return self.keys.get(f"{key}.{self.platform}", self.keys.get(key, default))

    def words(self, key):
        return self.get(key, "").split()

    def lines(self, key):
        return [line for line in self.get(key, "").splitlines() if line.strip()]

    def dotted(self, prefix):
        """{NAME: value} of the keys PREFIX.NAME."""
        return {key.partition(".")[2]: value for key, value in self.keys.items() if key.startswith(prefix + ".")}

    @property
    def stubs(self):
        """{name: kind} of the stub guests: "hog*8" are hog1 to hog8."""
        stubs = {}
        for word in self.words("stubs"):
            kind, _, copies = word.partition("*")
            stubs |= {f"{kind}{i + 1}": kind for i in range(int(copies))} if copies else {kind: kind}
        return stubs

    def duration(self, key, default, bochs_slowness):
        """In seconds: of its own for this platform, else QEMU's, times Bochs's slowness there."""
        slowness = bochs_slowness if self.platform.startswith("bochs") else 1
        return float(self.keys.get(f"{key}.{self.platform}") or float(self.keys.get(key, default)) * slowness)

    @property
    def timeout(self):
        return self.duration("timeout", 120, BOCHS_TIMEOUTS)

    @property
    def cost(self):
        """About how long it takes, so that the longest start first."""
        return self.duration("seconds", 5, BOCHS_COSTS)


def known_key(key):
    word, _, tail = key.partition(".")
    return word in DOTTED_KEYS if tail and tail not in PLATFORMS else word in KEYS | DOTTED_KEYS


def read_cases(path, build):
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), empty_lines_in_values=False)
    parser.optionxform = str
    parser.read_string(path.read_text(), source=str(path))
    cases = []
    for name in parser.sections():
        keys = dict(parser[name])
        for key in keys:
            if not known_key(key):
                sys.exit(f"{path}: [{name}]: no key is called {key}")
        platforms = keys.get("platforms", " ".join(PLATFORMS)).split()
        cases += [Case(name, platform, keys, build) for platform in platforms]
    return cases


# ---- What the case boots -----------------------------------------------------------------------------


def stub_settings(case, stub):
    """The keys of a stub's section."""
    kind = case.stubs[stub]
    own = dict(line.split(" = ", 1) for line in case.keys.get(f"stub.{kind}", "").splitlines() if line)
    return {"kernel": f"{kind}.bin"} | STUB_DEFAULTS | own


def stub_sections(case):
    """What mica.conf says of the stub guests: they run unattended."""
    text = ""
    for stub in case.stubs:
        text += f"\n[guest {stub}]\n"
        text += "".join(f"{key} = {value}\n" for key, value in stub_settings(case, stub).items())
    return text


def guest_files(case):
    """The files that the case boots with, as {name: path}."""
    guests = case.build / "guests"
    demos = ROOT / "build/guests"
    folder = case.get("guests")
    files = {file.name: file for file in sorted((demos / folder).iterdir())} if folder else {}
    for name in case.words("files"):
        files[Path(name).name] = demos / name if "/" in name else guests / name
    for stub in case.stubs:
        kernel = stub_settings(case, stub)["kernel"]
        files[kernel] = guests / kernel
    return files


def make_guests(case, work):
    """Fills the directory that becomes \\mica\\."""
    folder = work / "guests"
    folder.mkdir()
    files = guest_files(case)
    own = files.pop("mica.conf", None)
    if own or case.get("conf") or case.stubs:
        config = case.get("conf") or (own.read_text() if own else HOST_CONFIG)
        (folder / "mica.conf").write_text(config.strip() + "\n" + stub_sections(case))
    for name, path in files.items():
        shutil.copyfile(path, folder / name)
    for word in case.words("damaged"):
        kind, _, name = word.partition(":")
        (folder / f"{kind}-{name}").write_bytes(DAMAGE[kind]((case.build / "guests" / name).read_bytes()))
    if case.get("filler"):
        with open(folder / "filler", "wb") as file:
            file.truncate(int(case.get("filler").removesuffix("M")) << 20)
    return folder


def damage_none(data):
    return data


def damage_magic(data):
    return b"\x00" + data[1:]


def damage_half(data):
    return data[: len(data) // 2]


def damage_short(data):
    return data[:8192]


def damage_segment(data):
    """The first program header's address beyond the image."""
    table = int.from_bytes(data[32:40], "little")
    return data[: table + 16] + b"\xff" * 8 + data[table + 24 :]


def damage_memory(data):
    """The first segment of 4 GiB in memory."""
    table = int.from_bytes(data[32:40], "little")
    return data[: table + 40] + (4 << 30).to_bytes(8, "little") + data[table + 48 :]


def damage_overlap(data):
    """The second program header like the first."""
    table = int.from_bytes(data[32:40], "little")
    return data[: table + 56] + data[table : table + 56] + data[table + 112 :]


def damage_empty(data):
    return b""


DAMAGE = {
    "magic": damage_magic, "half": damage_half, "short": damage_short, "segment": damage_segment,
    "memory": damage_memory, "overlap": damage_overlap, "empty": damage_empty,
}


def locked_image(case, work):
    """First lock.efi, which sets the lock and fails; then the firmware's shell starts Mica."""
    startup = work / "startup.nsh"
    startup.write_text("fs0:\\EFI\\BOOT\\MICA.EFI\n")
    files = {"EFI/BOOT/MICA.EFI": case.build / "BOOTX64.EFI", "startup.nsh": startup}
    return ["--loader", case.build / "lock.efi", *(f"--add={name}={file}" for name, file in files.items())]


def make_image(case, work, folder):
    """The disk of the case, when it is not the ordinary one; "image" says what is wrong with it."""
    kind = case.get("image")
    if kind is None:
        return ["--guests", folder]
    disk = work / "case.img"
    command = [ROOT / "tools/image", "--build", case.build, "--output", disk, "--guests", folder]
    if kind == "no-modules":
        command += ["--no-modules"]
    elif kind == "no-kernel":
        command += ["--kernel", "none"]
    elif kind == "locked":
        command += locked_image(case, work)
    else:
        kernel = work / "mica.elf"
        kernel.write_bytes(DAMAGE[kind.removeprefix("kernel-")]((case.build / "mica.elf").read_bytes()))
        command += ["--kernel", kernel]
    subprocess.run(command, check=True)
    return ["--image", disk]


def expand_step(step):
    """"paste COUNT" types COUNT lines of 63 characters without a pause."""
    verb, _, count = step.partition(" ")
    return f"send {PASTED_LINE}\n" * int(count) if verb == "paste" else step


def make_script(case, work):
    script = work / "script"
    steps = "\n".join(expand_step(step.strip()) for step in case.lines("script"))
    if "until" in case.keys:
        steps += f"\nexpect {case.get('until')}"
    script.write_text(steps.strip() or "end")
    return script


def make_command(case, work):
    command = [ROOT / "tools/run", "--build", case.build, "--platform", case.platform]
    command += make_image(case, work, make_guests(case, work))
    for key in ("cpu", "memory", "smp"):
        if case.get(key):
            command += [f"--{key}", case.get(key)]
    if case.get("icount") == "yes" and case.platform == "qemu-svm":
        command += ["--icount"]
    command += ["--script", make_script(case, work), "--timeout", str(case.timeout), "--log", work / "serial.log"]
    if case.get("arguments"):
        command += ["--", *shlex.split(case.get("arguments"))]
    return [str(word) for word in command]


# ---- Running and judging -------------------------------------------------------------------------------


def die_with_parent(parent):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def execute(command, timeout):
    """Runs a command that must not outlive this one; returns exit status, output and errors."""
    parent = os.getpid()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        errors="replace", preexec_fn=lambda: die_with_parent(parent),
    )
    try:
        output, errors = process.communicate(timeout=timeout)
        return process.returncode, output, errors
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        return 1, output, errors + f"\nno end after {timeout} seconds"


def stub_output(lines, stub):
    """The guest's own lines, which Mica's console begins with its name."""
    prefix = f"[{stub}] "
    return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]


def judge_stub(case, stub, lines):
    end = case.dotted("end").get(case.stubs[stub], STUB_END)
    verdict = re.compile(rf"\bguest {re.escape(stub)}: {end}")
    seen = [line for line in lines if f"guest {stub}: " in line]
    results = tap.parse(stub_output(lines, stub)) if end == STUB_END else []
    results.append(tap.check(any(map(verdict.search, seen)), f"ends: {end}", seen or ["it says nothing of its end"]))
    for result in results:
        result.name = f"{stub}: {result.name}"
    return results


def judge_number(name, rule, output, word, fits):
    """A rule is "NUMBER REGEX": each number in the regex's group must fit it."""
    bound, _, pattern = rule.partition(" ")
    values = [int(match.group(1)) for match in re.finditer(pattern, output, re.MULTILINE)]
    if not values:
        return tap.failed(f"{name} is {word} {bound}", [f"{pattern!r} has not come"])
    seen = ", ".join(map(str, values))
    return tap.check(all(fits(value, int(bound)) for value in values), f"{name} is {seen}, {word} {bound}")


def judge(case, status, output, errors):
    lines = output.splitlines()
    explanation = errors.strip().splitlines()[-ERROR_LINES:]
    results = [tap.check(status == 0, "runs to its end", explanation)]
    for stub in case.stubs:
        results += judge_stub(case, stub, lines)
    for pattern in case.lines("expect"):
        found = re.search(pattern, output, re.MULTILINE)
        results.append(tap.check(found, f"says {pattern}", lines[-LAST_LINES:] if status == 0 else ()))
    for pattern in case.lines("absent"):
        found = re.search(pattern, output, re.MULTILINE)
        results.append(tap.check(not found, f"does not say {pattern}", [found.group()] if found else ()))
    for key, word, fits in (("limit", "at most", operator.le), ("least", "at least", operator.ge)):
        results += [judge_number(name, rule, output, word, fits) for name, rule in case.dotted(key).items()]
    return results


def run_case(case):
    """Boots the case and returns its results."""
    reason = case.dotted("skip").get(case.platform)
    if reason:
        return [tap.skipped("all", reason)]
    work = case.build / "tests" / f"{case.name}.{case.platform}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        command = make_command(case, work)
    except OSError as error:
        return [tap.failed("what it boots exists", [str(error)])]
    if case.get("program"):
        command = [str(ROOT / word) if word.endswith(".py") else word for word in case.words("program")] + command
    status, output, errors = execute(command, case.timeout + 60)
    (work / "output").write_text(output + errors)
    if case.get("program"):
        return tap.parse(output.splitlines()) + [tap.check(status == 0, "ends with success", errors.splitlines())]
    return judge(case, status, output, errors)
