#!/usr/bin/env bash
# What can go wrong between a pipeline and a real PostgreSQL: each time the message, and the rows in the end.
source "$(dirname "$0")/lib.sh"

# One server for the tests of this file, each with tables of its own; those that stop it bring it back.
server=$(mktemp -d)
trap '"$top/tests/support/postgres.sh" remove "$server"; rm -rf "$server"' EXIT
server() { "$top/tests/support/postgres.sh" "$1" "$server" -c fsync=off > /dev/null; }
server start || no_server=$?
url=$(cat "$server/url" 2> /dev/null)

need_server() {
    [ "${no_server:-0}" -eq 0 ] || skip "PostgreSQL's server can't be had"
}
sql() { psql "$url" -qXAt -v ON_ERROR_STOP=1 -c "$1"; }

# A pipeline from the topic `in` into the table $1, which is the app as well, since the server keeps the positions of all;
# $2: options of the sink.
write_sink() {
    need_server
    cat > p.lua << LUA
local tm = require "tidemill"
local app = tm.app "$1"
app:stream("in"):sink("rows", tm.connect.postgres { url = tm.env "DATABASE" or "$url", table = "$1", key = { "id" } }, { ${2:-} })
LUA
}

give() { printf '%s\n' "$@" | tm produce in --key id --partitions 1 2> /dev/null; }
give_many() { seq "$1" "$2" | sed 's/.*/{"id":"&","n":&}/' | tm produce in --key id --partitions 1 2> /dev/null; }
run() { tm run p.lua --until-end --log-level warn; }

run_behind() { # leaves the pipeline in $pipeline, its output in the file log
    "$PROGRAM" run p.lua --log-level warn > log 2>&1 &
    pipeline=$!
}
await_rows() { await eval "[ \"\$(sql 'SELECT count(*) FROM $2')\" = $1 ]"; }
end_pipeline() {
    kill "$pipeline"
    wait "$pipeline" || { echo "status $? after SIGTERM"; cat log; return 1; }
}

test_a_wrong_password() {
    write_sink wrong_password
    sql "CREATE TABLE wrong_password (id text PRIMARY KEY, n int)"
    give_many 1 3
    DATABASE=${url/tidemill:tidemill@/tidemill:hidden@} status 4 run
    says 'writing the sink rows'
    says 'password authentication failed for user "tidemill"'
    says 'check user and password in the url'
    case "$out$err" in *hidden*) echo "the password is shown"; return 1 ;; esac
    run
    same 3 "$(sql "SELECT count(*) FROM wrong_password")"
}

test_a_server_that_comes_later() {
    write_sink comes_later
    sql "CREATE TABLE comes_later (id text PRIMARY KEY, n int)"
    give_many 1 100
    server stop
    run_behind
    await eval 'contains "sink waits.*Connection refused" < log'
    kill -0 "$pipeline"
    server start
    await_rows 100 comes_later
    end_pipeline
}

test_a_missing_table() {
    write_sink not_there
    give_many 1 3
    status 3 run
    says 'There is no table not_there in the database'
    says 'create it, check the name, or set auto_create, while writing the sink rows'
    sql "CREATE TABLE not_there (id text PRIMARY KEY, n int)"
    run
    same 3 "$(sql "SELECT count(*) FROM not_there")"
}

test_a_missing_right() {
    write_sink no_right
    sql "CREATE TABLE no_right (id text PRIMARY KEY, n int);
        CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON no_right TO reader"
    give_many 1 3
    export DATABASE=${url/tidemill:tidemill@/reader:reader@}
    status 4 run
    says 'making the table _tidemill_offsets (an administrator may run: CREATE TABLE IF NOT EXISTS _tidemill_offsets'
    says 'permission denied for schema public [42501]: GRANT the right to the user that the url names'
    sql "CREATE TABLE IF NOT EXISTS _tidemill_offsets (app text, name text, topic text, task int, next bigint NOT NULL,
        PRIMARY KEY (app, name, topic, task)); GRANT SELECT, INSERT, UPDATE ON _tidemill_offsets TO reader"
    status 4 run
    says 'permission denied for table no_right [42501]: GRANT the right to the user that the url names'
    sql "GRANT INSERT, UPDATE ON no_right TO reader"
    run
    same 3 "$(sql "SELECT count(*) FROM no_right")"
}

test_a_unique_violation_into_the_dead_letter_topic() {
    write_sink unique_n 'on_error = "dead_letter"'
    sql "CREATE TABLE unique_n (id text PRIMARY KEY, n int UNIQUE)"
    give '{"id":"a","n":1}' '{"id":"b","n":2}' '{"id":"c","n":1}' '{"id":"d","n":4}'
    run
    same 'a1 b2 d4' "$(sql "SELECT string_agg(id || n, ' ' ORDER BY id) FROM unique_n")"
    tm consume unique_n-dead-letter --format json > dead
    cat dead
    same 1 "$(wc -l < dead)"
    for part in '"value":{"id":"c","n":1}' '["__connect.errors.topic","in"]' '["__connect.errors.partition","0"]' \
        '["__connect.errors.offset","2"]' 'duplicate key value violates unique constraint' \
        'Key (n)=(1) already exists' '[23505]'; do
        grep -qF -- "$part" dead || { echo "not there: $part"; return 1; }
    done
}

test_a_null_violation_is_skipped() {
    write_sink not_null 'on_error = "skip"'
    sql "CREATE TABLE not_null (id text PRIMARY KEY, n int NOT NULL)"
    give '{"id":"a","n":1}' '{"id":"b","n":null}' '{"id":"c","n":3}'
    status 0 run
    says 'null value in column'
    says 'violates not-null constraint (Failing row contains (b, null).) [23502]'
    same 'a1 c3' "$(sql "SELECT string_agg(id || n, ' ' ORDER BY id) FROM not_null")"
}

test_a_value_out_of_range_ends_the_process() {
    write_sink small
    sql "CREATE TABLE small (id text PRIMARY KEY, n smallint)"
    give '{"id":"a","n":1}' '{"id":"b","n":70000}' '{"id":"c","n":3}'
    status 5 run
    says 'Column "n" of type smallint can'"'"'t take 70000: it needs an integer in its range'
    says 'in node rows, while processing topic in partition 0 offset 1'
    same 'a1' "$(sql "SELECT string_agg(id || n, ' ' ORDER BY id) FROM small")"
    sql "ALTER TABLE small ALTER n TYPE int"
    run
    same 'a1 b70000 c3' "$(sql "SELECT string_agg(id || n, ' ' ORDER BY id) FROM small")"
}

test_a_renamed_column() {
    write_sink renamed
    sql "CREATE TABLE renamed (id text PRIMARY KEY, n int)"
    give '{"id":"a","n":1}'
    run
    sql "ALTER TABLE renamed RENAME n TO m"
    give '{"id":"b","n":2}'
    status 5 run
    says 'Column "n" is not in table renamed: leave the field out before the sink, or change the table'
    says 'while processing topic in partition 0 offset 1'
    sql "ALTER TABLE renamed RENAME m TO n"
    run
    same 'a1 b2' "$(sql "SELECT string_agg(id || n, ' ' ORDER BY id) FROM renamed")"
}

# The server dies, or cuts the connections, while rows are written: nothing is lost, nothing comes twice.
write_counted() { # each record adds to a sum, so that one written twice is seen
    write_sink "$1"
    sql "CREATE TABLE $1 (id text PRIMARY KEY, n int); CREATE TABLE $1_seen (n int);
        CREATE FUNCTION $1_note() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO $1_seen VALUES (NEW.n); PERFORM pg_sleep(0.001); RETURN NEW; END';
        CREATE TRIGGER note AFTER INSERT OR UPDATE ON $1 FOR EACH ROW EXECUTE FUNCTION $1_note()"
    sed -i 's/key = { "id" }/&, batch = 200/' p.lua
}
same_counted() {
    same 3000 "$(sql "SELECT count(*) FROM $1")"
    same '3000 4501500' "$(sql "SELECT count(*) || ' ' || sum(n) FROM $1_seen")"
}

test_a_server_that_dies_in_the_middle() {
    write_counted dies
    give_many 1 3000
    run_behind
    for _ in 1 2 3; do
        sleep 0.4
        server kill
        sleep 0.2
        server start
    done
    await_rows 3000 dies
    end_pipeline
    contains 'sink waits' < log
    same_counted dies
}

cut_connections() {
    [ "$(sql "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'tidemill%'")" -gt 0 ]
}

test_connections_that_are_cut() {
    write_counted cut
    give_many 1 3000
    run_behind
    for _ in 1 2 3; do
        await cut_connections
        sleep 0.2
    done
    await_rows 3000 cut
    end_pipeline
    contains 'sink waits.*terminating connection' < log
    same_counted cut
}

write_source() {
    need_server
    cat > p.lua << LUA
local tm = require "tidemill"
local app = tm.app "$1"
app:source("rows", tm.connect.postgres { url = tm.env "DATABASE" or "$url", tables = { "public.$1" } }):to("out")
LUA
}

test_a_source_whose_server_dies_in_the_middle() {
    write_source captured
    sql "CREATE TABLE captured (id int PRIMARY KEY); INSERT INTO captured SELECT generate_series(1, 1000)"
    run_behind
    for round in 1 2 3; do
        sql "INSERT INTO captured SELECT generate_series(1000 * $round + 1, 1000 * $round + 1000)"
        sleep 0.1
        server kill
        server start
        sql "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'walsender'" > /dev/null
    done
    await eval '[ "$(tm consume out 2> .consumed | wc -l)" -ge 4000 ]'
    end_pipeline
    contains 'source waits' < log
    tm consume out --format value | sed 's/.*"after":{"id":\([0-9]*\)}.*/\1/' | sort -n > ids
    seq 4000 | diff - ids
}

test_a_source_with_a_wrong_password_or_a_missing_table() {
    write_source not_captured
    DATABASE=${url/tidemill:tidemill@/tidemill:hidden@} status 4 run
    says 'reading the source rows'
    says 'password authentication failed for user "tidemill"'
    status 3 run
    says 'not_captured'
}

run_tests
