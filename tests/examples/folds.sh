#!/usr/bin/env bash
# The examples over the flights of 2013 give what an independent fold gives, in one run and after being killed in the middle.
# Usage: folds.sh PROGRAM [EXAMPLE...]
set -euo pipefail
program=$(realpath "$1")
shift
cd "$(dirname "$0")/../.."
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

compare() { # example, its data directory, its topic
    "$program" consume "$3" --data "$2" --format json > "$directory/result.jsonl"
    python3 tests/examples/folds.py "$1" examples/flights/data "$directory/result.jsonl"
}

# Kills the pipeline three times on its way through the data that the first run brought in.
run_with_kills() { # example, data directory
    for _ in 1 2 3; do
        "$program" run "examples/$1/pipeline.lua" --data "$2" --until-end --log-level error --set commit_records=5000 &
        sleep 0.3
        kill -9 $! 2> /dev/null || true
        wait $! 2> /dev/null || true
    done
    "$program" run "examples/$1/pipeline.lua" --data "$2" --until-end --log-level error
}

for entry in weather-delays:weather-delays planes-in-use:planes-in-use turnarounds:turnarounds late-routes:late-routes \
    enrichment:departures-enriched; do
    example=${entry%:*} topic=${entry#*:}
    case " ${*:-$example} " in *" $example "*) ;; *) continue ;; esac
    data=$directory/$example
    TIDEMILL_DATA=$data "examples/$example/demo.sh" "$program" > "$directory/out" 2>&1 || { cat "$directory/out"; exit 1; }
    compare "$example" "$data" "$topic"
    "$program" reset --app "$example" --data "$data" --to-earliest --execute > /dev/null
    "$program" topics delete "$topic" --data "$data" > /dev/null
    run_with_kills "$example" "$data"
    compare "$example" "$data" "$topic"
    rm -rf "$data"
done
