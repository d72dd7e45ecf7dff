#!/usr/bin/env bash
# Restoring state from a changelog on a real Kafka, beside a bare consumer of the same topic in the same run: records per
# second, by wall time, of all partitions together. State is held in memory without a limit and with the default one.
#   kafka_restore.sh [PROGRAM [RECORDS]]
# Exit 77: the broker can't be had here.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-build/tidemill}")
records=${2:-4000000}
tool=$(realpath "$(dirname "$program")/tests/bench_kafka_bare")
. tests/bench/support.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/tidemill-bench-XXXXXX")
finish() {
    tests/support/kafka.sh stop "$work/broker"
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

brokers=$(tests/support/kafka.sh start "$work/broker") || exit $?

cat > "$work/pipeline.lua" << LUA
local tm = require "tidemill"
local app = tm.app "restore"
app:stream("in", { key = tm.bytes, value = tm.bytes }):to_table { store = "rows" }
LUA

run_app() { # state_cache
    "$program" run "$work/pipeline.lua" --brokers "$brokers" --data "$work/data" --until-end --threads 1 \
        --set "state_cache=$1" > /dev/null 2> "$work/log"
}

# Records per second from the first judgement to the last worker that runs.
restore() { # state_cache
    rm -rf "$work/data/state"
    run_app "$1"
    python3 - "$work/log" << 'PYTHON'
import datetime
import re
import sys
began, ended, restored = None, None, {}
for line in open(sys.argv[1]):
    time = datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00"))
    if '"state judged"' in line and began is None:
        began = time
    if '"worker runs"' in line:
        ended = time
    found = re.search(r'"restoring state" worker=(\S+) restored=(\d+)', line)
    if found:
        restored[found.group(1)] = int(found.group(2))
print(int(sum(restored.values()) / (ended - began).total_seconds()))
PYTHON
}

"$tool" create "$brokers" in 4 2> /dev/null
"$tool" fill "$brokers" in "$records" 2> /dev/null
run_app 0
"$tool" read "$brokers" restore-rows-changelog > /dev/null 2>&1 # into the page cache

for cache in 0 64MB; do
    mines=() bares=() plains=() to_bares=() to_plains=()
    for _ in 1 2 3; do
        bare=$("$tool" read "$brokers" restore-rows-changelog 2> /dev/null)
        mine=$(restore "$cache")
        plain=$("$tool" read-plain "$brokers" restore-rows-changelog 2> /dev/null)
        mines+=("$mine") bares+=("$bare") plains+=("$plain")
        to_bares+=("$(calculate 2 "$mine / $bare")") to_plains+=("$(calculate 2 "$mine / $plain")")
    done
    row "restore on Kafka, state_cache=$cache" "$(median "${mines[@]}") records/s" \
        "$(median "${plains[@]}"), library's defaults" "ratio >= 0.80"
    row "  ratio of each pair" "${to_plains[*]}" "median $(median "${to_plains[@]}")" ">= 0.80"
    row "  to the same properties" "${to_bares[*]}" "$(median "${bares[@]}"), median $(median "${to_bares[@]}")" ">= 0.80"
done
