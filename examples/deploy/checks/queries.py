"""The queries of the dashboards to Prometheus, as Grafana sends them."""

import json
import pathlib


def panels():
    """Yields title and target of each query of Prometheus."""
    for file in sorted(pathlib.Path("grafana/dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                if target["datasource"]["type"] == "prometheus":
                    yield f"{dashboard['title']} / {panel['title']} / {target['refId']}", target


def query(target, window):
    """Returns the expression with the variables of Grafana replaced: all services, and a rate window."""
    expr = target["expr"]
    for variable, value in {"$__rate_interval": window, "$__range": window, "$job": ".*"}.items():
        expr = expr.replace(variable, value)
    return expr
