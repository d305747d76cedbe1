#!/usr/bin/env bash
# Checks what is in this folder: first by reading it, then by running it.
#
#   verify.sh [--collector] [static] [live]     both, unless named
#
# --collector   builds the upstream collector of Debian unstable's library packages first (10 minutes on
#               two busy cores, 3 GB for the while), checks its configurations and runs it.
#               A collector that is there already is taken from $OTELCOL.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source checks/lib.sh

if [ "${1:-}" = --collector ]; then
    shift
    OTELCOL=$(checks/build-collector.sh "$TOOLS")
    export OTELCOL
fi
[ $# -gt 0 ] || set -- static live

checks/tools.sh "$TOOLS"
for part in "$@"; do
    for check in checks/"$part"/*; do
        printf '\n%s\n' "${check##*/}"
        run "$check"
    done
done
summary
