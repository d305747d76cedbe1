"""Runs the system, evaluates the queries of the dashboards, causes faults, and waits for their alerts."""

import os
import re
import signal
import tempfile
import time

import correlation
import queries
from postgresql import PostgreSQL
from report import check, result
from running import Running, send, until
from services import SERVICES
from system import OTELCOL, TOLERATED, System
from volume import SmallVolume

# Metrics of parts that do not run here.
STORES = ("tempo|loki",)
# The rate window that Grafana selects for a scrape interval of one second.
WINDOW = "10s"


def fault(system, name, alert, start, end=None, path="/page"):
    """Calls `start`, which causes a fault, and ends the fault with `end`, or with the function that `start` returns. The alert
    must be delivered and resolved, and no other page may fire."""
    print(f"           {name}", flush=True)
    before = len(system.receiver.received)
    end = start() or end
    system.alerted(alert, path=path, since=before)
    end()
    system.alerted(alert, path=path, status="resolved", since=before)
    unexpected = system.receiver.pages(before) - {alert} - TOLERATED
    check(f"{name}: no other page", not unexpected, ", ".join(sorted(unexpected)))
    until(lambda: not system.firing_pages(), 60)


def check_readiness(system):
    """Checks that probes of a busy service add no query."""
    def pings():
        found = re.search(r'db_query_duration_seconds_count\{query_type="ping"\} (\d+)', send(system.url("api-server") + "/metrics")[1])
        return int(found[1]) if found else 0

    before = pings()
    ready = all(send(system.url("api-server") + "/readyz")[0] == 200 for _ in range(20))
    check("20 probes of a busy service succeed and add no query", ready and pings() == before, f"{pings() - before} queries")


def slow_model(system):
    """Slows the model down for more customers, of whom one is always waiting."""
    system.fault({"kind": "slow", "delay_ms": 6000})
    for number in range(2):
        system.traffic(300, f"traffic-{number}")

    def end():
        system.fault({"kind": "none"})
        for number in range(2):
            system.running.stop(f"traffic-{number}")
    return end


def stop_database(system):
    system.database.stop()
    unready = until(lambda: send(system.url("api-server") + "/readyz")[0] == 503 and send(system.url("api-server") + "/healthz")[0] == 200, 30)
    check("without a database the api-server is alive and not ready", unready)


def collector_gone(system):
    """Stops and starts what receives OTLP. The services count what they lose, and no alert pages."""
    print("           collector gone", flush=True)
    before = len(system.receiver.received)
    system.running.stop("collector" if OTELCOL else "rotel")
    resolved = ["SpansDropped", "LogRecordsDropped"]
    if OTELCOL:
        # Prometheus scrapes it. Its alert inhibits those of the services, SpansDropped only if that fires later.
        check("SpansDropped: firing", until(lambda: "SpansDropped" in system.prometheus.firing(), 60))
        system.alerted("InstanceDown", path="/ticket", since=before)
        resolved = ["InstanceDown"]
        if system.receiver.has("SpansDropped", "firing", "/ticket", before):
            resolved.append("SpansDropped")
    else:
        system.alerted("SpansDropped", path="/ticket", since=before)

    def are_log_records_dropped():
        # An attempt that a retry repairs is logged, and no alert pages.
        system.fault({"kind": "500", "times": 1})
        time.sleep(1)
        return "LogRecordsDropped" in system.prometheus.firing()

    check("LogRecordsDropped: firing", until(are_log_records_dropped, 60))
    if OTELCOL:
        delivered = system.receiver.has("LogRecordsDropped", "firing", "/ticket", before)
        check("LogRecordsDropped: inhibited by InstanceDown of the collector", not delivered)
    else:
        system.alerted("LogRecordsDropped", path="/ticket", since=before)
    metrics = send(system.url("api-server") + "/metrics")[1]
    dropped = re.search(r'otel_sdk_exporter_span_exported_total\{[^}]*error_type="export_failed"[^}]*\} (\d+)', metrics)
    check("the services count dropped spans without a collector", dropped is not None and int(dropped[1]) > 0)
    if OTELCOL:
        system.start_collector()
    else:
        system.start_rotel()
    for alert in resolved:
        system.alerted(alert, path="/ticket", status="resolved", since=before)
    pages = system.receiver.pages(before) - TOLERATED
    check("collector gone: no page", not pages, ", ".join(sorted(pages)))


def disk_full(system):
    """Stores the queue of the collector on a volume of two megabytes, and stops the store of traces until the volume is full."""
    volume = SmallVolume(system.running.folder / "queue")
    if not volume.can_be_mounted():
        result("skipped", "full disk of a queue: this user may not mount a volume")
        return
    system.running.stop("collector")
    system.start_collector(volume)

    def start():
        system.running.stop("rotel")
        full = until(lambda: "no space left on device" in system.running.log("collector"), 120)
        check("full disk of a queue: the collector reports it", full)

    fault(system, "full disk of a queue", "CollectorExportFailing", path="/ticket", start=start, end=system.start_rotel)
    system.running.stop("collector")
    system.start_collector()


def check_dashboards(system):
    """Checks that every query of the dashboards returns data."""
    waiting = dict(queries.panels())
    total = len(waiting)
    absent = STORES if OTELCOL else (*STORES, "otelcol_", "collector_")
    without = [title for title, target in waiting.items() if any(name in target["expr"] for name in absent)]

    def all_return_data():
        for title, target in list(waiting.items()):
            if title not in without and system.prometheus.query(queries.query(target, WINDOW)):
                del waiting[title]
        return len(waiting) == len(without)

    # The budget of 30 days, here 12 hours, is sampled every minute.
    until(all_return_data, 120)
    missing = [title for title in waiting if title not in without]
    check(f"{total - len(waiting)} of {total} queries of the dashboards return data", not missing, ", ".join(missing))
    if without:
        result("skipped", f"{len(without)} queries about Tempo and Loki" + ("" if OTELCOL else f", and the collector: {os.environ.get('WITHOUT_COLLECTOR', 'OTELCOL is not set')}"))


def main():
    with tempfile.TemporaryDirectory() as folder, PostgreSQL() as database, Running(folder) as running:
        system = System(running, database)
        up = f'sum(up{{job=~"{"|".join(SERVICES)}"}})'
        check("Prometheus scrapes the three services", until(
            lambda: (found := system.prometheus.query(up)) and found[0]["value"][1] == "3", 30))
        system.traffic(900)
        check_dashboards(system)
        check("spans of all three services arrive over OTLP at rotel" + (", through the collector" if OTELCOL else ""), until(
            lambda: all(name in running.log("rotel") for name in ("POST /login", "api-server", "reality-server", "jobs")), 20))
        check_readiness(system)
        correlation.check_exemplars(system.url("prometheus"), lambda: running.log("rotel"), WINDOW)
        series = system.prometheus.query('sum by (job) (scrape_samples_scraped)')
        print("           samples by scrape:", {each["metric"]["job"]: int(each["value"][1]) for each in series})

        system.alerted("Watchdog", path="/heartbeat")
        # The first requests are mostly sign-ups, whose password hashing is slow.
        until(lambda: not system.firing_pages(), 60)
        check("no page without a fault", not system.firing_pages(), ", ".join(sorted(system.firing_pages())))
        for each in system.prometheus.query("sum(otelcol_receiver_accepted_spans_total) / sum(http_requests_total)"):
            print(f'           spans for each request served: {float(each["value"][1]):.1f}')

        for kind in ({"kind": "500"}, {"kind": "429"}):
            fault(system, f"model provider: {kind['kind']}", "ModelProviderFailing",
                  lambda kind=kind: system.fault(kind), lambda: system.fault({"kind": "none"}))
        correlation.check_log_records(lambda: running.log("rotel"))
        fault(system, "model provider: slow", "ModelProviderSlow", path="/ticket", start=lambda: slow_model(system))
        fault(system, "login attack", "LoginAttack", system.attack)
        fault(system, "queue stuck", "JobsLate", system.stick_a_job, lambda: database.execute("delete from jobs where id = 'stuck'"))
        fault(system, "database stopped", "DatabaseFailing", lambda: stop_database(system), database.start)
        fault(system, "reality-server stopped", "TargetDown", lambda: running.stop("reality-server"),
              lambda: system.start_service("reality-server"))
        fault(system, "reality-server frozen", "TargetDown", lambda: running.signal("reality-server", signal.SIGSTOP),
              lambda: running.signal("reality-server", signal.SIGCONT))

        if OTELCOL:
            fault(system, "store of traces stopped", "CollectorQueueFills", path="/ticket",
                  start=lambda: running.stop("rotel"), end=system.start_rotel)
            disk_full(system)
        collector_gone(system)
        fired = {alert for alert, status, _ in system.receiver.received if status == "firing"}
        resolved = {alert for alert, status, _ in system.receiver.received if status == "resolved"}
        print(f"           alerts delivered: {len(fired)} firing, {len(resolved)} resolved: {', '.join(sorted(fired))}")


main()
