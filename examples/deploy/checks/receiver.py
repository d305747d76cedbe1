"""Receives the notifications of Alertmanager."""

import http.server
import json
import threading


class Receiver:
    def __init__(self, port):
        self.received = []
        received = self.received

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                message = json.loads(self.rfile.read(int(self.headers["content-length"])))
                for alert in message["alerts"]:
                    received.append((alert["labels"]["alertname"], alert["status"], self.path))
                self.send_response(200)
                self.end_headers()

            def do_GET(self):
                """Answers a scrape of a part that does not run here."""
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def has(self, alert, status, path, since=0):
        return (alert, status, path) in self.received[since:]

    def pages(self, since):
        """Returns the names of the pages that fire after a number of notifications."""
        return {alert for alert, status, path in self.received[since:] if status == "firing" and path == "/page"}
