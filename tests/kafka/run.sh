#!/usr/bin/env bash
# Starts a real Apache Kafka once, runs every program and script *_test of this folder against it, and stops it.
#
#   tests/kafka/run.sh [BUILD_DIRECTORY] [NAME_PART...]     without NAME_PART: all of them
#
# The tests get TIDEMILL_TEST_BROKERS (the broker), TIDEMILL_TEST_PROXY (the same behind the proxy of kafka_proxy.py) and
# TIDEMILL (the program). A test that exits with 77 was skipped, and the count at the end says so.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../../build}" && pwd) || exit 2
shift || true
support=$here/../support
work=$(mktemp -d "${TMPDIR:-/tmp}/tidemill-kafka-XXXXXX")
proxy=

finish() {
    [ -n "$proxy" ] && kill "$proxy" 2>/dev/null
    "$support/kafka.sh" stop "$work/broker"
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

python=$("$support/python.sh" "$build") || exit $?
proxy_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
brokers=$("$support/kafka.sh" start "$work/broker" "$proxy_port")
code=$?
if [ $code -ne 0 ]; then
    exit $code
fi
python3 "$support/kafka_proxy.py" "$proxy_port" "$(cat "$work/broker/proxied")" >"$work/proxy.log" 2>&1 &
proxy=$!
export TIDEMILL_TEST_BROKERS=$brokers TIDEMILL_TEST_PROXY=127.0.0.1:$proxy_port TIDEMILL=$build/tidemill

wanted() {
    [ $# -eq 1 ] && return 0
    local name=$1 part
    shift
    for part in "$@"; do
        [[ $name == *"$part"* ]] && return 0
    done
    return 1
}

run_one() {
    case $1 in
    *.py) "$python" "$1" ;;
    *.sh) bash "$1" ;;
    *) "$1" ;;
    esac
}

passed=0 failed=0 skipped=0 names=
for test in "$build"/tests/kafka/kafka_*_test "$here"/*_test.py "$here"/*_test.sh; do
    [ -f "$test" ] && wanted "$(basename "$test")" "$@" || continue
    echo "== $(basename "$test")"
    run_one "$test" >"$work/out" 2>&1
    code=$?
    case $code in
    0) passed=$((passed + 1)) && grep -E '^SKIP|^[0-9]+%' "$work/out" ;;
    77) skipped=$((skipped + 1)) && cat "$work/out" ;;
    *)
        failed=$((failed + 1)) names="$names $(basename "$test")"
        echo "FAILED $(basename "$test") ($code): $(tail -n 1 "$work/out")"
        { cat "$work/out" && echo "-- the broker's last words:" && tail -5 "$work/broker/broker.log"; } | sed 's/^/    /'
        ;;
    esac
done
echo "Kafka tests: $passed passed, $failed failed, $skipped SKIP$names"
[ $failed -eq 0 ] || exit 1
[ $skipped -eq 0 ] || exit 77
