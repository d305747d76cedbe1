"""Checks what schemas cannot: selectors, named ports, references, image versions, limits and probes."""

import pathlib
import sys

import yaml

objects = [each for each in yaml.safe_load_all(pathlib.Path(sys.argv[1]).read_text()) if each]
workloads = [each for each in objects if each["kind"] in ("Deployment", "DaemonSet", "StatefulSet")]
# Created manually, as described in README.md.
secrets = {"property-management", "tempo-s3"}
configs = {each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"}
faults = []


def pods(selector):
    labels = selector.get("matchLabels", {}) if {"matchLabels", "matchExpressions"} & selector.keys() else selector
    found = [each["spec"]["template"] for each in workloads]
    for rule in selector.get("matchExpressions", []):
        found = [pod for pod in found if pod["metadata"]["labels"].get(rule["key"]) in rule["values"]]
    return [pod for pod in found if labels.items() <= pod["metadata"]["labels"].items()]


def ports(pod):
    return {port["name"]: port["containerPort"] for container in pod["spec"]["containers"] for port in container["ports"]}


for each in objects:
    name, spec = f"{each['kind']} {each['metadata']['name']}", each.get("spec", {})
    if each["kind"] == "Service":
        for pod in (found := pods(spec["selector"])):
            faults += [f"{name}: no port {port['targetPort']}" for port in spec["ports"] if port["targetPort"] not in ports(pod)]
        if not found:
            faults.append(f"{name} selects nothing")
    if each["kind"] == "PodDisruptionBudget" and not pods(spec["selector"]):
        faults.append(f"{name} selects nothing")
    if each["kind"] == "NetworkPolicy":
        if not pods(spec["podSelector"]):
            faults.append(f"{name} selects nothing")
        for rule in spec.get("ingress", []) + spec.get("egress", []):
            for peer in rule.get("from", []) + rule.get("to", []):
                if "podSelector" in peer and not pods(peer["podSelector"]):
                    faults.append(f"{name}: no pod matches {peer['podSelector']}")

for each in workloads:
    name, pod = each["metadata"]["name"], each["spec"]["template"]
    if not pods(each["spec"]["selector"]):
        faults.append(f"{name} does not select its own pods")
    annotations = pod["metadata"].get("annotations", {})
    if int(annotations.get("prometheus.io/port", 0)) not in ports(pod).values():
        faults.append(f"{name} is scraped at a port it does not have")
    for volume in pod["spec"].get("volumes", []):
        if "configMap" in volume and volume["configMap"]["name"] not in configs:
            faults.append(f"{name}: no configuration {volume['configMap']['name']}")
    for container in pod["spec"]["containers"]:
        if ":" not in container["image"].rpartition("/")[2]:
            faults.append(f"{name}: an image without a version")
        if not container.get("resources", {}).get("limits", {}).get("memory"):
            faults.append(f"{name}: no memory limit")
        if not (container.get("readinessProbe") and container.get("livenessProbe")):
            faults.append(f"{name}: no probes")
        if not container["securityContext"].get("readOnlyRootFilesystem"):
            faults.append(f"{name}: the root file system is writable")
        for source in container.get("envFrom", []):
            if "configMapRef" in source and source["configMapRef"]["name"] not in configs:
                faults.append(f"{name}: no configuration {source['configMapRef']['name']}")
            if "secretRef" in source and source["secretRef"]["name"] not in secrets:
                faults.append(f"{name}: an unknown secret {source['secretRef']['name']}")
        for variable in container.get("env", []):
            secret = variable.get("valueFrom", {}).get("secretKeyRef")
            if secret and secret["name"] not in secrets:
                faults.append(f"{name}: an unknown secret {secret['name']}")

print("\n".join(faults))
sys.exit(bool(faults))
