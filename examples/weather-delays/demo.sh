#!/usr/bin/env bash
# Departures and hourly weather through pipeline.lua on the embedded log.
# Usage: demo.sh PROGRAM [--reset]; the data directory is TIDEMILL_DATA or tidemill-data/weather-delays.
set -euo pipefail
program=$(realpath "$1")
data=${TIDEMILL_DATA:-$PWD/tidemill-data/weather-delays}
cd "$(dirname "$0")"

[ "${2:-}" = --reset ] && rm -rf "$data"

"$program" produce weather ../flights/data/weather.jsonl.gz --data "$data" --key origin --timestamp observed --resume
"$program" produce departures ../flights/data/flights.jsonl.gz --data "$data" --key origin --timestamp scheduled --resume
"$program" run pipeline.lua --data "$data" --until-end --progress --log-level warn
"$program" consume weather-delays --data "$data" --latest --format table \
    --columns condition,flights,mean_delay --sort -mean_delay
