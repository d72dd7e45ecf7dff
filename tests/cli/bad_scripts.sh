#!/usr/bin/env bash
# Scripts that are wrong: the message names what, where, and what to do; the status says which kind; nothing is half done.
source "$(dirname "$0")/lib.sh"

# script TEXT...: p.lua with an app called p.
script() {
    printf '%s\n' 'local tm = require "tidemill"' 'local app = tm.app "p"' "$@" > p.lua
}

# refused TEXT: neither check nor run takes the script, and nothing is made.
refused() {
    status 3 tm check p.lua
    says "$1"
    status 3 tm graph p.lua
    status 3 tm run p.lua --until-end --log-level error
    says "$1"
    same 0 "$(tm topics --json 2> /dev/null | wc -l)"
}

test_a_syntax_error() {
    script 'app:stream("in":to("out")'
    refused "p.lua:3"
}

test_an_error_while_building() {
    script 'app:stream("in"):to(nil .. "out")'
    refused "p.lua:3"
}

test_an_unknown_method_and_global() {
    script 'app:stream("in"):fliter(function() return true end):to("out")'
    refused "p.lua:3"
    says "fliter"
    says "filter"
    script 'app:stream("in"):map_values(tm.jsn):to("out")'
    refused "p.lua:3"
}

test_an_unknown_option() {
    printf '%s\n' 'local tm = require "tidemill"' 'local app = tm.app { id = "p", comit_ms = 5 }' \
        'app:stream("in"):to("out")' > p.lua
    refused "commit_ms"
    script 'app:stream("in", { timestmp = "record" }):to("out")'
    refused "timestamp"
}

test_a_wrong_type() {
    script 'app:stream("in"):filter("yes"):to("out")'
    refused "p.lua:3"
    script 'app:stream(17):to("out")'
    refused "p.lua:3"
}

test_a_stateful_node_without_a_name() {
    script 'app:stream("in"):group_by_key():count():to("out")'
    refused "p.lua:3"
    says "store"
}

test_duplicate_names() {
    script 'app:stream("in"):group_by_key():count { store = "n" }:to("out")' \
        'app:stream("other"):group_by_key():count { store = "n" }:to("out2")'
    refused "n"
    says "p.lua:4"
}

test_no_app_and_no_stream() {
    echo 'local x = 1' > p.lua
    refused "builds no app"
    script ''
    refused "without a single stream"
    : > p.lua
    refused "builds no app"
}

test_a_loop_through_internal_topics_is_refused_and_ones_own_is_not() {
    script 'app:stream("in"):filter(function(k, v) return v.n > 0 end):map_values(function(k, v) return { n = v.n - 1 } end):to("in")'
    status 0 tm check p.lua
    echo '{"n":3}' | tm produce in
    status 0 tm run p.lua --until-end --log-level error
    same 4 "$(tm consume in | wc -l)"
}

test_a_join_of_topics_with_unequal_partitions() {
    script 'local t = app:table("facts", { store = "facts" })' \
        'app:stream("in"):join(t, function(k, a, b) return a end):to("out")'
    echo '{"k":"a"}' | tm produce facts --partitions 2 --key k
    echo '{"k":"a"}' | tm produce in --partitions 3 --key k
    status 3 tm run p.lua --until-end --log-level error
    says "facts"
    says "in"
    says "partitions"
    status 3 tm check p.lua --connect
    same 2 "$(tm topics --json | wc -l)"
    tm topics add-partitions facts 3
    status 0 tm run p.lua --until-end --log-level error
    says "2 records processed"
}

test_an_error_in_a_callback_names_place_and_record() {
    script 'app:stream("in"):map_values(function(key, value)' '  return value.n + 1' 'end):to("out")'
    printf '%s\n' '{"n":1}' '{"n":2}' '{"m":3}' '{"n":4}' | tm produce in --partitions 1
    status 5 tm run p.lua --until-end --log-level error
    says "p.lua:4"
    says "topic in partition 0 offset 2"
    # What came before the bad record is there once, and after the correction so is the rest.
    sed -i 's/value.n + 1/(value.n or 0) + 1/' p.lua
    status 0 tm run p.lua --until-end --log-level error
    same "2
3
1
5" "$(tm consume out --format value)"
}

test_errors_may_be_skipped_or_set_aside() {
    script 'app:stream("in"):map_values(function(key, value) return value.n + 1 end, { on_error = "skip" }):to("out")'
    printf '%s\n' '{"n":1}' '{"m":3}' '{"n":4}' | tm produce in --partitions 1
    status 0 tm run p.lua --until-end --log-level error
    same "2
5" "$(tm consume out --format value)"
    tm reset p.lua --execute > /dev/null
    script 'app:stream("in"):map_values(function(key, value) return value.n + 1 end, { on_error = "dead_letter" }):to("out2")'
    status 0 tm run p.lua --until-end --log-level error
    same "2
5" "$(tm consume out2 --format value)"
    same '{"m":3}' "$(tm consume p-dead-letter --format value)"
    tm consume p-dead-letter --format json | contains '\["__connect.errors.topic","in"\]'
}

test_an_endless_loop_is_ended() {
    script 'app:stream("in"):map_values(function(key, value) while true do end end):to("out")'
    echo 1 | tm produce in --partitions 1
    status 5 tm run p.lua --until-end --log-level error --set callback_ms=200ms
    says "p.lua:3"
    says "callback_ms"
    echo 'while true do end' > p.lua
    status 3 tm check p.lua --set callback_ms=200ms
    says "p.lua:1"
}

test_memory_gone_wild_is_ended() {
    script 'app:stream("in"):map_values(function(key, value)' '  local t = {}' \
        '  for i = 1, math.huge do t[i] = ("x"):rep(1000) .. i end' 'end):to("out")'
    echo 1 | tm produce in --partitions 1
    status 5 tm run p.lua --until-end --log-level error --set lua_memory=8MB
    says "lua_memory"
}

test_building_that_differs_between_runs_is_refused() {
    script 'app:stream("in"):to("out" .. tostring({}):match("%w+$"))'
    echo 1 | tm produce in
    status 3 tm run p.lua --until-end --log-level error
}

test_a_key_that_is_no_string() {
    script 'app:stream("in"):select_key(function(key, value)' '  return value' 'end):to("out")'
    echo 17 | tm produce in --partitions 1
    status 5 tm run p.lua --until-end --log-level error
    says "p.lua"
    says "key"
}

test_a_directory_and_binary_rubbish_for_a_script() {
    mkdir d
    status 3 tm check d
    says "d"
    head -c 1000 /dev/urandom > p.lua
    status 3 tm check p.lua
    printf '\033Lua' > p.lua
    status 3 tm check p.lua
}

test_what_makes_no_sense_in_a_callback() {
    script 'app:stream("in"):map_values(function(key, value)' '  app:stream("other")' '  return value' 'end):to("out")'
    echo 1 | tm produce in --partitions 1
    status 5 tm run p.lua --until-end --log-level error
    says "p.lua:4"
}

test_the_sandbox() {
    for call in 'os.execute("true")' 'io.open("x")' 'os.exit(0)' 'dofile("x")' 'require "socket"'; do
        script "$call" 'app:stream("in"):to("out")'
        status 3 tm check p.lua
        says "p.lua:3"
    done
    script 'load("\27Lua")()' 'app:stream("in"):to("out")' # no byte code
    status 3 tm check p.lua
}

run_tests
