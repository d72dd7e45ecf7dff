#!/usr/bin/env bash
# connect: imports that check accepts, what connectors find, positions shown and set.
source "$(dirname "$0")/lib.sh"

write_pipeline() {
    printf '{"n":%d}\n' 1 2 3 > in.jsonl
    cat > p.lua << 'END'
local tm = require "tidemill"
local app = tm.app "shop"
app:source("lines", tm.connect.file { path = "in.jsonl", key = "n" }):to("out")
app:stream("out", { key = tm.json })
  :sink("rows", tm.connect.sqlite { path = "out.db", table = "t", key = { "n" }, auto_create = true, tasks = 1 })
END
}

# A sink that reads the topic itself, with operators in front.
write_direct() { # [options of the connector]
    cat > d.lua << END
local tm = require "tidemill"
local app = tm.app { id = "shop", commit_ms = 20 }
app:stream("numbers")
  :filter(function(_, v) return v.n % 10 ~= 0 end)
  :flat_map_values(function(_, v) return { { n = v.n, part = 1 }, { n = v.n, part = 2 } } end)
  :sink("rows", tm.connect.sqlite { path = "out.db", table = "t", auto_create = true ${1:-} })
END
}
numbers() { seq "$1" "$2" | sed 's/.*/{"n":&}/' | tm produce numbers --partitions 1 > /dev/null; }

write_configs() {
    cat > sink.json << 'END'
{"name": "orders-sink", "config": {
  "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "topics": "orders,customers", "tasks.max": "2",
  "connection.url": "jdbc:postgresql://db:5432/shop", "connection.user": "shop", "connection.password": "hidden",
  "insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id", "delete.enabled": "true",
  "auto.create": "true", "auto.evolve": "true", "batch.size": "3000", "table.name.format": "kafka_${topic}",
  "transforms": "mask", "transforms.mask.type": "org.apache.kafka.connect.transforms.MaskField$Value",
  "transforms.mask.fields": "card", "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "bad-orders",
  "key.converter": "org.apache.kafka.connect.storage.StringConverter",
  "value.converter": "org.apache.kafka.connect.json.JsonConverter"}}
END
    cat > sqlite.json << 'END'
{"connector.class": "io.aiven.connect.jdbc.JdbcSinkConnector", "name": "copy", "topics": "orders",
 "connection.url": "jdbc:sqlite:copy.db", "insert.mode": "insert", "auto.create": true,
 "fields.whitelist": "id,total"}
END
    cat > debezium.json << 'END'
{"name": "inventory", "config": {
  "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "database.hostname": "db",
  "database.port": "5432", "database.user": "debezium", "database.password": "${file:/run/secrets/db:password}",
  "database.dbname": "shop", "topic.prefix": "shop", "table.include.list": "public.orders,public.customers",
  "plugin.name": "pgoutput", "slot.name": "shop", "publication.name": "shop", "snapshot.mode": "never",
  "tombstones.on.delete": "false", "heartbeat.interval.ms": "10000", "transforms": "unwrap",
  "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState"}}
END
    cat > poll.json << 'END'
{"name": "poll", "config": {
  "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector", "connection.url": "jdbc:sqlite:shop.db",
  "mode": "timestamp+incrementing", "incrementing.column.name": "id", "timestamp.column.name": "updated_at",
  "table.whitelist": "orders,customers", "topic.prefix": "shop-", "poll.interval.ms": "200"}}
END
}

test_what_import_writes_is_a_pipeline() {
    write_configs
    for config in sink sqlite debezium poll; do
        status 0 tm connect import $config.json --output $config.lua
        says "$config.lua is written"
        status 0 tm check $config.lua
        tm connect import $config.json | contains 'Made by `tidemill connect import`'
    done
    status 0 tm check sink.lua
    says "orders-sink-customers"
    contains 'mode = "upsert"' < sink.lua
    contains 'secret "INVENTORY_PASSWORD"' < debezium.lua
    cat sink.lua | tr '\n' ' ' > flat
    ! contains hidden < flat
}

test_an_imported_source_runs() {
    command -v sqlite3 > /dev/null || skip "needs sqlite3"
    write_configs
    sqlite3 shop.db "CREATE TABLE orders (id INTEGER PRIMARY KEY, total INT, updated_at TEXT DEFAULT '2020-01-01 00:00:00');
        CREATE TABLE customers AS SELECT 1 AS id, 'Ann' AS name, '2020-01-01 00:00:00' AS updated_at;
        INSERT INTO orders (id, total) VALUES (1, 10), (2, 20)"
    tm connect import poll.json > poll.lua
    tm connect check poll.lua
    status 0 tm run poll.lua --until-end --log-level warn
    same 2 "$(tm consume shop-orders | wc -l)"
    tm consume shop-customers --format value | contains '"name":"Ann"'
}

test_check_lists_connectors() {
    write_pipeline
    status 0 tm check p.lua
    says "positions      shop-lines-positions"
    says "rows       sink    sqlite"
    tm check p.lua --json | contains '"connectors":\[{"connector":"lines","side":"source","kind":"file"},{"connector":"rows","side":"sink","kind":"sqlite"}\]'
}

test_graph_shows_connectors() {
    write_pipeline
    tm graph p.lua > graph
    contains 'Source: lines (topics: \[shop-lines-positions\], stores: \[lines\], connector: file)' < graph
    contains 'Sink: rows (connector: sqlite)' < graph
    tm graph p.lua --format dot | contains 'label="lines.nfile"'
}

test_import_refuses() {
    write_configs
    tm connect import sink.json --output sink.lua > /dev/null
    status 5 tm connect import sink.json --output sink.lua
    says "sink.lua can't be written: File exists. Delete it first"
    status 3 tm connect import missing.json
    says "missing.json can't be opened"
    echo '{"connector.class": "com.example.Other"}' > other.json
    status 3 tm connect import other.json
    says "com.example.Other is not known here. Known are io.confluent.connect.jdbc.JdbcSinkConnector"
    printf '{\n  "a" 1}' > bad.json
    status 3 tm connect import bad.json
    says "Line 2, column 7 is no JSON"
    says "while reading bad.json"
    status 2 tm connect import
    says "Name the config"
}

test_check_says_what_is_missing() {
    write_pipeline
    status 0 tm connect check p.lua
    says "lines (file source)"
    says "rows (sqlite sink)"
    says "will be created"
    status 0 tm connect check p.lua rows
    case $out in *lines*) return 1 ;; esac
    rm in.jsonl
    status 1 tm connect check p.lua
    says "BAD"
    says "in.jsonl"
    status 1 tm connect check p.lua --json
    same 2 "$(wc -l <<< "$out")"
    says '{"connector":"lines","kind":"file","side":"source","findings":[{"finding":"bad",'
    status 3 tm connect check p.lua row
    says "no connector row; the nearest is rows"
    echo 'local tm = require "tidemill" tm.app("x"):stream("a"):to("b")' > none.lua
    status 0 tm connect check none.lua
    says "has no connectors"
}

test_offsets_are_shown() {
    write_pipeline
    tm run p.lua --until-end --log-level warn > /dev/null
    status 0 tm connect offsets show p.lua --json --target
    says '{"connector":"lines","side":"source","task":0,"position":{"file":"in.jsonl",'
    says '"line":3}}'
    says '{"connector":"rows","side":"sink","task":0,"committed":3,"end":3,"target":3}'
    status 0 tm connect offsets show p.lua rows
    case $out in *lines*) return 1 ;; esac
    status 0 tm connect offsets show p.lua
    says "lines      source     0"
}

test_offsets_are_set_and_reset() {
    write_pipeline
    tm run p.lua --until-end --log-level warn > /dev/null
    local position
    position=$(tm connect offsets show p.lua lines --json | sed 's/.*"position":\(.*\)}$/\1/')
    status 0 tm connect offsets reset p.lua lines
    says "begins from the very beginning"
    tm connect offsets show p.lua lines --json | contains '"position":null'
    tm run p.lua --until-end --log-level warn > /dev/null
    same 6 "$(tm consume out --format value | wc -l)"
    status 0 tm connect offsets set p.lua lines --task 0 \
        --position "$(sed 's/"offset":24,"line":3/"offset":16,"line":2/' <<< "$position")"
    tm run p.lua --until-end --log-level warn > /dev/null
    same '{"n":3}' "$(tm consume out --format value | tail -n +7)"
    same "$position" "$(tm connect offsets show p.lua lines --json | sed 's/.*"position":\(.*\)}$/\1/')"
}

write_inserts() { # kind and options of the sink
    printf '{"n":%d}\n' 1 2 3 > in.jsonl
    cat > i.lua << END
local tm = require "tidemill"
local app = tm.app "shop"
app:source("lines", tm.connect.file { path = "in.jsonl" }):sink("rows", tm.connect.$1)
END
}

rows() { sqlite3 out.db 'SELECT group_concat(n) FROM t'; }

test_sinks_are_put_back() {
    command -v sqlite3 > /dev/null || skip "needs sqlite3"
    write_inserts 'sqlite { path = "out.db", table = "t", auto_create = true }'
    tm run i.lua --until-end --log-level warn > /dev/null
    same 1,2,3 "$(rows)"
    status 0 tm connect offsets set i.lua rows --position 2
    says "rows task 0 goes on at offset 2; the rows in its target stay."
    tm connect offsets show i.lua rows --json --target | contains '"target":2}'
    sqlite3 out.db 'UPDATE _tidemill_offsets SET next = 3'
    printf '{"n":4}\n' >> in.jsonl
    tm run i.lua --until-end --log-level warn > /dev/null
    same 1,2,3,4 "$(rows)"
}

test_a_reset_puts_sinks_back() {
    command -v sqlite3 > /dev/null || skip "needs sqlite3"
    write_inserts 'sqlite { path = "out.db", table = "t", auto_create = true }'
    tm run i.lua --until-end --log-level warn > /dev/null
    status 0 tm reset i.lua
    says "put back sink rows (sqlite); its rows stay"
    same 3 "$(sqlite3 out.db 'SELECT next FROM _tidemill_offsets')"
    status 0 tm reset i.lua --execute
    same 0 "$(sqlite3 out.db 'SELECT next FROM _tidemill_offsets')"
    tm run i.lua --until-end --log-level warn > /dev/null
    same 1,2,3,1,2,3 "$(rows)"
    status 0 tm reset i.lua --execute
    status 0 tm connect offsets reset i.lua rows
    same 0 "$(sqlite3 out.db 'SELECT next FROM _tidemill_offsets')"
}

test_files_are_put_back_by_hand() {
    write_inserts 'file { directory = "out", roll_records = 2 }'
    tm run i.lua --until-end --log-level warn > /dev/null
    status 3 tm connect offsets reset i.lua rows
    says "can't be put back to 0: take its files out of the directory"
    status 3 tm reset i.lua --execute
    says "take its files out of the directory"
    find out -type f -delete
    status 0 tm reset i.lua --execute
    tm run i.lua --until-end --log-level warn > /dev/null
    same 3 "$(cat out/shop-* | wc -l)"
}

# A log that was deleted and has grown as long as before: the sink's topic has other records at the target's position.
test_a_target_of_another_log_is_refused() {
    command -v sqlite3 > /dev/null || skip "needs sqlite3"
    write_pipeline
    status 0 tm run p.lua --until-end --log-level error
    rm -r tidemill-data
    status 3 tm run p.lua --until-end --log-level error
    says "The target of the sink rows has offset 3"
    says "the group has none"
    status 0 tm connect offsets reset p.lua rows
    status 0 tm run p.lua --until-end --log-level error
    same 3 "$(sqlite3 out.db 'SELECT count(*) FROM t')"
}

test_offsets_of_another_machine_follow_too() {
    write_pipeline
    tm run p.lua --until-end --log-level warn > /dev/null
    cp -r tidemill-data/state kept
    tm connect offsets reset p.lua lines > /dev/null
    rm -r tidemill-data/state
    mv kept tidemill-data/state
    tm run p.lua --until-end --log-level warn > /dev/null
    same 6 "$(tm consume out --format value | wc -l)"
}

test_offsets_are_not_set_while_the_app_runs() {
    write_pipeline
    sed -i 's/key = "n" }):to/key = "n", follow = true }):to/' p.lua
    "$PROGRAM" run p.lua --log-level warn &
    local app=$!
    await tm consume shop-lines-positions
    status 3 tm connect offsets reset p.lua lines
    says "The app shop runs now"
    kill $app
    wait $app
    status 0 tm connect offsets reset p.lua lines
}

start_app() {
    "$PROGRAM" run p.lua --http 127.0.0.1:0 "$@" > log 2>&1 &
    app=$!
    await grep -q "The HTTP server listens" log
    port=$(sed -n 's/.*The HTTP server listens.*port=\([0-9]*\).*/\1/p' log)
}

test_the_page_of_connectors() {
    command -v curl > /dev/null || skip "needs curl"
    write_pipeline
    sed -i 's/key = "n" }):to/key = "n", follow = true }):to/' p.lua
    start_app
    await sh -c "curl -sf 127.0.0.1:$port/connectors | grep -q '\"side\":\"sink\".*\"records\":3,'"
    curl -sf "127.0.0.1:$port/connectors" > page
    contains '^\[{"connector":"lines","kind":"file","side":"source","task":0,"worker":"0_0","state":"running","records":3,"failures":0' < page
    contains '{"connector":"rows","kind":"sqlite","side":"sink","task":0,"worker":"[0-9]_0","state":"running","records":3,' < page
    status 0 tm top --http "$port" --once --interval 50ms
    says "lines      file    source     0  running        3         0"
    kill $app
    wait $app
}

# A server of PostgreSQL for one test; its address is in $url.
start_postgres() {
    local code=0
    url=$("$top/tests/support/postgres.sh" start "$PWD/server" "$@" 2> reason) || code=$?
    [ $code -ne 77 ] || skip "$(cat reason)"
    [ $code -eq 0 ]
    command -v psql > /dev/null || skip "needs psql"
    trap '"$top/tests/support/postgres.sh" remove "$PWD/server"; kill -9 $(jobs -p) 2> /dev/null || true' EXIT
}

sql() { psql -qXAt -v ON_ERROR_STOP=1 "$url" -c "$1"; }

test_what_check_prints_mends_a_database() {
    start_postgres
    sql "CREATE TABLE orders (id int, total numeric); INSERT INTO orders VALUES (1, 10.50);
        CREATE ROLE capture LOGIN PASSWORD 'capture'"
    local capture=${url/tidemill:tidemill/capture:capture}
    cat > c.lua << END
local tm = require "tidemill"
local app = tm.app "c"
app:source("shop", tm.connect.postgres { url = "$capture", tables = { "public.orders" }, publication = "shop" }):unwrap():to("out")
END
    status 1 tm connect check c.lua
    says "BAD  The user capture may not open a replication stream."
    says "ALTER ROLE capture REPLICATION;"
    local rounds=0
    until tm connect check c.lua --json > found; do
        python3 -c 'import json; [print(s) for s in json.load(open("found"))["statements"]]' > statements
        [ -s statements ]
        psql -qX -v ON_ERROR_STOP=1 "$url" -f statements
        rounds=$((rounds + 1))
        [ $rounds -lt 5 ]
    done
    status 0 tm run c.lua --until-end --log-level warn
    same '{"id":1,"total":"10.50"}' "$(tm consume out --format value)"
}

test_an_imported_debezium_source_runs() {
    start_postgres
    sql "CREATE TABLE orders (id int PRIMARY KEY, total int); INSERT INTO orders VALUES (1, 10), (2, 20)"
    cat > d.json << END
{"name": "inventory", "config": {
  "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "database.hostname": "127.0.0.1",
  "database.port": "$(cat server/port)", "database.user": "tidemill", "database.password": "\${env:SHOP_PASSWORD}",
  "database.dbname": "postgres", "topic.prefix": "shop", "table.include.list": "public.orders",
  "slot.name": "debezium", "plugin.name": "pgoutput"}}
END
    cat > s.json << END
{"name": "dwh", "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "topics": "shop.public.orders",
 "connection.url": "jdbc:postgresql://127.0.0.1:$(cat server/port)/postgres?user=tidemill&password=secret",
 "insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id", "auto.create": "true",
 "table.name.format": "public.copy", "transforms": "unwrap",
 "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
 "key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
 "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false"}
END
    tm connect import d.json > d.lua
    tm connect import s.json > s.lua
    export SHOP_PASSWORD=tidemill DWH_PASSWORD=tidemill
    status 0 tm connect check d.lua
    tm run d.lua --until-end --log-level warn > /dev/null
    tm run s.lua --until-end --log-level warn > /dev/null
    same "1|10
2|20" "$(sql 'SELECT id, total FROM copy ORDER BY id')"
    SHOP_PASSWORD=wrong status 1 tm connect check d.lua
    says "password authentication failed"
}

test_an_imported_source_goes_on_where_debezium_stopped() {
    start_postgres
    sql "CREATE TABLE orders (id int PRIMARY KEY, total int); INSERT INTO orders VALUES (1, 10)"
    sql "CREATE PUBLICATION dbz_publication FOR TABLE orders"
    sql "SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')" > /dev/null
    sql "INSERT INTO orders VALUES (2, 20)"
    cat > d.json << END
{"name": "inventory", "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
 "database.hostname": "127.0.0.1", "database.port": "$(cat server/port)", "database.user": "tidemill",
 "database.password": "tidemill", "database.dbname": "postgres", "topic.prefix": "shop",
 "table.include.list": "public.orders", "snapshot.mode": "no_data"}
END
    tm connect import d.json > d.lua
    INVENTORY_PASSWORD=tidemill tm run d.lua --until-end --log-level warn > /dev/null
    same '{"id":2}' "$(tm consume shop.public.orders --format key)"
}

test_what_fails_is_on_the_page() {
    command -v curl > /dev/null || skip "needs curl"
    write_pipeline
    sed -i 's/tm.connect.sqlite.*$/tm.connect.postgres { url = "postgresql:\/\/127.0.0.1:1\/d?connect_timeout=2", table = "t" })/' p.lua
    start_app
    await sh -c "curl -sf 127.0.0.1:$port/connectors | grep -q '\"state\":\"waiting\"'"
    await sh -c "curl -sf 127.0.0.1:$port/connectors | grep -q '\"failures\":[2-9]'"
    status 0 tm top --http "$port" --once --interval 50ms
    says "Connection refused"
    kill $app
    wait $app
}

test_a_sink_reads_its_topic_itself() {
    command -v sqlite3 > /dev/null || skip "needs sqlite3"
    write_direct
    tm check d.lua > checked
    ! contains shop-rows-sink < checked || return 1
    numbers 1 2000
    "$PROGRAM" run d.lua --log-level warn > log 2>&1 &
    local app=$!
    await sh -c "[ \"\$(sqlite3 out.db 'SELECT count(*) FROM t' 2> /dev/null || echo 0)\" -gt 0 ]"
    kill -9 $app
    wait $app || true
    numbers 2001 4000
    status 0 tm run d.lua --until-end --log-level warn
    same "7200|3600|1800" "$(sqlite3 out.db 'SELECT count(*), count(DISTINCT n), count(DISTINCT n) FILTER (WHERE n > 2000) FROM t')"
    same "numbers|0|4000" "$(sqlite3 out.db 'SELECT topic, part, next FROM _tidemill_offsets')"
    tm topics list > topics
    ! contains shop-rows-sink < topics || return 1
    status 0 tm connect offsets show d.lua --target --json
    says '"committed":4000,"end":4000,"target":4000'
}

test_what_a_sink_would_read_itself_comes_out_by_its_name() {
    write_direct
    cat > test.lua << 'END'
local t = require "tidemill.test"
t.test("rows", function()
  local d = t.driver "d.lua"
  d:send("numbers", "a", { n = 1 })
  d:send("numbers", "a", { n = 10 })
  t.equal(d:values("rows"), { { n = 1, part = 1 }, { n = 1, part = 2 } })
end)
END
    status 0 tm test test.lua
}

test_a_sink_whose_topic_changes_is_refused_until_it_is_told() {
    command -v sqlite3 > /dev/null || skip "needs sqlite3"
    write_direct
    numbers 1 5
    tm run d.lua --until-end --log-level warn > /dev/null
    write_direct ", tasks = 1"
    numbers 6 9
    status 3 tm run d.lua --log-level warn
    says "The target of the sink rows has its position in the topic numbers, but the pipeline gives it the topic shop-rows-sink"
    says "tidemill connect offsets set, or reset"
    status 0 tm connect offsets show d.lua --target
    says "its position is for numbers"
    status 0 tm connect offsets reset d.lua rows
    status 0 tm run d.lua --until-end --log-level warn
    same 18 "$(sqlite3 out.db 'SELECT count(*) FROM t')"
    write_direct
    status 3 tm run d.lua --log-level warn
    says "topic shop-rows-sink, but the pipeline gives it the topic numbers now"
    says "tasks = N keeps a topic in between"
    status 0 tm connect offsets set d.lua rows --position 9
    numbers 10 12
    status 0 tm run d.lua --until-end --log-level warn
    same 22 "$(sqlite3 out.db 'SELECT count(*) FROM t')"
    same "numbers|0|12" "$(sqlite3 out.db 'SELECT topic, part, next FROM _tidemill_offsets')"
    status 0 tm reset d.lua --to-latest --execute
    numbers 13 13
    status 0 tm run d.lua --until-end --log-level warn
    same 24 "$(sqlite3 out.db 'SELECT count(*) FROM t')"
}

test_offsets_refuse() {
    write_pipeline
    tm produce other in.jsonl > /dev/null
    status 3 tm connect offsets reset p.lua lines
    says "the app shop has not run yet"
    tm run p.lua --until-end --log-level warn > /dev/null
    status 2 tm connect offsets set p.lua rows --position '{"n":1}'
    says "rows is a sink: its position is the offset in shop-rows-sink"
    status 3 tm connect offsets reset p.lua line
    says "the nearest is lines"
    status 2 tm connect offsets set p.lua lines
    says "with --position JSON"
    status 2 tm connect offsets set p.lua lines --position '{"a":'
    says "is no JSON"
    status 2 tm connect offsets set p.lua lines --position '{}' --task 1
    says "has the tasks 0 to 0"
    status 2 tm connect offsets reset p.lua
    says "Name one connector"
    status 2 tm connect offsets
    says "can show, set and reset: say which"
    status 2 tm connect offsets shwo p.lua
    says "the nearest is show"
    status 2 tm connect chek p.lua
    says "the nearest is check"
}

run_tests
