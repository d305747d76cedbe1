#!/usr/bin/env bash
# Checks this folder: static checks read the files, live checks run the system.
#
#   verify.sh [--collector] [static] [live]     default: both
#
# --collector   builds the upstream collector from the library packages of Debian unstable (10 minutes
#               on two busy cores, 3 GB of temporary files), checks its configurations and runs it.
#               $OTELCOL is an existing collector.
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
