#!/usr/bin/env bash
# What connectors cost: each beside a bare client loop of the same run, then whole pipelines through `tidemill run`, on
# PostgreSQL servers of their own that flush to the disk; at last a table with the floors. About six minutes.
#   connectors.sh PROGRAM [PART...]   parts: sqlite postgres-sink postgres-source postgres-poll pipelines
# Status 0 when all that was measured is at its floor, 1 when something is below, 77 when nothing could be measured.
set -uo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-build/tidemill}")
shift
parts=${*:-sqlite postgres-sink postgres-source postgres-poll pipelines}
tools=$(dirname "$program")/tests
. tests/bench/support.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/tidemill-bench-XXXXXX")
trap 'tests/support/postgres.sh remove "$work/server"; rm -rf "$work"' EXIT
table=$work/table
: > "$table"
ROWS=${ROWS:-500000}

# measured WHAT UNIT FLOOR VALUE [BARE RATIO]: a row of the table; FLOOR of memory is its ceiling; - when there is none.
# The ratio is the one that the bench says: the median of its pairs, which a busy machine changes less than the rates.
measured() { printf '%s|%s|%s|%s|%s|%s\n' "$1" "$2" "$3" "$4" "${5:--}" "${6:-0}" >> "$table"; }

# numbers PATTERN FILE: the numbers of the first line that begins so, those of the name aside.
numbers() { sed -n "s/^$1//p" "$2" | head -n 1 | grep -oE '[0-9]+(\.[0-9]+)?' | tr '\n' ' '; }

with_server() { # a bench of its own server, its output shown and kept in $work/out
    TIDEMILL_TEST_POSTGRES_OPTIONS="-c max_wal_size=4GB" tests/support/with_postgres.sh "$@" | tee "$work/out"
}

sqlite_part() {
    "$tools/bench_connectors_sqlite" | tee "$work/out" || return
    local value bare ratio rest
    read -r value bare ratio _ <<< "$(numbers 'upserts of new rows' "$work/out")"
    measured "SQLite, upsert, new rows, 1k" rows/s 300000 "$value" "$bare" "$ratio"
    read -r value bare ratio _ <<< "$(numbers 'upserts of rows that exist' "$work/out")"
    measured "SQLite, upsert, all rows exist, 1k" rows/s 300000 "$value" "$bare" "$ratio"
    "$tools/bench_connectors_sqlite_source" | tee "$work/out" || return
    read -r rest value <<< "$(numbers 'change log' "$work/out")"
    measured "SQLite, change log read" events/s - "${value%% *}"
}

postgres_sink_part() {
    with_server "$tools/bench_connectors_postgres_sink" || return
    local entry name batch floor value bare percent
    for entry in "upsert, new rows|1000|70000" "upsert, all rows exist|1000|50000" "append|1000|110000" \
        "upsert, new rows|10000|95000" "upsert, all rows exist|10000|70000" "append|10000|-"; do
        IFS='|' read -r name batch floor <<< "$entry"
        read -r value bare percent <<< "$(numbers "$name  *$batch " "$work/out")"
        measured "PostgreSQL, $name, $((batch / 1000))k" rows/s "$floor" "$value" "$bare" "$(calculate 2 "$percent / 100")"
    done
}

postgres_source_part() {
    with_server "$tools/bench_connectors_postgres_source" || return
    local value bare ratio
    read -r value bare ratio _ <<< "$(numbers 'one big transaction' "$work/out")"
    measured "PostgreSQL, changes, one big transaction" events/s 90000 "$value" "$bare" "$ratio"
    read -r value bare ratio _ <<< "$(numbers 'one-row transactions' "$work/out")"
    measured "PostgreSQL, changes, small transactions" tx/s 18000 "$value" "$bare" "$ratio"
    read -r value _ <<< "$(numbers 'snapshot' "$work/out")"
    measured "PostgreSQL, rows that are there" rows/s - "$value" # its bare client decodes nothing
    measured "PostgreSQL, changes, largest RSS" MB 64 "$(numbers 'largest RSS' "$work/out" | cut -d' ' -f1)"
}

postgres_poll_part() {
    with_server "$tools/bench_connectors_postgres_poll" || return
    local value bare ratio
    read -r value bare ratio _ <<< "$(numbers 'rows polled' "$work/out")"
    measured "PostgreSQL, rows polled" rows/s 200000 "$value" "$bare" "$ratio"
}

# pipeline WHAT ROWS FLOOR_MB: runs p.lua until the end; rows a second and the largest memory of the process.
pipeline() {
    local seconds megabytes
    read -r seconds megabytes <<< "$(python3 - "$program" "$work" << 'PY'
import resource, subprocess, sys, time
start = time.monotonic()
status = subprocess.call([sys.argv[1], "run", sys.argv[2] + "/p.lua", "--data", sys.argv[2] + "/data", "--until-end",
                          "--log-level", "warn"], stdout=sys.stderr)
print(time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(status)
PY
    )"
    [ -n "$seconds" ] || return 1
    measured "tidemill run, $1" rows/s - "$(calculate 0 "$2 / $seconds")"
    measured "  largest RSS of it" MB "$3" "$(calculate 1 "$megabytes")"
}

expect() { # rows that must be there, found
    [ "$1" = "$2" ] || { echo "connectors.sh: $2 rows instead of $1" >&2; return 1; }
}

sql() { psql "$url" -qXAt -v ON_ERROR_STOP=1 -c "$1"; }

pipelines_part() {
    local url columns='id bigint PRIMARY KEY, customer int, name text, total float8'
    seq "$ROWS" | awk '{ printf "{\"id\":%d,\"customer\":%d,\"name\":\"customer number %d\",\"total\":%d.25}\n", $1, $1 % 1000, $1 % 4711, $1 % 997 }' \
        > "$work/rows.jsonl"
    cat > "$work/p.lua" << LUA
local tm = require "tidemill"
local app = tm.app "file-to-sqlite"
app:source("lines", tm.connect.file { path = "$work/rows.jsonl", key = "id" })
  :sink("rows", tm.connect.sqlite { path = "$work/rows.sqlite", table = "rows", key = { "id" }, auto_create = true })
LUA
    pipeline "file to SQLite" "$ROWS" - || return 1
    expect "$ROWS" "$(sqlite3 "$work/rows.sqlite" 'SELECT count(*) FROM rows')" || return 1

    url=$(tests/support/postgres.sh start "$work/server" -c max_wal_size=4GB) || return
    sql "CREATE TABLE written ($columns); CREATE TABLE captured ($columns)"
    "$program" produce rows "$work/rows.jsonl" --key id --data "$work/data" > /dev/null 2>&1
    cat > "$work/p.lua" << LUA
local tm = require "tidemill"
local app = tm.app "topic-to-postgres"
app:stream("rows"):sink("rows", tm.connect.postgres { url = "$url", table = "written", key = { "id" } })
LUA
    pipeline "topic to PostgreSQL" "$ROWS" - || return 1
    expect "$ROWS" "$(sql 'SELECT count(*) FROM written')" || return 1

    cat > "$work/p.lua" << LUA
local tm = require "tidemill"
local app = tm.app "postgres-to-topic"
app:source("rows", tm.connect.postgres { url = "$url", tables = { "public.captured" } }):to("changes")
LUA
    sql "INSERT INTO captured SELECT i, i % 1000, 'customer number ' || i % 4711, i % 997 + 0.25 FROM generate_series(1, $ROWS) i"
    pipeline "PostgreSQL to topic, rows that are there" "$ROWS" 64 || return 1
    sql "UPDATE captured SET total = total + 1"
    pipeline "PostgreSQL to topic, one transaction" "$ROWS" 64 || return 1
    expect "$((2 * ROWS))" "$("$program" consume changes --data "$work/data" --format value | wc -l)"
}

print_table() {
    awk -F '|' '
        BEGIN { printf "%-56s %-9s %10s %10s %12s %7s\n", "", "", "floor", "measured", "bare client", "ratio" }
        {
            memory = $2 == "MB"
            below = $3 != "-" && (memory ? $4 > $3 : $4 + 0 < $3 + 0)
            slow = $6 > 0 && $6 < 0.85
            said = (below ? "  MISSED" : "") (slow ? "  below 0.85 of the bare client" : "")
            printf "%-56s %-9s %10s %10s %12s %7s%s\n", $1, $2, ($3 != "-" && memory ? "<= " $3 : $3), $4, $5,
                ($6 > 0 ? $6 : "-"), said
            missed += below || slow
        }
        END { print missed ? missed " missed" : "all floors are reached"; exit missed > 0 }' "$table"
}

failed=0
for part in $parts; do
    declare -F "${part//-/_}_part" > /dev/null || { echo "connectors.sh: there is no part $part" >&2; exit 2; }
    echo "== $part"
    "${part//-/_}_part"
    status=$?
    [ $status -eq 0 ] || [ $status -eq 77 ] || { echo "connectors.sh: $part failed" >&2; failed=1; }
done
[ -s "$table" ] || exit $((failed ? 1 : 77))
echo
print_table || failed=1
exit $failed
