#!/usr/bin/env python3
"""Compares what the bench `instructions` counted with the values that are kept, or renews them.

    cargo bench .. -- --output-format=json | instructions.py {check,renew} instructions.txt
"""

import json
import sys

TOLERANCE = 0.02


def counted(lines):
    """Instructions of a hundred calls, by name."""
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
        sys.exit("nothing was counted")
    if verb == "renew":
        with open(path, "w") as kept:
            kept.writelines(f"{name} {count}\n" for name, count in sorted(counts.items()))
        return
    with open(path) as kept:
        expected = {name: int(count) for name, count in map(str.split, kept)}
    wrong = sorted(set(expected) ^ set(counts))
    for name in wrong:
        print(f"{name}: is not in both, what was counted and what is kept")
    for name in sorted(set(expected) & set(counts)):
        change = counts[name] / expected[name] - 1
        print(f"{name}: {counts[name]} instructions, {change:+.2%}")
        # A gain is to be kept as well, or it is lost unnoticed.
        if abs(change) > TOLERANCE:
            wrong.append(name)
    if wrong:
        sys.exit(f"changed: {', '.join(wrong)}; if that is meant, bash .ci/run renew_instructions")


main()
