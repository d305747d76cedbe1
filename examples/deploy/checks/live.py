"""Runs everything that can be run, looks at it through the dashboards, breaks it, and waits for the alerts."""

import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import queries
import scaled
from receiver import Receiver
from running import LOOPBACK, Prometheus, Running, ask, free_port, until

SERVICES = ("api-server", "reality-server", "jobs")
BINARIES = pathlib.Path(os.environ["BINARIES"]).resolve()
OTELCOL = os.environ.get("OTELCOL")
# What Grafana would choose for rates, at a scrape a second.
WINDOW = "10s"


def check(what, ok, why=""):
    result("ok" if ok else "FAILED", what)
    if not ok and why:
        print(f"           {why}", file=sys.stderr)


def result(word, what):
    print(f"  {word:8} {what}", flush=True)
    with open(os.environ["RESULTS"], "a", encoding="utf-8") as results:
        results.write(f"{word}\n")


class System:
    """The services, and what watches them."""

    def __init__(self, running):
        self.running, folder = running, running.folder
        self.ports = {name: free_port() for name in (*SERVICES, "model", "otlp", "otlp-http", "store", "store-http", "collector", "prometheus", "alertmanager")}
        self.receiver = Receiver(port := free_port())
        self.database = folder / "property-management.db"
        self.start_collector()
        running.start("model", BINARIES / "model-stand-in", LISTEN_ADDR=self.address("model"))
        for name in SERVICES:
            self.start_service(name)
        targets = {name: self.address(name) for name in (*SERVICES, "prometheus", "alertmanager")}
        if OTELCOL:
            targets["collector"] = self.address("collector")
        scaled.write(folder, targets, self.address("alertmanager"), f"http://{LOOPBACK}:{port}")
        running.start("alertmanager", shutil.which("prometheus-alertmanager"), "--config.file=alertmanager.yml",
                      "--storage.path=alerts", f"--web.listen-address={self.address('alertmanager')}", "--cluster.listen-address=")
        # It sends the first alert before it has found an Alertmanager, and the same again a minute later.
        running.start("prometheus", "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                      f"--web.listen-address={self.address('prometheus')}", "--rules.alert.resend-delay=1s")
        self.prometheus = Prometheus(self.url("prometheus"))

    def address(self, name):
        return f"{LOOPBACK}:{self.ports[name]}"

    def url(self, name):
        return f"http://{self.address(name)}"

    def start_collector(self):
        """rotel, another collector, shows what arrives; the real one, where there is one, stands before it."""
        behind = ("store", "store-http") if OTELCOL else ("otlp", "otlp-http")
        agent = next(pathlib.Path(os.environ["TOOLS"]).glob("venv/lib/*/site-packages/rotel/rotel-agent"))
        self.running.start("rotel", agent, "start", "--otlp-grpc-endpoint", self.address(behind[0]),
                           "--otlp-http-endpoint", self.address(behind[1]), "--exporter", "blackhole",
                           "--debug-log", "traces", "--debug-log-verbosity", "detailed")
        if not OTELCOL:
            return
        config = pathlib.Path("collector/collector.yaml").read_text()
        metrics = f"host: {LOOPBACK}, port: {self.ports['collector']}"
        for theirs, ours in {
            "0.0.0.0:4317": self.address("otlp"),
            "0.0.0.0:4318": self.address("otlp-http"),
            "host: 0.0.0.0, port: 8888": metrics,
        }.items():
            assert theirs in config, theirs
            config = config.replace(theirs, ours)
        (self.running.folder / "collector.yaml").write_text(config)
        self.running.start("collector", OTELCOL, "--config=collector.yaml",
                           TRACES_ENDPOINT=self.address("store"), LOGS_ENDPOINT=self.url("store-http"))

    def start_service(self, name):
        self.running.start(
            name, BINARIES / name, LISTEN_ADDR=self.address(name), DATABASE_URL=f"sqlite://{self.database}",
            REALITY_URL=self.url("reality-server"), LLM_BASE_URL=self.url("model") + "/v1", LLM_API_KEY="none",
            JWT_SECRET="for-this-test-only-for-this-test-only", OTEL_EXPORTER_OTLP_ENDPOINT=self.url("otlp"),
            OTEL_TRACES_SAMPLER="always_on", OTEL_LOGS_EXPORTER="otlp", OTEL_BSP_SCHEDULE_DELAY=500)
        if not until(lambda: ask(self.url(name) + "/healthz")[0] == 200, 30):
            sys.exit(f"{name} does not start: {self.running.log(name)[-600:]}")

    def traffic(self, seconds):
        self.running.start("traffic", BINARIES / "traffic", API_URL=self.url("api-server"),
                           REALITY_URL=self.url("reality-server"), TRAFFIC_SECONDS=seconds, TRAFFIC_RATE=20)

    def fault(self, kind):
        return ask(self.url("model") + "/fault", {"kind": kind}, "PUT")[0] == 200

    def tables(self, change):
        """Takes the tables away, or gives them back: to the services the database is gone."""
        with sqlite3.connect(self.database, timeout=20) as database:
            names = [row[0] for row in database.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")]
            for name in names:
                if change(name) != name:
                    database.execute(f'alter table "{name}" rename to "{change(name)}"')

    def attack(self, seconds):
        """Guesses passwords, a few at a time: they are slow to check."""
        end = time.monotonic() + seconds

        def guess():
            while time.monotonic() < end:
                ask(self.url("api-server") + "/login", {"email": "somebody@example.com", "password": "letmein"})

        for _ in range(4):
            threading.Thread(target=guess, daemon=True).start()

    def alerted(self, alert, path="/page", status="firing", seconds=45):
        """Whether it was delivered to whom it is for, and if not, where it got stuck."""
        if until(lambda: self.receiver.has(alert, status, path), seconds):
            check(f"{alert}: {status}, and delivered to {path}", True)
        else:
            firing = alert in self.prometheus.firing()
            why = f"Prometheus says {'firing' if firing else 'nothing'}"
            for name in ("prometheus", "alertmanager"):
                why += f"\n{name}: {self.running.log(name)[-1500:]}"
            check(f"{alert}: {status}, and delivered to {path}", False, why)


def look(system):
    """Every query of every dashboard has an answer."""
    waiting = dict(queries.panels())
    total = len(waiting)
    without = [] if OTELCOL else [title for title, target in waiting.items() if "otelcol_" in target["expr"]]

    def answered():
        for title, target in list(waiting.items()):
            if title not in without and system.prometheus.query(queries.query(target, WINDOW)):
                del waiting[title]
        return len(waiting) == len(without)

    until(answered, 60)
    missing = [title for title in waiting if title not in without]
    check(f"{total - len(waiting)} of {total} queries of the dashboards return data", not missing, ", ".join(missing))
    if without:
        result("skipped", f"{len(without)} queries about the collector: verify.sh --collector runs one")


def main():
    with tempfile.TemporaryDirectory() as folder, Running(folder) as running:
        system = System(running)
        up = f'sum(up{{job=~"{"|".join(SERVICES)}"}})'
        check("Prometheus scrapes the three services", until(
            lambda: (found := system.prometheus.query(up)) and found[0]["value"][1] == "3", 30))
        system.traffic(300)
        look(system)
        check("spans of all three services arrive over OTLP at rotel" + (", by way of the collector" if OTELCOL else ""), until(
            lambda: all(name in running.log("rotel") for name in ("POST /login", "api-server", "reality-server", "jobs")), 20))
        series = system.prometheus.query('sum by (job) (scrape_samples_scraped)')
        print("           samples by scrape:", {each["metric"]["job"]: int(each["value"][1]) for each in series})

        system.alerted("Watchdog", path="/heartbeat")
        calm = {"Watchdog"} if OTELCOL else {"Watchdog", "TargetMissing"}

        def loud():
            pages = system.prometheus.query('ALERTS{alertstate="firing",severity="page"}')
            return {each["metric"]["alertname"] for each in pages} - calm

        # At first most of what is done is signing up, which is slow on purpose.
        until(lambda: not loud(), 60)
        check("nobody is paged while all is well", not loud(), ", ".join(sorted(loud())))

        check("the model provider fails", system.fault("500"))
        system.alerted("ModelProviderFailing")
        system.fault("none")
        system.alerted("ModelProviderFailing", status="resolved")

        ratio = "sum(otelcol_receiver_accepted_spans_total) / sum(http_requests_total)"
        for each in system.prometheus.query(ratio):
            print(f'           spans for each request served: {float(each["value"][1]):.1f}')

        system.attack(12)
        system.alerted("LoginAttack")

        system.tables(lambda name: f"gone_{name}")
        system.alerted("DatabaseFailing")
        system.alerted("ErrorBudgetBurnFast")
        system.tables(lambda name: name.removeprefix("gone_"))
        system.alerted("DatabaseFailing", status="resolved")

        running.stop("reality-server")
        system.alerted("TargetDown")
        system.alerted("DependencyFailing")
        system.start_service("reality-server")
        system.alerted("TargetDown", status="resolved")

        running.stop("rotel")
        if OTELCOL:
            running.stop("collector")
        system.alerted("SpansDropped", path="/ticket")
        lost = re.search(r'otel_spans_dropped_total\{reason="export_failed"\} (\d+)', ask(system.url("api-server") + "/metrics")[1])
        check("the services count what is lost without a collector", lost is not None and int(lost[1]) > 0)


main()
