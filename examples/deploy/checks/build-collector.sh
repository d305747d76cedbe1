#!/usr/bin/env bash
# Builds the upstream collector with its core components, from the library packages and the Go compiler
# of Debian unstable, and prints its path: build-collector.sh FOLDER
set -euo pipefail
source checks/sid.sh
folder=$1/otelcol
main=$PWD/checks/otelcol.go
[ ! -x "$folder/otelcol" ] || { printf '%s\n' "$folder/otelcol"; exit; }
{
    sid_setup "$folder"
    "${sid[@]}" install -y --download-only golang-opentelemetry-collector-dev golang-go
    sid_unpack "$folder" 'golang-*'
    cd "$folder"
    mkdir -p gopath
    ln -sfn "$PWD/root/usr/share/gocode/src" gopath/src
    go=$(echo "$PWD"/root/usr/lib/go-1.*)
    GO111MODULE=off GOTOOLCHAIN=local GOROOT=$go GOPATH=$PWD/gopath GOCACHE=$PWD/cache CGO_ENABLED=0 \
        "$go/bin/go" build -o otelcol "$main"
    rm -rf root gopath cache archives lists
} >&2
printf '%s\n' "$folder/otelcol"
