#!/usr/bin/env bash
# The crash campaigns and the simulations.
#
#   tests/crash/run.sh BUILD [simulation|protocol|embedded|connectors|kafka|zombies...]
#
# BUILD was configured with -DTIDEMILL_FAILPOINTS=ON. RUNS: simulated lives, and simulated runs of the commit protocol,
# KILLS: how many kills on the embedded log, CONNECTOR_KILLS: of pipelines with connectors, BIG: changes in a large
# transaction of PostgreSQL, FAULTS: kills and faults on Kafka, SEED: where the random numbers begin, ONLY: on Kafka,
# only steps whose name has this text. A failure prints the seed and where it was.
# VENV: the build directory whose virtual environment is taken. 77: something that is needed can't be had.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?which build directory?}" && pwd) || exit 2
shift
support=$here/../support
seed=${SEED:-$(date +%s)}
work=$(mktemp -d "${TMPDIR:-/tmp}/tidemill-crash-broker-XXXXXX")
result=0

# What a broker has written tells whose fault a failure is.
finish() {
    "$support/kafka.sh" stop "$work/broker"
    "$support/kafka.sh" stop "$work/zombies"
    if [ $result -eq 0 ] || [ $result -eq 77 ]; then
        rm -rf "$work"
    else
        echo "the brokers' directories are kept: $work" >&2
    fi
}
trap finish EXIT
trap 'exit 130' INT TERM

embedded() {
    command -v python3 > /dev/null || { echo "SKIP: Python is missing" >&2; return 77; }
    python3 "$here/embedded.py" --tidemill "$build/tidemill" --kills "${KILLS:-300}" --seed "$seed"
}

connectors() {
    command -v python3 > /dev/null || { echo "SKIP: Python is missing" >&2; return 77; }
    python3 "$here/on_connectors.py" --tidemill "$build/tidemill" --kills "${CONNECTOR_KILLS:-150}" \
        --big "${BIG:-30000}" --seed "$seed"
}

on_kafka() { # how many kills and faults, and the seed
    local python proxy_port
    python=$("$support/python.sh" "${VENV:-$build}") || return $?
    proxy_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$support/kafka.sh" start "$work/broker" "$proxy_port" > /dev/null || return $?
    "$python" "$here/on_kafka.py" --tidemill "$build/tidemill" --broker "$work/broker" --proxy "$proxy_port" \
        --faults "$1" --seed "$2" ${ONLY:+--only "$ONLY"} > "$work/out" 2>&1
}

EXCUSED=2 # at most so many failures of a campaign may be the broker's

# A broker that has lost what it acknowledged is not what is tested here: the rest is done on another one. Each such
# failure is shown, with what was done until then.
kafka() {
    local left=${FAULTS:-60} number=0 status done_there
    while on_kafka "$left" $((seed + number)); status=$?; [ $status -eq 4 ] && [ $number -lt $EXCUSED ]; do
        done_there=$(sed -n 's/^THE BROKER HAS LOST .*, after \([0-9]*\) .*/\1/p' "$work/out")
        sed -n '/^Kafka: /,$p' "$work/out"
        "$support/kafka.sh" stop "$work/broker"
        number=$((number + 1)) left=$((left > done_there ? left - done_there : 1))
        mv "$work/broker" "$work/broker-that-has-lost-$number"
    done
    if [ $status -eq 0 ]; then sed -n '/^Kafka: /,$p' "$work/out"; else cat "$work/out"; fi
    echo "Kafka: $number failures excused by what the broker has lost, at most $EXCUSED"
    return $status
}

zombies() {
    local python
    python=$("$support/python.sh" "${VENV:-$build}") || return $?
    "$support/kafka.sh" start "$work/zombies" > /dev/null || return $?
    TIDEMILL_TEST_BROKERS=$(cat "$work/zombies/bootstrap") TIDEMILL=$build/tidemill "$python" "$here/zombies.py"
}

on_every_core() { # program
    local jobs=${JOBS:-$(nproc)} i status=0 pids=()
    for i in $(seq "$jobs"); do
        "$1" $(((${RUNS:-20000} + jobs - 1) / jobs)) $((seed + i * 1000000)) &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || status=1; done
    return $status
}
simulation() { on_every_core "$build/tests/crash_simulation"; }
protocol() { on_every_core "$build/tests/protocol_simulation"; }

names=("$@")
[ $# -gt 0 ] || names=(simulation protocol embedded connectors kafka zombies)
pids=()
for i in "${!names[@]}"; do
    # Two brokers at once come back too slowly when one is killed.
    [ "${names[$i]}" != zombies ] || [ ${#pids[@]} -eq 0 ] || wait "${pids[@]}"
    "${names[$i]}" > "$work/${names[$i]}.txt" 2>&1 &
    pids+=($!)
    case ${names[$i]} in # the others spend their time in waiting, and share the cores well
    simulation | protocol) wait "$!" ;;
    esac
done
for i in "${!names[@]}"; do
    wait "${pids[$i]}"
    status=$?
    cat "$work/${names[$i]}.txt"
    [ $status -eq 0 ] || echo "crash: ${names[$i]} ended with $status (SEED=$seed)" >&2
    [ $result -ne 0 ] && [ $result -ne 77 ] || [ $status -eq 0 ] || result=$status
done
exit $result
