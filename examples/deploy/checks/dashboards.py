"""Checks dashboards: data sources are provisioned, ids and titles are unique, queries parse."""

import json
import pathlib
import subprocess
import sys
import tempfile

import yaml
from queries import panels, query

faults = []
PROVISIONED = {"dashboards": ["grafana/provisioning/datasources/datasources.yaml"], "dashboards-tempo": ["kubernetes/plain/datasources.yaml"]}
for folder, provisioned in PROVISIONED.items():
    known = {source["uid"] for file in provisioned for source in yaml.safe_load(pathlib.Path(file).read_text())["datasources"]}
    for source in (each for file in provisioned for each in yaml.safe_load(pathlib.Path(file).read_text())["datasources"]):
        # Exemplars and log lines link to the dashboard of traces, and spans to their log records.
        data, where = source["jsonData"], f"{provisioned[0]} / {source['name']}"
        links = {"prometheus": "exemplarTraceIdDestinations", "loki": "derivedFields"}.get(source["type"])
        if links and [link["url"] for link in data[links]] != ["/d/pm-traces?var-trace_id=$${__value.raw}"]:
            faults.append(f"{where}: {links} do not link to the dashboard of traces")
        if not links and (data["tracesToLogsV2"]["datasourceUid"] != "loki" or not data["tracesToLogsV2"]["filterByTraceID"]):
            faults.append(f"{where}: spans do not link to their log records")
    for file in pathlib.Path("grafana", folder).glob("*.json"):
        for panel in json.loads(file.read_text())["panels"]:
            faults += [f"{file} / {panel['title']}: its data source is not provisioned"
                       for target in panel["targets"] if target["datasource"]["uid"] not in known]
            latency = panel["type"] == "timeseries" and any("histogram_quantile" in str(target.get("expr")) for target in panel["targets"])
            if latency and not all(target.get("exemplar") for target in panel["targets"]):
                faults.append(f"{file} / {panel['title']}: no exemplars")
for file in ("compose.yaml", "kubernetes/plain/prometheus.yaml"):
    if "- --enable-feature=exemplar-storage" not in pathlib.Path(file).read_text():
        faults.append(f"{file}: Prometheus does not store exemplars")
files = {file.name for file in pathlib.Path("grafana/dashboards").glob("*.json")}
shipped = yaml.safe_load(pathlib.Path("grafana/kustomization.yaml").read_text())["configMapGenerator"][0]["files"]
if {pathlib.Path(file).name for file in shipped} != files:
    faults.append("kustomization.yaml does not ship every dashboard")

rules, uids = [], []
for dashboard in (json.loads(pathlib.Path("grafana/dashboards", file).read_text()) for file in sorted(files)):
    uids.append(dashboard["uid"])
    titles = [panel["title"] for panel in dashboard["panels"]]
    faults += [f"{dashboard['title']} has two panels {title}" for title in titles if titles.count(title) > 1]
for title, target in panels():
    rules.append({"record": f"query:{len(rules)}", "expr": query(target, "5m")})
if len(set(uids)) != len(uids):
    faults.append("two dashboards have the same uid")

with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
    json.dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
    file.flush()
    checked = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
if checked.returncode or f"{len(rules)} rules found" not in checked.stdout:
    faults.append(checked.stdout + checked.stderr)
print("\n".join(faults))
sys.exit(bool(faults))
