#!/usr/bin/env bash
# A global table on a real broker: two processes of one app with a copy each, and a restart. Started by run.sh of this
# folder.
PROGRAM=$(realpath "$TIDEMILL")
source "$(dirname "$0")/../cli/lib.sh"
export TIDEMILL_BROKERS=$TIDEMILL_TEST_BROKERS

test_every_process_has_all_rows() {
    local id=global-$$
    cat > join.lua <<END_SCRIPT
local tm = require "tidemill"
local app = tm.app "$id"
local rows = app:global_table("$id-rows", { store = "rows" })
app:stream("$id-in"):left_join(rows, function(key, v, row) return { n = v.n, row = row and row.name or "none" } end,
  { on = function(key, v) return v.r end }):to("$id-out")
END_SCRIPT
    seq 0 99 | awk '{ printf "{\"id\":\"r%d\",\"name\":\"A%d\"}\n", $1, $1 }' > rows
    seq 1 400 | awk '{ printf "{\"k\":\"k%d\",\"r\":\"r%d\",\"n\":%d}\n", $1 % 40, $1 % 100, $1 }' > clicks
    tm topics create "$id-out" --partitions 1
    tm produce "$id-rows" rows --key id --partitions 5
    tm produce "$id-in" clicks --key k --partitions 4
    local pids=()
    for name in a b; do
        "$PROGRAM" run join.lua --brokers "$TIDEMILL_BROKERS" --data data --instance $name --threads 1 --log-level info > $name.log 2>&1 &
        pids+=($!)
    done
    await sh -c "[ \$('$PROGRAM' consume $id-out | wc -l) -eq 400 ]"
    same 0 "$(tm consume "$id-out" | grep -c none)"
    await grep -q 'global tables are there' b.log
    kill -TERM "${pids[@]}"
    wait "${pids[@]}"
    sed -i 's/"A/"B/' rows
    tm produce "$id-rows" rows --key id
    tm produce "$id-in" clicks --key k
    status 0 tm run join.lua --brokers "$TIDEMILL_BROKERS" --data data --instance a --until-end --threads 1 --log-level info
    says "global tables are taken up"
    same 800 "$(tm consume "$id-out" | wc -l)"
    same 400 "$(tm consume "$id-out" | grep -c '"row":"B')"
    status 0 tm lag --app "$id"
    ! printf '%s' "$out" | grep -q "$id-rows" # no group reads it
}

run_tests
