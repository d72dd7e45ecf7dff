#!/usr/bin/env bash
# The commands on a real broker. Started by run.sh of this folder.
PROGRAM=$(realpath "$TIDEMILL")
source "$(dirname "$0")/../cli/lib.sh"
export TIDEMILL_BROKERS=$TIDEMILL_TEST_BROKERS
topic() { echo "cli-$$-$1"; }

test_topics() {
    local t
    t=$(topic topics)
    status 2 tm topics create "$t"
    says "Say how many partitions"
    status 0 tm topics create "$t" --partitions 3 --retention 1d
    says "Created $t: 3 partitions, kept: 1d"
    status 3 tm topics create "$t" --partitions 3
    says "exists already"
    status 0 tm topics describe "$t" --json
    says '"retention_ms":86400000'
    status 0 tm topics add-partitions "$t" 5
    await sh -c "'$PROGRAM' topics describe $t | grep -q '5 partitions'"
    status 0 tm topics delete "$t"
    await sh -c "! '$PROGRAM' topics describe $t"
}

test_a_signal_ends_waiting_for_topics() {
    local t
    t=$(topic waiting)
    cat > wait.lua <<END
local app = require('tidemill').app { id = "$t", wait_for_topics = true }
app:stream("$t"):to("$t")
END
    "$PROGRAM" run wait.lua > log 2>&1 &
    await grep -q "waiting for a topic that does not exist yet" log
    kill $!
    status 0 wait $!
}

test_what_goes_in_comes_out() {
    local t now
    t=$(topic round)
    now=$(date +%s) # brokers soon delete what is older than the topic's retention
    cat > lines <<END
{"key":"a","value":{"n":1},"timestamp":${now}005,"headers":[["one","1"],["none",null],["bin",{"base64":"/wA="}]]}
{"key":"/wD+","key_encoding":"base64","value":"AAEC/w==","value_encoding":"base64","timestamp":${now}006,"headers":[]}
{"key":"gone","value":null,"timestamp":${now}007}
{"key":null,"value":"not json","value_encoding":"string","timestamp":${now}008}
END
    status 3 tm produce "$t" lines --format json
    says "There is no topic"
    tm produce "$t" lines --format json --partitions 1
    tm consume "$t" --format json > first
    same 4 "$(wc -l < first)"
    tm produce "$t-2" first --format json --partitions 1
    cmp <(sed 's/"topic":"[^"]*"//' first) <(tm consume "$t-2" --format json | sed 's/"topic":"[^"]*"//')
    same 2 "$(tm consume "$t" --from 2 | wc -l)"
    same 3 "$(tm consume "$t" --from "@${now}006" | wc -l)"
    same 1 "$(tm consume "$t" --limit 1 --group "g-$t" | wc -l)"
    same 3 "$(tm consume "$t" --group "g-$t" | wc -l)"
    same "" "$(tm consume "$t" --group "g-$t")"
}

test_a_missing_topic_names_the_command() {
    local t
    t=$(topic missing)
    printf '%s\n' 'local tm = require "tidemill"' "local app = tm.app \"app-$t\"" "app:stream(\"$t\"):to(\"$t-out\")" > p.lua
    status 3 tm check p.lua --connect
    says "tidemill topics create $t --partitions"
    status 3 tm run p.lua --until-end --log-level error
    says "$t"
    tm topics create "$t" --partitions 2
    seq 10 | tm produce "$t"
    status 0 tm run p.lua --until-end --log-level error --set create_topics=true
    says "10 records processed"
    same "$(seq 10 | sort)" "$(tm consume "$t-out" --format value | sort)"
}

test_an_app_from_beginning_to_reset() {
    local t
    t=$(topic app)
    printf '%s\n' 'local tm = require "tidemill"' "local app = tm.app \"app-$t\"" \
        "app:stream(\"$t\"):group_by(function(k, v) return tostring(v % 10) end):count { store = \"n\" }:to(\"$t-out\")" > p.lua
    tm topics create "$t" "$t-out" --partitions 2
    seq 1000 | tm produce "$t"
    status 0 tm run p.lua --until-end --log-level error
    status 0 tm run p.lua --until-end --log-level error
    says "Nothing new"
    same "$(for i in $(seq 0 9); do printf '%s\t100\n' "$i"; done)" "$(tm consume "$t-out" --latest | sort)"
    status 0 tm lag --app "app-$t"
    says "0 records behind"
    status 0 tm reset p.lua
    says "delete topic app-$t-n-changelog"
    says "delete topic app-$t-n-repartition"
    status 0 tm reset p.lua --execute
    await sh -c "! '$PROGRAM' topics | grep -q app-$t-n"
    status 0 tm run p.lua --until-end --log-level error
    same 2000 "$(tm consume "$t-out" | wc -l)"
    same "$(for i in $(seq 0 9); do printf '%s\t100\n' "$i"; done)" "$(tm consume "$t-out" --latest | sort)"
}

test_resume_after_kills_loses_and_repeats_nothing() {
    local t
    t=$(topic resume)
    tm topics create "$t" --partitions 1
    seq 400000 > lines
    for i in 1 2 3; do
        "$PROGRAM" produce "$t" lines --resume > /dev/null 2>&1 &
        sleep 0.$((i * 3))
        kill -9 $! 2> /dev/null || true
        wait $! 2> /dev/null || true
    done
    status 0 tm produce "$t" lines --resume
    tm consume "$t" --format value | cmp - lines
    status 0 tm produce "$t" lines --resume
    says "Nothing new"
    sed -i 1s/1/one/ lines
    status 3 tm produce "$t" lines --resume
    says "begins with another line"
}

test_reset_is_refused_while_the_app_runs() {
    local t
    t=$(topic busy)
    printf '%s\n' 'local tm = require "tidemill"' "local app = tm.app \"app-$t\"" "app:stream(\"$t\"):to(\"$t-out\")" > p.lua
    tm topics create "$t" "$t-out" --partitions 2
    seq 10 | tm produce "$t"
    "$PROGRAM" run p.lua > log 2>&1 &
    local pid=$!
    await sh -c "'$PROGRAM' lag --app app-$t | grep -q '^0 records behind'"
    got=0
    tm reset p.lua --execute > out 2>&1 || got=$?
    [ $got -ne 0 ]
    # From another machine there is no lock to see, but the group has members.
    got=0
    tm reset p.lua --execute --state-dir elsewhere > out 2>&1 || got=$?
    [ $got -ne 0 ] || { cat out; return 1; }
    grep -qi "member\|empty\|active" out
    kill -TERM $pid
    wait $pid
    same 10 "$(tm consume "$t-out" | wc -l)"
}

test_old_events_in_a_topic_that_forgets_are_warned_of() {
    local t
    t=$(topic old)
    printf '%s\n' 'local tm = require "tidemill"' "local app = tm.app \"app-$t\"" "app:stream(\"$t\"):to(\"$t-out\")" > p.lua
    tm topics create "$t" "$t-out" --partitions 1 --retention 7d
    echo '{"n":1}' | tm produce "$t" --at 2013-01-01
    status 0 tm check p.lua --connect
    says "Warning: The topic $t keeps records for 7d"
}

test_positions_of_connectors() {
    local t
    t=$(topic lines)
    printf '{"n":%d}\n' 1 2 3 > in.jsonl
    cat > p.lua <<END
local tm = require "tidemill"
local app = tm.app { id = "$t", create_topics = true, partitions = 1 }
app:source("lines", tm.connect.file { path = "in.jsonl", key = "n" }):to("$t")
app:stream("$t", { key = tm.json })
  :sink("rows", tm.connect.sqlite { path = "out.db", table = "t", key = "n", auto_create = true })
END
    status 3 tm connect offsets reset p.lua lines
    says "has not run yet"
    tm run p.lua --until-end --log-level warn > /dev/null
    status 0 tm connect offsets show p.lua --json --target
    says '"line":3}}'
    says '"connector":"rows","side":"sink","task":0,"committed":'
    says '"target":3}'
    local position
    position=$(tm connect offsets show p.lua lines --json | sed 's/.*"position":\(.*\)}$/\1/')
    status 0 tm connect offsets set p.lua lines --position "$(sed 's/"offset":24,"line":3/"offset":16,"line":2/' <<< "$position")"
    tm run p.lua --until-end --log-level warn > /dev/null
    same 4 "$(tm consume "$t" | wc -l)"
    tm connect offsets reset p.lua lines
    rm -r tidemill-data/state
    tm run p.lua --until-end --log-level warn > /dev/null
    same 7 "$(tm consume "$t" | wc -l)"
    sed -i 's/key = "n" }):to/key = "n", follow = true }):to/' p.lua
    "$PROGRAM" run p.lua > log 2>&1 &
    local app=$!
    await grep -q "worker runs" log
    status 3 tm connect offsets reset p.lua lines --state-dir elsewhere || status 5 tm connect offsets reset p.lua lines --state-dir elsewhere
    same "$position" "$(tm connect offsets show p.lua lines --json | sed 's/.*"position":\(.*\)}$/\1/')"
    kill $app
    wait $app
}

test_what_a_refused_request_leaves_behind_P13() {
    [ -n "${TIDEMILL_TEST_PROXY:-}" ] || skip "no proxy"
    local t
    t=$(topic refused)
    seq 19 > lines
    tm topics create "$t" --partitions 1
    tm topics create "$t-once" --partitions 1
    status 5 tm produce "$t" lines --brokers "$TIDEMILL_TEST_PROXY" --set kafka.batch.num.messages=1
    says "0 records were committed before, the 19 after them may be in the topic in part"
    status 5 tm produce "$t-once" lines --resume --brokers "$TIDEMILL_TEST_PROXY" --set kafka.batch.num.messages=1
    says "the same command"
    same "" "$(tm consume "$t-once")"
    status 0 tm produce "$t-once" lines --resume --brokers "$TIDEMILL_TEST_PROXY"
    same "$(cat lines)" "$(tm consume "$t-once" --format value)"
}

run_tests
