#!/usr/bin/env bash
# Departures through pipeline.lua on the embedded log; prints the busiest hours.
# Usage: demo.sh PROGRAM [--reset]; the data directory is TIDEMILL_DATA or tidemill-data/planes-in-use.
set -euo pipefail
program=$(realpath "$1")
data=${TIDEMILL_DATA:-$PWD/tidemill-data/planes-in-use}
cd "$(dirname "$0")"

[ "${2:-}" = --reset ] && rm -rf "$data"

"$program" produce departures ../flights/data/flights.jsonl.gz --data "$data" --key origin --timestamp scheduled --resume
"$program" run pipeline.lua --data "$data" --until-end --progress --log-level warn
"$program" consume planes-in-use --data "$data" --format table --columns origin,from,departures,planes --sort -planes |
    sed -n 1,12p
