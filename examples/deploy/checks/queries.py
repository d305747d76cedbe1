"""The queries of the dashboards, as Grafana would send them."""

import json
import pathlib


def panels():
    """Title and target of every query."""
    for file in sorted(pathlib.Path("grafana/dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{dashboard['title']} / {panel['title']} / {target['refId']}", target


def query(target, window):
    """With the variables that Grafana fills in: all services, and a window for rates."""
    expr = target["expr"]
    for variable, value in {"$__rate_interval": window, "$__range": window, "$job": ".*"}.items():
        expr = expr.replace(variable, value)
    return expr
