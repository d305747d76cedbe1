#!/usr/bin/env python3
"""Writes alertmanager-config.yaml: the routes and inhibition rules of ../../alertmanager as an AlertmanagerConfig object.

    python3 examples/deploy/kubernetes/operator/alertmanager_config.py
"""

import pathlib
import re

import yaml

FOLDER = pathlib.Path(__file__).parent
SPELLED = {"group_by": "groupBy", "group_wait": "groupWait", "group_interval": "groupInterval", "repeat_interval": "repeatInterval",
           "webhook_configs": "webhookConfigs", "source_matchers": "sourceMatch", "target_matchers": "targetMatch"}


def matcher(text):
    """Returns a matcher. kustomize writes `=` without quotes, which YAML 1.1 reads as no text: a pattern without
    special characters matches the same."""
    name, operator, value = re.fullmatch(r'(\w+) (=~|!~|=) "(.*)"', text).groups()
    return {"name": name, "matchType": "=~" if operator == "=" else operator, "value": value}


def converted(value):
    """Returns a part of the configuration in the spelling of the operator."""
    if isinstance(value, list):
        return [converted(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {SPELLED.get(key, key): [matcher(text) for text in part] if key.endswith("matchers") else converted(part)
            for key, part in value.items()}


def main():
    config = yaml.safe_load((FOLDER / "../../alertmanager/alertmanager.yml").read_text(encoding="utf-8"))
    spec = converted({"route": config["route"], "receivers": config["receivers"]})
    spec["inhibitRules"] = converted(config["inhibit_rules"])
    found = {"apiVersion": "monitoring.coreos.com/v1alpha1", "kind": "AlertmanagerConfig",
             "metadata": {"name": "property-management"}, "spec": spec}
    text = "# Written by alertmanager_config.py from alertmanager/alertmanager.yml.\n" + yaml.safe_dump(found, sort_keys=False, width=140)
    (FOLDER / "alertmanager-config.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
