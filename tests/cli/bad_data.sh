#!/usr/bin/env bash
# Data directories that can't be used, and disks that are full.
source "$(dirname "$0")/lib.sh"

pass_script() {
    printf '%s\n' 'local tm = require "tidemill"' 'local app = tm.app "pass"' \
        'app:stream("in"):group_by_key():count { store = "n" }:to("out")' > p.lua
}

# As root permissions don't count; then another user has to try.
as_nobody() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    elif command -v setpriv > /dev/null; then
        setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
    else
        skip "needs setpriv, as root"
    fi
}

test_a_directory_that_can_not_be_written() {
    pass_script
    mkdir data
    chmod 755 . data
    as_nobody true || skip "another user can't be taken"
    cp "$PROGRAM" program # where another user can reach it
    chmod 755 program
    [ "$(id -u)" -eq 0 ] || chmod 555 data
    for command in "produce in p.lua --data data" "run p.lua --data data --until-end" "topics create t --data data"; do
        got=0
        # shellcheck disable=SC2086
        as_nobody ./program $command > out 2>&1 || got=$?
        case $got in 3 | 5) ;; *) cat out; return 1 ;; esac
        grep -q "data" out
        grep -qi "permission denied\|can't be\|readonly" out
    done
    same "" "$(ls data)"
}

# Permissions of the file and of its directory, then what must be said.
expect_read_only() {
    local got=0
    chmod "$1" place/shop.db
    chmod "$2" place
    for pipeline in sink source; do
        got=0
        as_nobody ./program run $pipeline.lua --data data --until-end > out 2>&1 || got=$?
        same 5 "$got"
        contains "place/shop.db can't be written: the user that runs this needs the right to write $3" < out
        got=0
        as_nobody ./program connect check $pipeline.lua > out 2>&1 || got=$?
        contains "BAD  place/shop.db can't be written: .*$3" < out
    done
    contains "sqlite_poll only reads" < out
    as_nobody ./program run poll.lua --data data --until-end > out 2>&1 || { cat out; return 1; }
    same 1 "$(sqlite3 -readonly "file:place/shop.db?immutable=1" 'SELECT count(*) FROM orders')"
}

test_a_sqlite_database_that_can_not_be_written() {
    as_nobody true || skip "another user can't be taken"
    command -v sqlite3 > /dev/null || skip "sqlite3 is missing"
    cp "$PROGRAM" program
    mkdir data place
    chmod 755 . program
    chmod 777 data
    sqlite3 place/shop.db "CREATE TABLE orders (id INTEGER PRIMARY KEY, n int); INSERT INTO orders VALUES (1, 1)"
    for pipeline in sink source poll; do
        printf '%s\n' 'local tm = require "tidemill"' "local app = tm.app \"$pipeline\"" > $pipeline.lua
    done
    echo 'app:stream("in"):sink("rows", tm.connect.sqlite { path = "place/shop.db", table = "orders" })' >> sink.lua
    echo 'app:source("rows", tm.connect.sqlite { path = "place/shop.db", tables = { "orders" } }):to("out")' >> source.lua
    echo 'app:source("rows", tm.connect.sqlite_poll { path = "place/shop.db", table = "orders", cursor = "id" }):to("out")' >> poll.lua
    as_nobody ./program topics create in --data data > /dev/null
    expect_read_only 444 555 "the file and its directory"
    expect_read_only 444 777 "the file and its directory"
    expect_read_only 666 555 "its directory, where SQLite keeps its journal"
    chmod 777 place
}

test_a_file_in_place_of_the_directory() {
    pass_script
    echo text > data
    got=0
    tm run p.lua --data data --until-end > out 2>&1 || got=$?
    case $got in 3 | 5) ;; *) cat out; return 1 ;; esac
    grep -q data out
    same text "$(cat data)"
}

# What a log says must not send anybody to throw the file away: the changelogs are in it.
left_alone() {
    says "left"
    says "Do what the message says"
    case "$err" in *"restored from its changelog"*) return 1 ;; esac
}

test_a_foreign_and_a_damaged_log_are_refused_and_left_alone() {
    pass_script
    mkdir -p data/log
    head -c 100000 /dev/urandom > data/log/log.db
    cp data/log/log.db before
    status 5 tm run p.lua --data data --until-end --log-level error
    says "data/log"
    left_alone
    status 5 tm topics --data data
    left_alone
    cmp before data/log/log.db
    rm -r data
    seq 10 | tm produce in --data data
    truncate -s 4096 data/log/log.db
    rm -f data/log/log.db-wal data/log/log.db-shm
    status 5 tm consume in --data data
    says "data/log"
    left_alone
}

test_a_log_of_a_newer_version_is_refused() {
    pass_script
    seq 10 | tm produce in --data data
    python3 - <<'END' || skip "needs python3 with sqlite3"
import sqlite3
log = sqlite3.connect("data/log/log.db")
(version,) = log.execute("PRAGMA user_version").fetchone()
assert version > 0, "the version is somewhere else"
log.execute("PRAGMA user_version = %d" % (version + 1))
log.commit()
END
    status 5 tm run p.lua --data data --until-end --log-level error
    says "newer"
    left_alone
    status 5 tm produce in p.lua --data data --format value
    left_alone
    status 5 tm topics --data data
    left_alone
}

test_damaged_state_is_rebuilt() {
    pass_script
    seq 1000 | awk '{ printf "{\"k\":\"k%d\"}\n", $1 % 10 }' | tm produce in --data data --key k
    tm run p.lua --data data --until-end --log-level error
    for file in $(find data/state -type f -name '*.db*'); do
        head -c 3000 /dev/urandom > "$file"
    done
    seq 10 | awk '{ printf "{\"k\":\"k%d\"}\n", $1 % 10 }' | tm produce in --data data --key k
    status 0 tm run p.lua --data data --until-end
    same "$(for i in $(seq 0 9); do printf 'k%s\t101\n' "$i"; done)" "$(tm consume out --data data --latest | sort)"
    rm -r data/state
    seq 10 | awk '{ printf "{\"k\":\"k%d\"}\n", $1 % 10 }' | tm produce in --data data --key k
    status 0 tm run p.lua --data data --until-end
    same "$(for i in $(seq 0 9); do printf 'k%s\t102\n' "$i"; done)" "$(tm consume out --data data --latest | sort)"
}

small_disk() { # size
    mkdir -p disk
    [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size="$1" tmpfs disk 2> /dev/null || skip "needs root and mount"
}

test_a_full_disk_while_producing() {
    small_disk 4m
    yes_lines() { seq 300000 | sed 's/.*/{"text":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","n":&}/'; }
    yes_lines > lines
    "$PROGRAM" produce in lines --data disk/data --resume --partitions 1 > log 2>&1 &
    local pid=$! got=0
    await grep -qi "full\|room\|space" log
    mount -o remount,size=256m disk
    wait $pid || got=$?
    [ $got -eq 0 ] || cat log
    same 0 $got
    tm consume in --data disk/data --format value > got
    umount disk
    cmp got lines
}

test_a_full_disk_while_running() {
    pass_script
    small_disk 256m
    seq 200000 | awk '{ printf "{\"k\":\"k%d\",\"text\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}\n", $1 % 10 }' > lines
    tm produce in lines --data disk/data --key k
    mount -o remount,size=$(($(du -sk disk | cut -f1) + 3500))k disk # for the state files, not for the results
    "$PROGRAM" run p.lua --data disk/data --until-end --set commit_records=5000 > log 2>&1 &
    local pid=$! got=0
    await grep -qi "full\|room\|space" log || { umount -l disk; return 1; }
    mount -o remount,size=256m disk
    wait $pid || got=$?
    same 200000 "$(tm consume out --data disk/data | sort -u | wc -l)" || { umount -l disk; return 1; }
    same 200000 "$(tm consume out --data disk/data | wc -l)" || { umount -l disk; return 1; }
    umount disk
    same 0 $got
}

test_a_limit_on_file_sizes() {
    pass_script
    seq 200000 > lines
    got=0
    (ulimit -f 512; trap '' XFSZ; exec "$PROGRAM" produce in lines --data data --partitions 1) > log 2>&1 &
    local pid=$!
    await grep -qi "I/O error" log
    kill -9 $pid 2> /dev/null || true
    wait $pid || true
    # What is there is there in whole lines, from the first on.
    tm consume in --data data --format value > got
    head -n "$(wc -l < got)" lines | cmp - got
}

run_tests
