#!/usr/bin/env python3
"""Counts the locked instructions of an exchange, compares them with a file, rewrites the file, or lists their places.

    cargo bench .. -- --callgrind-args=--dump-instr=yes --output-format=json |
        locked_instructions.py {check,renew} locked_instructions.txt
        locked_instructions.py places exchanges.record_metrics

callgrind counts how often each address is executed, and objdump says which addresses are locked: those with the prefix
`lock`, and `xchg` with memory. A number is a mean of a hundred exchanges, minus that of the same exchange without
instrumentation.
"""

import bisect
import collections
import glob
import json
import os
import re
import subprocess
import sys

EXCHANGES = 100
# A few exchanges of a hundred find a full list in the allocator or in the recorder.
TOLERANCE, RELATIVE_TOLERANCE = 0.5, 0.04

SYMBOL = re.compile(r"([0-9a-f]+) <(.*)>:")
INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\t(.*)")
LOCKED = re.compile(r"(?:\S+ )*?(?:lock\b|xchg\w*\s.*\()")


class Disassembly:
    """The addresses, the locked instructions and the functions of an executable or a library."""

    def __init__(self, lines):
        self.addresses, self.locked = set(), {}
        self.functions = []
        for line in lines:
            if found := INSTRUCTION.match(line):
                address = int(found[1], 16)
                self.addresses.add(address)
                if LOCKED.match(found[2]):
                    self.locked[address] = found[2].split("#")[0].strip()
            elif found := SYMBOL.match(line):
                self.functions.append((int(found[1], 16), found[2]))

    def function(self, address):
        """Returns the address and the name of the function that contains an address."""
        return self.functions[bisect.bisect(self.functions, address, key=lambda function: function[0]) - 1]

    @classmethod
    def read(cls, path):
        command = ["objdump", "--disassemble", "--no-show-raw-insn", path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            disassembly = cls(process.stdout)
        if process.returncode:
            sys.exit(f"error: objdump cannot read {path}")
        return disassembly


class Profile:
    """How often each address is executed, and which addresses call a function, from a file of callgrind."""

    def __init__(self, lines):
        self.executed, self.names = collections.Counter(), {}
        self.callers = collections.defaultdict(collections.Counter)
        path = name = target = None
        for line in lines:
            key, _, value = line.rstrip("\n").partition("=")
            if key == "ob":
                path = target_path = value
            elif key == "fn" and not re.match(r"\(\d+\)", value):
                name = value
            elif key == "cob":
                target_path = value
            elif key == "calls":
                calls, target = value.split()[:2]
            elif line.startswith("0x"):
                address, _, count = line.split()[:3]
                place = path, int(address, 16)
                if target:
                    # The cost of the called function.
                    self.callers[target_path, int(target, 16)][place] += int(calls)
                    target, target_path = None, path
                else:
                    self.executed[place] += int(count)
                    self.names[place] = name
            elif line[0] in "+-*" or key == "fn":
                sys.exit("error: the file is compressed: callgrind needs --compress-pos=no --compress-strings=no")
            elif key.startswith("positions:") and "instr" not in key:
                sys.exit("error: the file has no addresses: callgrind needs --dump-instr=yes")

    @classmethod
    def read(cls, path):
        with open(path) as lines:
            return cls(lines)


class Objects:
    """The executable and its libraries."""

    def __init__(self):
        self.read = {}

    def disassembly(self, path):
        if path not in self.read:
            self.read[path] = Disassembly.read(path)
        return self.read[path]

    def locked(self, profile):
        """Returns how often each locked instruction is executed."""
        counts = collections.Counter()
        for place, count in profile.executed.items():
            path, address = place
            disassembly = self.disassembly(path)
            if address not in disassembly.addresses:
                sys.exit(f"error: {path} has no instruction at {address:#x}: was it rebuilt?")
            if address in disassembly.locked:
                counts[place] += count
        return counts


def baseline(name):
    """Returns the arm without instrumentation, or `None` if the bench does not compare an exchange."""
    function, arm = name.split(".")
    if function != "exchanges" or arm in ("bare", "noop", "call"):
        return None
    return "exchanges.call" if arm == "inject" or arm.startswith("client_") else "exchanges.noop"


def results(lines):
    """Returns the files of callgrind, by bench, from the output of gungraun."""
    files = {}
    for line in lines:
        if line.startswith("{"):
            bench = json.loads(line)
            directory = os.path.join(bench["project_root"], bench["output_dir"])
            # The first thread runs the exchanges. Its file is the first one by name, too.
            files[f"{bench['function_name']}.{bench['id']}"] = min(glob.glob(f"{glob.escape(directory)}/*.out"))
    if not files:
        sys.exit("error: the input contains no benches")
    return files


def means(files):
    """Returns the locked instructions of an exchange, by bench."""
    objects = Objects()
    compared = [name for name in files if baseline(name)]
    needed = {*compared, *map(baseline, compared)}
    totals = {name: sum(objects.locked(Profile.read(files[name])).values()) for name in needed}
    return {name: (totals[name] - totals[baseline(name)]) / EXCHANGES for name in compared}


def check(files, path):
    counts = means(files)
    with open(path) as file:
        expected = {name: float(count) for name, count in map(str.split, file)}
    wrong = sorted(set(expected) ^ set(counts))
    for name in wrong:
        print(f"{name}: is only in one of the counts and the file")
    for name in sorted(set(expected) & set(counts)):
        change = counts[name] - expected[name]
        print(f"{name}: {counts[name]:.2f} locked instructions, {change:+.2f}")
        # A lower count fails too, so that the file is renewed and the gain is not lost again.
        if abs(change) > max(TOLERANCE, RELATIVE_TOLERANCE * expected[name]):
            wrong.append(name)
    if wrong:
        sys.exit(f"error: changed: {', '.join(wrong)}; if the change is meant, run .ci/run renew_instructions")


def renew(files, path):
    with open(path, "w") as file:
        file.writelines(f"{name} {count:.2f}\n" for name, count in sorted(means(files).items()))


def own_lines(path, address):
    """Returns the source lines of an instruction, the innermost first, without the standard library."""
    command = ["addr2line", "--exe", path, "--inlines", hex(address)]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    return [line.split(" (")[0] for line in lines if not line.startswith("??") and "/rustc/" not in line]


def source(profile, objects, place):
    """Returns the source lines of a locked instruction. If all are in the standard library: of its function's callers."""
    path, address = place
    text = []
    for _ in range(4):
        if lines := own_lines(path, address):
            return " < ".join(text + [re.sub(r".*/(?=[^/]+/(?:src|benches)/)", "", line) for line in lines[:3]])
        start, name = objects.disassembly(path).function(address)
        text = text or [profile.names[place] if ".so" in path else demangled(name)]
        callers = profile.callers[path, start].most_common(1)
        if not callers:
            break
        ((path, address), _), = callers
    return " < ".join(text)


def demangled(name):
    name = subprocess.run(["c++filt", name], capture_output=True, check=True, text=True).stdout.strip()
    return re.sub(r"::h[0-9a-f]{16}$", "", name)


def places(files, name):
    """Prints the locked instructions that the baseline does not execute as often."""
    objects, profile = Objects(), Profile.read(files[name])
    counts = objects.locked(profile)
    counts.subtract(objects.locked(Profile.read(files[baseline(name)])))
    for place, count in sorted(counts.items(), key=lambda item: -item[1]):
        if abs(count) / EXCHANGES >= 0.01:
            text = objects.disassembly(place[0]).locked[place[1]]
            print(f"{count / EXCHANGES:6.2f}  {text:<30}  {source(profile, objects, place)}")
    print(f"{sum(counts.values()) / EXCHANGES:6.2f}  in all")


def main():
    verb, argument = sys.argv[1:]
    {"check": check, "renew": renew, "places": places}[verb](results(sys.stdin), argument)


if __name__ == "__main__":
    main()
