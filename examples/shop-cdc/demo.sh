#!/usr/bin/env bash
# A shop's tables in PostgreSQL, captured as they change, joined and summed up into the report's tables of the same server.
# Usage: demo.sh PROGRAM [--stay]; what it writes is in TIDEMILL_DATA or tidemill-data/shop-cdc, and begins anew each time.
#   --stay   the server and the pipeline go on until Ctrl-C
# The PostgreSQL server is one of its own on a free port of the loopback, and is gone in the end.
set -euo pipefail
program=$(realpath "$1")
data=${TIDEMILL_DATA:-$PWD/tidemill-data/shop-cdc}
cd "$(dirname "$0")"

pipeline=
stop() {
    [ -z "$pipeline" ] || kill "$pipeline" 2> /dev/null || true
    wait
    ./postgres.sh remove "$data/server"
}

run_pipeline() {
    "$program" run pipeline.lua --data "$data/log" --log-level warn >> "$data/pipeline.log" 2>&1 &
    pipeline=$!
}

sql() { psql "$SHOP_DATABASE" --quiet --no-psqlrc -v ON_ERROR_STOP=1 "$@"; }
value() { sql --tuples-only --no-align --command "$1"; }

await() { # the query must come to say true
    for _ in $(seq 1200); do
        [ "$(value "$1")" = t ] && return
        kill -0 "$pipeline" 2> /dev/null || break
        sleep 0.1
    done
    echo "The report never came to: $1" >&2
    cat "$data/pipeline.log" >&2
    exit 1
}

command -v psql > /dev/null || { echo "psql is missing; Debian has it in postgresql-client" >&2; exit 77; }
[ ! -d "$data/server" ] || ./postgres.sh remove "$data/server" # of a run that was killed
rm -rf "$data"
mkdir -p "$data"
trap stop EXIT
trap 'exit 130' INT TERM

echo "== A PostgreSQL server of its own"
SHOP_DATABASE=$(./postgres.sh start "$data/server")
export SHOP_DATABASE
echo "$SHOP_DATABASE"

echo "== Its schema shop gets customers, orders and items; report is empty"
sql --file schema.sql --file load.sql

echo "== The pipeline reads the rows that are there, then every change"
run_pipeline
await "SELECT EXISTS (TABLE report.countries) AND NOT EXISTS (TABLE report.differences)"

echo "== Meanwhile the shop sells, ships, cancels and deletes: 300 rounds"
sql --command "CALL shop.work(300)" &
work=$!
sleep 1
echo "== kill -9 of the pipeline in the middle of it, and it is started again"
kill -9 "$pipeline"
wait "$pipeline" 2> /dev/null || true
run_pipeline
wait "$work"
await "SELECT NOT EXISTS (TABLE report.differences)"

echo "== What the pipeline wrote: report.countries"
sql --command "SELECT country, sales, pieces, (cents / 100.0)::numeric(20, 2) AS revenue FROM report.countries ORDER BY cents DESC"
echo "== Compared with SQL over the shop's tables"
value "SELECT (SELECT count(*) FROM report.countries) || ' countries and ' || (SELECT count(*) FROM report.sales)
    || ' sales, rows that differ: ' || (SELECT count(*) FROM report.differences)"

if [ "${2:-}" = --stay ]; then
    echo "== Both go on until Ctrl-C. Try: psql $SHOP_DATABASE"
    wait "$pipeline"
fi
