"""Compares alerts, their tests and their runbooks: alerts.py tested|described|explained|queries|scoped"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml
from queries import panels

NAMESPACE = "property-management"
LINK = "https://runbooks.example.com/{}.md"


FUNCTIONS = {"histogram_quantile", "sum_over_time", "avg_over_time", "label_replace", "group_left"}
LABELS = {"error_type", "query_type", "status_code", "rule_group"}


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
        if alert.get("labels", {}).get("namespace") != NAMESPACE:
            yield f"{name} has no namespace"
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
        for part in (f"# {name}\n", f"Severity: {names[name]}.", "## What it means", "## What to look at first", "## What to do",
                     "## When to call somebody else"):
            if part not in books[name]:
                yield f"{name}.md has no {part!r}"


def unscoped(expr):
    """Yields the selectors without the namespace. A Prometheus that several teams share has series of the same
    names, also recorded ones. Prometheus and Alertmanager may be in another namespace."""
    expr = re.sub(r"\b(by|on|group_left|group_right) \([^)]*\)", "", expr)
    expr = re.sub(r'"[^"]*"', lambda text: text[0] if NAMESPACE in text[0] else '""', expr)
    for name, selector in re.findall(r"\b([a-z]\w*[_:][\w:]+|up)\b(?![\w:]*\()(\{[^}]*\})?", expr):
        if name not in FUNCTIONS | LABELS and not name.startswith(("prometheus_", "alertmanager_")) and NAMESPACE not in selector:
            yield name
    yield from (selector for selector in re.findall(r"(?<![\w:])\{[^}]*\}", expr) if NAMESPACE not in selector)


def scoped():
    for file in load("rules"):
        for group in file["groups"]:
            if not group["name"].startswith(f"{NAMESPACE}."):
                yield f"the group {group['name']} has another prefix"
            for rule in group["rules"]:
                name = rule.get("alert") or rule["record"]
                yield from (f"{name}: {selector} without namespace" for selector in unscoped(rule["expr"]))
                # A vector has no labels.
                if rule["expr"].startswith("vector(") and rule["labels"].get("namespace") != NAMESPACE:
                    yield f"{name}: a series without namespace"
    for title, target in panels():
        yield from (f"{title}: {selector} without namespace" for selector in unscoped(target["expr"]))
    for book in sorted(pathlib.Path("runbooks").glob("*.md")):
        yield from (f"{book.name}: {selector} without namespace" for query in promql(book) for selector in unscoped(query))


def promql(book):
    return re.findall(r"```promql\n(.+?)\n```", book.read_text(), re.S)


def queries():
    """Checks the queries as recording rules, because promtool checks rules."""
    found = [query for book in sorted(pathlib.Path("runbooks").glob("*.md")) for query in promql(book)]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(found)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "runbooks", "rules": rules}]}, file)
        file.flush()
        checked = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
    if checked.returncode or f"{len(found)} rules found" not in checked.stdout:
        yield checked.stdout + checked.stderr


faults = list({"scoped": scoped, "tested": tested, "described": described, "explained": explained, "queries": queries}[sys.argv[1]]())
print("\n".join(faults))
sys.exit(bool(faults))
