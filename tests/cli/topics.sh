#!/usr/bin/env bash
# Topics of the embedded log.
source "$(dirname "$0")/lib.sh"

test_a_missing_log_is_said() {
    status 3 tm topics
    says "There is no embedded log in tidemill-data"
    status 3 tm consume t
    [ ! -e tidemill-data ]
}

test_life_of_a_topic() {
    status 0 tm topics create orders --partitions 3 --retention 30d
    says "Created orders: 3 partitions, kept: 30d"
    status 0 tm topics create users --compact
    says "Created users: 4 partitions, kept: compacted"
    status 3 tm topics create orders
    says "exists already, with 3 partitions"
    status 0 tm topics
    says "orders           3        0  30d"
    status 0 tm topics describe orders
    says "orders: 3 partitions, kept: 30d"
    status 0 tm topics add-partitions orders 5
    says "orders has 5 partitions now"
    status 3 tm topics add-partitions orders 2
    says "can't be taken away"
    status 2 tm topics add-partitions orders many
    status 0 tm topics delete orders users
    status 0 tm topics
    says "There are no topics."
    status 3 tm topics delete orders
    says 'There is no topic "orders"'
}

test_what_would_not_be_done_is_refused() {
    status 2 tm topics create orders --replication 3
    says "The option --replication needs Kafka: the embedded log keeps one copy of a topic."
    status 2 tm topics create orders --for-ever --retention 1d
    says "The options --for-ever and --retention exclude each other."
    status 0 tm topics
    says "There are no topics."
    status 0 tm topics create orders --replication 1 --for-ever
    says "kept: for ever"
}

test_json() {
    tm topics create t --partitions 2
    seq 3 | tm produce t --partition 1
    same '{"topic":"t","partitions":[{"partition":0,"begin":0,"end":0},{"partition":1,"begin":0,"end":3}],"compacted":false,"retention_ms":-1,"retention_bytes":-1}' \
        "$(tm topics describe t --json)"
    same "$(tm topics describe t --json)" "$(tm topics --json)"
}

# The positions of groups go with a topic, so a new one is read from its start; an app with state says what happened.
test_a_topic_that_is_made_again() {
    cat > relay.lua <<'END_SCRIPT'
local tm = require "tidemill"
tm.app("relay"):stream("t"):to("relayed")
END_SCRIPT
    cat > count.lua <<'END_SCRIPT'
local tm = require "tidemill"
tm.app("count"):stream("t"):group_by_key():count { store = "counts" }:to("counted")
END_SCRIPT
    tm topics create t --partitions 1
    seq 5 | sed 's/.*/{"n":&}/' | tm produce t --key n
    status 0 tm run relay.lua --until-end
    status 0 tm run count.lua --until-end
    tm topics delete t
    tm topics create t --partitions 1
    seq 8 | sed 's/.*/{"n":&}/' | tm produce t --key n
    status 0 tm run relay.lua --until-end
    same 13 "$(tm consume relayed | wc -l)"
    status 3 tm run count.lua --until-end
    says "The topic t was deleted and made again"
    says "tidemill reset --app count --to-earliest --execute"
    status 0 tm reset --app count --to-earliest --execute
    status 0 tm run count.lua --until-end
    same 13 "$(tm consume counted | wc -l)"
}

test_bad_names() {
    status 3 tm topics create 'a b'
    says "can't be the name of a topic"
    status 3 tm topics create "$(printf 'x%.0s' $(seq 300))"
    status 3 tm consume orders --data nowhere
    tm topics create orders
    status 3 tm consume order
    says 'There is no topic "order"; the nearest is "orders"'
}

test_another_data_directory() {
    tm topics create t --data here
    status 0 tm topics --data here
    says "t "
    [ -e here/log/log.db ]
    [ ! -e tidemill-data ]
}

run_tests
