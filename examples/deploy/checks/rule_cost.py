"""Measures the CPU time that a real Prometheus spends on the rules: rule_cost.py [RULES-FOLDER] [SECONDS]

Three days of samples, one every 15 s, are written by remote write for one and for four processes of the
api-server. Every rule is evaluated every SECONDS (15); fewer seconds measure cheap rules better. The CPU
time without rules is subtracted. The recorded series have a history too, as they have in a Prometheus that
has run for three days.
"""

import pathlib
import re
import shutil
import struct
import sys
import tempfile
import time
import urllib.request

from running import LOOPBACK, Prometheus, Running, free_port, until

STEP, DAYS, WINDOW = 15, 3, 60
CHUNK = 7200
TICKS_PER_SECOND = 100
BUCKETS = ["0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10", "+Inf"]


def varint(number):
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(encoded) + bytes([number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def labels(values):
    pairs = sorted(values.items())
    return b"".join(field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in pairs)


def samples(values):
    """Encodes pairs of milliseconds and value."""
    return b"".join(field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(at)) for at, value in values)


def snappy(content):
    """Encodes as literals, without compression."""
    parts = [varint(len(content))]
    for start in range(0, len(content), 65536):
        part = content[start : start + 65536]
        parts.append(b"\xf4" + struct.pack("<H", len(part) - 1) + part)
    return b"".join(parts)


def process_series(number):
    """Yields the labels of the series of one api-server: its histograms have 14 boundaries."""
    own = {"namespace": "property-management", "job": "api-server", "instance": f"pod-{number}"}

    def histogram(name, **more):
        for bucket in BUCKETS:
            yield own | more | {"__name__": f"{name}_bucket", "le": bucket}
        for suffix in ("count", "sum"):
            yield own | more | {"__name__": f"{name}_{suffix}"}

    for route in range(15):
        key = {"method": "GET", "path": f"/route-{route}"}
        yield from histogram("http_request_duration_seconds", **key)
        for status in ("200", "404", "500"):
            yield own | key | {"__name__": "http_requests_total", "status": status}
        yield own | key | {"__name__": "http_responses_aborted_total"}
    for host in range(4):
        key = {"method": "GET", "host": f"host-{host}"}
        yield from histogram("http_client_request_duration_seconds", **key)
        for status in ("200", "500"):
            yield own | key | {"__name__": "http_client_requests_total", "status": status}
    for kind in range(16):
        key = {"query_type": f"kind_{kind}"}
        yield from histogram("db_query_duration_seconds", **key)
        yield own | key | {"__name__": "db_errors_total"}
    yield own | {"__name__": "up"}


def recorded_names(rules):
    """Returns the names of the series that are recorded by job."""
    return re.findall(r"record: (job:\S+)", "".join(file.read_text() for file in rules.glob("*.yml")))


def fill(address, series, recorded, start, end):
    for first in range(start, end, CHUNK):
        times = range(first, min(first + CHUNK, end), STEP)
        rising = samples((at * 1000, float(at - start)) for at in times)
        constant = samples((at * 1000, 1.0) for at in times)
        body = b"".join(field(1, names + rising) for names in series) + b"".join(field(1, names + constant) for names in recorded)
        headers = {"content-encoding": "snappy", "content-type": "application/x-protobuf", "x-prometheus-remote-write-version": "0.1.0"}
        urllib.request.urlopen(urllib.request.Request(f"{address}/api/v1/write", snappy(body), headers), timeout=120).read()


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def measure(rules, interval, processes):
    """Returns the number of series, and the CPU seconds of one evaluation of all rules."""
    with tempfile.TemporaryDirectory() as folder, Running(folder) as running:
        config = running.folder / "prometheus.yml"
        config.write_text("global: {}\n")
        port = free_port()
        command = [shutil.which("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                   f"--web.listen-address={LOOPBACK}:{port}", "--web.enable-remote-write-receiver", "--web.enable-lifecycle"]
        running.start("prometheus", *command)
        prometheus = Prometheus(f"http://{LOOPBACK}:{port}")
        until(lambda: prometheus.query("vector(1)"), 30)
        series = [labels(each) for number in range(processes) for each in process_series(number)]
        recorded = [labels({"__name__": name, "namespace": "property-management", "job": "api-server"}) for name in recorded_names(rules)]
        now = int(time.time())
        fill(prometheus.address, series, recorded, now - DAYS * 86400, now + 240)
        # A restart compacts and releases what the import left behind.
        running.stop("prometheus")

        def spent():
            running.start("prometheus", *command)
            until(lambda: prometheus.query("vector(1)"), 60)
            time.sleep(2 * STEP)
            process = running.processes["prometheus"]
            before = cpu_seconds(process)
            time.sleep(WINDOW)
            cpu = cpu_seconds(process) - before
            running.stop("prometheus")
            return cpu * interval / WINDOW

        idle = spent()
        for file in rules.glob("*.yml"):
            (running.folder / f"{file.stem}.rules").write_text(re.sub(r"\n    interval: .*", "", file.read_text()))
        config.write_text(f"global: {{evaluation_interval: {interval}s}}\nrule_files: ['*.rules']\n")
        return len(series), spent() - idle


def main():
    rules = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "prometheus/rules")
    interval = int(sys.argv[2] if len(sys.argv) > 2 else STEP)
    results = {processes: measure(rules, interval, processes) for processes in (1, 4)}
    for processes, (series, cpu) in results.items():
        print(f"{processes} processes, {series} series: {cpu:.4f} CPU seconds for each evaluation")
    growth = (results[4][1] - results[1][1]) / 3
    print(f"each further process: {growth:.4f} CPU seconds for each evaluation")


main()
