#!/usr/bin/env python3
"""Counts the cache lines of code that each arm of the bench `instructions` executes in most exchanges.

A server executes the code of a request between that of hyper, tokio and the kernel, so much of it is not in the instruction
cache. Lines of 64 bytes are counted, in the program and in its libraries.

    .ci/run instructions
    python3 benches/code_lines.py target/gungraun
"""

import pathlib
import sys

LINE = 64
# Each arm runs 100 exchanges.
MOST = 50


def lines_of(profile):
    """Returns the lines of a profile in the format of callgrind."""
    lines = set()
    library = None
    is_call = False
    for row in profile.read_text().splitlines():
        if row.startswith("ob="):
            library = row
        elif row.startswith("calls="):
            # The next row is the cost of the call, not that of an instruction.
            is_call = True
        elif row.startswith("0x"):
            address, _, *cost = row.split()
            if not is_call and cost and int(cost[0]) >= MOST:
                lines.add((library, int(address, 16) // LINE))
            is_call = False
    return lines


def main(directory):
    profiles = pathlib.Path(directory).glob("**/exchanges.*/*.t1.p1.out")
    arms = {profile.parent.name: profile for profile in profiles}
    if not arms:
        sys.exit(f"error: {directory} has no profiles of the bench")
    for arm, profile in sorted(arms.items()):
        print(arm, len(lines_of(profile)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
