#!/usr/bin/env bash
# Running pipelines on the embedded log.
source "$(dirname "$0")/lib.sh"

count_script() {
    cat > count.lua <<'END'
local tm = require "tidemill"
local app = tm.app "counter"
app:stream("in"):group_by_key():count { store = "counts" }:to("out")
END
}

pass_script() {
    cat > pass.lua <<'END'
local tm = require "tidemill"
local app = tm.app "pass"
app:stream("in"):to("out")
END
}

keyed() { # from to: records with ten keys
    seq "$1" "$2" | awk '{ printf "{\"k\":\"k%d\",\"n\":%d}\n", $1 % 10, $1 }'
}

test_until_end_twice() {
    count_script
    keyed 1 1000 | tm produce in --key k
    status 0 tm run count.lua --until-end --log-level warn
    says "1,000 records processed"
    status 0 tm run count.lua --until-end --log-level warn
    says "Nothing new"
    same "" "$err"
    same 1000 "$(tm consume out | wc -l)"
    keyed 1 10 | tm produce in --key k
    status 0 tm run count.lua --until-end --log-level warn
    says "10 records processed"
    same "$(for i in $(seq 0 9); do printf 'k%s\t101\n' "$i"; done)" "$(tm consume out --latest | sort)"
}

test_no_input_at_all() {
    pass_script
    status 0 tm run pass.lua --until-end --log-level warn
    says "Nothing new"
    tm topics | contains '^in '
}

test_a_signal_drains_and_ends_with_0() {
    count_script
    keyed 1 5000 | tm produce in --key k
    "$PROGRAM" run count.lua --log-level warn &
    local pid=$!
    await sh -c "'$PROGRAM' lag --app counter | grep -q '^0 records behind'"
    keyed 5001 6000 | tm produce in --key k
    kill -TERM $pid
    wait $pid
    status 0 tm run count.lua --until-end --log-level warn
    same 6000 "$(tm consume out | wc -l)"
    same "$(for i in $(seq 0 9); do printf 'k%s\t600\n' "$i"; done)" "$(tm consume out --latest | sort)"
}

test_a_second_signal_ends_at_once() {
    cat > slow.lua <<'END'
local tm = require "tidemill"
local app = tm.app { id = "slow", callback_ms = "1h", drain_ms = "1h" }
app:stream("in"):map_values(function(key, value) while true do end end):to("out")
END
    echo 1 | tm produce in
    "$PROGRAM" run slow.lua > log 2>&1 &
    local pid=$! got=0
    await grep -q "worker runs" log
    kill -TERM $pid
    await grep -q "Stopping: what was read" log
    await grep -q "Still stopping: another signal ends at once" log
    kill -TERM $pid
    wait $pid || got=$?
    same 143 $got
}

test_a_killed_run_loses_and_repeats_nothing() {
    count_script
    keyed 1 200000 | tm produce in --key k
    for i in 1 2 3; do
        "$PROGRAM" run count.lua --until-end --log-level error --set commit_records=2000 > /dev/null &
        sleep 0.1$i
        kill -9 $! 2> /dev/null || true
        wait $! 2> /dev/null || true
    done
    tm run count.lua --until-end --log-level error
    same 200000 "$(tm consume out | wc -l)"
    same "$(for i in $(seq 0 9); do printf 'k%s\t20000\n' "$i"; done)" "$(tm consume out --latest | sort)"
    # Every count from 1 on came exactly once.
    same 200000 "$(tm consume out | sort -u | wc -l)"
}

test_an_app_runs_once() {
    pass_script
    "$PROGRAM" run pass.lua > log 2>&1 &
    local pid=$!
    await grep -q "worker runs" log
    status 3 tm run pass.lua --until-end
    says "The app pass runs already"
    says "process $pid"
    status 3 tm reset pass.lua --execute
    says "runs"
    kill -TERM $pid
    wait $pid
    status 0 tm run pass.lua --until-end --log-level warn
}

test_an_instance_is_pinned() {
    pass_script
    tm run pass.lua --until-end --instance left --log-level warn
    [ -e tidemill-data/state/pass/left/instance ]
    tm run pass.lua --until-end --log-level warn --set state_dir=elsewhere
    [ -e elsewhere/pass/0/instance ]
}

test_an_instance_is_no_path() {
    pass_script
    tm run pass.lua --until-end --log-level warn
    find tidemill-data/state | sort > before
    sed 's/tm.app.*/tm.app "other"/' pass.lua > other.lua
    for name in ../pass/0 ../pass . .. a/b/c /tmp ""; do
        status 3 tm run other.lua --until-end --log-level warn --instance "$name"
        says "\"$name\" can't be the name of an instance of other"
        find tidemill-data/state | sort | cmp before -
    done
    status 0 tm run other.lua --until-end --log-level warn --instance a-b_c.1
}

test_options_are_stronger_than_the_script() {
    cat > p.lua <<'END'
local tm = require "tidemill"
local app = tm.app { id = "p", threads = 2 }
app:stream("in"):to("out")
END
    seq 10 | tm produce in
    status 0 tm run p.lua --until-end --threads 1
    case $err in *thread=1*) return 1 ;; esac
    status 3 tm run p.lua --set commit_mss=3
    says "commit_ms"
    status 3 tm run p.lua --set commit_ms=soon
    says "can't be \"soon\""
    status 2 tm run p.lua --set commit_ms
    says "NAME=VALUE"
    status 3 tm run p.lua --set kafka.isolation.level=read_uncommitted
    says "isolation.level"
}

test_log_lines_as_json() {
    pass_script
    seq 3 | tm produce in
    tm run pass.lua --until-end --log-format json 2> log > /dev/null
    [ -s log ]
    same 0 "$(grep -vc '^{"time":".*}$' log || true)"
}

test_progress_in_plain_lines() {
    cat > slow.lua <<'END'
local tm = require "tidemill"
local app = tm.app "slow"
local function spin(key, value)
  local x = 0
  for i = 1, 3000000 do x = x + i end
  return value
end
app:stream("in"):map_values(spin):to("out")
END
    seq 200 | tm produce in
    "$PROGRAM" run slow.lua --until-end --log-level error > out 2> err &
    local pid=$!
    "$PROGRAM" consume out --data nowhere > /dev/null 2>&1 || true
    wait $pid
    same "" "$(cat err)" # nobody asked for progress, and there is no terminal
    grep -q "200 records processed" out
}

test_check() {
    count_script
    status 0 tm check count.lua
    says "count.lua builds the app counter"
    says "counter-counts-changelog"
    [ ! -e tidemill-data ]
    keyed 1 5 | tm produce in --key k --partitions 3
    status 0 tm check count.lua --connect
    says "reads      in                                 3  exists"
    says "writes     out                                3  is created"
    status 0 tm check count.lua --data tidemill-data --json
    says '"topic":"out","use":"writes","internal":false,"exists":false,"partitions":3'
    same 1 "$(tm topics --json | wc -l)"
    status 3 tm check missing.lua
    says "missing.lua"
}

test_check_reads_the_whole_log() {
    pass_script
    seq 100000 | tm produce in --partitions 1
    printf 'garbage-garbage-garbage' | dd of=tidemill-data/log/log.db bs=1 seek=200000 conv=notrunc 2> /dev/null
    status 5 tm check pass.lua --data tidemill-data
    says "tidemill-data/log"
}

test_graph_formats() {
    count_script
    status 0 tm graph count.lua
    says "Topologies:"
    status 0 tm graph count.lua --format dot
    says "digraph"
    status 0 tm graph count.lua --format mermaid
    says "flowchart"
    tm graph count.lua --format json | python3 -m json.tool > /dev/null
}

test_lag() {
    pass_script
    status 3 tm lag --app pass
    seq 10 | tm produce in --partition 0
    tm run pass.lua --until-end --log-level warn
    seq 7 | tm produce in --partition 1
    status 0 tm lag --app pass
    says "7 records behind"
    same 7 "$(tm lag --app pass --json | sed -n 's/.*"partition":1,.*"lag":\([0-9]*\)}/\1/p')"
    status 3 tm lag --app nobody
    says "has committed no positions"
}

test_reset() {
    count_script
    keyed 1 100 | tm produce in --key k
    tm run count.lua --until-end --log-level warn
    status 0 tm reset count.lua
    says "delete topic counter-counts-changelog"
    says "delete state tidemill-data/state/counter"
    says "Nothing was changed"
    same 100 "$(tm consume out | wc -l)"
    status 0 tm run count.lua --until-end --log-level warn
    says "Nothing new"
    status 0 tm reset --app counter --execute
    says "is reset"
    [ ! -e tidemill-data/state/counter ]
    status 0 tm run count.lua --until-end --log-level warn
    says "100 records processed"
    same 200 "$(tm consume out | wc -l)"
    same "$(for i in $(seq 0 9); do printf 'k%s\t10\n' "$i"; done)" "$(tm consume out --latest | sort)"
}

test_reset_to_a_place() {
    pass_script
    for i in 1 2 3 4; do echo "{\"at\":$((i * 1000))}"; done | tm produce in --timestamp at --partitions 1
    tm run pass.lua --until-end --log-level warn
    tm reset pass.lua --to-latest --execute
    status 0 tm run pass.lua --until-end --log-level warn
    says "Nothing new"
    tm reset pass.lua --to-offset 3 --execute
    status 0 tm run pass.lua --until-end --log-level warn
    says "1 record processed"
    tm reset pass.lua --to-datetime 1970-01-01T00:00:02Z --execute
    status 0 tm run pass.lua --until-end --log-level warn
    says "3 records"
    status 2 tm reset pass.lua --to-latest --to-earliest
    status 2 tm reset pass.lua --to-datetime later
}

test_reset_leaves_an_app_with_a_longer_name_alone() {
    for id in shop shop-eu; do
        printf 'local tm = require "tidemill"\nlocal app = tm.app "%s"\n%s\n' $id \
            'app:stream("in"):group_by_key():count { store = "counts" }:to("out")' > $id.lua
        keyed 1 10 | tm produce in --key k
        tm run $id.lua --until-end --log-level warn
    done
    status 0 tm reset --app shop --execute
    says "shop-counts-changelog"
    case $out in *shop-eu*) return 1 ;; esac
    tm topics | contains shop-eu-counts-changelog
}

test_the_users_tests() {
    mkdir -p a/b
    cat > a/p.lua <<'END'
local tm = require "tidemill"
tm.app("p"):stream("in"):map_values(function(key, value) return value + 1 end):to("out")
END
    cat > a/b/good_test.lua <<'END'
local t = require "tidemill.test"
t.test("adds one", function()
  local d = t.driver "../p.lua"
  d:send("in", "k", 1)
  t.equal(d:values("out"), { 2 })
end)
END
    status 0 tm test a
    says "ok  adds one"
    says "1 passed, 0 failed in 1 file"
    sed 's/{ 2 }/{ 3 }/; s/adds one/adds two/' a/b/good_test.lua > a/b/test.lua
    status 1 tm test
    says "FAILED  adds two"
    says "1 passed, 1 failed in 2 files"
    status 1 tm test a --json
    same "adds one a/b/good_test.lua passed None
adds two a/b/test.lua failed $(tm test a --only two | sed -n 's/^      //p' | head -n 1)" \
        "$(echo "$out" | python3 -c 'import json, sys
for line in sys.stdin:
    test = json.loads(line)
    print(test["name"], test["file"], test["status"], str(test["message"]).split("\n")[0])')"
    status 0 tm test a --only "adds one"
    status 0 tm test a --only "adds one" --coverage
    says "100.0 %  a/b/../p.lua: "
    status 0 tm test a --only "adds one" --coverage --json
    same '[]' "$(echo "$out" | tail -n 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["not_run"])')"
    echo 'local x = = 1' > a/b/bad_test.lua
    status 1 tm test a/b/bad_test.lua
    says "bad_test.lua:1"
    status 3 tm test nowhere
    mkdir empty
    status 3 tm test empty
    says "There are no tests here"
}

test_http() {
    command -v curl > /dev/null || skip "needs curl"
    count_script
    keyed 1 10 | tm produce in --key k
    "$PROGRAM" run count.lua --http 127.0.0.1:0 > log 2>&1 &
    local pid=$!
    await grep -q "The HTTP server listens" log
    local base
    base=http://127.0.0.1:$(sed -n 's/.*The HTTP server listens.*port=\([0-9]*\).*/\1/p' log)
    await sh -c "curl -sf $base/readyz"
    same ok "$(curl -sf "$base/healthz")"
    await sh -c "curl -sf $base/metrics | grep -q '^tidemill_records_in_total'"
    curl -sf "$base/metrics" > metrics
    grep -q '^# TYPE tidemill_records_in_total counter' metrics
    curl -sf "$base/topology" | contains "Topologies:"
    curl -sf "$base/topology?format=dot" | contains digraph
    curl -sf "$base/workers" | python3 -c 'import json, sys; assert json.load(sys.stdin)[0]["state"] == "running"'
    same 404 "$(curl -s -o body -w '%{http_code}' "$base/nowhere")"
    grep -q /metrics body
    same 405 "$(curl -s -o /dev/null -w '%{http_code}' -X POST -d x "$base/metrics")"
    same 400 "$(curl -s -o /dev/null -w '%{http_code}' "$base/topology?format=png")"
    curl -sfI "$base/healthz" > /dev/null
    local port=${base##*:}
    sed 's/"counter"/"other"/' count.lua > other.lua
    status 3 tm run other.lua --http "$port"
    says "can't listen on \"$port\""
    status 3 tm run other.lua --http nowhere
    says "it has no port"
    kill -TERM $pid
    wait $pid
}

test_brokers_that_do_not_answer() {
    pass_script
    status 4 tm run pass.lua --brokers 127.0.0.1:1 --connect-timeout 300ms
    says "No Kafka broker answers at 127.0.0.1:1"
    status 4 tm consume t --brokers 127.0.0.1:1 --connect-timeout 300ms
    TIDEMILL_BROKERS=127.0.0.1:1 status 4 tm topics --connect-timeout 300ms
    printf '# brokers\nbootstrap.servers = 127.0.0.1:1\n' > config
    status 4 tm topics --config config --connect-timeout 300ms
    TIDEMILL_CONFIG=config status 4 tm topics --connect-timeout 300ms
    TIDEMILL_CONFIG=config status 3 tm topics --data nothing # an option is stronger
    status 3 tm topics --config missing
    says "can't be opened"
    echo 'nonsense' > config
    status 3 tm topics --config config
    says "Line 1"
}

test_brokers_without_a_name() {
    pass_script
    for brokers in "" , " , "; do
        status 2 tm run pass.lua --brokers "$brokers" --connect-timeout 300ms
        says "The option --brokers names no broker, \"$brokers\": give HOST:PORT, or leave it out for the embedded log."
        status 2 tm topics --brokers "$brokers" --connect-timeout 300ms
        status 2 tm check pass.lua --connect --brokers "$brokers"
    done
    TIDEMILL_BROKERS=, status 3 tm topics --connect-timeout 300ms
    says "The Kafka property bootstrap.servers names no broker, \",\""
    status 3 tm topics --set kafka.bootstrap.servers= --connect-timeout 300ms
    TIDEMILL_BROKERS='' status 0 tm run pass.lua --until-end --log-level warn
    TIDEMILL_BROKERS=, status 0 tm topics --data tidemill-data # an option is stronger
}

test_kafka_properties_need_kafka() {
    cat > set.lua <<'END'
local tm = require "tidemill"
tm.app { id = "set", kafka = { ["client.id"] = "x" } }:stream("in"):to("out")
END
    status 2 tm run set.lua --until-end --set kafka.securty.protocol=SSL
    says "The option --set kafka.securty.protocol needs Kafka, and this is the embedded log: leave it out, or name --brokers."
    status 2 tm topics --data d --set kafka.client.id=x
    [ ! -e d ]
    status 0 tm run set.lua --until-end --log-level warn # a script's are for when it runs on Kafka
}

test_secrets_are_not_printed() {
    echo hunter2 > secret
    for source in "file:$PWD/secret" env:SECRET; do
        SECRET=hunter2 status 4 tm topics --brokers 127.0.0.1:1 --connect-timeout 300ms --set kafka.sasl.username=u \
            --set "kafka.sasl.password=$source" --set kafka.security.protocol=SASL_PLAINTEXT --set kafka.sasl.mechanism=PLAIN
        case "$out$err" in *hunter2*) return 1 ;; esac
    done
    status 3 tm topics --brokers 127.0.0.1:1 --set kafka.sasl.password=file:/nowhere/secret
    says "/nowhere/secret"
}

run_tests
