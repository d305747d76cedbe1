"""Prints the results of checks, one a line, and adds them to the file $RESULTS."""

import os
import sys


def check(name, ok, details=""):
    result("ok" if ok else "FAILED", name)
    if not ok and details:
        print(f"           {details}", file=sys.stderr)
    return ok


def result(status, name):
    print(f"  {status:8} {name}", flush=True)
    with open(os.environ["RESULTS"], "a", encoding="utf-8") as results:
        results.write(f"{status}\n")
