"""The system of the live checks: services, database, collector, Prometheus and Alertmanager, and what breaks them."""

import os
import pathlib
import shutil
import threading
import time

import scaled
import services
from receiver import Receiver
from report import check
from running import LOOPBACK, Prometheus, free_port, send, until
from services import SERVICES

BINARIES = pathlib.Path(os.environ["BINARIES"]).resolve()
OTELCOL = os.environ.get("OTELCOL")
# Debug builds on a busy machine are slow without a fault.
TOLERATED = {"LatencyBudgetBurnFast"}


class System:
    """The services, their database, the collector, Prometheus and Alertmanager."""

    def __init__(self, running, database):
        self.running, self.database, folder = running, database, running.folder
        self.ports = {name: free_port() for name in (*SERVICES, "model", "otlp", "otlp-http", "store", "store-http", "collector", "prometheus", "alertmanager")}
        self.receiver = Receiver(port := free_port())
        self.start_rotel()
        if OTELCOL:
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

    def start_rotel(self):
        """Starts the collector rotel, which logs received data."""
        ports = ("store", "store-http") if OTELCOL else ("otlp", "otlp-http")
        agent = next(pathlib.Path(os.environ["TOOLS"]).glob("venv/lib/*/site-packages/rotel/rotel-agent"))
        self.running.start("rotel", agent, "start", "--otlp-grpc-endpoint", self.address(ports[0]),
                           "--otlp-http-endpoint", self.address(ports[1]), "--exporter", "blackhole",
                           "--debug-log", "traces", "--debug-log", "logs", "--debug-log-verbosity", "detailed")

    def start_collector(self, queue=None):
        """Starts $OTELCOL in front of rotel, with smaller queues, which are full after seconds. With `queue`, a volume, its
        queues are stored there and not small."""
        config = pathlib.Path("collector/collector.yaml").read_text()
        metrics = f"host: {LOOPBACK}, port: {self.ports['collector']}"
        for configured, replaced in {
            "0.0.0.0:4317": self.address("otlp"),
            "0.0.0.0:4318": self.address("otlp-http"),
            "host: 0.0.0.0, port: 8888": metrics,
            "queue_size: 50000": "queue_size: 50000\n      storage: file_storage" if queue else "queue_size: 1000",
            "min_size: 2000, max_size: 8000": "min_size: 200, max_size: 500",
        }.items():
            assert configured in config, configured
            config = config.replace(configured, replaced)
        if queue:
            storage = f"extensions: {{file_storage: {{directory: {queue.folder}}}}}\nservice:\n  extensions: [file_storage]\n"
            config = config.replace("service:\n", storage, 1)
        (self.running.folder / "collector.yaml").write_text(config)
        mount = queue.mount() if queue else ()
        self.running.start("collector", *mount, OTELCOL, "--config=collector.yaml",
                           TRACES_ENDPOINT=self.address("store"), LOGS_ENDPOINT=self.url("store-http"))

    def start_service(self, name):
        services.start(self.running, BINARIES, name, self.ports, DATABASE_URL=self.database.url,
                       OTEL_EXPORTER_OTLP_ENDPOINT=self.url("otlp"), OTEL_LOGS_EXPORTER="otlp", OTEL_BSP_SCHEDULE_DELAY=500)

    def traffic(self, seconds, name="traffic"):
        self.running.start(name, BINARIES / "traffic", API_URL=self.url("api-server"),
                           REALITY_URL=self.url("reality-server"), TRAFFIC_SECONDS=seconds, TRAFFIC_RATE=20)

    def fault(self, fault):
        send(self.url("model") + "/fault", fault, "PUT")

    def firing_pages(self):
        pages = self.prometheus.query('ALERTS{alertstate="firing",severity="page"}')
        return {each["metric"]["alertname"] for each in pages} - TOLERATED

    def attack(self):
        """Sends logins with wrong passwords, four at a time. Returns a function that ends the attack."""
        ended = threading.Event()

        def guess():
            while not ended.is_set():
                send(self.url("api-server") + "/login", {"email": "user@example.com", "password": "letmein"})

        for _ in range(4):
            threading.Thread(target=guess, daemon=True).start()
        return ended.set

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

    def stick_a_job(self):
        """Adds a job that was queued 20 minutes ago and is due in an hour."""
        now = int(time.time() * 1000)
        self.database.execute(
            "insert into jobs (id, kind, owner, subject, context, state, attempts, queued_at, due_at)"
            f" values ('stuck', 'statement', '', '', '{{}}', 'queued', 0, {now - 1_200_000}, {now + 3_600_000})")
