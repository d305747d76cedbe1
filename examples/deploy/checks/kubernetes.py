"""Checks what schemas cannot: selectors, named ports, references, image versions, limits and probes."""

import pathlib
import sys

import yaml

objects = [each for each in yaml.safe_load_all(pathlib.Path(sys.argv[1]).read_text()) if each]
workloads = [each for each in objects if each["kind"] in ("Deployment", "DaemonSet", "StatefulSet")]
# Created manually, as described in README.md.
secrets = {"property-management", "object-storage", "collector-tls"}
SCRAPED = {"operations", "metrics", "http-metrics"}
used = set()
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
    if len(SCRAPED & ports(pod).keys()) != 1:
        faults.append(f"{name} has no port that is scraped, or several")
    for volume in pod["spec"].get("volumes", []):
        if "configMap" in volume and volume["configMap"]["name"] not in configs:
            faults.append(f"{name}: no configuration {volume['configMap']['name']}")
        if "secret" in volume and volume["secret"]["secretName"] not in secrets:
            faults.append(f"{name}: an unknown secret {volume['secret']['secretName']}")
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
            used |= {secret["key"]} if secret else set()

# The version label, the tag of the image and service.version are one value.
for each in workloads:
    for container in each["spec"]["template"]["spec"]["containers"]:
        image, _, tag = container["image"].rpartition(":")
        if image.endswith("/property-management") and each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"] != tag:
            faults.append(f"{each['metadata']['name']}: the version label is not the tag {tag}")

# A release must not change a volumeClaimTemplate, which is immutable, nor restart what is not released.
VERSION = "app.kubernetes.io/version"
for each in workloads:
    name, pod = each["metadata"]["name"], each["spec"]["template"]
    for claim in each["spec"].get("volumeClaimTemplates", []):
        if VERSION in claim["metadata"].get("labels", {}):
            faults.append(f"{name}: a volumeClaimTemplate with a version")
    if VERSION in pod["metadata"]["labels"] and pod["metadata"]["labels"].get("tier") != "service":
        faults.append(f"{name}: the pods of another program have the version of the services")

# prometheus/rules/pipeline.yml has the memory limits of the collectors.
rules = yaml.safe_load(pathlib.Path("prometheus/rules/pipeline.yml").read_text())["groups"][0]["rules"]
limits = {rule["labels"]["job"]: rule["expr"] for rule in rules if rule.get("record") == "job:collector_memory_limit:bytes"}
for each in workloads:
    if each["metadata"]["name"] in limits:
        limit = each["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
        mebibytes = int(limit[:-2]) * (1024 if limit.endswith("Gi") else 1)
        if limits[each["metadata"]["name"]] != f"vector({mebibytes} * 1024 * 1024)":
            faults.append(f"{each['metadata']['name']}: the limit {limit} is another one in pipeline.yml")

# The PodMonitor sets the same labels as the scrape configuration of plain/, and the operator sets namespace and pod.
NAMES = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
plain = yaml.safe_load(pathlib.Path("prometheus/kubernetes.yml").read_text())["scrape_configs"][0]["relabel_configs"]
BY_OPERATOR = ({"target_label": "namespace"}, {"target_label": "pod"}, {"action": "keep"})
expected = [rule for rule in plain if not any(rule | part == rule for part in BY_OPERATOR)]
for monitor in (each for each in objects if each["kind"] == "PodMonitor"):
    for endpoint in monitor["spec"]["podMetricsEndpoints"]:
        rules = [{NAMES.get(key, key): value for key, value in rule.items()} for rule in endpoint["relabelings"]]
        if sorted(map(str, map(sorted, (rule.items() for rule in rules)))) != sorted(map(str, map(sorted, (rule.items() for rule in expected)))):
            faults.append(f"the port {endpoint['port']} of the PodMonitor has other labels than prometheus/kubernetes.yml")
    if {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} != SCRAPED:
        faults.append("the PodMonitor scrapes other ports")

names = {(each["kind"], each["metadata"]["name"]) for each in objects}
for each in objects:
    if each["kind"] == "HorizontalPodAutoscaler":
        target = each["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) not in names:
            faults.append(f"HorizontalPodAutoscaler {each['metadata']['name']} scales nothing")
if used != {"DATABASE_URL", "JWT_SECRET", "LLM_API_KEY"}:
    faults.append(f"README.md creates other keys than the pods use: {used}")

print("\n".join(faults))
sys.exit(bool(faults))
