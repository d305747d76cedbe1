"""Checks dashboards: data sources are provisioned, ids and titles are unique, queries parse."""

import json
import pathlib
import subprocess
import sys
import tempfile

import yaml
from queries import panels, query

faults = []
sources = yaml.safe_load(pathlib.Path("grafana/provisioning/datasources/datasources.yaml").read_text())
known = {source["uid"] for source in sources["datasources"]}
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
    if target["datasource"]["uid"] not in known:
        faults.append(f"{title}: its data source is not provisioned")
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
