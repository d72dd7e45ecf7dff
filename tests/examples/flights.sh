#!/usr/bin/env bash
# The demo's numbers equal those of an independent fold over the same file, a second run finds nothing new, and a run that
# is killed in the middle ends with the same numbers, with one result per commit and with one per departure. Usage: flights.sh PROGRAM
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/../.."
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

export TIDEMILL_DATA=$directory/data FLIGHTS_SQLITE=$directory/data/airlines.sqlite
compare() {
    "$program" consume airline-delays --data "$TIDEMILL_DATA" --latest --format json > "$directory/result.jsonl"
    python3 tests/examples/flights_fold.py examples/flights/data "$directory/result.jsonl"
    python3 tests/examples/flights_fold.py examples/flights/data "$FLIGHTS_SQLITE"
}

examples/flights/demo.sh "$program" > "$directory/first.txt" 2> "$directory/first.err" || { cat "$directory"/first.*; exit 1; }
compare
grep -q 'JetBlue' "$directory/first.txt" || { echo "the table names no airline"; cat "$directory/first.txt"; exit 1; }
examples/flights/demo.sh "$program" > "$directory/second.txt" 2>&1 || { cat "$directory/second.txt"; exit 1; }
grep -qi 'nothing new' "$directory/second.txt" || { echo "the second run does not say that there was nothing new"; cat "$directory/second.txt"; exit 1; }
compare
examples/flights/demo.sh "$program" --reset > "$directory/reset.txt" 2>&1 || { cat "$directory/reset.txt"; exit 1; }
compare

# Killed three times in the middle of the script's run.
run_with_kills() {
    rm -rf "$TIDEMILL_DATA"
    cp -r "$directory/loaded" "$TIDEMILL_DATA"
    for _ in 1 2 3; do
        "$program" run "$1" --data "$TIDEMILL_DATA" --until-end --log-level error --set commit_records=5000 &
        pid=$!
        sleep 0.15
        kill -9 $pid 2> /dev/null || true
        wait $pid 2> /dev/null || true
    done
    "$program" run "$1" --data "$TIDEMILL_DATA" --until-end --log-level error
    compare
}

"$program" produce airlines examples/flights/data/airlines.jsonl.gz --data "$directory/loaded" --key carrier --at 0
"$program" produce departures examples/flights/data/flights.jsonl.gz --data "$directory/loaded" --key carrier --timestamp scheduled
run_with_kills examples/flights/pipeline.lua
"$program" consume airline-delays --data "$TIDEMILL_DATA" --format json > "$directory/all.jsonl"
python3 tests/examples/flights_fold.py --growing "$directory/all.jsonl"

grep -v 'emit = "commit"' examples/flights/pipeline.lua > "$directory/pipeline.lua"
run_with_kills "$directory/pipeline.lua"
count=$("$program" consume airline-delays --data "$TIDEMILL_DATA" --format json | wc -l)
[ "$count" = 336776 ] || { echo "$count results instead of 336776 after three kills"; exit 1; }
echo "flights: equal to the independent fold, also after three kills, per commit and per departure"
