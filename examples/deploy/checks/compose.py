"""Checks the compose file: mounts, image versions, loopback ports, and the targets of Prometheus."""

import pathlib
import sys

import yaml

services = yaml.safe_load(pathlib.Path("compose.yaml").read_text())["services"]
faults = []
for name, service in services.items():
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith(".") and not pathlib.Path(source).exists():
            faults.append(f"{name} mounts {source}, which does not exist")
    if "build" in service:
        context = pathlib.Path(service["build"]["context"])
        if not (context / service["build"]["dockerfile"]).exists() or not (context / "Cargo.toml").exists():
            faults.append(f"{name}: no Dockerfile or no Cargo.toml")
    elif ":" not in service["image"] or service["image"].endswith(":latest"):
        faults.append(f"{name} has an image without a version")
    faults += [f"{name}: port {port} is not on loopback" for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]

for job in yaml.safe_load(pathlib.Path("prometheus/prometheus.yml").read_text())["scrape_configs"]:
    for target in job["static_configs"][0]["targets"]:
        if target.split(":")[0] not in services.keys() | {"localhost"}:
            faults.append(f"Prometheus scrapes {target}, which is no service")
rules = pathlib.Path("prometheus/rules/pipeline.yml").read_text()
if services["collector"]["mem_limit"] != "512m" or "vector(512 * 1024 * 1024)" not in rules:
    faults.append("the memory limit of the collector is another one in pipeline.yml")
print("\n".join(faults))
sys.exit(bool(faults))
