#!/usr/bin/env python3
"""Compares the counts of the bench `instructions` with a file, rewrites the file, or compares the arms in it.

    cargo bench .. -- --output-format=json | instructions.py {check,renew} instructions.txt
    instructions.py table instructions.txt locked_instructions.txt
"""

import json
import sys

TOLERANCE = 0.02

EXCHANGES = 100

# An arm, what it is compared with, and the limit: a multiple.
YARDSTICKS = [
    ("metrics", "yardstick_metrics", 1.5),
    ("record_metrics", "yardstick_record_metrics", 1.3),
    ("recorded_tracing_metrics", "yardstick_tracing_metrics", 0.85),
]
# The instructions of an exchange, as committed on 27 November 2026 (dd472aba).
FORMER = [("direct_metrics", 8028, 2 / 3), ("client_record_inject", 4745, 0.5)]
# Both sampled and unsampled exchanges are counted. A mean of ten exchanges of which one is sampled is compared with a
# sampled one.
SAMPLED = [("record", 0.8), ("recorded_tracing", 0.8)]
LOCKED = [("record_metrics", "yardstick_record_metrics", 1.0)]


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


def read(path):
    with open(path) as file:
        return {name: float(count) for name, count in map(str.split, file)}


def comparisons(counts, locked):
    """Returns a row for each limit: the arm, its count, what it is compared with and its count, and the limit."""

    def over_baseline(arm):
        baseline = "call" if arm.startswith("client_") else "noop"
        return (counts[f"exchanges.{arm}"] - counts[f"exchanges.{baseline}"]) / EXCHANGES

    for arm, beside, limit in YARDSTICKS:
        yield arm, over_baseline(arm), beside, over_baseline(beside), limit
    for arm, count, limit in FORMER:
        yield arm, over_baseline(arm), "27 November", count, limit
    for arm, limit in SAMPLED:
        sampled = over_baseline(arm)
        mean = 0.1 * sampled + 0.9 * over_baseline(f"{arm}_unsampled")
        yield f"{arm}, 10 % sampled", mean, "100 % sampled", sampled, limit
    for arm, beside, limit in LOCKED:
        yield f"{arm}, locked", locked[f"exchanges.{arm}"], beside, locked[f"exchanges.{beside}"], limit


def table(counts, locked):
    row = "| {:<30} | {:>12} | {:<25} | {:>6} | {:>6} | {:>7} | {:<7} |"
    print(row.format("over a no-op", "instructions", "beside", "", "times", "at most", ""))
    print("|---|--:|---|--:|--:|--:|---|")
    for arm, count, beside, other, limit in comparisons(counts, locked):
        met = "met" if count <= limit * other else "not met"
        print(row.format(arm, f"{count:.0f}", beside, f"{other:.0f}", f"{count / other:.2f}", f"{limit:.2f}", met))


def main():
    verb, path, *others = sys.argv[1:]
    if verb == "table":
        return table(read(path), read(*others))
    counts = counted(sys.stdin)
    if not counts:
        sys.exit("error: the input contains no counts")
    if verb == "renew":
        with open(path, "w") as file:
            file.writelines(f"{name} {count}\n" for name, count in sorted(counts.items()))
        return
    expected = read(path)
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
