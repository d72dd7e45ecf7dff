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

# check with the state as it was, but for what the command does in the directory of a worker.
damaged_by() { # what it says, command
    local said=$1
    shift
    rm -rf broken
    cp -r tidemill-data broken
    (cd broken/state/shop/0/*_1 && "$@")
    (cd broken/state && find . -type f -size +0 ! -name '*-shm' -exec sha256sum {} + | sort) > before
    status 5 tm check shop.lua --data broken
    says "Damaged: broken/state/shop/0/"
    says "$said"
    says "puts them aside as *.quarantine-<time> and rebuilds the stores"
    (cd broken/state && find . -type f -size +0 ! -name '*-shm' -exec sha256sum {} + | sort) > after
    cmp before after || { diff before after; return 1; }
    status 5 tm check shop.lua --data broken --json
    same 1 "$(jq '.state.damaged | length' <<< "$out")"
}

overwrite() { # file, offset
    printf 'garbage-%.0s' $(seq 30) | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

test_check_reads_the_stores() {
    make_state
    seq 2000 | awk '{ printf "{\"id\":\"key-%d\",\"n\":1,\"ts\":40000}\n", $1 }' > more.jsonl
    tm produce orders more.jsonl --key id --timestamp ts
    tm run shop.lua --until-end --log-level warn
    status 0 tm check shop.lua --data tidemill-data
    says "The files of 2 workers' stores were read: 0 damaged."
    same '{"workers":2,"damaged":[]}' "$(tm check shop.lua --data tidemill-data --json | jq -c .state)"
    damaged_by "rows.db" overwrite rows.db $((5 * 8192))
    damaged_by "is no state file that this version knows" overwrite rows.db 60
    damaged_by "is cut off within a page" truncate -s -100 rows.db
    damaged_by "rows.db" truncate -s 24576 rows.db
    damaged_by "file is not a database" sh -c 'rm -f rows.db-*; seq 10000 > rows.db'
    damaged_by "rows.db is missing" rm -f rows.db rows.db-wal rows.db-shm
    # The next start does what was said.
    tm run shop.lua --until-end --data broken > log 2>&1
    contains "put aside" < log
    status 0 tm check shop.lua --data broken
    damaged_by "were not made together" sh -c 'cp ../*_0/rows.db rows.db'
}

test_check_reads_the_deltas_and_a_running_app() {
    make_state
    start_app
    tm produce orders orders.jsonl --key id --timestamp ts
    for _ in 1 2 3; do
        status 0 tm check shop.lua --data tidemill-data
        says "0 damaged"
    done
    kill -9 "$app"
    if command -v sqlite3 > /dev/null; then
        damaged_by "deltas.db" sqlite3 deltas.db \
            "INSERT INTO delta SELECT max(seq) + 1, NULL, x'00112233445566778899' FROM delta"
    fi
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

# The command that docs/operations.md shows, in the directory of each worker of the app.
with_sqlite() { # number and name of the store
    local command directory
    command=$(sed -n "s/^ *\(sqlite3 -readonly rows.db .*\) LIMIT 10\"$/\1\"/p" "$top/docs/operations.md")
    [ -n "$command" ] || { echo "no command in docs/operations.md"; return 1; }
    for directory in tidemill-data/state/shop/0/*_?; do
        (cd "$directory" && eval "${command//1_totals/$1}")
    done
}

test_sqlite_reads_the_rows_after_a_clean_end_and_in_a_pause() {
    command -v sqlite3 > /dev/null || skip "sqlite3 is missing"
    make_state
    same "k0|{\"n\":70} k1|{\"n\":75} k2|{\"n\":80} k3|{\"n\":54} k4|{\"n\":58} k5|{\"n\":62} k6|{\"n\":66}" \
        "$(echo $(with_sqlite 3_sums | sort))"
    same 7 "$(with_sqlite 1_counts | wc -l)"
    same 11 "$(with_sqlite 2_windowed | wc -l)"
    start_app
    tm produce orders orders.jsonl --key id --timestamp ts
    await sh -c '[ "$("$1" state get sums k3)" = "k3	{\"n\":108}" ]' - "$PROGRAM"
    await eval 'with_sqlite 3_sums | contains "k3|{\"n\":108}"'
    stop_app
    with_sqlite 3_sums | contains 'k3|{"n":108}'
}

test_a_backup_of_a_running_app_goes_on_exactly_once() {
    make_state
    start_app
    (while [ ! -e enough ]; do tm produce orders orders.jsonl --key id --timestamp ts; done) > /dev/null 2>&1 &
    feeder=$!
    await sh -c '[ "$("$1" state dump sums --format value | wc -l)" = 7 ]' - "$PROGRAM"
    for round in 1 2 3; do
        status 0 tm state backup --output "copy$round"
        says "state/shop/0/counts_1"
        [ ! -e "copy$round.incomplete" ]
        [ ! -e "copy$round/state/shop/0/instance" ]
    done
    kill -9 "$app"
    touch enough
    wait $feeder
    for round in 1 2 3; do
        tm run shop.lua --until-end --data "copy$round" 2> log
        ! grep -q 'put aside' log
        same 2 "$(ls -d "copy$round"/state/shop/0/counts_? | wc -l)"
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

test_a_backup_says_what_is_in_it() {
    make_state
    sed 's/"shop"/"other"/' shop.lua > other.lua
    tm run other.lua --until-end --log-level warn
    status 0 tm state backup --output all --format json
    same "other 0_0,other 0_1,shop 0_0,shop 0_1,null null" \
        "$(jq -r '"\(.app) \(.worker)"' <<< "$out" | paste -sd,)"
    same '{"copied":"log","directory":"log"}' "$(tail -1 <<< "$out" | jq -c 'del(.bytes)')"
    same "$(stat -c %s all/log/log.db)" "$(tail -1 <<< "$out" | jq .bytes)"
    # Of one app, of a directory elsewhere, of a log without state, of state without a log.
    status 0 tm state backup --output one --app shop
    same shop "$(ls one/state)"
    same "$(tm state dump sums --app shop | sort)" "$(tm state dump sums --data one | sort)"
    status 0 tm check shop.lua --data one
    mv tidemill-data/state elsewhere
    status 0 tm state backup --output moved/ --state-dir elsewhere/shop
    same "$(tm state dump sums --data one | sort)" "$(tm state dump sums --data moved | sort)"
    status 0 tm state backup --output log-alone
    same log "$(ls log-alone)"
    rm -r one/log
    status 0 tm state backup --output state-alone --data one
    same state "$(ls state-alone)"
}

test_a_backup_that_cannot_be_made_leaves_nothing() {
    status 3 tm state backup --output copy
    says "neither state nor a log in tidemill-data"
    make_state
    status 2 tm state backup
    says "state backup --output DIR"
    status 2 tm state backup --output copy --http 8080
    mkdir copy
    status 3 tm state backup --output copy
    says "copy is there already, and a backup overwrites nothing"
    rmdir copy
    mkdir copy.incomplete
    status 3 tm state backup --output copy
    says "Another backup is at work, or was killed: then delete it."
    rmdir copy.incomplete
    status 3 tm state backup --output copy --app nobody
    touch file
    status 3 tm state backup --output file/copy
    says "file/copy.incomplete can't be made: Not a directory"
    printf 'no database, is it? %100s' ' ' | dd of=tidemill-data/log/log.db conv=notrunc status=none
    rm -f tidemill-data/log/log.db-*
    status 5 tm state backup --output copy
    says "log.db is damaged or is not a log"
    same 0 "$(ls -d copy* 2> /dev/null | wc -l)"
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
