# Functions of the checks. A check prints one line: ok, FAILED or skipped.

TOOLS=${TOOLS:-${CARGO_TARGET_DIR:-$PWD/../../target}/deploy-tools}
export TOOLS PYTHONDONTWRITEBYTECODE=1
export PATH="$TOOLS/prometheus/root/usr/bin:$TOOLS/venv/bin:$PATH"
export RESULTS=${RESULTS:-$(mktemp)}

# check NAME COMMAND..: runs a command. Prints its output if it fails.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        result ok "$name"
    else
        result FAILED "$name"
        sed 's/^/         /' <<<"$output" >&2
        return 0
    fi
}

result() {
    printf '  %-8s %s\n' "$1" "$2"
    printf '%s\n' "$1" >>"$RESULTS"
}

run() {
    "$1" || result FAILED "$1 failed with status $?"
}

summary() {
    local ok failed skipped
    ok=$(grep -c '^ok$' "$RESULTS" || true)
    failed=$(grep -c '^FAILED$' "$RESULTS" || true)
    skipped=$(grep -c '^skipped$' "$RESULTS" || true)
    rm -f "$RESULTS"
    printf '\n%d checks passed, %d failed, %d skipped\n' "$ok" "$failed" "$skipped"
    [ "$failed" -eq 0 ] && [ "$ok" -gt 0 ]
}
