"""Starts processes on loopback and sends requests to them."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

LOOPBACK = "127.0.0.1"


def free_port():
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return listener.getsockname()[1]


def send(url, body=None, method=None):
    """Sends a request. Returns status and text; status 0 without a response."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def until(condition, seconds):
    """Polls a condition until it is true or the time is over. Returns its last value."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.3)
    return value


class Running:
    """Processes with their files in one folder. All are stopped at the end of the block."""

    def __init__(self, folder):
        self.folder, self.processes = pathlib.Path(folder), {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in list(self.processes):
            self.stop(name)

    def start(self, name, *command, **variables):
        log = (self.folder / f"{name}.log").open("ab")
        environment = os.environ | {key: str(value) for key, value in variables.items()}
        self.processes[name] = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, env=environment, cwd=self.folder
        )

    def stop(self, name):
        process = self.processes.pop(name)
        process.terminate()
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def signal(self, name, number):
        self.processes[name].send_signal(number)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")


class Prometheus:
    def __init__(self, address):
        self.address = address

    def query(self, expr):
        status, text = send(f"{self.address}/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
        if status != 200:
            return []
        return json.loads(text)["data"]["result"]

    def firing(self):
        return {each["metric"]["alertname"] for each in self.query('ALERTS{alertstate="firing"}')}
