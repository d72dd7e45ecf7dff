#!/usr/bin/env bash
# tidemill dev: files in, what comes out on the terminal, started over at every save.
source "$(dirname "$0")/lib.sh"

double_script() { # factor
    cat > double.lua.new <<END_SCRIPT
local tm = require "tidemill"
local app = tm.app "double"
app:stream("in")
  :map_values(function(key, value)
    return { n = value.n * $1 }
  end)
  :to("out")
END_SCRIPT
    mv double.lua.new double.lua
}

inputs() {
    printf '{"k":"a","n":1,"ts":1000}\n{"k":"b","n":2,"ts":2000}\n' > in.jsonl
    gzip -k in.jsonl
}

# Each test has a folder of its own for temporary files, which must be empty afterwards.
nothing_left() { same "" "$(ls temporary)"; }
dev() {
    mkdir -p temporary
    TMPDIR=$PWD/temporary "$PROGRAM" dev "$@"
}
# In the background; its output is in dev.out and dev.err, its process in $pid.
dev_on() {
    mkdir -p temporary
    TMPDIR=$PWD/temporary "$PROGRAM" dev "$@" > dev.out 2> dev.err &
    pid=$!
}
dev_off() {
    kill -INT $pid
    wait $pid
    nothing_left
}

test_once() {
    double_script 2
    inputs
    status 0 dev double.lua --input in=in.jsonl.gz,key=k,timestamp=ts --once
    same "2 records produced to in.
out  a  {\"n\":2}  1970-01-01T00:00:01.000Z
out  b  {\"n\":4}  1970-01-01T00:00:02.000Z" "$out"
    same "" "$err"
    nothing_left
}

test_counts_windows_and_chosen_topics() {
    cat > all.lua <<'END_SCRIPT'
local tm = require "tidemill"
local app = tm.app "all"
app:stream("in"):group_by_key():windowed_by(tm.tumbling("1m")):count { store = "c" }:to("counts")
app:stream("in"):to(function(key) return "chosen-" .. key end)
END_SCRIPT
    inputs
    status 0 dev all.lua --input in=in.jsonl,key=k,timestamp=ts --topic chosen-a --topic chosen-b --once
    says 'counts  a@1970-01-01T00:00:00.000Z  1  1970-01-01T00:00:01.000Z'
    says 'chosen-b  b  {"k":"b","n":2,"ts":2000}  1970-01-01T00:00:02.000Z'
    nothing_left
}

test_csv_and_a_global_table() {
    cat > join.lua <<'END_SCRIPT'
local tm = require "tidemill"
local app = tm.app "join"
local names = app:global_table("names", { store = "names" })
app:stream("in"):join(names, function(key, v, row) return row.name end, { on = function(key) return key end }):to("out")
END_SCRIPT
    inputs
    printf 'id,name\na,Ada\nb,Bob\n' > names.csv
    status 0 dev join.lua --input names=names.csv,csv,key=id,at=0 --input in=in.jsonl,key=k,timestamp=ts --once
    says 'out  a  "Ada"  1970-01-01T00:00:01.000Z'
    says 'out  b  "Bob"'
}

test_misspelt_options_of_an_input_are_usage_errors() {
    double_script 2
    inputs
    status 2 dev double.lua --input in=in.jsonl,kye=k --once
    says 'There is no file in.jsonl,kye=k, and --input has no option "kye"; the nearest is key.'
    status 2 dev double.lua --input in=in.jsonl,something=k,timestamp=ts --once
    says 'has no option "something"; it has key, timestamp, at, format and csv.'
    cp in.jsonl in.jsonl,kye=k
    status 0 dev double.lua --input in=in.jsonl,kye=k,key=k --once
    nothing_left
}

test_a_save_starts_over() {
    double_script 2
    inputs
    dev_on double.lua --input in=in.jsonl,key=k,timestamp=ts
    await grep -q 'out  b  {"n":4}' dev.out
    await grep -q '2 records processed, 2 written' dev.err
    double_script 30
    await grep -q 'out  b  {"n":60}' dev.out
    printf '{"k":"c","n":3,"ts":3000}\n' >> in.jsonl
    await grep -q 'out  c  {"n":90}' dev.out
    dev_off
}

test_errors_are_shown_with_their_line_and_the_next_save_is_waited_for() {
    double_script 'none'
    inputs
    dev_on double.lua --input in=in.jsonl,key=k
    await grep -q '5 |     return { n = value.n \* none }' dev.err
    await grep -q 'waiting for double.lua' dev.err
    double_script '2 2'
    await grep -q "double.lua:5: .*near '2'" dev.err
    printf 'no JSON\n' >> in.jsonl
    double_script 2
    await grep -q 'Line 3 of in.jsonl' dev.err
    inputs_again=$(head -n 2 in.jsonl)
    printf '%s\n' "$inputs_again" > in.jsonl
    await grep -q 'out  b  {"n":4}' dev.out
    dev_off
}

test_a_module_beside_the_script_counts() {
    inputs
    cat > main.lua <<'END_SCRIPT'
local tm = require "tidemill"
local factor = require "factor"
local app = tm.app "main"
app:stream("in"):map_values(function(key, value) return value.n * factor end):to("out")
END_SCRIPT
    echo 'return 5' > factor.lua
    dev_on main.lua --input in=in.jsonl,key=k
    await grep -q 'out  b  10' dev.out
    echo 'return 7' > factor.lua
    await grep -q 'out  b  14' dev.out
    dev_off
}

test_timers_go_on() {
    cat > tick.lua <<'END_SCRIPT'
local tm = require "tidemill"
local app = tm.app "tick"
app:stream("in"):process {
  init = function(ctx)
    local n = 0
    ctx:every("20ms", "wall", function(now) n = n + 1 ctx:forward("tick", n, { timestamp = 0 }) end)
  end,
  process = function() end }:to("out")
END_SCRIPT
    dev_on tick.lua
    await grep -q 'out  tick  5 ' dev.out
    dev_off
}

test_once_gives_the_status_of_the_failure() {
    double_script 'none'
    inputs
    status 5 dev double.lua --input in=in.jsonl,key=k --once
    says '5 |     return { n = value.n * none }'
    double_script '2 2'
    status 3 dev double.lua --input in=in.jsonl,key=k --once
    says "double.lua:5:"
    nothing_left
}

test_bad_use() {
    double_script 2
    status 2 dev
    status 2 dev double.lua --input in
    says 'TOPIC=FILE'
    status 3 dev double.lua --input in=nowhere.jsonl --once
    says 'nowhere.jsonl'
    status 3 dev nowhere.lua --once
    nothing_left
}

test_a_topic_that_nobody_reads_is_named() {
    double_script 2
    inputs
    status 3 dev double.lua --input inn=in.jsonl --once
    says 'The pipeline does not read the topic inn of --input; `tidemill check double.lua` lists what it reads.'
    same "" "$out"
    nothing_left
}

run_tests
