#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes build/bench.md and build/bench.svg of the figures in build/bench.json.

--readme puts the first table into README.md, between the lines that mark its place, and the picture beside
this file, where README shows it.  Nothing is measured here and no figure is kept: what has no run shows "-".
"""

import argparse
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import figures

ROOT = Path(__file__).resolve().parent.parent.parent
CASE, AUTO = "bench", "bench-auto"  # of Mica's runs: those whose like KVM has run, without measures and with
OPERATIONS = {
    "cpuid": "CPUID",
    "hypercall": "hypercall, unknown number",
    "rdmsr-apicbase": "RDMSR of the APIC base",
    "rdmsr-unknown": "RDMSR of an unknown MSR, with #GP",
    "wrmsr-efer": "WRMSR EFER, unchanged",
    "wbinvd": "WBINVD",
    "in-pic": "IN from the interrupt controller",
    "out-none": "OUT to a port without a device",
    "in-lsr": "UART line-status read",
    "mmio-read-none": "MMIO read without a device",
    "mmio-write-none": "MMIO write without a device",
    "xapic-eoi": "xAPIC: EOI",
    "xapic-timer": "xAPIC: arm the timer",
    "xapic-self-ipi": "xAPIC: self-IPI, handler, EOI",
    "x2apic-id": "x2APIC: read the id",
    "x2apic-eoi": "x2APIC: EOI",
    "x2apic-self-ipi": "x2APIC: self-IPI, handler, EOI",
    "hlt-timer": "HLT until a timer, beyond its time",
    "mov-cr4": "MOV to CR4, unchanged",
    "touch-page": "first touch of a 4 KiB page",
}
NO_EXIT = 50  # fewer instructions than the shortest exit takes
INCOMPARABLE = {"hlt-timer"}  # the notes say why
MARKS = ("<!-- bench: written by tests/bench/report.py -->", "<!-- bench: end -->")

INTRODUCTION = """# What an exit costs

Instructions from just before an operation of the guest to just after it, less those of an empty measurement;
the least of 1,000 rounds. One payload (`guest-stubs/bench`) ran on the bare machine, under Mica and under
Linux's KVM, in the same emulators with one CPU, whose TSC counts instructions: the figures are the same on
every machine. `mitigations = off` in Mica and in Linux; the columns "auto" are Mica's with its measures against
speculation on. What these emulated CPUs can of them is clearing registers and filling the RSB at each exit.
"""

HEADLINE = """## VT-x and AMD-V under Bochs

Both emulated CPUs give the length of an instruction that exits, as all but the oldest real ones do: this is
the comparison that holds for users.
"""

QEMU = """## AMD-V under QEMU

QEMU's AMD-V gives no next RIP. KVM runs its instruction emulator for each exit there, which no user of real
hardware meets: these ratios are no merit of Mica's.
"""

ALONE = """## Mica alone

An IPI needs two CPUs, whose clocks Bochs advances together: its figures are good to some 10%.
"""

BOOT = """## A boot of Debian

Debian's vmlinux, started by its PVH entry with 512 MiB, on qemu-svm: instructions from the first entry to the line
by which userspace says that it is there. `boot-cost-bzimage` is the package's own file, which unpacks itself first: that of the cloud kernel by LZ4, within some
hundred million instructions; that of Debian's general kernel by XZ, which takes thousands of millions.
"""

LOAD = """## A load of Linux with two CPUs

Two thousand times each: a thread wakes another one on the other CPU and is woken by it, two changes of a mapping that
both CPUs use, and a look at the clock (`tests/linux/load.c`). One guest uses the paravirtual features of KVM's
interface; the other one's kernel was told `nopv`. Exits of both vCPUs; they differ a little from run to run:
"""

EXITS = {
    "io": "with a console two for each character, of which one polls the UART: a virtio console has none",
    "cpuid": "Linux asks about the CPU: it must not see the host's answers, so that none can be passed through",
    "host event": "interrupts of the physical machine: Mica's timer, which serves the guest's, and the serial line's",
}

BANNER = r"boot: guests run (\d+) tsc ticks after the banner"
STACK = r"stack of cpu 0: (\d+) of \d+ bytes"
MEMORY = r"memory of Mica besides modules and guest RAM: (\d+) KiB"

NOTES = """## What these figures are not

- Instructions are not cycles. What the transition between guest and hypervisor itself takes on real hardware, caches
  and the TLB are measured by none of this.
- KVM's OUT, UART and MMIO rows without a device include the way to its user-space program and back, which is
  where its users' devices are; Mica's devices are in the hypervisor. The program (`tests/bench/kvm`) does next to
  nothing there: a full one costs more.
- The KVM is that of Debian's cloud kernel, which is built without SEV. That of the general kernel takes some
  tens of instructions more for each exit on AMD-V.
- RDMSR of an unknown MSR: the guest takes its #GP on both sides. KVM with `ignore_msrs` set gives it 0 instead and has
  nothing to inject, which takes some hundreds less.
- HLT cannot be compared: KVM arms a deadline timer early and spins until the time has come, and polls for a while
  before a halted vCPU's thread sleeps. That takes away latency and costs instructions which this does not count.
- First touch of a page: KVM gives memory when it is touched, Mica before the guest starts.
- One instruction of the emulators' bare machine counts as 1, whatever it would cost in silicon. The column is
  QEMU's, which loads the payload itself; Bochs would need a boot loader for that and counts in the same way.
"""


def find(runs, system, platform, case=CASE):
    """The operations of one run; {} if there is none."""
    for run in runs:
        if (run["system"], run["platform"], run.get("case", CASE)) == (system, platform, case):
            return run["operations"]
    return {}


def cost(operations, name):
    return operations.get(name, {}).get("min")


# ---- Tables ----------------------------------------------------------------------------------------


def number(value):
    return "-" if value is None else f"{value:,}"


def ratio(name, ours, theirs):
    """How many times ours theirs is, where both take an exit and pay for the same."""
    if None in (ours, theirs) or name in INCOMPARABLE:
        return "-"
    return f"{theirs / ours:.1f}" if min(ours, theirs) >= NO_EXIT else "no exit"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def beside(runs, platform, name, auto):
    """The cells of one platform."""
    ours, theirs = cost(find(runs, "mica", platform), name), cost(find(runs, "kvm", platform), name)
    guarded = [number(cost(find(runs, "mica", platform, AUTO), name))] if auto else []
    return [number(ours), *guarded, number(theirs), ratio(name, ours, theirs)]


def compare(runs, platforms, auto=True):
    """platforms: {name: what its columns are called}."""
    bare = find(runs, "bare", "qemu-svm")
    heads = ["operation", "bare"]
    for title in platforms.values():
        heads += [f"Mica, {title}", *(["auto"] if auto else []), f"KVM, {title}", "times"]
    rows = []
    for name, title in OPERATIONS.items():
        cells = [cell for platform in platforms for cell in beside(runs, platform, name, auto)]
        rows.append([title, number(cost(bare, name)), *cells])
    return table(heads, rows)


def headline_table(runs, auto=True):
    return compare(runs, {"bochs-vmx": "VT-x", "bochs-svm": "AMD-V"}, auto)


def other_tables(runs):
    """What Mica has been measured at beside: a table for each such case."""
    runs = [run for run in runs if run["system"] == "mica" and run["operations"] and "boot" not in run]
    for case in sorted({run["case"] for run in runs} - {CASE, AUTO}):
        columns = {run["platform"]: run["operations"] for run in runs if run["case"] == case}
        names = dict.fromkeys(name for operations in columns.values() for name in operations)
        rows = [
            [name, *(number(cost(columns.get(platform, {}), name)) for platform in figures.PLATFORMS)]
            for name in names if name != "empty" and name not in OPERATIONS
        ]
        yield f"### `{case}`\n\n" + table(["what", *figures.PLATFORMS], rows)


def boot_tables(runs):
    """Boots of Debian: both sides' instructions, and the guest's exits."""
    boots = {run["case"]: run["boot"] for run in runs if "boot" in run}
    if not boots:
        return
    rows = []
    for case, boot in boots.items():
        share = f"{100 * boot['hypervisor'] / boot['guest']:.2f}%"
        rows.append([case, number(boot["guest"]), number(boot["hypervisor"]), share, number(boot["entries"])])
    yield BOOT + "\n" + table(["case", "the guest's instructions", "Mica's", "share", "entries"], rows)
    kinds = sorted({kind for boot in boots.values() for kind in boot["exits"]})
    kinds.sort(key=lambda kind: -max(boot["exits"].get(kind, 0) for boot in boots.values()))
    rows = [[kind, *(number(boot["exits"].get(kind, 0)) for boot in boots.values()), EXITS.get(kind, "")] for kind in kinds]
    yield "Exits of these boots:\n\n" + table(["kind", *boots, "what most of them are"], rows)


def load_table(runs):
    """The exits of a load, with paravirtual features and without."""
    loads = {(run["platform"], guest): kinds for run in runs for guest, kinds in run.get("load", {}).items()}
    if not loads:
        return
    kinds = {kind: sum(load.get(kind, 0) for load in loads.values()) for load in loads.values() for kind in load}
    rows = [["all", *(number(sum(load.values())) for load in loads.values())]]
    rows += [[kind, *(number(load.get(kind, 0)) for load in loads.values())] for kind in sorted(kinds, key=kinds.get, reverse=True)]
    yield LOAD + "\n" + table(["kind", *(f"{platform}, {guest}" for platform, guest in loads)], rows)


def machine_table(build):
    """What the logs of the runs and the files tell about Mica itself."""
    logs = {file.parent.name: file.read_text(errors="replace") for file in sorted(build.glob("tests/*/serial.log"))}

    def said(pattern, *cases):
        matches = [re.search(pattern, logs.get(case, "")) for case in cases]
        return [number(int(match.group(1)) if match else None) for match in matches]

    sections = subprocess.run(["size", "-A", build / "mica.debug.elf"], stdout=subprocess.PIPE, text=True, check=True).stdout
    code = int(re.search(r"^\.text +(\d+)", sections, re.MULTILINE).group(1))
    files = sum((build / name).stat().st_size for name in ("BOOTX64.EFI", "mica.elf"))
    rows = [["instructions from the EFI banner to the first guest's, " + platform, *said(BANNER, f"{CASE}.{platform}")]
            for platform in figures.PLATFORMS]
    rows += [["bytes of code", number(code)], ["bytes of BOOTX64.EFI and mica.elf", number(files)]]
    rows += [["KiB of memory, besides modules and guests", *said(MEMORY, "boot-cost-quiet.qemu-svm")]]
    rows += [["bytes of the stack that such a boot has used, of 16,384", *said(STACK, "boot-cost-quiet.qemu-svm")]]
    return "## Mica itself\n\n" + table(["what", ""], rows)


def report(runs, build):
    parts = [INTRODUCTION, HEADLINE, headline_table(runs), QEMU]
    parts.append(compare(runs, {"qemu-svm": "AMD-V"}))
    others = list(other_tables(runs))
    parts += [ALONE, *others] if others else []
    parts += [*boot_tables(runs), *load_table(runs), machine_table(build)]
    return "\n".join([*parts, NOTES])


# ---- The picture -----------------------------------------------------------------------------------

# In this order in each row: system, platform, what the legend says, class
BARS = (
    ("mica", "bochs-vmx", "Mica, VT-x", "m1"),
    ("mica", "bochs-svm", "Mica, AMD-V", "m2"),
    ("kvm", "bochs-vmx", "KVM, VT-x", "k1"),
    ("kvm", "bochs-svm", "KVM, AMD-V", "k2"),
)
# Colours that can be read on white and on black.
STYLE = """
  text { font: 12px sans-serif; fill: #757d87; } .value { font-size: 9px; } .small { font-size: 11px; }
  .grid { stroke: #8c959f; stroke-opacity: .4; }
  .m1 { fill: #0f8a63; } .m2 { fill: #35b58b; } .k1 { fill: #6e7781; } .k2 { fill: #a0a8b0; }
"""
WIDTH, LEFT, TOP = 880, 250, 62
BAR, ROW = 9, 46
AXIS = (10, 10000)  # the scale is logarithmic


def place(value):
    """Where on the axis a figure ends, in pixels from its begin."""
    low, high = map(math.log10, AXIS)
    return max(0.0, (math.log10(max(value, 1)) - low) / (high - low)) * (WIDTH - LEFT - 70)


def text(x, y, words, extra=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" {extra}>{escape(words)}</text>'


def draw_row(runs, name, y):
    yield text(LEFT - 8, y + 2 * BAR + 4, OPERATIONS[name], 'text-anchor="end"')
    for index, (system, platform, _, kind) in enumerate(BARS):
        value, top = cost(find(runs, system, platform), name), y + index * BAR
        if value is not None:
            yield f'<rect x="{LEFT}" y="{top}" width="{place(value):.1f}" height="{BAR - 1}" class="{kind}"/>'
            yield text(LEFT + place(value) + 4, top + BAR - 1, f"{value:,}", 'class="value"')


def draw_legend():
    yield text(8, 18, "Instructions of an exit and back, emulated by Bochs (logarithmic scale, less is better)")
    for index, (_, _, title, kind) in enumerate(BARS):
        x = LEFT + index * 130
        yield f'<rect x="{x}" y="28" width="10" height="10" class="{kind}"/>' + text(x + 15, 37, title, 'class="small"')


def draw_grid(bottom):
    for value in (10**power for power in range(1, 5)):
        x = LEFT + place(value)
        yield f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}" class="grid"/>'
        yield text(x, TOP - 11, f"{value:,}", 'text-anchor="middle" class="value"')


def picture(runs):
    height = TOP + ROW * len(OPERATIONS)
    parts = [*draw_legend(), *draw_grid(height - 6)]
    for index, name in enumerate(OPERATIONS):
        parts += draw_row(runs, name, TOP + index * ROW)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"


# ---- Start -----------------------------------------------------------------------------------------


def dearer(runs, platform):
    """What the measures against speculation add to a CPUID."""
    ours, guarded = (cost(find(runs, "mica", platform, case), "cpuid") for case in (CASE, AUTO))
    return number(guarded - ours if ours and guarded else None)


def update_readme(runs, svg):
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    more = [dearer(runs, platform) for platform in ("bochs-vmx", "bochs-svm")]
    sentence = f"With `mitigations = auto` CPUID takes {more[0]} and {more[1]} more.\n"
    readme.write_text(f"{before}{MARKS[0]}\n{headline_table(runs, False)}\n{sentence}{MARKS[1]}{after}")
    shutil.copyfile(svg, ROOT / "tests/bench/bench.svg")


def main():
    parser = argparse.ArgumentParser(description="make tables and a picture of build/bench.json")
    parser.add_argument("--build", type=Path, default=ROOT / "build", metavar="DIR")
    parser.add_argument("--readme", action="store_true", help="put them into README.md too")
    options = parser.parse_args()
    runs = figures.read_json(options.build / "bench.json")
    (options.build / "bench.md").write_text(report(runs, options.build))
    (options.build / "bench.svg").write_text(picture(runs))
    if options.readme:
        update_readme(runs, options.build / "bench.svg")


main()
