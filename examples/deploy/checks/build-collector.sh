#!/usr/bin/env bash
# Builds the upstream collector with its core components, from the library packages and the Go compiler
# of Debian unstable, and prints its path: build-collector.sh FOLDER
set -euo pipefail
folder=$1/otelcol
main=$PWD/checks/otelcol.go
[ ! -x "$folder/otelcol" ] || { printf '%s\n' "$folder/otelcol"; exit; }
mkdir -p "$folder"/{lists/partial,archives/partial,root,gopath}
cd "$folder"

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n' "$mirror" >sources.list
: >status
apt=(apt-get -qq -o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::Etc::sourceparts=-
    -o Dir::State::lists="$PWD/lists" -o Dir::State::status="$PWD/status" -o Dir::Cache="$PWD"
    -o Dir::Cache::archives="$PWD/archives" -o APT::Sandbox::User=root -o APT::Install-Recommends=false)
{
    "${apt[@]}" update
    "${apt[@]}" install -y --download-only golang-opentelemetry-collector-dev golang-go
    for package in archives/golang-*.deb; do
        dpkg -x "$package" root
    done
    ln -sfn "$PWD/root/usr/share/gocode/src" gopath/src
    go=$(echo "$PWD"/root/usr/lib/go-1.*)
    GO111MODULE=off GOTOOLCHAIN=local GOROOT=$go GOPATH=$PWD/gopath GOCACHE=$PWD/cache CGO_ENABLED=0 \
        "$go/bin/go" build -o otelcol "$main"
    rm -rf root gopath cache archives lists
} >&2
printf '%s\n' "$folder/otelcol"
