#!/usr/bin/env bash
# A relay on a real Kafka, exactly once, a commit every 100 ms: CPU per record of tidemill and of a bare librdkafka loop
# with the same properties, in turns, the same at least once, and the memory of both when idle. "at-least-once" as the
# third argument: only what exactly once costs.
#   kafka.sh [PROGRAM [RECORDS [at-least-once]]]
# Exit 77: the broker can't be had here.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-build/tidemill}")
records=${2:-1500000}
tools=$(realpath "$(dirname "$program")/tests")
tool=$tools/bench_kafka_bare
. tests/bench/support.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/tidemill-bench-XXXXXX")
child=
stop_child() {
    [ -n "$child" ] && kill "$child" 2> /dev/null && wait "$child" || true
    child=
}
finish() {
    stop_child
    tests/support/kafka.sh stop "$work/broker"
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

brokers=$(tests/support/kafka.sh start "$work/broker") || exit $?

write_script() { # run
    cat > "$work/relay.lua" << LUA
local tm = require "tidemill"
local app = tm.app("relay-$1", { commit_ms = 100 })
app:stream("in", { key = tm.bytes, value = tm.bytes }):to("out-$1")
LUA
}

run_mine() { # run, guarantee; prints the seconds of CPU of the program
    write_script "$1"
    cpu_seconds "$work/out" "$program" run "$work/relay.lua" --brokers "$brokers" --data "$work/data" --until-end \
        --threads 1 --log-level warn --set "guarantee=$2"
}

check_count() { # topic
    local found
    found=$("$tool" count "$brokers" "$1" 2> /dev/null)
    [ "$found" = "$records" ] || { echo "kafka.sh: $1 has $found records instead of $records" >&2 && exit 1; }
}

run_once() { # run; prints nanoseconds per record of the bare loop, of the one without headers, of the program
    local bare headless mine
    for topic in "bare-$1" "headless-$1" "out-$1"; do
        "$tool" create "$brokers" "$topic" 4 2> /dev/null
    done
    bare=$(cpu_seconds "$work/out" "$tool" relay "$brokers" in "bare-$1" "bare-$1")
    mine=$(run_mine "$1" exactly_once)
    headless=$(cpu_seconds "$work/out" "$tool" headless "$brokers" in "headless-$1" "headless-$1")
    for topic in "bare-$1" "headless-$1" "out-$1"; do
        check_count "$topic"
    done
    for cpu in "$bare" "$headless" "$mine"; do
        calculate 0 "$cpu * 1e9 / $records"
        echo -n " "
    done
    echo
}

relay() {
    local bares=() headlesses=() mines=() ratios=() ratios_headless=() bare headless mine
    for run in 1 2 3; do
        read -r bare headless mine < <(run_once "$run")
        bares+=("$bare") headlesses+=("$headless") mines+=("$mine")
        ratios+=("$(calculate 3 "$mine / $bare")")
        ratios_headless+=("$(calculate 3 "$mine / $headless")")
    done
    row "relay on Kafka, CPU" "$(median "${mines[@]}") ns/record" "$(median "${bares[@]}") ns, bare loop" \
        "ratio <= 1.15"
    row "  ratio of each pair" "${ratios[*]}" "median $(median "${ratios[@]}")" "<= 1.15"
    row "  to a loop that loses headers" "${ratios_headless[*]}" \
        "$(median "${headlesses[@]}") ns, median $(median "${ratios_headless[@]}")" "none"
}

at_least_once() {
    local once least ratios=() onces=() leasts=()
    for run in a b c d e; do
        for topic in "out-once-$run" "out-least-$run"; do
            "$tool" create "$brokers" "$topic" 4 2> /dev/null
        done
        once=$(run_mine "once-$run" exactly_once)
        least=$(run_mine "least-$run" at_least_once)
        check_count "out-once-$run"
        check_count "out-least-$run"
        ratios+=("$(calculate 3 "$once / $least")")
        onces+=("$(calculate 0 "$once * 1e9 / $records")") leasts+=("$(calculate 0 "$least * 1e9 / $records")")
    done
    row "exactly once on Kafka, CPU" "$(median "${onces[@]}") ns/record" "$(median "${leasts[@]}") ns, at least once" \
        "ratio <= 1.10"
    row "  ratio of each pair" "${ratios[*]}" "median $(median "${ratios[@]}")" "<= 1.10"
}

memory_idle() { # nothing is left to read
    local mine bare
    "$program" run "$work/relay.lua" --brokers "$brokers" --data "$work/data" --log-level warn &
    child=$!
    sleep 5
    mine=$(memory_of $child)
    stop_child
    "$tool" idle "$brokers" in bare-3 bare-3 &
    child=$!
    sleep 5
    bare=$(memory_of $child)
    stop_child 2> /dev/null
    row "memory, idle, on Kafka" "$mine" "$bare, bare loop" "<= 25 MB"
}

"$tool" create "$brokers" in 4 2> /dev/null
"$tool" fill "$brokers" in "$records" 2> /dev/null
[ "${3:-}" = at-least-once ] && at_least_once && exit
relay
at_least_once
memory_idle
echo "the Kafka transport alone:"
TIDEMILL_TEST_BROKERS=$brokers "$tools/bench_kafka_relay" 2> /dev/null
