"""Sends alerts to a real Alertmanager with the configuration of this folder, and checks what it inhibits."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import yaml
from running import LOOPBACK, Running, free_port, send, until

# Firing alerts, and those of them that must not be sent.
CASES = """
DatabaseFailing/api ErrorBudgetBurnFast/api LatencyBudgetBurnFast/api => ErrorBudgetBurnFast/api LatencyBudgetBurnFast/api
DatabaseFailing/api ErrorBudgetBurnFast/reality-server =>
ErrorBudgetBurnFast/api ErrorBudgetBurnSlow/api => ErrorBudgetBurnSlow/api
LatencyBudgetBurnFast/api LatencyBudgetBurnSlow/api LatencyBudgetBurnSlow/jobs => LatencyBudgetBurnSlow/api
TargetDown/reality-server DependencyFailing/api/reality-server:8081 ErrorBudgetBurnFast/api => DependencyFailing/api/reality-server:8081 ErrorBudgetBurnFast/api
TargetDown/reality-server DependencyFailing/api/api.openai.com:443 =>
ModelProviderFailing/api DependencyFailing/api/api.openai.com:443 ErrorBudgetBurnFast/api => DependencyFailing/api/api.openai.com:443 ErrorBudgetBurnFast/api
ModelProviderFailing/api DependencyFailing/api/reality-server:8081 =>
DatabaseFailing/jobs JobsLate/jobs JobsFailing/jobs JobsPileUp/jobs => JobsLate/jobs JobsFailing/jobs JobsPileUp/jobs
RouteHangs/api LatencyBudgetBurnFast/api RequestsPileUp/api => LatencyBudgetBurnFast/api RequestsPileUp/api
TargetDown/api InstanceDown/api NoTraffic/api => InstanceDown/api NoTraffic/api
InstanceDown/collector SpansDropped/api LogRecordsDropped/jobs => SpansDropped/api LogRecordsDropped/jobs
InstanceDown/api SpansDropped/api =>
LoginAttack/api LatencyBudgetBurnFast/api => LatencyBudgetBurnFast/api
LoginAttack/api DependencyFailing/api/h:1 DatabaseFailing/api =>
RouteHangs/api ModelProviderFailing/api DependencyFailing/api/h:1 MostRequestsFail/api ErrorBudgetBurnFast/api => DependencyFailing/api/h:1 ErrorBudgetBurnFast/api
DatabaseFailing/api MostRequestsFail/api => MostRequestsFail/api
MostRequestsFail/api ErrorBudgetBurnFast/api ErrorBudgetBurnSlow/api LatencyBudgetBurnFast/api => ErrorBudgetBurnFast/api ErrorBudgetBurnSlow/api
TargetMissing/reality-server DependencyFailing/api/reality-server:8081 NoTraffic/reality-server => DependencyFailing/api/reality-server:8081 NoTraffic/reality-server
TelemetryMissing/@collector SpansDropped/api LogRecordsDropped/jobs => SpansDropped/api LogRecordsDropped/jobs
TelemetryMissing/@trace-store SpansDropped/api =>
CollectorRefusesData/collector SpansDropped/api => SpansDropped/api
InstanceDown/collector-agent CollectorRefusesData/collector-agent SpansDropped/api =>
other:TargetDown/api other:DatabaseFailing/api ErrorBudgetBurnFast/api InstanceDown/api NoTraffic/api =>
TargetDown/api other:InstanceDown/api other:ErrorBudgetBurnFast/api =>
other:TelemetryMissing/@collector other:InstanceDown/collector SpansDropped/api =>
"""


def severities():
    rules = [rule for file in Path("prometheus/rules").glob("*.yml") for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule["labels"]["severity"] for rule in rules if "alert" in rule}


SEVERITIES = severities()


def alert(text):
    """Returns the alert NAMESPACE:NAME/JOB/HOST. The namespace and the host can be missing, and @PART is no job."""
    namespace = "other" if text.startswith("other:") else "property-management"
    text = text.removeprefix("other:")
    name, job, *host = text.split("/")
    labels = {"alertname": name, "severity": SEVERITIES[name], "namespace": namespace}
    labels |= {"part": job[1:]} if job.startswith("@") else {"job": job}
    return {"labels": labels | ({"host": host[0]} if host else {})}


def inhibited(url):
    """Returns the labels of the inhibited alerts, or None while Alertmanager has not processed them."""
    listed = json.loads(send(f"{url}/api/v2/alerts")[1])
    if not listed or any(each["status"]["state"] == "unprocessed" for each in listed):
        return None
    return {tuple(sorted(each["labels"].items())) for each in listed if each["status"]["inhibitedBy"]}


def run(case):
    firing, _, expected = case.partition("=>")
    with tempfile.TemporaryDirectory() as folder, Running(folder) as running:
        port = free_port()
        # Nothing listens at the receivers. Groups are processed at once.
        config = Path("alertmanager/alertmanager.yml").read_text().replace("group_wait: 30s", "group_wait: 0s")
        (running.folder / "alertmanager.yml").write_text(config.replace("alerts.example.com", LOOPBACK))
        running.start("alertmanager", shutil.which("prometheus-alertmanager"), "--config.file=alertmanager.yml",
                      "--storage.path=data", f"--web.listen-address={LOOPBACK}:{port}", "--cluster.listen-address=")
        url = f"http://{LOOPBACK}:{port}"
        until(lambda: send(f"{url}/-/ready")[0] == 200, 20)
        send(f"{url}/api/v2/alerts", [alert(each) for each in firing.split()])
        wanted = {tuple(sorted(alert(each)["labels"].items())) for each in expected.split()}
        until(lambda: inhibited(url) == wanted, 10)
        found = inhibited(url)
        if found != wanted:
            yield f"{case}\n  inhibited: {found}"


faults = [fault for case in CASES.strip().splitlines() for fault in run(case)]
print("\n".join(faults))
sys.exit(bool(faults))
