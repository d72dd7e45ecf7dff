#!/usr/bin/env bash
# Records that are not what the pipeline expects: never a crash, never a silent loss.
source "$(dirname "$0")/lib.sh"

script() {
    printf '%s\n' 'local tm = require "tidemill"' 'local app = tm.app "p"' "$@" > p.lua
}

rubbish() {
    cat <<'END'
{"key":"a","value":{"n":1}}
{"key":"b","value":"not json {","value_encoding":"string"}
{"key":"c","value":"/////w==","value_encoding":"base64"}
{"key":"d","value":"","value_encoding":"string"}
{"key":"e","value":null}
{"key":"f","value":"{\"n\":1","value_encoding":"string"}
{"key":"//8=","key_encoding":"base64","value":{"n":1}}
{"key":null,"value":{"n":2}}
{"key":"g","value":{"n":3}}
END
}

test_a_bad_record_stops_with_its_place() {
    script 'app:stream("in"):map_values(function(k, v) return v and v.n end):to("out")'
    rubbish | tm produce in --format json --partitions 1
    status 5 tm run p.lua --until-end --log-level error
    says "topic in partition 0 offset 1"
    says "JSON"
    # With a policy the very same app goes on, and what came before the bad record is there once.
    status 0 tm run p.lua --until-end --log-level error --set on_error=skip
    same "1
null
1
2
3" "$(tm consume out --format value)"
}

test_bad_records_are_set_aside_byte_for_byte() {
    script 'app:stream("in"):map_values(function(k, v) return v and v.n end):to("out")'
    rubbish | tm produce in --format json --partitions 1
    status 0 tm run p.lua --until-end --log-level error --set on_error=dead_letter
    tm consume in --format json | sed -n '2,4p;6p' | grep -o '"key".*,"headers' > expected
    tm consume p-dead-letter --format json --from beginning | grep -o '"key".*,"headers' > got
    cmp expected got
    tm consume p-dead-letter --format json | sed -n 1p | contains '"__connect.errors.offset","1"'
}

test_bytes_pass_through_whatever_they_are() {
    script 'app:stream("in", { key = tm.bytes, value = tm.bytes }):to("out", { key = tm.bytes, value = tm.bytes })'
    rubbish | tm produce in --format json --partitions 1
    status 0 tm run p.lua --until-end --log-level error
    same "$(tm consume in --format json | cut -d, -f3-)" "$(tm consume out --format json | cut -d, -f3-)"
}

test_null_keys_into_a_stateful_node_are_dropped_and_counted() {
    script 'app:stream("in"):group_by_key():count { store = "n" }:to("out")'
    printf '%s\n' '{"key":null,"value":1}' '{"key":"a","value":1}' | tm produce in --format json --partitions 1
    status 0 tm run p.lua --until-end
    says "null_key"
    same 'a	1' "$(tm consume out)"
}

test_tombstones_delete_rows() {
    script 'app:table("in", { store = "t" }):to_stream():to("out")'
    printf '%s\n' '{"key":"a","value":1}' '{"key":"a","value":null}' '{"key":"b","value":null}' |
        tm produce in --format json --partitions 1
    status 0 tm run p.lua --until-end --log-level error
    same 'a	1
a	null' "$(tm consume out | head -n 2)"
    same "" "$(tm consume p-t-changelog --latest | grep '^[ab]' || true)"
}

test_a_record_of_ten_megabytes_goes_through() {
    script 'app:stream("in"):map_values(function(k, v) return { size = #v.text, text = v.text } end):to("out")'
    { printf '{"text":"'; head -c 10000000 /dev/zero | tr '\0' 'x'; printf '"}\n'; } | tm produce in --partitions 1
    status 0 tm run p.lua --until-end --log-level error
    same 10000000 "$(tm consume out --format value | python3 -c 'import json, sys; print(json.load(sys.stdin)["size"])')"
    status 0 tm reset p.lua --execute
    status 5 tm run p.lua --until-end --log-level error --set max_record_bytes=1MB
    says "max_record_bytes"
}

test_deep_and_odd_json() {
    script 'app:stream("in"):map_values(function(k, v) return v.n end):to("out")'
    { printf '{"n":9007199254740993}\n{"n":123456789012345678901234567890}\n{"n":-0}\n{"n":1e400}\n{"n":1,"n":2}\n'
      printf '{"n":"\\ud83d\\ude00"}\n'; } | tm produce in --partitions 1
    status 0 tm run p.lua --until-end --log-level error --set on_error=skip
    same 9007199254740993 "$(tm consume out --format value | head -n 1)"
    same '"😀"' "$(tm consume out --format value | tail -n 1)"
    status 1 tm produce in - < <(printf '%0.s[' $(seq 600))
}

test_negative_and_far_times() {
    script 'app:stream("in", { timestamp = function(k, v) return v.at end }):to("out")'
    printf '%s\n' '{"at":-5}' '{"at":0}' '{"at":99999999999999}' | tm produce in --partitions 1
    status 0 tm run p.lua --until-end
    says "negative"
    same '{"at":0}
{"at":99999999999999}' "$(tm consume out --format value)"
}

run_tests
