"""Starts the services of the example."""

import pathlib
import sys

from running import LOOPBACK, send, until

SERVICES = ("api-server", "reality-server", "jobs")


def start(running, binaries, name, ports, **variables):
    """Starts a service and waits until it serves. `ports` has those of the services and of the model."""
    url = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items()}
    running.start(
        name, pathlib.Path(binaries).resolve() / name, LISTEN_ADDR=f"{LOOPBACK}:{ports[name]}",
        REALITY_URL=url["reality-server"], LLM_BASE_URL=url["model"] + "/v1", LLM_API_KEY="none",
        JWT_SECRET="for-this-test-only-for-this-test-only",
        **({"DATABASE_URL": f"sqlite://{running.folder / 'property-management.db'}", "OTEL_TRACES_SAMPLER": "always_on"} | variables))
    if not until(lambda: send(url[name] + "/readyz")[0] == 200, 30):
        sys.exit(f"{name} did not start: {running.log(name)[-600:]}")


def start_model(running, binaries, ports):
    """Starts the fake model provider."""
    running.start("model", pathlib.Path(binaries).resolve() / "model-stand-in", LISTEN_ADDR=f"{LOOPBACK}:{ports['model']}")
