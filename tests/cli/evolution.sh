#!/usr/bin/env bash
# Scripts that change while their state stays.
source "$(dirname "$0")/lib.sh"

script() { # file, the pipeline after `app`
    printf '%s\n' 'local tm = require "tidemill"' 'local app = tm.app "shop"' "$2" > "$1"
}

sold() { printf '%s\n' "$@" | sed 's/.*/{"k":"&"}/' | tm produce sales --key k; }
counts() { tm consume totals --latest --format key-value; }
plan() { tm check "$@" --against-running | sed -n '/^Against/,$p' | awk '{ print $1, $2, $3 }'; }

before() {
    script one.lua 'app:stream("sales"):group_by_key():count { store = "counts" }:to("totals")
app:stream("sales"):select_key(function() return "all" end):group_by_key():count { store = "all" }:to("sums")'
    sold a b a
    tm run one.lua --until-end --log-level error
}

test_state_stays_when_the_script_changes_around_it() {
    before
    script two.lua 'local s = app:stream("sales"):peek(function() end)
s:filter(function() return true end):group_by_key():count { store = "counts", ttl = "9d" }:to("totals")
s:to("copy")'
    sold a
    tm run two.lua --until-end --log-level error
    same "a	3
b	1" "$(counts)"
}

test_a_new_store_begins_empty_beside_an_old_one() {
    before
    script two.lua 'local s = app:stream("sales"):group_by_key()
s:count { store = "counts" }:to("totals")
s:count { store = "again" }:to("new-totals")'
    sold a c
    tm run two.lua --until-end --log-level error
    same "a	3
b	1
c	1" "$(counts)"
    same "a	1
c	1" "$(tm consume new-totals --latest --format key-value)"
}

test_the_plan_names_what_happens_to_each() {
    before
    script two.lua 'app:stream("sales"):group_by_key():count { store = "counts" }:to("totals")
app:stream("sales"):select_key(function() return "x" end):group_by_key():count { store = "more" }:to("sums")'
    same "Against what ran
kind name plan
store counts reused
store more created
store all orphaned
topic shop-more-repartition created
topic shop-counts-changelog reused
topic shop-more-changelog created
topic shop-all-changelog orphaned
topic shop-all-repartition orphaned" "$(plan two.lua)"
    status 0 tm check two.lua --against-running --json
    says '{"store":"counts","plan":"reused","why":"state of 4 workers is here"}'
    says "\`tidemill topics delete shop-all-changelog\`"
    rm -rf tidemill-data/state
    status 0 tm check two.lua --against-running
    says "restored from its changelog"
    same "$(plan one.lua | awk 'NR > 2 { print $3 }' | sort -u)" reused
}

test_nothing_ran_before() {
    script one.lua 'app:stream("sales"):group_by_key():count { store = "counts" }:to("totals")'
    same "store counts created
topic shop-counts-changelog created" "$(plan one.lua | tail -n +3)"
}

refused() { # the pipeline, what is wrong with it
    script bad.lua "$1"
    status 3 tm check bad.lua --against-running
    says "store  counts"
    says "incompatible"
    says "$2"
    says "Give the store a new name, or start over with: tidemill reset --app shop --to-earliest --execute"
    status 3 tm run bad.lua --until-end --log-level error
    says "The store counts in "
    says "tidemill reset --app shop --to-earliest --execute"
}

test_what_does_not_fit_is_refused_by_name() {
    before
    refused 'app:stream("sales"):group_by_key():windowed_by(tm.tumbling("1m")):count { store = "counts" }:to("totals")' \
        "it was a key-value store and is a window store now"
    refused 'app:stream("sales"):group_by_key():reduce { store = "counts", add = function(a) return a end }:to("totals")' \
        "it was written with another operator, codec or window"
    script renamed.lua 'app:stream("sales"):group_by_key():windowed_by(tm.tumbling("1m")):count { store = "minutes" }:to("totals")'
    status 0 tm check renamed.lua --against-running
    tm run one.lua --until-end --log-level error
    same "a	2
b	1" "$(counts)"
    tm reset bad.lua --to-earliest --execute
    status 0 tm run bad.lua --until-end --log-level error
}

test_another_window_or_codec_is_another_store() {
    script one.lua 'app:stream("sales"):group_by_key():windowed_by(tm.tumbling("1m")):count { store = "counts" }:to("totals")'
    sold a
    tm run one.lua --until-end --log-level error
    script wider.lua 'app:stream("sales"):group_by_key():windowed_by(tm.tumbling("1m", { grace = "1h" })):count { store = "counts" }:to("totals")'
    status 0 tm run wider.lua --until-end --log-level error
    refused 'app:stream("sales"):group_by_key():windowed_by(tm.tumbling("2m")):count { store = "counts" }:to("totals")' \
        "another operator, codec or window"
    refused 'app:stream("sales"):group_by_key { key = tm.json }:windowed_by(tm.tumbling("1m")):count { store = "counts" }:to("totals")' \
        "another operator, codec or window"
}

test_internal_topics_of_another_shape_are_in_the_plan() {
    before
    tm topics add-partitions sales 6
    status 3 tm check one.lua --against-running
    says "shop-counts-changelog  incompatible"
    says "has 4 partitions and needs 6"
}

run_tests
