#!/usr/bin/env bash
# Builds the upstream collector with its core components, from the library packages and the Go compiler
# of Debian unstable, and prints its path: build-collector.sh FOLDER
#
# FOLDER keeps one collector for each version of the files that define it.
set -euo pipefail
source checks/sid.sh
source=("$PWD"/checks/*.go)
version=$(cat "${source[@]}" checks/build-collector.sh | sha256sum | cut -c 1-12)
program=$1/otelcol-$version
[ ! -x "$program" ] || { printf '%s\n' "$program"; exit; }
mkdir -p "$1"
free=$(df --output=avail -k "$1" | tail -n 1)
[ "$free" -gt $((4 << 20)) ] || { printf 'less than 4 GB are free\n' >&2; exit 1; }
folder=$(mktemp -d "$1/build.XXXXXX")
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
{
    sid_setup "$folder"
    "${sid[@]}" install -y --download-only golang-opentelemetry-collector-dev golang-github-coreos-bbolt-dev golang-go
    sid_unpack "$folder" 'golang-*'
    cd "$folder"
    mkdir -p gopath
    ln -sfn "$PWD/root/usr/share/gocode/src" gopath/src
    go=$(echo "$PWD"/root/usr/lib/go-1.*)
    GO111MODULE=off GOTOOLCHAIN=local GOROOT=$go GOPATH=$PWD/gopath GOCACHE=$PWD/cache CGO_ENABLED=0 \
        "$go/bin/go" build -o otelcol "${source[@]}"
    mv otelcol "$program"
} >&2
printf '%s\n' "$program"
