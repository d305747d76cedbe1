#!/usr/bin/env python3
"""Compares the names of attributes and metrics with a release of the semantic conventions.

    conventions.py PACKAGE_DIRECTORY NEWEST_VERSION

PACKAGE_DIRECTORY is the unpacked npm package @opentelemetry/semantic-conventions. Exits with 1 if a name of
tower-otel-semconv is missing or deprecated there, or if its schema URL has another version. Prints a warning if
NEWEST_VERSION is another one.
"""

import json
import re
import sys
from pathlib import Path

SEMCONV = Path("tower-otel-semconv/src")

# Names that an option selects, deprecated on purpose.
DEPRECATED = {"rpc.response.status_code"}

DECLARATION = re.compile(
    r"(?P<comment>/\*\*(?:(?!\*/).)*\*/)\s*const (?:ATTR|METRIC)_\w+ = "
    r"(?:\"(?P<name>[^\"]+)\"|\(key\) => `(?P<template>[^`]+)\.\$\{key\}`)",
    re.DOTALL,
)


def published(package):
    """Every name of the release, and whether it is deprecated."""
    names = {}
    for file in sorted(package.glob("dist/*_attributes.mjs")) + sorted(package.glob("dist/*_metrics.mjs")):
        for match in DECLARATION.finditer(file.read_text()):
            name = match["name"] or match["template"]
            names[name] = "@deprecated" in match["comment"]
    return names


def recorded():
    """Every name of the crate: constants of attributes, and the names that functions of metrics return."""
    tests = "\n#[cfg(test)]"
    attributes = (SEMCONV / "attribute.rs").read_text().split(tests)[0]
    metrics = (SEMCONV / "metric.rs").read_text().split(tests)[0]
    names = re.findall(r'const \w+: &str =\s*"([^"]+)"', attributes)
    return names + re.findall(r'"((?:http|rpc)\.[a-z_.]+)"', metrics)


def errors(package, version):
    known = published(package)
    names = recorded()
    if len(known) < 500 or len(names) < 40:
        yield f"only {len(known)} names are published and {len(names)} recorded: a format has changed"
    for name in names:
        if name not in known:
            yield f"{name} is not in the conventions {version}"
        elif known[name] != (name in DEPRECATED):
            yield f"{name} is {'' if known[name] else 'not '}deprecated in the conventions {version}"
    schema = f'"https://opentelemetry.io/schemas/{version}"'
    if schema not in (SEMCONV / "conventions.rs").read_text():
        yield f"SCHEMA_URL is not {schema}"


def main(directory, newest):
    package = Path(directory)
    version = json.loads((package / "package.json").read_text())["version"]
    found = list(errors(package, version))
    for error in found:
        print(f"error: {error}", file=sys.stderr)
    if newest != version:
        print(f"warning: the conventions {newest} are released, the crates follow {version}", file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{len(recorded())} names are those of the conventions {version}")


if __name__ == "__main__":
    main(*sys.argv[1:])
