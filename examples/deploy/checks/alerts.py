"""Compares alerts, their tests and their runbooks: alerts.py tested|described|explained|queries"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

LINK = "https://runbooks.example.com/{}.md"


def load(folder):
    return [yaml.safe_load(file.read_text()) for file in sorted(pathlib.Path("prometheus", folder).glob("*.yml"))]


def alerts():
    return [rule for file in load("rules") for group in file["groups"] for rule in group["rules"] if "alert" in rule]


def tested():
    tests = [test for file in load("tests") for group in file["tests"] for test in group.get("alert_rule_test", [])]
    firing = {test["alertname"] for test in tests if test.get("exp_alerts")}
    quiet = {test["alertname"] for test in tests if not test.get("exp_alerts")}
    for name in (alert["alert"] for alert in alerts()):
        if name not in firing:
            yield f"{name} fires in no test"
        # The Watchdog always fires.
        if name not in quiet and name != "Watchdog":
            yield f"{name} is quiet in no test"


def described():
    for alert in alerts():
        name, notes = alert["alert"], alert.get("annotations", {})
        if alert.get("labels", {}).get("severity") not in ("page", "ticket", "heartbeat"):
            yield f"{name} has no severity"
        if not notes.get("summary"):
            yield f"{name} has no summary"
        if notes.get("runbook_url") != LINK.format(name):
            yield f"{name} does not link to its runbook"


def explained():
    names = {alert["alert"]: alert["labels"]["severity"] for alert in alerts()}
    books = {book.stem: book.read_text() for book in pathlib.Path("runbooks").glob("*.md")}
    yield from (f"{name} has no runbook" for name in names.keys() - books.keys())
    yield from (f"{name}.md belongs to no alert" for name in books.keys() - names.keys())
    for name in names.keys() & books.keys():
        for part in (f"# {name}\n", f"Severity: {names[name]}.", "## What it means", "## How to see it", "## What to do"):
            if part not in books[name]:
                yield f"{name}.md has no {part!r}"


def queries():
    """Checks the queries as recording rules, because promtool checks rules."""
    found = [query for book in sorted(pathlib.Path("runbooks").glob("*.md"))
             for query in re.findall(r"```promql\n(.+?)\n```", book.read_text(), re.S)]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(found)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "runbooks", "rules": rules}]}, file)
        file.flush()
        checked = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
    if checked.returncode or f"{len(found)} rules found" not in checked.stdout:
        yield checked.stdout + checked.stderr


faults = list({"tested": tested, "described": described, "explained": explained, "queries": queries}[sys.argv[1]]())
print("\n".join(faults))
sys.exit(bool(faults))
