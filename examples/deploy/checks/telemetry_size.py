"""Measures the size of spans and log records of the example, for SCALING.md: telemetry_size.py FOLDER-OF-PROGRAMS

The services send OTLP over HTTP to a server that counts bytes and records, for a minute of traffic.
"""

import gzip
import http.server
import pathlib
import sys
import tempfile
import threading
import time
from collections import Counter

import services
from running import LOOPBACK, Running, free_port, send

SECONDS = 60
counts = Counter()


def fields(message, wanted):
    """Yields the length-delimited fields with a number of a protobuf message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 2:
            length = varint()
            if key >> 3 == wanted:
                yield message[at : at + length]
            at += length
        elif key & 7 == 0:
            varint()
        else:
            at += 8 if key & 7 == 1 else 4


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        kind = self.path.rpartition("/")[2]
        counts[kind, "bytes"] += len(body)
        counts[kind, "compressed"] += len(gzip.compress(body))
        # Resources, then scopes, then spans or log records.
        counts[kind, "records"] += sum(1 for resource in fields(body, 1) for scope in fields(resource, 2) for _ in fields(scope, 2))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    programs = pathlib.Path(sys.argv[1]).resolve()
    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, Running(folder) as running:
        ports = {name: free_port() for name in (*services.SERVICES, "model")}
        url = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items()}
        services.start_model(running, programs, ports)
        for name in services.SERVICES:
            services.start(running, programs, name, ports, OTEL_LOGS_EXPORTER="otlp", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
                           OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{LOOPBACK}:{server.server_port}")
        running.start("traffic", programs / "traffic", API_URL=url["api-server"], REALITY_URL=url["reality-server"],
                      TRAFFIC_SECONDS=SECONDS, TRAFFIC_RATE=20)
        time.sleep(SECONDS + 10)
        served = 0
        for name in ("api-server", "reality-server"):
            lines = send(url[name] + "/metrics")[1].splitlines()
            served += sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("http_requests_total{"))
    print(f"requests served: {served:.0f}")
    for kind in ("traces", "logs"):
        records = counts[kind, "records"]
        if not records:
            print(f"{kind}: nothing was sent")
            continue
        print(f"{kind}: {records} records, {records / served:.2f} for each request, {counts[kind, 'bytes'] / records:.0f} bytes each,"
              f" {counts[kind, 'compressed'] / records:.0f} compressed with gzip")


main()
