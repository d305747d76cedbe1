"""Runs the system, evaluates the queries of the dashboards, causes faults, and waits for their alerts."""

import os
import pathlib
import re
import shutil
import signal
import sqlite3
import tempfile
import threading
import time

import queries
import scaled
import services
from receiver import Receiver
from report import check, result
from running import LOOPBACK, Prometheus, Running, free_port, send, until
from services import SERVICES

BINARIES = pathlib.Path(os.environ["BINARIES"]).resolve()
OTELCOL = os.environ.get("OTELCOL")
# Metrics of parts that do not run here.
STORES = ("tempo|loki",)
# Debug builds on a busy machine are slow without a fault.
TOLERATED = {"LatencyBudgetBurnFast"}
# The rate window that Grafana selects for a scrape interval of one second.
WINDOW = "10s"


class System:
    """The services, the collector, Prometheus and Alertmanager."""

    def __init__(self, running):
        self.running, folder = running, running.folder
        self.ports = {name: free_port() for name in (*SERVICES, "model", "otlp", "otlp-http", "store", "store-http", "collector", "prometheus", "alertmanager")}
        self.receiver = Receiver(port := free_port())
        self.database = folder / "property-management.db"
        self.start_collector()
        services.start_model(running, BINARIES, self.ports)
        for name in SERVICES:
            self.start_service(name)
        targets = {name: self.address(name) for name in (*SERVICES, "prometheus", "alertmanager")}
        # Parts that do not run here are scraped without metrics, so that they are not missing.
        targets |= {name: f"{LOOPBACK}:{port}" for name in ("collector", "jaeger", "loki")}
        if OTELCOL:
            targets["collector"] = self.address("collector")
        scaled.write(folder, targets, f"http://{LOOPBACK}:{port}")
        running.start("alertmanager", shutil.which("prometheus-alertmanager"), "--config.file=alertmanager.yml",
                      "--storage.path=alerts", f"--web.listen-address={self.address('alertmanager')}", "--cluster.listen-address=")
        # The first alert can be sent before the Alertmanager is discovered; the resend delay repeats it.
        running.start("prometheus", "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                      f"--web.listen-address={self.address('prometheus')}", "--rules.alert.resend-delay=1s", "--enable-feature=exemplar-storage")
        self.prometheus = Prometheus(self.url("prometheus"))

    def address(self, name):
        return f"{LOOPBACK}:{self.ports[name]}"

    def url(self, name):
        return f"http://{self.address(name)}"

    def start_collector(self):
        """Starts the collector rotel, which logs received data. $OTELCOL, if set, runs in front of it."""
        ports = ("store", "store-http") if OTELCOL else ("otlp", "otlp-http")
        agent = next(pathlib.Path(os.environ["TOOLS"]).glob("venv/lib/*/site-packages/rotel/rotel-agent"))
        self.running.start("rotel", agent, "start", "--otlp-grpc-endpoint", self.address(ports[0]),
                           "--otlp-http-endpoint", self.address(ports[1]), "--exporter", "blackhole",
                           "--debug-log", "traces", "--debug-log-verbosity", "detailed")
        if not OTELCOL:
            return
        config = pathlib.Path("collector/collector.yaml").read_text()
        metrics = f"host: {LOOPBACK}, port: {self.ports['collector']}"
        for configured, address in {
            "0.0.0.0:4317": self.address("otlp"),
            "0.0.0.0:4318": self.address("otlp-http"),
            "host: 0.0.0.0, port: 8888": metrics,
        }.items():
            assert configured in config, configured
            config = config.replace(configured, address)
        (self.running.folder / "collector.yaml").write_text(config)
        self.running.start("collector", OTELCOL, "--config=collector.yaml",
                           TRACES_ENDPOINT=self.address("store"), LOGS_ENDPOINT=self.url("store-http"))

    def start_service(self, name):
        services.start(self.running, BINARIES, name, self.ports, OTEL_EXPORTER_OTLP_ENDPOINT=self.url("otlp"),
                       OTEL_LOGS_EXPORTER="otlp", OTEL_BSP_SCHEDULE_DELAY=500)

    def traffic(self, seconds):
        self.running.start("traffic", BINARIES / "traffic", API_URL=self.url("api-server"),
                           REALITY_URL=self.url("reality-server"), TRAFFIC_SECONDS=seconds, TRAFFIC_RATE=20)

    def fault(self, fault):
        send(self.url("model") + "/fault", fault, "PUT")

    def firing_pages(self):
        pages = self.prometheus.query('ALERTS{alertstate="firing",severity="page"}')
        return {each["metric"]["alertname"] for each in pages} - TOLERATED

    def tables(self, change):
        """Renames the tables, so that the queries of the services fail, or renames them back."""
        with sqlite3.connect(self.database, timeout=20) as database:
            names = [row[0] for row in database.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")]
            for name in names:
                if change(name) != name:
                    database.execute(f'alter table "{name}" rename to "{change(name)}"')

    def attack(self, seconds):
        """Sends logins with wrong passwords, four at a time."""
        end = time.monotonic() + seconds

        def guess():
            while time.monotonic() < end:
                send(self.url("api-server") + "/login", {"email": "user@example.com", "password": "letmein"})

        for _ in range(4):
            threading.Thread(target=guess, daemon=True).start()

    def alerted(self, alert, path="/page", status="firing", since=0, seconds=60):
        """Checks that an alert is delivered to its receiver. If not, prints the state and the logs."""
        if until(lambda: self.receiver.has(alert, status, path, since), seconds):
            check(f"{alert}: {status}, and delivered to {path}", True)
        else:
            firing = alert in self.prometheus.firing()
            details = f"Prometheus: {'firing' if firing else 'not firing'}"
            for name in ("prometheus", "alertmanager"):
                details += f"\n{name}: {self.running.log(name)[-1500:]}"
            check(f"{alert}: {status}, and delivered to {path}", False, details)

    def queue(self, *statement):
        with sqlite3.connect(self.database, timeout=20) as database:
            database.execute(*statement)

    def stick_a_job(self):
        """Adds a job that was queued 20 minutes ago and is due in an hour."""
        now = int(time.time() * 1000)
        self.queue("insert into jobs (id, kind, owner, subject, context, state, attempts, queued_at, due_at)"
                   " values ('stuck', 'statement', '', '', '{}', 'queued', 0, ?, ?)", (now - 1_200_000, now + 3_600_000))


def fault(system, name, alert, start, end, path="/page", others=frozenset()):
    """Causes a fault. Its alert must be delivered and resolved, and no other page may fire."""
    print(f"           {name}", flush=True)
    before = len(system.receiver.received)
    start()
    system.alerted(alert, path=path, since=before)
    end()
    system.alerted(alert, path=path, status="resolved", since=before)
    unexpected = system.receiver.pages(before) - {alert} - others - TOLERATED
    check(f"{name}: no other page", not unexpected, ", ".join(sorted(unexpected)))
    until(lambda: not system.firing_pages(), 60)


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
        result("skipped", f"{len(without)} queries about Tempo and Loki" + ("" if OTELCOL else ", and the collector: verify.sh --collector runs one"))


def main():
    with tempfile.TemporaryDirectory() as folder, Running(folder) as running:
        system = System(running)
        up = f'sum(up{{job=~"{"|".join(SERVICES)}"}})'
        check("Prometheus scrapes the three services", until(
            lambda: (found := system.prometheus.query(up)) and found[0]["value"][1] == "3", 30))
        system.traffic(900)
        check_dashboards(system)
        check("spans of all three services arrive over OTLP at rotel" + (", through the collector" if OTELCOL else ""), until(
            lambda: all(name in running.log("rotel") for name in ("POST /login", "api-server", "reality-server", "jobs")), 20))
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
        fault(system, "model provider: slow", "ModelProviderSlow", path="/ticket",
              start=lambda: system.fault({"kind": "slow", "delay_ms": 6000}), end=lambda: system.fault({"kind": "none"}))
        fault(system, "login attack", "LoginAttack", lambda: system.attack(30), lambda: None)
        fault(system, "queue stuck", "JobsLate", system.stick_a_job, lambda: system.queue("delete from jobs where id = 'stuck'"))
        fault(system, "database: no tables", "DatabaseFailing", lambda: system.tables(lambda name: f"gone_{name}"),
              lambda: system.tables(lambda name: name.removeprefix("gone_")))
        fault(system, "reality-server stopped", "TargetDown", lambda: running.stop("reality-server"),
              lambda: system.start_service("reality-server"))
        fault(system, "reality-server frozen", "TargetDown", lambda: running.signal("reality-server", signal.SIGSTOP),
              lambda: running.signal("reality-server", signal.SIGCONT))

        before = len(system.receiver.received)
        running.stop("rotel")
        if OTELCOL:
            running.stop("collector")
        system.alerted("SpansDropped", path="/ticket")
        # Attempts that a retry repairs are logged, and page nobody.
        for _ in range(10):
            system.fault({"kind": "500", "times": 1})
            time.sleep(1)
        system.alerted("LogRecordsDropped", path="/ticket")
        pages = system.receiver.pages(before) - TOLERATED
        check("collector gone: no page", not pages, ", ".join(sorted(pages)))
        dropped = re.search(r'otel_sdk_exporter_span_exported_total\{[^}]*error_type="export_failed"[^}]*\} (\d+)', send(system.url("api-server") + "/metrics")[1])
        check("the services count dropped spans without a collector", dropped is not None and int(dropped[1]) > 0)
        fired = {alert for alert, status, _ in system.receiver.received if status == "firing"}
        resolved = {alert for alert, status, _ in system.receiver.received if status == "resolved"}
        print(f"           alerts delivered: {len(fired)} firing, {len(resolved)} resolved: {', '.join(sorted(fired))}")


main()
