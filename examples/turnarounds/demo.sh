#!/usr/bin/env bash
# Departures by tail number through pipeline.lua on the embedded log; prints the longest working days.
# Usage: demo.sh PROGRAM [--reset]; the data directory is TIDEMILL_DATA or tidemill-data/turnarounds.
set -euo pipefail
program=$(realpath "$1")
data=${TIDEMILL_DATA:-$PWD/tidemill-data/turnarounds}
cd "$(dirname "$0")"

[ "${2:-}" = --reset ] && rm -rf "$data"

# Flights without a tail number were cancelled: they have no key and are left out, which the status 1 tells.
"$program" produce departures ../flights/data/flights.jsonl.gz --data "$data" --key tailnum --timestamp scheduled \
    --skip-bad --resume || [ $? -eq 1 ]
"$program" run pipeline.lua --data "$data" --until-end --progress --log-level warn
"$program" consume turnarounds --data "$data" --format table \
    --columns plane,from,departures,turnaround_minutes,miles --sort -departures | sed -n 1,12p
