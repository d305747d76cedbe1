#!/usr/bin/env python3
"""Writes dashboards/*.json, which Grafana loads.

    python3 examples/deploy/grafana/dashboards.py
"""

import json
import pathlib

import traces

FOLDER = pathlib.Path(__file__).parent
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
FAILED = 'status=~"5..|error|panic"'
RATE = "[$__rate_interval]"
# Other teams have series of the same names in a Prometheus that is shared.
OURS = 'namespace="property-management"'
# The dashboard of traces.py. A dashboard and not Explore, which viewers may not open.
TRACES = "/d/pm-traces?${__url_time_range}"


def quantile(q, metric, by):
    """Returns the query of a quantile of a histogram, grouped by labels."""
    return f'histogram_quantile({q}, sum by ({by}, le) (rate({metric}_bucket{{namespace="property-management",job=~"$job"}}{RATE})))'


def panel(title, unit, *queries, kind="timeseries", width=8, note="", stack=False, limit=None, minimum=0):
    """Returns a panel. `queries` are pairs of expression and legend. `limit` draws a red line."""
    custom = {"fillOpacity": 10, "showPoints": "never"} if kind == "timeseries" else {}
    if stack:
        custom |= {"stacking": {"mode": "normal"}, "fillOpacity": 40}
    defaults = {"unit": unit, "custom": custom}
    if minimum is not None:
        defaults["min"] = minimum
    if limit is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": limit}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        if kind == "timeseries":
            custom["thresholdsStyle"] = {"mode": "dashed"}
    options = {
        "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"},
    }[kind]
    if any("job" in legend for _, legend in queries):
        defaults["links"] = [
            {"title": "Traces and log records of the service", "url": f"{TRACES}&var-job=${{__field.labels.job}}"}
        ]
    # Exemplars are points in a panel of durations. A click opens the trace.
    exemplars = kind == "timeseries" and any("histogram_quantile" in expr for expr, _ in queries)
    return {
        "type": kind,
        "title": title,
        "description": note,
        "datasource": PROMETHEUS,
        "targets": targets(queries, **({"exemplar": True} if exemplars else {})),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "width": width,
        "height": 8 if kind == "timeseries" else 4,
    }


def targets(queries, **more):
    """Returns a target for each query, named by letters."""
    return [
        {"refId": letter, "datasource": PROMETHEUS, "expr": expr, "legendFormat": legend, **more}
        for letter, (expr, legend) in zip("ABCDEFGH", queries)
    ]


def table(title, columns, by, note=""):
    """Returns a table with a row for each value of the labels `by`. `columns` have name, unit and expression."""
    names = {f"Value #{letter}": name for letter, (name, _, _) in zip("ABCDEFGH", columns)}
    units = [
        {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]}
        for name, unit, _ in columns
    ]
    return {
        "type": "table",
        "title": title,
        "description": note,
        "datasource": PROMETHEUS,
        "targets": targets([(expr, "") for _, _, expr in columns], format="table", instant=True),
        "transformations": [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names}},
        ],
        "fieldConfig": {
            "defaults": {"links": [{"title": "Traces and log records of the service", "url": f"{TRACES}&var-job=${{__data.fields.job}}"}]},
            "overrides": units,
        },
        "options": {"sortBy": [{"displayName": columns[0][0], "desc": True}]},
        "width": 24,
        "height": 4 + len(by),
    }


def place(panels):
    """Sets the grid positions, from left to right and row by row."""
    x = y = height = 0
    for number, each in enumerate(panels, start=1):
        width, panel_height = each.pop("width"), each.pop("height")
        if x + width > 24:
            x, y, height = 0, y + height, 0
        each |= {"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": panel_height}}
        x, height = x + width, max(height, panel_height)
    return panels


def dashboard(uid, title, panels, variables=None):
    job = {
        "name": "job",
        "label": "Service",
        "type": "query",
        "datasource": PROMETHEUS,
        "query": {"query": 'label_values(up{namespace="property-management"}, job)', "refId": "job"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }
    return {
        "uid": f"pm-{uid}",
        "title": title,
        "tags": ["property-management"],
        "schemaVersion": 42,
        "editable": False,
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": variables or [job]},
        "links": [
            {
                "title": "Property management",
                "type": "dashboards",
                "tags": ["property-management"],
                "asDropdown": True,
                "keepTime": True,
                "includeVars": True,
                "icon": "external link",
                "targetBlank": False,
                "tooltip": "",
                "url": "",
            }
        ],
        "panels": place(panels),
    }


def requests():
    total = f'sum by (job) (rate(http_requests_total{{namespace="property-management",job=~"$job"}}{RATE}))'
    failed = f'(sum by (job) (rate(http_requests_total{{namespace="property-management",job=~"$job",{FAILED}}}{RATE})) or 0 * {total})'
    by_route = "job, method, path"
    route_total = f'sum by ({by_route}) (rate(http_requests_total{{namespace="property-management",job=~"$job"}}{RATE}))'
    route_failed = f'sum by ({by_route}) (rate(http_requests_total{{namespace="property-management",job=~"$job",{FAILED}}}{RATE}))'
    client = f'rate(http_client_requests_total{{namespace="property-management",job=~"$job"}}{RATE})'
    return [
        panel("Requests", "reqps", (total, "{{job}}"), kind="stat", width=6),
        panel("Failed", "percentunit", (f"{failed} / {total}", "{{job}}"), kind="stat", width=6, limit=0.001,
              note="5xx, error and panic. Red beyond the objective of 99.9 %."),
        panel("Slower than 500 ms", "percentunit",
              ('job:http_requests_slow:ratio_rate5m{namespace="property-management",job=~"$job"}', "{{job}}"), kind="stat", width=6, limit=0.01,
              note="Without the routes that are slow by design. Red beyond the objective of 99 %."),
        panel("Error budget left", "percentunit",
              ('1 - job:http_requests_failed:ratio_rate30d{namespace="property-management",job=~"$job"} / 0.001', "{{job}}"), kind="stat", width=6, minimum=None,
              note="Of 30 days, or of the stored time if it is shorter. Below zero the objective of 99.9 % is missed."),
        panel("Requests by service", "reqps", (total, "{{job}}")),
        panel("Failed by service", "percentunit", (f"{failed} / {total}", "{{job}}"), limit=0.001),
        panel("Duration by service", "s",
              (quantile(0.5, "http_request_duration_seconds", "job"), "{{job}} p50"),
              (quantile(0.99, "http_request_duration_seconds", "job"), "{{job}} p99"),
              note="To the end of the body. Quantiles are interpolated within a bucket. A point is an exemplar: click it for its trace."),
        table("Routes", [
            ("Requests", "reqps", route_total),
            ("Failed", "percentunit", f"({route_failed} or 0 * {route_total}) / {route_total}"),
            ("p50", "s", quantile(0.5, "http_request_duration_seconds", by_route)),
            ("p99", "s", quantile(0.99, "http_request_duration_seconds", by_route)),
        ], by=by_route.split(", "), note="Requests that match no route have the path `unmatched`."),
        panel("Requests by status", "reqps",
              (f'sum by (status) (rate(http_requests_total{{namespace="property-management",job=~"$job"}}{RATE}))', "{{status}}"), stack=True,
              note="cancelled: the client disconnected before the response."),
        panel("In flight", "short", ('sum by (job) (http_requests_in_flight{namespace="property-management",job=~"$job"})', "{{job}}")),
        panel("Aborted responses", "reqps",
              (f'sum by (job) (rate(http_responses_aborted_total{{namespace="property-management",job=~"$job"}}{RATE}))', "{{job}}"),
              note="The client disconnected during the body, or the body failed."),
        panel("Burn rate of the error budget", "short",
              ('job:http_requests_failed:ratio_rate5m{namespace="property-management",job=~"$job"} / 0.001', "{{job}} 5m"),
              ('job:http_requests_failed:ratio_rate1h{namespace="property-management",job=~"$job"} / 0.001', "{{job}} 1h"), limit=14.4,
              note="1 spends the budget of 30 days in 30 days. Both above the line for three minutes: a page."),
        panel("Requests to other services", "reqps", (f"sum by (job, host) ({client})", "{{job}} to {{host}}")),
        panel("Requests to other services by status", "reqps",
              (f"sum by (host, status) ({client})", "{{host}} {{status}}"), stack=True),
        panel("Duration of requests to other services", "s",
              (quantile(0.5, "http_client_request_duration_seconds", "job, host"), "{{job}} to {{host}} p50"),
              (quantile(0.99, "http_client_request_duration_seconds", "job, host"), "{{job}} to {{host}} p99"), width=12),
        panel("In flight to other services", "short",
              ('sum by (job, host) (http_client_requests_in_flight{namespace="property-management",job=~"$job"})', "{{job}} to {{host}}"), width=12),
    ]


def database():
    by = "job, query_type"
    queries = f'sum by ({by}) (rate(db_query_duration_seconds_count{{namespace="property-management",job=~"$job"}}{RATE}))'
    errors = f'sum by ({by}) (rate(db_errors_total{{namespace="property-management",job=~"$job"}}{RATE}))'
    return [
        panel("Queries", "ops", (queries, "{{job}} {{query_type}}")),
        panel("Duration, p50", "s", (quantile(0.5, "db_query_duration_seconds", by), "{{job}} {{query_type}}")),
        panel("Duration, p99", "s", (quantile(0.99, "db_query_duration_seconds", by), "{{job}} {{query_type}}"), limit=1,
              note="Queries from one second are logged as slow."),
        panel("Failed queries", "ops", (f"{errors} or 0 * {queries}", "{{job}} {{query_type}}")),
        panel("Connections", "short",
              ('sum by (job) (db_connections_active{namespace="property-management",job=~"$job"})', "{{job}} in use"),
              ('sum by (job) (db_connections_max{namespace="property-management",job=~"$job"})', "{{job}} maximum")),
        panel("Connections in use", "percentunit", ('job_instance:db_connections:ratio{namespace="property-management",job=~"$job"}', "{{job}} {{instance}}"), limit=0.9),
        panel("Time in the database, per second", "short",
              (f'sum by ({by}) (rate(db_query_duration_seconds_sum{{namespace="property-management",job=~"$job"}}{RATE}))', "{{job}} {{query_type}}"),
              width=24, stack=True, note="The number of queries that run on average. Make the largest faster first."),
    ]


def model():
    by = "provider, model"
    calls = f'sum by ({by}, outcome) (rate(llm_requests_total{{namespace="property-management",job=~"$job"}}{RATE}))'
    return [
        panel("Cost of a day, at the rate of the last hour", "currencyUSD",
              (f"sum by ({by}) (model:llm_cost_dollars:rate1h{{{OURS}}}) * 86400", "{{model}}"), kind="stat", width=8, limit=50),
        panel("Tokens in the range", "short",
              ('sum by (model, type) (increase(llm_tokens_total{namespace="property-management",job=~"$job"}[$__range]))', "{{model}} {{type}}"),
              kind="stat", width=8),
        panel("Failing calls", "percentunit", ('job_model:llm_requests_failed:ratio_rate5m{namespace="property-management",job=~"$job"}', "{{model}}"),
              kind="stat", width=8, limit=0.2),
        panel("Calls by outcome", "reqps", (calls, "{{model}} {{outcome}}"), stack=True),
        panel("Duration", "s",
              (quantile(0.5, "llm_request_duration_seconds", by), "{{model}} p50"),
              (quantile(0.9, "llm_request_duration_seconds", by), "{{model}} p90"), limit=5),
        panel("Tokens", "short",
              (f'sum by (model, type) (rate(llm_tokens_total{{namespace="property-management",job=~"$job"}}{RATE}))', "{{model}} {{type}} per second")),
        panel("Cost of an hour", "currencyUSD", (f"model:llm_cost_dollars:rate1h{{{OURS}}} * 3600", "{{model}}"), width=12,
              note="Prices are in rules/model.yml."),
        panel("Tokens per call", "short",
              (f'sum by (model, type) (rate(llm_tokens_total{{namespace="property-management",job=~"$job"}}{RATE})) / on (model) group_left ()'
               f' sum by (model) (rate(llm_requests_total{{namespace="property-management",job=~"$job",outcome="ok"}}{RATE}))', "{{model}} {{type}}"), width=12,
              note="Longer prompts cost more without more calls."),
    ]


def security():
    # Without rejected requests the rate is zero, if there are requests.
    none = f'or on (job) 0 * sum by (job) (rate(http_requests_total{{namespace="property-management",job=~"$job"}}{RATE}))'

    def refused(by, which):
        return f'sum by ({by}) (rate(http_requests_total{{namespace="property-management",job=~"$job",{which}}}{RATE})) {none}'

    return [
        panel("Failed authentications in the range", "short",
              ('sum by (reason) (increase(auth_failures_total{namespace="property-management",job=~"$job"}[$__range]))', "{{reason}}"),
              kind="stat", width=24),
        panel("Failed authentications", "ops",
              ('job_reason:auth_failures:rate5m{namespace="property-management",job=~"$job"}', "{{job}} {{reason}}"), stack=True),
        panel("Wrong logins", "ops",
              ('sum by (job) (job_reason:auth_failures:rate5m{namespace="property-management",job=~"$job",reason=~"wrong_password|unknown_user"})', "{{job}}"), limit=5,
              note="Wrong passwords and unknown users. Above the line LoginAttack fires."),
        panel("Refused requests", "reqps",
              (refused("job, status", 'status=~"401|403|404|429"'), "{{job}} {{status}}")),
        panel("Refused requests by route", "reqps",
              (refused("job, method, path", 'status=~"401|403"'), "{{job}} {{method}} {{path}}"), width=12),
        panel("Unmatched paths", "reqps",
              (refused("job, method", 'path="unmatched"'), "{{job}} {{method}}"), width=12, note="Scanners cause most of them."),
    ]


def realtime():
    return [
        panel("WebSockets", "short", ('sum by (job, instance) (websocket_connections{namespace="property-management",job=~"$job"})', "{{job}} {{instance}}")),
        panel("Queued jobs", "short", ('max(jobs_queued{namespace="property-management",job=~"$job"})', "jobs"), limit=100),
        panel("Age of the oldest job", "s",
              ('time() - (max(jobs_oldest_queued_timestamp_seconds{namespace="property-management",job=~"$job"}) > 0) or on () vector(0)', "oldest"), limit=600,
              note="Users wait for it. Above the line JobsLate fires."),
        panel("Jobs by outcome", "ops",
              (f'sum by (kind, outcome) (rate(jobs_processed_total{{namespace="property-management",job=~"$job"}}{RATE}))', "{{kind}} {{outcome}}"), stack=True),
        panel("Duration of jobs", "s",
              (quantile(0.5, "job_duration_seconds", "kind"), "{{kind}} p50"),
              (quantile(0.99, "job_duration_seconds", "kind"), "{{kind}} p99"), width=12),
        panel("Failed attempts at jobs", "percentunit",
              (f'sum by (kind) (rate(jobs_processed_total{{namespace="property-management",job=~"$job",outcome=~"retried|failed"}}{RATE}))'
               f' / sum by (kind) (rate(jobs_processed_total{{namespace="property-management",job=~"$job"}}{RATE}))', "{{kind}}"), limit=0.1, width=12),
    ]


def telemetry():
    def rate(metric, by):
        selected = metric if "{" in metric else f"{metric}{{{OURS}}}"
        return f"sum by ({by}) (rate({selected}{RATE}))"

    def own(metric, by):
        """Prometheus and Alertmanager may be in another namespace."""
        return f"sum by ({by}) (rate({metric}{RATE}))"

    STORES = '{__name__=~"(tempo|loki)_request_duration_seconds_count",' + OURS + "%s}"
    ERRORS = ',status_code=~"5..|error"'

    # The collector has no failure series before the first failure: the rate is zero then.
    sent = rate("otelcol_exporter_sent_spans_total", "instance, exporter")
    failed = f'{rate("otelcol_exporter_send_failed_spans_total", "instance, exporter")} or 0 * {sent}'

    return [
        panel("Alerts", "short", (f'count by (alertname, severity) (ALERTS{{{OURS},alertstate="firing"}})', "{{alertname}}"),
              kind="stat", width=12, note="The Watchdog always fires."),
        panel("Targets", "short", (f"sum by (job) (up{{{OURS}}})", "{{job}}"), kind="stat", width=12, note="Processes that can be scraped."),
        panel("Samples by scrape", "short", ('sum by (job) (scrape_samples_scraped{namespace="property-management",job=~"$job"})', "{{job}}"),
              note="Series by service."),
        panel("Duration of scrapes", "s", ('max by (job) (scrape_duration_seconds{namespace="property-management",job=~"$job"})', "{{job}}")),
        panel("Requests in the overflow series", "ops",
              (f'sum by (job) (rate(http_requests_total{{namespace="property-management",job=~"$job",status="overflow"}}{RATE})) or on () vector(0)', "{{job}}"),
              note="Above zero the limit of series is reached."),
        panel("Dropped by services in ten minutes", "short",
              ('job_reason:spans_dropped:increase10m{namespace="property-management",job=~"$job"}', "{{job}} spans {{reason}}"),
              ('job_reason:log_records_dropped:increase10m{namespace="property-management",job=~"$job"}', "{{job}} log records {{reason}}"), width=12),
        panel("Alerts sent", "ops",
              (own("alertmanager_notifications_total", "integration"), "{{integration}}"),
              (own("alertmanager_notifications_failed_total", "integration"), "{{integration}} failed"), width=12),
        panel("Rules", "ops",
              (own("prometheus_rule_evaluations_total", "job"), "evaluations"),
              (own("prometheus_rule_evaluation_failures_total", "job"), "failures"), width=12),
        panel("Series in Prometheus", "short", ("sum by (instance) (prometheus_tsdb_head_series)", "{{instance}}"), width=12),
        panel("Received by the collector", "ops",
              (rate("otelcol_receiver_accepted_spans_total", "instance"), "{{instance}} spans accepted"),
              (rate("otelcol_receiver_refused_spans_total", "instance"), "{{instance}} spans refused"),
              (rate("otelcol_receiver_accepted_log_records_total", "instance"), "{{instance}} log records accepted")),
        panel("Sent by the collector", "ops",
              (sent, "{{instance}} {{exporter}} spans"),
              (rate("otelcol_exporter_sent_log_records_total", "instance, exporter"), "{{instance}} {{exporter}} log records"),
              (failed, "{{instance}} {{exporter}} spans failed")),
        panel("Memory of the collector", "bytes",
              (f"max by (job, instance) (otelcol_process_memory_rss_bytes{{{OURS}}})", "{{instance}}"),
              (f"job:collector_memory_limit:bytes{{{OURS}}} and on (job) otelcol_process_memory_rss_bytes{{{OURS}}}", "{{job}} limit"), width=12),
        panel("Failed requests of the stores", "percentunit",
              (f'{rate(STORES % ERRORS, "job")} or 0 * {rate(STORES % "", "job")}', "{{job}}"), width=12),
        panel("Queues of the collector", "percentunit",
              (f"otelcol_exporter_queue_size{{{OURS}}} / otelcol_exporter_queue_capacity{{{OURS}}}", "{{instance}} {{exporter}}"), limit=0.5),
    ]


def write(folder, uid, content):
    (FOLDER / folder).mkdir(exist_ok=True)
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (FOLDER / folder / f"{uid}.json").write_text(text + "\n", encoding="utf-8")


def main():
    for uid, title, panels in [
        ("requests", "Requests", requests()),
        ("database", "Database", database()),
        ("model", "Model and its cost", model()),
        ("security", "Security", security()),
        ("realtime", "Real time and jobs", realtime()),
        ("telemetry", "Telemetry itself", telemetry()),
    ]:
        write("dashboards", uid, dashboard(uid, title, panels))
    # The trace store of compose.yaml is Jaeger, that of kubernetes/ is Tempo.
    write("dashboards", "traces", dashboard("traces", "Traces and log records", traces.jaeger(), traces.VARIABLES))
    write("dashboards-tempo", "traces", dashboard("traces", "Traces and log records", traces.tempo(), traces.VARIABLES))


if __name__ == "__main__":
    main()
