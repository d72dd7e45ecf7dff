#!/usr/bin/env bash
# Lines into topics and out again.
source "$(dirname "$0")/lib.sh"

test_json_lines_stay_byte_for_byte() {
    printf '%s\n' '{"a": 1.50,  "b":[1 , 2]}' '"text"' '17' 'true' ' {"x":null} ' > lines
    status 0 tm produce t lines --partitions 1
    says "5 records produced to t"
    status 0 tm consume t --format value
    same "$(cat lines)" "$out"
}

test_the_json_format_is_lossless() {
    cat > lines <<'END'
{"key":"a","value":{"n":1},"timestamp":5,"headers":[["one","1"],["one","2"],["none",null],["bin",{"base64":"/wA="}]]}
{"key":"/wD+","key_encoding":"base64","value":"AAEC/w==","value_encoding":"base64","timestamp":6,"headers":[]}
{"key":"gone","value":null,"timestamp":7}
{"key":null,"value":"not json","value_encoding":"string","timestamp":8}
{"key":"","value":"","value_encoding":"string","timestamp":9}
{"key":"null","value":"null","value_encoding":"string","timestamp":10}
{"key":"lines","value":" {\n \"a\": 1 } ","value_encoding":"string","timestamp":11}
{"key":"ü\"\\\u0000\t","value":"äöü","timestamp":12}
END
    tm produce one lines --format json --partitions 1
    tm consume one --format json > first
    tm produce two first --format json --partitions 1
    tm consume two --format json | sed 's/"topic":"two"/"topic":"one"/' > second
    cmp first second
    same 8 "$(wc -l < first)"
    grep -q '"key":"/wD+","key_encoding":"base64","value":"AAEC/w==","value_encoding":"base64"' first
    grep -q '"key":"gone","value":null,"headers":\[\]' first
    grep -q '"headers":\[\["one","1"\],\["one","2"\],\["none",null\],\["bin",{"base64":"/wA="}\]\]' first
    grep -q '"value":"null","value_encoding":"string"' first
    grep -q '"value":" {\\n \\"a\\": 1 } ","value_encoding":"string"' first
}

test_deep_json_survives_the_json_format() {
    for depth in 510 511 512; do
        printf '%*s%*s\n' $depth '' $depth '' | sed "s/^ \{$depth\}/$(printf '[%.0s' $(seq $depth))/; s/ /]/g"
    done > lines
    tm produce deep lines --partitions 1
    tm consume deep --format json | tm produce copy --format json --partitions 1
    same "$(cat lines)" "$(tm consume copy --format value)"
}

test_random_bytes_are_lossless() {
    for i in 1 2 3 4 5 6 7 8; do
        printf '{"key":"%s","key_encoding":"base64","value":"%s","value_encoding":"base64","timestamp":%d}\n' \
            "$(head -c $((i * 3)) /dev/urandom | base64 -w0)" "$(head -c $((i * 999)) /dev/urandom | base64 -w0)" $i
    done > lines
    tm produce one lines --format json --partitions 1
    tm consume one --format json > first
    tm produce two first --format json --partitions 1
    cmp first <(tm consume two --format json | sed 's/"topic":"two"/"topic":"one"/')
    same 8 "$(grep -c . first)"
}

test_keys_and_times_from_fields() {
    printf '%s\n' '{"id":"a","at":1000,"in":{"x":"p"}}' '{"id":7,"at":"1970-01-01T00:00:02Z","in":{"x":"q"}}' > lines
    tm produce t lines --key id --timestamp at --partitions 1
    same '"timestamp":1000,"key":"a"
"timestamp":2000,"key":"7"' "$(tm consume t --format json | grep -o '"timestamp":[0-9]*,"key":"[a-z0-9]*"')"
    tm produce u lines --key in.x --at 0 --partitions 1
    same '"timestamp":0,"key":"p"
"timestamp":0,"key":"q"' "$(tm consume u --format json | grep -o '"timestamp":[0-9]*,"key":"[a-z0-9]*"')"
}

test_keys_are_placed_as_kafka_places_them() {
    # The hashes of Kafka's own UtilsTest: -973932308, -985981536 and -790332482, without their sign bit.
    printf '%s\n' '{"k":"21"}' '{"k":"foobar"}' '{"k":"a-little-bit-long-string"}' > lines
    tm produce t lines --key k --partitions 1000
    same '21 340
a-little-bit-long-string 112
foobar 166' "$(tm consume t --format json | sed 's/.*"partition":\([0-9]*\).*"key":"\([^"]*\)".*/\2 \1/' | sort)"
}

test_a_bad_line_ends_it_and_the_rest_is_not_taken() {
    printf '%s\n' '{"k":1}' '{"k":2}' '{"k":' '{"k":4}' > lines
    status 1 tm produce t lines
    says "Line 3 of lines can't be produced: it is not JSON"
    says "The 2 records before it are in t"
    same 2 "$(tm consume t | wc -l)"
    status 1 tm produce u lines --key missing
    says 'Line 1 of lines can'"'"'t be produced: its field "missing" is missing'
    status 1 tm produce u lines --timestamp k
    says "Line 3"
}

test_skip_bad_counts_them() {
    printf '%s\n' '{"k":1}' 'oops' '{"k":3}' '{"l":4}' > lines
    status 1 tm produce t lines --key k --skip-bad
    says "2 records produced to t, 2 bad lines left out."
    says "line 2 of lines was left out"
    says "line 4 of lines was left out"
    same 2 "$(tm consume t | wc -l)"
}

test_a_corrected_file_goes_on_with_resume() {
    printf '%s\n' '{"k":1}' 'oops' '{"k":3}' > lines
    status 1 tm produce t lines --resume
    printf '%s\n' '{"k":1}' '{"k":2}' '{"k":3}' > lines
    status 0 tm produce t lines --resume
    says "2 records produced to t, 1 lines produced before"
    same 3 "$(tm consume t | wc -l)"
}

test_resume_takes_only_what_is_new() {
    seq 100 > lines
    tm produce t lines --resume --partitions 1
    status 0 tm produce t lines --resume
    says "Nothing new in lines: its 100 lines were produced to t before."
    seq 101 110 >> lines
    status 0 tm produce t lines --resume
    says "10 records produced to t"
    same "$(seq 110)" "$(tm consume t --format value)"
    seq 5 > lines
    status 3 tm produce t lines --resume
    says "it was changed"
    echo '"other"' > lines
    status 3 tm produce t lines --resume
    says "begins with another line"
    status 2 tm produce t --resume
    tm topics delete t
    seq 3 > lines
    status 0 tm produce t lines --resume
    says "3 records produced to t"
}

test_resume_after_kills_loses_and_repeats_nothing() {
    seq 300000 > lines
    for i in 1 2 3 4; do
        "$PROGRAM" produce t lines --resume --partitions 1 > /dev/null &
        sleep 0.0$((i * 2))
        kill -9 $! 2> /dev/null || true
        wait $! 2> /dev/null || true
    done
    tm produce t lines --resume --partitions 1
    tm consume t --format value | cmp - lines
}

test_csv() {
    printf 'id,name,n,ok,note\r\n1,"Ada ""the"" first, Countess",1.5,true,\r\n"02",Bob,07,x,"two\nlines"\r\n\r\n' > t.csv
    status 0 tm produce t t.csv --csv --key id --partitions 1
    says "2 records"
    same '1	{"id":1,"name":"Ada \"the\" first, Countess","n":1.5,"ok":true,"note":null}
02	{"id":"02","name":"Bob","n":"07","ok":"x","note":"two\nlines"}' "$(tm consume t)"
    printf 'a,b\n1,2,3\n4,5\n' > bad.csv
    status 1 tm produce u bad.csv --csv --skip-bad
    says "it has 3 fields and the header 2"
    same '{"a":4,"b":5}' "$(tm consume u --format value)"
    printf 'a,b\n1,"open\n' > bad.csv
    status 1 tm produce u bad.csv --csv
    says "a quoted field does not end"
    printf '"a,b\n1,2\n' > bad.csv
    status 1 tm produce v bad.csv --csv
    says "The header of bad.csv can't be taken: a quoted field does not end. Nothing was produced; correct its first line"
    same "" "$(grep 'policy' .err)"
    printf '\xff,b\n1,2\n' > bad.csv
    status 1 tm produce v bad.csv --csv
    says "it is empty or not UTF-8"
    printf 'id,n,id\n1,2,3\n' > bad.csv
    status 1 tm produce v bad.csv --csv
    says "The header of bad.csv can't be taken: it names the column \"id\" twice. Nothing was produced;"
}

test_gzip_and_standard_input() {
    seq 1000 > lines
    { gzip -c lines; seq 1001 1010 | gzip -c; } > lines.gz
    tm produce t lines.gz --partitions 1
    same "$(seq 1010)" "$(tm consume t --format value)"
    cat lines | tm produce u - --partitions 1
    gzip -c lines | tm produce u
    same 2000 "$(tm consume u | wc -l)"
    seq 100000 | gzip -c > whole.gz
    head -c 100000 whole.gz > cut.gz
    status 1 tm produce v cut.gz
    says "cut.gz is damaged: it ends in the middle after line "
    local taken
    taken=$(tm consume v | wc -l)
    same "$(seq "$taken")" "$(tm consume v --format value | sort -n)"
    says "after line $taken. The $(echo "$taken" | sed 's/...$/,&/') records before it are in v;"
    says "from a file that is whole produce what follows line $taken."
    same "" "$(grep 'policy' .err)"
}

test_a_damaged_file_is_gone_on_with() {
    seq 100000 | gzip -c > whole.gz
    head -c 100000 whole.gz > part.gz
    status 1 tm produce v part.gz --resume
    says "with a file that is whole the same command goes on after line "
    cp whole.gz part.gz
    status 0 tm produce v part.gz --resume
    same "$(seq 100000)" "$(tm consume v --format value | sort -n)"
    printf 'a,b\n1,2\n3,"open' | gzip -c | head -c -4 > rows.gz
    status 1 tm produce w rows.gz --csv
    says "rows.gz is damaged: it ends in the middle"
    says "The 1 records before it are in w; from a file that is whole produce what follows line 2."
}

test_big_gzip_of_one_line_repeated() {
    seq 400000 | sed 's/.*/{"n":1}/' | gzip -c > lines.gz
    tm produce t lines.gz
    same 400000 "$(tm consume t --format value | wc -l)"
}

test_a_pipe_that_pauses_is_committed() {
    mkfifo pipe
    "$PROGRAM" produce t - --partitions 1 < pipe > /dev/null &
    exec 9> pipe
    echo '{"n":1}' >&9
    await sh -c "'$PROGRAM' consume t 2> /dev/null | grep -q n"
    exec 9>&-
    wait $!
}

test_a_pipe_that_never_pauses_is_committed() {
    while echo '{"n":1}'; do sleep 0.01; done 2> /dev/null | "$PROGRAM" produce t - --partitions 1 > /dev/null &
    await sh -c "'$PROGRAM' consume t 2> /dev/null | grep -q n"
    kill $!
}

test_a_pipe_that_pauses_within_a_line_is_committed() {
    mkfifo pipe
    "$PROGRAM" produce t - --partitions 1 < pipe > /dev/null &
    exec 9> pipe
    printf '{"n":1}\n{"n":' >&9
    await sh -c "'$PROGRAM' consume t 2> /dev/null | grep -q n"
    echo '2}' >&9
    exec 9>&-
    wait $!
    same '{"n":1}
{"n":2}' "$(tm consume t --format value)"
}

test_a_byte_order_mark_and_a_last_line_without_end() {
    printf '\xef\xbb\xbf{"a":1}\n\n{"a":2}' > lines
    status 0 tm produce t lines --partitions 1
    says "2 records"
    same '{"a":1}
{"a":2}' "$(tm consume t --format value)"
}

test_plain_formats() {
    printf 'k1\tv1\nk2\tv\t2\n' > lines
    tm produce t lines --format key-value --partitions 1
    same "$(cat lines)" "$(tm consume t)"
    same 'k1
k2' "$(tm consume t --format key)"
    printf 'any text\n\n' > lines
    tm produce u lines --format value --partitions 1
    same 2 "$(tm consume u --format value | wc -l)"
    echo 'no tab' > lines
    status 1 tm produce t lines --format key-value
}

test_partitions() {
    seq 10 > lines
    tm produce t lines --partitions 3 --partition 2
    same 10 "$(tm consume t --partition 2 | wc -l)"
    same 0 "$(tm consume t --partition 0 | wc -l)"
    status 1 tm produce t lines --partition 9
    says "no partition 9"
    status 2 tm consume t --partition 9
    tm consume t --format json | tm produce copy --format json --keep-partitions --partitions 3
    same 10 "$(tm consume copy --partition 2 | wc -l)"
}

test_where_to_begin() {
    for i in 1 2 3 4; do echo "{\"n\":$i,\"at\":$((i * 1000))}"; done > lines
    tm produce t lines --timestamp at --partitions 1
    same 4 "$(tm consume t --from beginning | wc -l)"
    same 0 "$(tm consume t --from end | wc -l)"
    same 2 "$(tm consume t --from 2 | wc -l)"
    same 2 "$(tm consume t --from 1970-01-01T00:00:02.500Z | wc -l)"
    same 3 "$(tm consume t --from @2000 | wc -l)"
    same 1 "$(tm consume t --limit 1 | wc -l)"
    same 0 "$(tm consume t --from 99 | wc -l)"
    status 2 tm consume t --from yesterday
    for from in -5 -1 @-1 1969-12-31; do
        status 2 tm consume t "--from=$from"
        says "The option --from can't be \"$from\": it must be beginning, end, an offset, a time since 1970"
    done
}

test_groups_remember() {
    seq 5 | tm produce t --partitions 1
    same 2 "$(tm consume t --group g --limit 2 | wc -l)"
    same "3
4
5" "$(tm consume t --group g --format value)"
    same "" "$(tm consume t --group g)"
    seq 6 7 | tm produce t
    same "6
7" "$(tm consume t --group g --format value)"
    same 7 "$(tm consume t | wc -l)"
}

test_follow_prints_what_comes_and_ends_on_a_signal() {
    seq 3 | tm produce t --partitions 1
    "$PROGRAM" consume t --follow --format value --group g > got &
    local pid=$!
    await grep -q '^3$' got
    seq 4 5 | tm produce t
    await grep -q '^5$' got
    kill -TERM $pid
    wait $pid
    same "$(seq 5)" "$(cat got)"
    same "" "$(tm consume t --group g)"
}

test_a_reader_that_leaves_is_no_error() {
    seq 100000 | tm produce t --partitions 1
    set +o pipefail # SIGPIPE ends it, as it ends any filter
    same 1 "$("$PROGRAM" consume t --format value 2> err | head -n 1)"
    same 1 "$("$PROGRAM" consume t --format value --follow 2>> err | head -n 1)"
    same "" "$(cat err)"
}

test_latest_and_tables() {
    cat > lines <<'END'
{"key":"a","value":{"name":"x","n":1,"r":1.23456789},"timestamp":0}
{"key":"b","value":{"name":"yy","n":30,"r":null},"timestamp":0}
{"key":"c","value":{"name":"z","n":4},"timestamp":0}
{"key":"a","value":{"name":"x","n":2,"r":0.5},"timestamp":0}
{"key":"c","value":null,"timestamp":0}
END
    tm produce t lines --format json --partitions 1
    same 'a	{"name":"x","n":2,"r":0.5}
b	{"name":"yy","n":30,"r":null}' "$(tm consume t --latest)"
    same 'name   n
yy    30
x      2' "$(tm consume t --latest --format table --columns name,n --sort -n)"
    same 'key  name   n    r
a    x      2  0.5
b    yy    30    -' "$(tm consume t --latest --format table --sort n)"
    status 0 tm consume t --format table --columns key,naem,partition,no_such_thing --sort -zz
    says 'tidemill: no record has the field "naem" of --columns; the nearest is "name".'
    says 'tidemill: no record has the field "no_such_thing" of --columns.'
    says 'tidemill: no record has the field "zz" of --sort.'
    same 3 "$(wc -l < .err)"
    status 0 tm consume t --format table --columns key,name,value,timestamp,partition,offset,r --sort r
    same "" "$err"
    tm topics create none
    status 0 tm consume none --format table --columns a --sort b
    same "" "$err"
    status 2 tm consume t --latest --follow
    status 2 tm consume t --columns a
    status 2 tm consume t --format json --key-codec int64
    status 2 tm consume t --sort
}

test_codecs_for_display() {
    cat > lines <<'END'
{"key":"AAAAAAAAACo=","key_encoding":"base64","value":"QAQAAAAAAAA=","value_encoding":"base64"}
END
    tm produce t lines --format json
    same '42	2.5' "$(tm consume t --key-codec int64 --value-codec double)"
    same '{"base64":"AAAAAAAAACo="}	{"base64":"QAQAAAAAAAA="}' "$(tm consume t --key-codec bytes --value-codec bytes)"
    printf '{"key":"%s","key_encoding":"base64","value":1}\n' "$(printf 'k\0\0\0\0\0\0\03\350' | base64)" > lines
    tm produce w lines --format json
    same 'k@1970-01-01T00:00:01.000Z	1' "$(tm consume w --key-codec windowed)"
}

test_a_record_of_ten_megabytes() {
    { printf '{"key":"big","value":"'; head -c 10000000 /dev/zero | tr '\0' 'x'; printf '"}\n'; } > lines
    tm produce t lines --key key
    tm consume t --format value | cmp - lines
}

run_tests
