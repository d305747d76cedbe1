# Functions of the checks. A check prints one line: ok, FAILED or skipped.

TOOLS=${TOOLS:-${CARGO_TARGET_DIR:-$PWD/../../target}/deploy-tools}
export TOOLS PYTHONDONTWRITEBYTECODE=1
export PATH="$TOOLS/prometheus/root/usr/bin:$TOOLS/venv/bin:$PATH"
export RESULTS=${RESULTS:-$(mktemp)}
GIVEN_BINARIES=${BINARIES:-}

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

# installed PROGRAM PACKAGE: installs the Debian package of a program if it is missing.
installed() {
    command -v "$1" >/dev/null && return
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2"; } >"$TOOLS/$2.log" 2>&1 &&
        command -v "$1" >/dev/null
}

# build ARGUMENTS..: builds programs with cargo, and sets $BINARIES, their folder. Nothing is built if the caller set it.
build() {
    [ -z "$GIVEN_BINARIES" ] || return 0
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}
    cargo build --quiet --locked --bins "$@"
    export BINARIES=$CARGO_TARGET_DIR/debug
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
