# What the checks have in common. Each prints one line: ok, FAILED, or not checked and why.

TOOLS=${TOOLS:-${CARGO_TARGET_DIR:-$PWD/../../target}/deploy-tools}
export TOOLS PYTHONDONTWRITEBYTECODE=1
export PATH="$TOOLS/venv/bin:$PATH"
export RESULTS=${RESULTS:-$(mktemp)}

# check WHAT COMMAND..: what the command says is shown when it fails.
check() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then
        result ok "$what"
    else
        result FAILED "$what"
        sed 's/^/         /' <<<"$said" >&2
        return 0
    fi
}

result() {
    printf '  %-8s %s\n' "$1" "$2"
    printf '%s\n' "$1" >>"$RESULTS"
}

run() {
    "$1" || result FAILED "$1 ended with $?"
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
