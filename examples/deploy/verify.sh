#!/usr/bin/env bash
# Checks this folder: static checks read the files, live checks run the system.
#
#   verify.sh [--without-collector] [static] [live]     default: both
#
# The upstream collector validates its configurations, and runs in the live checks. It is built from the library
# packages of Debian unstable, which takes 3 to 10 minutes on two cores and 3 GB of temporary files, and is cached in
# ~/.cache/tower-otel-deploy. $OTELCOL is an existing collector. --without-collector skips these checks.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source checks/lib.sh

if [ "${1:-}" = --without-collector ]; then
    shift
    unset OTELCOL
    export WITHOUT_COLLECTOR='--without-collector was given'
fi
[ $# -gt 0 ] || set -- static live

checks/tools.sh "$TOOLS"
if [ -z "${OTELCOL:-}${WITHOUT_COLLECTOR:-}" ]; then
    log=$TOOLS/collector.log
    if OTELCOL=$(checks/build-collector.sh "${XDG_CACHE_HOME:-$HOME/.cache}/tower-otel-deploy" 2>"$log"); then
        export OTELCOL
    else
        unset OTELCOL
        export WITHOUT_COLLECTOR="it cannot be built: $(tail -n 1 "$log") ($log)"
    fi
fi
for part in "$@"; do
    for check in checks/"$part"/*; do
        printf '\n%s\n' "${check##*/}"
        run "$check"
    done
done
summary
