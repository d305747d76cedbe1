#!/usr/bin/env python3
"""Compares the counts of the bench `instructions` with a file, or rewrites the file.

    cargo bench .. -- --output-format=json | instructions.py {check,renew} instructions.txt
"""

import json
import sys

TOLERANCE = 0.02


def counted(lines):
    """Returns the instructions of a hundred calls, by name."""
    counts = {}
    for line in lines:
        if line.startswith("{"):
            bench = json.loads(line)
            metrics = bench["profiles"][0]["data"]["parts"][0]["metrics"]
            name = f"{bench['function_name']}.{bench['id']}"
            counts[name] = metrics["Ir"]["values"]["new"]
    return counts


def main():
    verb, path = sys.argv[1:]
    counts = counted(sys.stdin)
    if not counts:
        sys.exit("error: the input contains no counts")
    if verb == "renew":
        with open(path, "w") as file:
            file.writelines(f"{name} {count}\n" for name, count in sorted(counts.items()))
        return
    with open(path) as file:
        expected = {name: int(count) for name, count in map(str.split, file)}
    wrong = sorted(set(expected) ^ set(counts))
    for name in wrong:
        print(f"{name}: is only in one of the counts and the file")
    for name in sorted(set(expected) & set(counts)):
        change = counts[name] / expected[name] - 1
        print(f"{name}: {counts[name]} instructions, {change:+.2%}")
        # A lower count fails too, so that the file is renewed and the gain is not lost again.
        if abs(change) > TOLERANCE:
            wrong.append(name)
    if wrong:
        sys.exit(f"error: changed: {', '.join(wrong)}; if the change is meant, run .ci/run renew_instructions")


main()
