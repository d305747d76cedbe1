"""Writes TypeScript that compiles if dashboards have the types of @grafana/schema: dashboard_types.py FILE.."""

import json
import pathlib
import sys

PANELS = {"timeseries": "TimeSeries", "stat": "Stat", "table": "Table", "logs": "Logs"}

print("import type { Dashboard } from '@grafana/schema';")
for kind, name in PANELS.items():
    path = f"@grafana/schema/dist/esm/raw/composable/{kind}/panelcfg/x/{name}PanelCfg_types.gen"
    print(f"import type * as {kind} from '{path}';")
# Enums appear in JSON by value. Grafana fills in omitted fields.
print(
    """
type Json<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
    : T extends (infer U)[] ? Json<U>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Some<T> = T extends (infer U)[] ? Some<U>[] : T extends object ? { [K in keyof T]?: Some<T[K]> } : T;
"""
)
for number, file in enumerate(map(pathlib.Path, sys.argv[1:])):
    dashboard = json.loads(file.read_text())
    print(f"export const {file.stem}_{number}_dashboard: Json<Dashboard> = {json.dumps(dashboard)};")
    for panel in dashboard["panels"]:
        # The package has no types for the panel of a trace, which has no options.
        if panel["type"] == "traces":
            continue
        kind, name = panel["type"], f"{file.stem}_{number}_{panel['id']}"
        print(f"export const {name}_options: Some<Json<{kind}.Options>> = {json.dumps(panel['options'])};")
        if kind == "timeseries":
            custom = panel["fieldConfig"]["defaults"]["custom"]
            print(f"export const {name}_custom: Some<Json<{kind}.FieldConfig>> = {json.dumps(custom)};")
