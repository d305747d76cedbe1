"""One trace of a customer crosses all services, and Jaeger's page shows it: trace_page.py [SCREENSHOT]

Without the argument the page is not opened. The receiver is otlp-embedded, which serves the page and the API of Jaeger. It drops kind
and status of spans.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import services
from report import check
from running import LOOPBACK, Running, free_port, send, until

BINARIES = pathlib.Path(os.environ["BINARIES"]).resolve()
ACTION = "a customer offers a flat"
# A link of each service to the next: by HTTP, by HTTP, and by a job in the database.
CALLS = {("customer", "api-server"), ("api-server", "reality-server"), ("api-server", "jobs")}
EXPECTED = {service for call in CALLS for service in call}
# The name of the service, and the operation, of each line of the page.
ROWS = """(() => [...document.querySelectorAll(".span-row")].map((row) => [
    row.querySelector(".span-svc-name").firstChild.textContent.trim(),
    row.querySelector(".endpoint-name").textContent.trim(),
]))()"""


def find(page):
    """Returns the trace of the action when it has spans of all services, and its services by span."""
    status, text = send(f"{page}/api/traces?service=customer&limit=100")
    for trace in json.loads(text)["data"] if status == 200 else []:
        spans = {span["spanID"]: span for span in trace["spans"]}
        service = {each: trace["processes"][span["processID"]]["serviceName"] for each, span in spans.items()}
        if set(service.values()) == EXPECTED and ACTION in {span["operationName"] for span in spans.values()}:
            return trace, service
    return None


def calls(trace, service):
    """Returns which services call which."""
    parents = [(reference["spanID"], span["spanID"]) for span in trace["spans"]
               for reference in span["references"] or [] if reference["refType"] == "CHILD_OF"]
    return {(service[parent], service[child]) for parent, child in parents} - {(each, each) for each in EXPECTED}


def browse(url, expression, screenshot):
    command = ["node", "checks/browser.mjs", url, expression, screenshot]
    browsed = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    if browsed.returncode:
        return {"value": None, "errors": [browsed.stderr]}
    return json.loads(browsed.stdout)


def check_page(page, trace, service, screenshot):
    found = browse(f"{page}/trace/{trace['traceID']}", f"(rows => rows.length >= {len(service)} && rows)({ROWS})", screenshot)
    rows = sorted(map(tuple, found["value"] or []))
    spans = sorted((service[span["spanID"]], span["operationName"]) for span in trace["spans"])
    check(f"Jaeger's page shows the {len(spans)} spans of {len(EXPECTED)} services", rows == spans, f"{rows}\nexpected: {spans}")
    check("Jaeger's page has no error", not found["errors"], "\n".join(found["errors"]))
    wrong = browse("data:text/html,<script>console.error('logged'); missing()</script>", "true", os.devnull)
    seen = "logged" in wrong["errors"] and any("missing is not defined" in error for error in wrong["errors"])
    check("errors of another page are seen", seen, str(wrong))
    print(f"           screenshot: {screenshot}")


def main():
    with tempfile.TemporaryDirectory() as folder, Running(folder) as running:
        ports = {name: free_port() for name in (*services.SERVICES, "model", "otlp", "page")}
        otlp, page = f"http://{LOOPBACK}:{ports['otlp']}", f"http://{LOOPBACK}:{ports['page']}"
        running.start("receiver", BINARIES / "jaeger-page", OTLP_ADDR=f"{LOOPBACK}:{ports['otlp']}", PAGE_ADDR=f"{LOOPBACK}:{ports['page']}")
        services.start_model(running, BINARIES, ports)
        for name in services.SERVICES:
            services.start(running, BINARIES, name, ports, OTEL_EXPORTER_OTLP_ENDPOINT=otlp, OTEL_BSP_SCHEDULE_DELAY=500)
        running.start("customer", BINARIES / "customer", API_URL=f"http://{LOOPBACK}:{ports['api-server']}",
                      OTEL_EXPORTER_OTLP_ENDPOINT=otlp, OTEL_TRACES_SAMPLER="always_on")
        status = running.processes["customer"].wait(90)
        check("a customer offers a flat, which the model describes and a job publishes", status == 0, running.log("customer"))
        found = until(lambda: find(page), 30)
        if not check(f"one trace has spans of {', '.join(sorted(EXPECTED))}", found, send(f"{page}/api/services")[1]):
            return
        seen = calls(*found)
        check("the spans of each service are children of its caller", seen == CALLS, str(seen))
        if len(sys.argv) > 1:
            check_page(page, *found, sys.argv[1])


main()
