#!/usr/bin/env bash
# Processors and global tables in whole processes on the embedded log.
source "$(dirname "$0")/lib.sh"

# One table of names for all partitions of the stream, and a processor with a store and a timer behind the join.
enrich_script() {
    cat > enrich.lua <<'END_SCRIPT'
local tm = require "tidemill"
local app = tm.app "enrich"
local names = app:global_table("names", { store = "names" })
app:stream("in")
  :left_join(names, function(key, v, row) return { name = row and row.name or "nobody", n = v.n } end,
    { on = function(key, v) return v.u end })
  :process { name = "sums", stores = { "sums" },
    init = function(ctx)
      ctx:every("10s", "stream", function(now)
        for key, sum in ctx.stores.sums:all() do ctx:forward(key, { sum = sum, at = now }) end
      end)
    end,
    process = function(key, v, rec, ctx)
      local sums = ctx.stores.sums
      sums:put(v.name, (sums:get(v.name) or 0) + v.n)
      ctx:forward(v.name, { now = sums:get(v.name) })
    end }
  :to("out")
END_SCRIPT
}

names() { # version
    for i in 0 1 2 3; do printf '{"id":"u%d","name":"%s%d"}\n' "$i" "$1" "$i"; done
}

clicks() { # from to
    seq "$1" "$2" | awk '{ printf "{\"k\":\"k%d\",\"u\":\"u%d\",\"n\":1,\"ts\":%d}\n", $1 % 10, $1 % 5, $1 * 100 }'
}

# The latest sums by name, over all partitions.
sums() { tm consume out | sed -n 's/^\([a-zA-Z0-9]*\)\t{"now":\([0-9]*\)}$/\1 \2/p' | awk '{ n[$1]++ } END { for (k in n) print k, n[k] }' | sort; }

test_rows_of_all_partitions_are_there_before_the_first_record() {
    enrich_script
    names A | tm produce names --key id --partitions 3 --at 0
    clicks 1 1000 | tm produce in --key k --timestamp ts --partitions 4
    status 0 tm run enrich.lua --until-end --threads 2 --log-level info
    says "global tables are loaded"
    same "A0 200
A1 200
A2 200
A3 200
nobody 200" "$(sums)"
}

test_a_restart_goes_on_from_the_local_files() {
    enrich_script
    names A | tm produce names --key id --partitions 3 --at 0
    clicks 1 500 | tm produce in --key k --timestamp ts --partitions 4
    status 0 tm run enrich.lua --until-end --threads 2 --log-level info
    names B | tm produce names --key id --at 0
    clicks 501 1000 | tm produce in --key k --timestamp ts
    status 0 tm run enrich.lua --until-end --threads 2 --log-level info
    says "global tables are taken up"
    same "A0 100
A1 100
A2 100
A3 100
B0 100
B1 100
B2 100
B3 100
nobody 200" "$(sums)"
    rm -rf tidemill-data/state
    clicks 1001 1100 | tm produce in --key k --timestamp ts
    status 0 tm run enrich.lua --until-end --threads 2 --log-level info
    says "global tables are loaded"
    sums | contains '^B3 120$'
}

test_rows_that_come_while_it_runs_are_followed() {
    enrich_script
    names A | tm produce names --key id --partitions 3 --at 0
    clicks 1 10 | tm produce in --key k --timestamp ts --partitions 4
    "$PROGRAM" run enrich.lua --threads 2 --log-level warn > run.log 2>&1 &
    local pid=$!
    await sh -c "'$PROGRAM' consume out | grep -q 'A3'"
    names C | tm produce names --key id --at 0
    # Rows and clicks are in no order to each other: clicks go on until they meet the new rows.
    await sh -c "echo '{\"k\":\"k1\",\"u\":\"u3\",\"n\":1,\"ts\":5000}' | '$PROGRAM' produce in --key k --timestamp ts &&
        '$PROGRAM' consume out | grep -q 'C3'"
    kill -TERM $pid
    wait $pid
}

test_a_bad_row_ends_the_app_with_its_place() {
    enrich_script
    echo 'no json' | tm produce names --format value --partitions 3
    clicks 1 10 | tm produce in --key k --timestamp ts --partitions 4
    status 5 tm run enrich.lua --until-end --log-level error
    says "topic names partition"
    says "enrich.lua:3"
}

run_tests
