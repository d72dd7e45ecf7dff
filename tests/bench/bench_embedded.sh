#!/usr/bin/env bash
# What somebody notices who runs tidemill on the embedded log, each beside a reference of the same run:
# records a second of the flights example on one core, memory, start, latency.
#   bench_embedded.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-build/tidemill}")
tools=$(realpath "$(dirname "$program")/tests")
. tests/bench/support.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/tidemill-bench-XXXXXX")
child=
stop_child() {
    [ -n "$child" ] && kill "$child" 2> /dev/null && wait "$child" || true
    child=
}
trap 'stop_child; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

cat > "$work/filter.lua" << 'LUA'
local tm = require "tidemill"
local app = tm.app "bench"
app:stream("in"):filter(function(key, value) return value.amount >= 0 end):to("out")
LUA

fresh_data() { # a data directory with the topics in and out, each of one partition, and one record
    rm -rf "$work/data"
    cp -r "$work/template" "$work/data"
}

make_template() {
    for topic in in out; do
        "$program" topics create $topic --data "$work/template" --partitions 1 > /dev/null
    done
    echo '{"id":0,"amount":1}' | "$program" produce in --data "$work/template" > /dev/null 2>&1
}

flights() {
    local times=() rates=() bares=() cpu records out=$work/out
    "$program" produce airlines examples/flights/data/airlines.jsonl.gz --data "$work/flights" --key carrier --at 0 \
        > /dev/null 2>&1
    echo "$("$program" produce departures examples/flights/data/flights.jsonl.gz --data "$work/flights" --key carrier \
        --timestamp scheduled 2>&1)"
    for _ in 1 2 3; do
        rm -rf "$work/copy"
        cp -r "$work/flights" "$work/copy"
        cpu=$(cpu_seconds "$out" taskset -c 0 "$program" run examples/flights/pipeline.lua --data "$work/copy" \
            --until-end --threads 1 --log-level warn)
        records=$(sed -n 's/^\([0-9,]*\) records processed.*/\1/p' "$out" | tr -d ,)
        rates+=("$(sed -n 's/.*(\([0-9,]*\) records\/s).*/\1/p' "$out" | tr -d ,)")
        times+=("$(calculate 0 "$cpu * 1e9 / $records")")
        bares+=("$(taskset -c 0 "$tools/bench_operators_flights" | sed -n 's/.*: \([0-9]*\) ns.*/\1/p')")
    done
    local ns bare
    ns=$(median "${times[@]}")
    bare=$(median "${bares[@]}")
    if [ -z "$bare" ]; then
        row "flights, one core" "$(median "${rates[@]}") records/s" "SKIP (lua-cjson is missing)" ">= 400,000 records/s"
        return
    fi
    row "flights, one core" "$(median "${rates[@]}") records/s" \
        "$(calculate 0 "1e9 / $bare") in stock Lua" ">= 400,000 records/s"
    row "  CPU of it, start included" "$ns ns/record" "$bare ns, ratio $(calculate 2 "$ns / $bare")" "2,500 ns/record"
}

memory_idle() { # the program's, then that of a process that only waits for records of the log
    local mine bare
    fresh_data
    "$program" run "$work/filter.lua" --data "$work/data" --log-level warn &
    child=$!
    sleep 2
    mine=$(memory_of $child)
    stop_child
    "$tools/bench_local_end_to_end" idle "$work/data" in &
    child=$!
    sleep 1
    bare=$(memory_of $child)
    stop_child 2> /dev/null
    row "memory, idle" "$mine" "$bare, log alone" "<= 12 MB"
}

start() {
    local mine=() bare=()
    for _ in 1 2 3 4 5; do
        fresh_data
        mine+=("$("$tools/bench_local_end_to_end" start "$work/data" out \
            "$program" run "$work/filter.lua" --data "$work/data" --log-level warn)")
        fresh_data
        bare+=("$("$tools/bench_local_end_to_end" start "$work/data" out \
            "$tools/bench_local_end_to_end" once "$work/data" out)")
    done
    row "start to first record committed" "$(median "${mine[@]}") ms" "$(median "${bare[@]}") ms, log alone" "<= 50 ms"
}

follow() { # topic to produce to, topic to consume
    "$tools/bench_local_end_to_end" latency "$work/data" "$1" 1000 5000 \
        "$program" consume "$2" --data "$work/data" --follow --format value --from end 2> /dev/null
}

latency() {
    local p50=() p99=() worst=() bare50=() bare99=() one two three
    for _ in 1 2 3; do
        fresh_data
        read -r one two three < <(follow in in)
        bare50+=("$one") bare99+=("$two")
        fresh_data
        "$program" run "$work/filter.lua" --data "$work/data" --log-level warn &
        child=$!
        read -r one two three < <(follow in out)
        p50+=("$one") p99+=("$two") worst+=("$three")
        stop_child
    done
    row "latency at 1,000 records/s, p50" "$(median "${p50[@]}") ms" "$(median "${bare50[@]}") ms, no pipeline" "<= 5 ms"
    row "  p99 (worst $(median "${worst[@]}") ms)" "$(median "${p99[@]}") ms" "$(median "${bare99[@]}") ms, no pipeline" \
        "<= 15 ms"
}

make_template
flights
memory_idle
sync # what the example wrote is on the disk now, and its writing holds up nobody below
start
latency
