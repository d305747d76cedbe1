#!/usr/bin/env python3
"""Writes rules.yaml: the rules of ../../prometheus/rules as PrometheusRule objects.

    python3 examples/deploy/kubernetes/operator/rules.py
"""

import pathlib

FOLDER = pathlib.Path(__file__).parent
# The cluster watches its own Prometheus and Alertmanager.
OF_THE_CLUSTER = {"delivery"}
HEAD = """apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {name}
spec:
"""


def main():
    objects = []
    for file in sorted((FOLDER / "../../prometheus/rules").glob("*.yml")):
        if file.stem in OF_THE_CLUSTER:
            continue
        lines = file.read_text(encoding="utf-8").splitlines()
        groups = "\n".join(f"  {line}" if line else "" for line in lines[lines.index("groups:"):])
        objects.append(HEAD.format(name=f"property-management-{file.stem}") + groups + "\n")
    text = "# Written by rules.py from prometheus/rules.\n" + "---\n".join(objects)
    (FOLDER / "rules.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
