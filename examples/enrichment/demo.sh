#!/usr/bin/env bash
# Departures, airlines and airports through pipeline.lua on the embedded log; prints some of the results.
# Usage: demo.sh PROGRAM [--reset]; the data directory is TIDEMILL_DATA or tidemill-data/enrichment.
set -euo pipefail
program=$(realpath "$1")
data=${TIDEMILL_DATA:-$PWD/tidemill-data/enrichment}
cd "$(dirname "$0")"

[ "${2:-}" = --reset ] && rm -rf "$data"

"$program" produce airlines ../flights/data/airlines.jsonl.gz --data "$data" --key carrier --at 0 --resume
"$program" produce airports ../flights/data/airports.jsonl.gz --data "$data" --key faa --at 0 --resume
"$program" produce departures ../flights/data/flights.jsonl.gz --data "$data" --key carrier --timestamp scheduled --resume
"$program" run pipeline.lua --data "$data" --until-end --progress --log-level warn
"$program" consume departures-enriched --data "$data" --limit 10 --format table \
    --columns airline,flight,origin,dest,destination,zone
