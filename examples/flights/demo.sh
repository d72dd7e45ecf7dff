#!/usr/bin/env bash
# The main job: all departures from New York City in 2013 through pipeline.lua on the embedded log.
# Usage: demo.sh PROGRAM [--reset]; the data directory is TIDEMILL_DATA or tidemill-data/flights.
set -euo pipefail
program=$(realpath "$1")
data=${TIDEMILL_DATA:-$PWD/tidemill-data/flights}
# The file keeps the position of what was written into it, so it lies beside the topics and goes with them.
export FLIGHTS_SQLITE=$data/airlines.sqlite
cd "$(dirname "$0")"

[ "${2:-}" = --reset ] && rm -rf "$data"

echo "== The airlines and the departures go into topics of the embedded log in $data"
"$program" produce airlines data/airlines.jsonl.gz --data "$data" --key carrier --at 0 --resume
"$program" produce departures data/flights.jsonl.gz --data "$data" --key carrier --timestamp scheduled --resume

echo "== The pipeline runs until it has read them all"
"$program" run pipeline.lua --data "$data" --until-end --progress --log-level warn

echo "== Departures per airline, those with the longest mean delay (in minutes) first"
"$program" consume airline-delays --data "$data" --latest --format table \
    --columns airline,flights,cancelled,mean_delay,late_share --sort -mean_delay

echo "== The same table is in the SQLite file $FLIGHTS_SQLITE; try:"
echo "sqlite3 $FLIGHTS_SQLITE 'SELECT airline, flights, round(mean_delay, 1) FROM airlines ORDER BY mean_delay DESC LIMIT 3'"
