"""The dashboard of traces and log records. Exemplars, log lines and the other dashboards link to it."""

LOKI = {"type": "loki", "uid": "loki"}
JAEGER = {"type": "jaeger", "uid": "jaeger"}
TEMPO = {"type": "tempo", "uid": "tempo"}
SERVICES = ["api-server", "reality-server", "jobs"]

VARIABLES = [
    {
        "name": "job",
        "label": "Service",
        "type": "custom",
        "query": ",".join(SERVICES),
        "options": [{"text": name, "value": name, "selected": name == SERVICES[0]} for name in SERVICES],
        "current": {"text": SERVICES[0], "value": SERVICES[0]},
    },
    {"name": "trace_id", "label": "Trace", "type": "textbox", "query": "", "current": {"text": "", "value": ""}},
]

OF_SERVICE = '{service_name="$job"}'


def logs(title, expr, note):
    return {
        "type": "logs",
        "title": title,
        "description": note,
        "datasource": LOKI,
        "targets": [{"refId": "A", "datasource": LOKI, "expr": expr, "queryType": "range", "maxLines": 200}],
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {
            "showTime": True,
            "wrapLogMessage": True,
            "enableLogDetails": True,
            "prettifyLogMessage": False,
            "sortOrder": "Descending",
            "dedupStrategy": "none",
            "showLabels": False,
            "showCommonLabels": False,
        },
        "width": 24,
        "height": 8,
    }


def lines_by_level():
    expr = f"sum by (detected_level) (count_over_time({OF_SERVICE}[$__auto]))"
    target = {"refId": "A", "datasource": LOKI, "expr": expr, "queryType": "range", "legendFormat": "{{detected_level}}"}
    return {
        "type": "timeseries",
        "title": "Log records by level",
        "description": "",
        "datasource": LOKI,
        "targets": [target],
        "fieldConfig": {"defaults": {"unit": "short", "custom": {"stacking": {"mode": "normal"}, "fillOpacity": 40}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "width": 24,
        "height": 6,
    }


def trace(datasource, target):
    return {
        "type": "traces",
        "title": "Trace",
        "description": "Enter a trace id above, or click a trace below, an exemplar or a log line.",
        "datasource": datasource,
        "targets": [{"refId": "A", "datasource": datasource, "query": "$trace_id", **target}],
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {},
        "width": 24,
        "height": 14,
    }


def found(title, datasource, target):
    """Returns a table of traces. Their ids link to this dashboard."""
    link = {"title": "Show the trace", "url": "/d/pm-traces?${__url_time_range}&var-job=$job&var-trace_id=${__value.raw}"}
    names = {"matcher": {"id": "byRegexp", "options": "/trace ?id/i"}, "properties": [{"id": "links", "value": [link]}]}
    return {
        "type": "table",
        "title": title,
        "description": "",
        "datasource": datasource,
        "targets": [{"refId": "A", "datasource": datasource, "limit": 20, **target}],
        "fieldConfig": {"defaults": {}, "overrides": [names]},
        "options": {},
        "width": 12,
        "height": 8,
    }


def panels(datasource, target, failed, slow):
    return [
        trace(datasource, target),
        logs("Log records of the trace", '{service_name=~".+"} | trace_id="$trace_id" | trace_id!=""', "Of all services. Empty without a trace id."),
        found("Failed traces", datasource, failed),
        found("Slow traces", datasource, slow),
        lines_by_level(),
        logs("Warnings and errors of the service", f'{OF_SERVICE} | severity_text=~"WARN|ERROR"', ""),
    ]


def jaeger():
    search = {"queryType": "search", "service": "$job"}
    return panels(JAEGER, {}, search | {"tags": "error=true"}, search | {"minDuration": "500ms"})


def tempo():
    def search(condition):
        return {"queryType": "traceql", "tableType": "traces", "query": f'{{resource.service.name="$job" && {condition}}}'}

    return panels(TEMPO, {"queryType": "traceql"}, search("status=error"), search("duration>500ms"))
