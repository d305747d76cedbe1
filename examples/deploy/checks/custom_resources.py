"""Validates Gateway API and Prometheus operator objects: custom_resources.py FOLDER FILE..

The npm packages @kubernetes-models/* in FOLDER contain validators that are generated from the published
CRDs. They ignore unknown fields, as the API server does, so the objects are type-checked as well.
"""

import json
import pathlib
import subprocess
import sys

import yaml
from custom_groups import CUSTOM_GROUPS


VALIDATE = """
const faults = [];
for (const [model, kind, object] of objects) {
    const { [kind]: Model } = await import(model);
    try { new Model(object).validate(); } catch (error) { faults.push(`${kind} ${object.metadata.name}: ${error.message}`); }
}
console.log(faults.join("\\n"));
process.exit(faults.length && 1);
"""


def module(each):
    group, version = each["apiVersion"].split("/")
    return f"@kubernetes-models/{CUSTOM_GROUPS[group]}/{group}/{version}/{each['kind']}"


folder = pathlib.Path(sys.argv[1])
objects = [each for file in sys.argv[2:] for each in yaml.safe_load_all(pathlib.Path(file).read_text())
           if each and each["apiVersion"].split("/")[0] in CUSTOM_GROUPS]
if not objects:
    sys.exit("no custom resources")
kinds = {module(each): each["kind"] for each in objects}
listed = json.dumps([[module(each), each["kind"], each] for each in objects])
(folder / "validate.mjs").write_text(f"const objects = {listed};\n{VALIDATE}")
types = [f"import type {{ I{kind} }} from '{path}';" for path, kind in kinds.items()]
types += [f"export const o{number}: I{each['kind']} = {json.dumps(each)};" for number, each in enumerate(objects)]
(folder / "resources.ts").write_text("\n".join(types) + "\n")
tsc = ["node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler",
       "--module", "esnext", "--target", "es2022", "resources.ts"]
for command in (["node", "validate.mjs"], tsc):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr)
        sys.exit(1)
