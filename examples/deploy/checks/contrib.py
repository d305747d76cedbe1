"""Checks the collector components that only the contrib distribution has: their settings exist and have the right type, and tail
sampling waits longer than the longest request.

The collector of these checks has no contrib components. The settings below are the ones that the components publish: tail_sampling
and loadbalancing in their `config.schema.yaml`, file_storage in its README (contrib 0.162). Settings that the
configurations do not need are left out.
"""

import pathlib
import re
import sys

import yaml

# Seconds: OTEL_BSP_SCHEDULE_DELAY, flush_timeout of the agents, and what a busy system adds.
EXPORT_DELAY, AGENT_DELAY, MARGIN = 5, 1, 5
DURATION = r"\d+(ms|s|m|h)"
SETTINGS = {
    "tail_sampling": {
        "decision_wait": DURATION,
        "num_traces": int,
        "expected_new_traces_per_sec": int,
        "decision_cache": {"sampled_cache_size": int, "non_sampled_cache_size": int},
        "policies": [{
            "name": str,
            "type": "status_code|latency|probabilistic",
            "status_code": {"status_codes": ["OK|ERROR|UNSET"]},
            "latency": {"threshold_ms": int, "upper_threshold_ms": int},
            "probabilistic": {"sampling_percentage": (int, float)},
        }],
    },
    "loadbalancing": {
        "routing_key": "traceID|service|metric|resource|streamID|attributes",
        # The settings of the OTLP exporter, which the collector of these checks validates elsewhere.
        "protocol": {"otlp": {"tls": {"insecure": r"\$\{env:\w+:-true\}", "server_name_override": str, "ca_file": str, "cert_file": str, "key_file": str, "reload_interval": DURATION}}},
        "resolver": {"dns": {"hostname": str, "port": r"\d+", "interval": DURATION, "timeout": DURATION}},
    },
    "file_storage": {
        "directory": str,
        "create_directory": bool,
        "compaction": {"on_start": bool, "on_rebound": bool, "directory": str},
    },
}


def differences(found, expected, where):
    """Yields the settings that are unknown or have another type."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            yield f"{where} is {found!r}, and not a mapping"
            return
        for key, value in found.items():
            if key not in expected:
                yield f"{where}.{key} does not exist"
            else:
                yield from differences(value, expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        if not isinstance(found, list):
            yield f"{where} is {found!r}, and not a list"
            return
        for number, item in enumerate(found):
            yield from differences(item, expected[0], f"{where}[{number}]")
    elif isinstance(expected, str):
        if not isinstance(found, str) or not re.fullmatch(expected, found):
            yield f"{where} is {found!r} (expected {expected})"
    elif not isinstance(found, expected) or (isinstance(found, bool) and expected is not bool):
        yield f"{where} is {found!r} (expected {expected})"


def components(folder):
    """Yields file, name and settings of each component."""
    for file in sorted(pathlib.Path(folder).rglob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            for group in ("extensions", "processors", "exporters"):
                configured = document.get(group) if isinstance(document, dict) else None
                for name, settings in (configured or {}).items():
                    yield file, name, settings


def seconds(duration):
    number, unit = re.fullmatch(r"(\d+)(\w+)", duration).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def faults(folder):
    seen = set()
    for file, name, settings in components(folder):
        component = name.partition("/")[0]
        if component not in SETTINGS:
            continue
        seen.add(component)
        yield from differences(settings, SETTINGS[component], f"{file}: {name}")
        for policy in settings.get("policies", []):
            if policy.get("type") not in policy:
                yield f"{file}: the policy {policy.get('name')} has no settings of its type"
        if component == "tail_sampling":
            code = pathlib.Path("../property-management/src/layers.rs").read_text()
            longest = int(re.search(r"HANDLER_TIMEOUT: Duration = Duration::from_secs\((\d+)\)", code)[1])
            # A span is exported after up to 5 s and waits for a second in the agent. The rest is a margin.
            if seconds(settings["decision_wait"]) < longest + EXPORT_DELAY + AGENT_DELAY + MARGIN:
                yield f"{file}: decision_wait is not longer than the last span of a handler of {longest} s takes"
            cache = settings.get("decision_cache", {})
            if min(cache.get("sampled_cache_size", 0), cache.get("non_sampled_cache_size", 0)) < settings["num_traces"]:
                yield f"{file}: the decision caches are smaller than num_traces"
    yield from (f"{component} is in no configuration" for component in SETTINGS.keys() - seen)


found = list(faults(sys.argv[1]))
print("\n".join(found))
sys.exit(bool(found))
