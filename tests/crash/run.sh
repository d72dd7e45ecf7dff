#!/usr/bin/env bash
# The crash campaigns and the simulation.
#
#   tests/crash/run.sh BUILD [embedded|kafka|simulation...]     BUILD was configured with -DTIDEMILL_FAILPOINTS=ON
#
# KILLS: how many kills on the embedded log, FAULTS: kills and faults on Kafka, RUNS: simulated runs, SEED: where the
# random numbers begin; a failure prints the seed and where it was. 77: something that is needed can't be had.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?which build directory?}" && pwd) || exit 2
shift
support=$here/../support
seed=${SEED:-$(date +%s)}
work=$(mktemp -d "${TMPDIR:-/tmp}/tidemill-crash-broker-XXXXXX")

finish() {
    "$support/kafka.sh" stop "$work/broker"
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

embedded() {
    command -v python3 > /dev/null || { echo "SKIP: Python is missing" >&2; return 77; }
    python3 "$here/embedded.py" --tidemill "$build/tidemill" --kills "${KILLS:-300}" --seed "$seed"
}

kafka() {
    local python proxy_port
    python=$("$support/python.sh" "$build") || return $?
    proxy_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$support/kafka.sh" start "$work/broker" "$proxy_port" > /dev/null || return $?
    "$python" "$here/on_kafka.py" --tidemill "$build/tidemill" --broker "$work/broker" --proxy "$proxy_port" \
        --faults "${FAULTS:-60}" --seed "$seed" ${ONLY:+--only "$ONLY"} > "$work/out" 2>&1
    local status=$?
    if [ $status -eq 0 ]; then sed -n '/^Kafka: /,$p' "$work/out"; else cat "$work/out"; fi
    return $status
}

simulation() {
    "$build/tests/crash_simulation" "${RUNS:-20000}" "$seed"
}

result=0
for part in "${@:-simulation embedded kafka}"; do
    for one in $part; do
        "$one"
        status=$?
        [ $status -eq 0 ] || echo "crash: $one ended with $status (seed $seed)" >&2
        [ $result -ne 0 ] || result=$status
    done
done
exit $result
