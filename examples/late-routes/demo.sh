#!/usr/bin/env bash
# Departures through pipeline.lua on the embedded log; prints the last days' lists.
# Usage: demo.sh PROGRAM [--reset]; the data directory is TIDEMILL_DATA or tidemill-data/late-routes.
set -euo pipefail
program=$(realpath "$1")
data=${TIDEMILL_DATA:-$PWD/tidemill-data/late-routes}
cd "$(dirname "$0")"

[ "${2:-}" = --reset ] && rm -rf "$data"

# A list of the whole day needs all its departures in one partition.
"$program" produce departures ../flights/data/flights.jsonl.gz --data "$data" --key carrier --timestamp scheduled \
    --partitions 1 --resume
"$program" run pipeline.lua --data "$data" --until-end --progress --log-level warn
"$program" consume late-routes --data "$data" --format key-value | tail -n 3
