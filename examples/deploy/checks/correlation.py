"""Checks that metrics and log records lead to traces: the ids of exemplars and of log records are those of received spans."""

import json
import pathlib
import re
import time
import urllib.parse

import queries
import yaml
from report import check
from running import send, until

SOURCES = "grafana/provisioning/datasources/datasources.yaml"


def exemplar_label():
    """Returns the label of exemplars that Grafana makes a link of."""
    sources = yaml.safe_load(pathlib.Path(SOURCES).read_text())["datasources"]
    return next(source["jsonData"]["exemplarTraceIdDestinations"][0]["name"] for source in sources if source["type"] == "prometheus")


def exemplars(prometheus, expr):
    """Returns the labels of the exemplars of a query, as Grafana asks for them."""
    now = time.time()
    parameters = urllib.parse.urlencode({"query": expr, "start": now - 600, "end": now})
    status, text = send(f"{prometheus}/api/v1/query_exemplars?{parameters}")
    series = json.loads(text)["data"] if status == 200 else []
    return [exemplar["labels"] for each in series for exemplar in each["exemplars"]]


def span_traces(log):
    """Returns the trace ids of the spans that rotel has logged."""
    return set(re.findall(r"Span #\d+\n\s*Trace ID\s*: (\w{32})", log))


def record_traces(log):
    """Returns the trace ids of the log records that rotel has logged."""
    return set(re.findall(r"LogRecord #\d+\n(?:(?!LogRecord #|Span #).*\n)*?\s*Trace ID\s*: (\w{32})", log))


def check_exemplars(prometheus, log, window):
    """Checks that each latency panel has an exemplar that leads to a received trace. `log` returns the log of rotel."""
    label = exemplar_label()
    panels = {title: queries.query(target, window) for title, target in queries.panels() if target.get("exemplar")}

    def without():
        known = span_traces(log())
        return [title for title, expr in panels.items()
                if not any(labels.get(label) in known for labels in exemplars(prometheus, expr))]

    complete = until(lambda: not without(), 30)
    check(f"{len(panels)} queries of latency panels have exemplars of received traces", panels and complete, ", ".join(without()))


def check_log_records(log):
    """Checks that a log record of a failure has the trace id of a received span."""
    found = until(lambda: record_traces(log()) & span_traces(log()), 20)
    check("log records have the trace ids of received spans", found, f"of records: {record_traces(log())}")
