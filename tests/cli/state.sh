#!/usr/bin/env bash
. "$(dirname "$0")/lib.sh"

# Keys k0 to k6, a second apart, over two partitions; counts, sums and windows of ten seconds.
make_state() {
    cat > shop.lua << 'LUA'
local tm = require "tidemill"
local app = tm.app { id = "shop" }
local orders = app:stream("orders"):group_by_key()
orders:count { store = "counts" }:to("results")
orders:windowed_by(tm.tumbling("10s")):count { store = "windowed" }
orders:aggregate {
  store = "sums",
  init = function() return { n = 0 } end,
  add = function(_, value, sum) return { n = sum.n + value.n } end,
}
LUA
    for i in $(seq 1 30); do
        echo "{\"id\":\"k$((i % 7))\",\"n\":$i,\"ts\":$((i * 1000))}"
    done > orders.jsonl
    tm topics create orders --partitions 2
    tm produce orders orders.jsonl --key id --timestamp ts
    tm run shop.lua --until-end --log-level warn
}

start_app() {
    "$PROGRAM" run shop.lua --http 127.0.0.1:0 > /dev/null 2> log &
    app=$!
    await grep -q 'The HTTP server listens' log
    port=$(sed -n 's/.*port=\([0-9]*\).*/\1/p' log)
    await sh -c "[ \"\$(\"$PROGRAM\" state list --http $port | grep -c counts)\" = 2 ]"
}

stop_app() {
    kill "$app"
    wait "$app"
}

test_files_at_rest() {
    make_state
    status 0 tm state list
    says "windowed  window"
    same 6 "$(grep -c '^shop' <<< "$out")"
    same 7 "$(tm state list --counts --format json | grep '"store":"sums"' | grep -o '"entries":[0-9]*' |
        awk -F: '{ n += $2 } END { print n }')"
    same "k3	4" "$(tm state get counts k3 --value-codec int64)"
    same '{"store":"sums","partition":P,"key":"k4","value":{"n":58},"timestamp":25000}' \
        "$(tm state get sums k4 --format json | sed 's/"partition":[01]/"partition":P/')"
    same "k3 k4" "$(echo $(tm state scan sums --from k3 --to k5 --format key | sort))"
    same "k0 k1 k2 k3 k4 k5 k6" "$(echo $(tm state dump sums --format key | sort))"
    same 3 "$(tm state scan sums --limit 3 | wc -l)"
    status 0 tm state scan sums --format table --sort -n
    same "key   n|k2   80" "$(head -2 <<< "$out" | paste -sd'|')"
}

test_windows_show_their_start() {
    make_state
    same "k6@1970-01-01T00:00:20.000Z	2" "$(tm state get windowed k6 --value-codec int64 | tail -1)"
    status 0 tm state scan windowed --prefix k2 --format json
    says '"key":"k2","window_start":20000,'
    ! grep -q '"k3"' <<< "$out"
}

test_a_running_app_answers_the_same() {
    make_state
    start_app
    for store in sums counts windowed; do
        same "$(tm state dump $store --format json | sort)" "$(tm state dump $store --format json --http "$port" | sort)"
    done
    same "k3	{\"n\":54}" "$(tm state get sums k3 --http "$port")"
    same "k2" "$(tm state scan sums --prefix k2 --format key --http "$port")"
    status 1 tm state get sums nobody --http "$port"
    says "nothing for the key nobody"
    status 3 tm state scan nowhere --http "$port"
    # Its files are read meanwhile too.
    same "k3	4" "$(tm state get counts k3 --value-codec int64)"
    stop_app
    status 4 tm state list --http "$port"
    says "No app answers"
}

test_top_shows_the_workers() {
    make_state
    start_app
    status 0 tm top --http "$port" --once --interval 50ms
    says "worker  state"
    same "0_0 running 0_1 running" "$(echo $(awk '/running/ { print $1, $2 }' <<< "$out"))"
    says "2 workers, 0 records/s, 0 records behind"
    # Elsewhere than on a terminal one table follows the other, until the app ends.
    "$PROGRAM" top --http "$port" --interval 50ms > tables 2> ended &
    top=$!
    await sh -c '[ "$(grep -c "2 workers" tables)" -ge 3 ]'
    stop_app
    code=0
    wait "$top" || code=$?
    same 4 "$code"
    grep -q "No app answers" ended
    status 4 tm top --http "$port" --once
}

# The way that docs/operations.md describes: stores first, then the log, each with SQLite's own backup.
back_up() { # data directory, where to
    python3 - "$1" "$2" << 'PYTHON'
import os, sqlite3, sys

def copy(path, to):
    os.makedirs(os.path.dirname(to), exist_ok=True)
    source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    target = sqlite3.connect(to)
    source.backup(target)
    target.close()
    source.close()

data, backup = sys.argv[1:]
for directory, _, files in os.walk(os.path.join(data, "state")):
    for name in ("rows.db", "deltas.db"):
        if name in files:
            path = os.path.join(directory, name)
            copy(path, os.path.join(backup, os.path.relpath(path, data)))
copy(os.path.join(data, "log", "log.db"), os.path.join(backup, "log", "log.db"))
PYTHON
}

test_a_backup_of_a_running_app_goes_on_exactly_once() {
    command -v python3 > /dev/null || skip "python3 is missing"
    make_state
    start_app
    (while [ ! -e enough ]; do tm produce orders orders.jsonl --key id --timestamp ts; done) > /dev/null 2>&1 &
    feeder=$!
    await sh -c '[ "$("$1" state dump sums --format value | wc -l)" = 7 ]' - "$PROGRAM"
    for round in 1 2 3; do
        back_up tidemill-data "copy$round"
    done
    touch enough
    wait $feeder
    stop_app
    for round in 1 2 3; do
        tm run shop.lua --until-end --data "copy$round" 2> log
        records=$(tm consume orders --data "copy$round" --format key | wc -l)
        [ "$records" -ge 30 ]
        same "$records" "$(tm state dump counts --data "copy$round" --format value --value-codec int64 |
            awk '{ n += $1 } END { print n }')"
        same "$(tm consume orders --data "copy$round" | cut -f2 | grep -o '"n":[0-9]*' |
            awk -F: '{ n += $2 } END { print n }')" \
            "$(tm state dump sums --data "copy$round" --format value | grep -o '[0-9]*' | awk '{ n += $1 } END { print n }')"
        # Every intermediate count of a key once, in order.
        tm consume results --data "copy$round" > results
        awk '{ if ($2 != ++seen[$1]) exit 1 }' results
        same "$records" "$(wc -l < results)"
    done
}

test_what_does_not_fit_is_said() {
    status 3 tm state list --data nowhere
    says "There is no state in nowhere/state"
    make_state
    status 3 tm state dump nowhere
    says "There is no store nowhere"
    status 2 tm state scan sums --prefix k --from k
    status 2 tm state get sums
    status 2 tm state frobnicate
    status 2 tm state list --http 1 --data tidemill-data
    status 1 tm state get sums nobody
    sed 's/"shop"/"other"/' shop.lua > other.lua
    tm run other.lua --until-end --log-level warn
    status 2 tm state dump sums
    says "name one with --app"
    same "k3	{\"n\":54}" "$(tm state get sums k3 --app other)"
    same "k3	{\"n\":54}" "$(tm state get sums k3 --state-dir tidemill-data/state/shop)"
}

run_tests
