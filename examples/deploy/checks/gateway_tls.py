"""Checks that every exporter of the agents reaches the gateways: with the certificates that they require, or without."""

import pathlib
import sys

import yaml

objects = [each for each in yaml.safe_load_all(pathlib.Path(sys.argv[1]).read_text()) if each]
FILES = {"ca_file": "GATEWAY_CA_FILE", "cert_file": "GATEWAY_CERT_FILE", "key_file": "GATEWAY_KEY_FILE"}


def configurations(name):
    """Returns the files that a collector is started with."""
    container = next(each for each in objects if each["metadata"]["name"] == name and "template" in each.get("spec", {}))
    container = container["spec"]["template"]["spec"]["containers"][0]
    volume = next(each for each in objects if each["kind"] == "ConfigMap" and each["metadata"]["name"].startswith(name))
    files = [argument.rpartition("/")[2] for argument in container["args"]]
    return container, [yaml.safe_load(volume["data"][file]) for file in files]


_, gateway = configurations("collector-gateway")
encrypted = any(each.get("receivers", {}).get("otlp", {}).get("protocols", {}).get("grpc", {}).get("tls") for each in gateway)
agent, files = configurations("collector-agent")
variables = {each["name"]: each["value"] for each in agent["env"]}
mounts = {each["mountPath"] for each in agent["volumeMounts"]}
exporters = {name: settings for file in files for name, settings in file.get("exporters", {}).items()}
faults = []
for name, settings in exporters.items():
    tls = settings["protocol"]["otlp"]["tls"] if "protocol" in settings else settings["tls"]
    if tls.get("insecure") != "${env:GATEWAY_INSECURE:-true}":
        faults.append(f"{name}: `insecure` does not follow the component tls")
    for key, variable in FILES.items():
        if tls.get(key) != f"${{env:{variable}:-}}":
            faults.append(f"{name}: `{key}` does not follow the component tls")
        if encrypted and pathlib.PurePath(variables.get(variable, "/")).parent.as_posix() not in mounts:
            faults.append(f"{variable} names no mounted file")
if encrypted != (variables.get("GATEWAY_INSECURE") == "false"):
    faults.append("agents and gateways do not agree about TLS")
print("\n".join(faults))
sys.exit(bool(faults))
