#!/usr/bin/env python3
"""Reports how many lines the source files of crates have, and checks the limits.

    source_sizes.py CRATE_DIRECTORY...

Exits with 1 if the median or the 90th percentile of all files together is too large.
"""

import sys
from pathlib import Path
from statistics import median, quantiles

MEDIAN, P90 = 165, 400


def lines(directory):
    """The number of lines of each source file of a crate."""
    return [len(file.read_text().splitlines()) for file in sorted(Path(directory).glob("src/**/*.rs"))]


def report(name, sizes):
    """Prints median, 90th percentile and maximum; returns the first two."""
    middle, p90 = median(sizes), quantiles(sizes, n=10, method="inclusive")[8]
    print(f"{name}: {len(sizes)} files, median {middle:.0f} lines, p90 {p90:.0f}, longest {max(sizes)}")
    return middle, p90


def main(directories):
    sizes = {directory: lines(directory) for directory in directories}
    for directory, of_crate in sizes.items():
        report(directory, of_crate)
    middle, p90 = report("all", sum(sizes.values(), []))
    if middle >= MEDIAN or p90 >= P90:
        sys.exit(f"error: source files are too long (expected: median below {MEDIAN} lines, p90 below {P90})")


if __name__ == "__main__":
    main(sys.argv[1:])
