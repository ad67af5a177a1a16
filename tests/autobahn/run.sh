#!/usr/bin/env bash
# The Autobahn test suite against our WebSocket server (the example `websocket_echo`).
#
#   tests/autobahn/run.sh           the groups 1-7, 9 and 10, and a sample of 12 and 13 (compression); about two minutes
#   tests/autobahn/run.sh --full    all cases of the groups 1-7, 9, 10, 12 and 13
#   tests/autobahn/run.sh --plain   the groups 1-7, 9 and 10 only, without compression
#
# Needs Python 2.7 with pip (the suite was never ported to Python 3); the suite itself is installed below
# target/autobahn. Exit codes: 0 passed, 1 failed, 77 something is missing on this machine (it says what).
set -euo pipefail
cd "$(dirname "$0")/../.."

mode=${1:-}
work=$PWD/${CARGO_TARGET_DIR:-target}/autobahn
[[ ${CARGO_TARGET_DIR:-} == /* ]] && work=$CARGO_TARGET_DIR/autobahn
site=$work/site
suite=25.10.1

missing() {
    printf 'autobahn: %s\n' "$@" >&2
    echo "autobahn: not run"
    exit 77
}

# Prints the path of a Python 2.7, if there is one: $PYTHON27, in the PATH, or among pyenv's.
find_python() {
    local candidate
    for candidate in "${PYTHON27:-}" python2.7 python2 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7; do
        if [[ -n $candidate ]] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

python=$(find_python)
[[ -n $python ]] || missing \
    "Python 2.7 is missing. Any of these gets it:" \
    "  pyenv install 2.7.18                      (from https://github.com/pyenv/pyenv)" \
    "  apt-get install python2.7                 (Debian up to 11, Ubuntu up to 22.04)" \
    "  PYTHON27=/path/to/python2.7 $0            (if it lies somewhere else)"

if [[ ! -e $site/.installed-$suite ]]; then
    "$python" -m pip --version >/dev/null 2>&1 || missing \
        "$python has no pip. Get it by either of:" \
        "  $python -m ensurepip --user" \
        "  curl -O https://bootstrap.pypa.io/pip/2.7/get-pip.py && $python get-pip.py --user"
    echo "installing autobahntestsuite $suite for $python"
    rm -rf "$site"
    mkdir -p "$work"
    "$python" -m pip install --quiet --disable-pip-version-check --no-warn-script-location --target "$site" \
        "autobahntestsuite==$suite" >"$work/pip.log" 2>&1 || {
        tail -n 15 "$work/pip.log" >&2
        missing "autobahntestsuite $suite could not be installed (all of it: $work/pip.log)." \
            "It needs the Python package index, a C compiler and the Python headers (Debian: gcc, python2.7-dev)."
    }
    touch "$site/.installed-$suite"
fi

# The test command has built it already.
echo_server=${WEBSOCKET_ECHO:-${CARGO_TARGET_DIR:-target}/debug/examples/websocket_echo}
[[ -n ${WEBSOCKET_ECHO:-} ]] || cargo build --quiet --package fanfare-websocket --features tokio --example websocket_echo
rm -rf "$work/reports" "$work/logs"
mkdir -p "$work/reports" "$work/logs"
"$echo_server" 127.0.0.1:0 --deflate \
    >"$work/logs/server.out" 2>"$work/logs/server.err" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    url=$(sed -n 's/^listening on //p' "$work/logs/server.out")
    [[ -n $url ]] && break
    sleep 0.1
done
[[ -n $url ]] || { cat "$work/logs/server.err" >&2; echo "autobahn: the server did not start"; exit 1; }

exec_suite() { "$python" tests/autobahn/suite.py "$site" "$work/reports" "$@"; }
status=0
exec_suite run "$url" "$mode" "$work/logs" || status=1
exec_suite check "$mode" || status=1
exit "$status"
