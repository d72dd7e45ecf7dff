#!/usr/bin/env bash
# Values of every type go from a table of a real PostgreSQL through a topic into a table like it, and are equal there: rows
# that were there before, inserts and updates.
source "$(dirname "$0")/lib.sh"

server=$(mktemp -d)
trap '"$top/tests/support/postgres.sh" remove "$server"; rm -rf "$server"' EXIT
"$top/tests/support/postgres.sh" start "$server" -c fsync=off > /dev/null || no_server=$?
url=$(cat "$server/url" 2> /dev/null)

sql() { psql "$url" -qXAt -v ON_ERROR_STOP=1 -c "$1"; }

# A type in each line, then values of it.
types() {
    cat << 'TYPES'
bool|true|false
smallint|0|-32768|32767
integer|0|-2147483648|2147483647
bigint|-9223372036854775808|9223372036854775807|9007199254740992|9007199254740993
numeric|1.10|-0.000000000000000000000000000000001|'NaN'|'Infinity'|'-Infinity'|1e100|12345678901234567890.123456789
numeric(12, 2)|1.10|-9999999999.99|'NaN'
real|0|'-0'|1.1|3.4028235e38|1e-45|'NaN'|'Infinity'|'-Infinity'
float8|0|'-0'|0.1|1.7976931348623157e308|5e-324|1e22|'NaN'|'Infinity'|'-Infinity'
money|1234.5|-92233720368547758.08
text|''|E'tab\tline\n"quote"\\slash\x01'|'\N'|'NULL'|'null'|'äöü€😀'|' '|'{}'|repeat('long ', 3000)
varchar(10)|''|'ten chars.'
char(5)|'ab'|'     '
name|'a name'
bytea|''|'\x00'|'\x00ff10'|'\xdeadbeef'|decode(repeat('00ff', 5000), 'hex')
uuid|'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'
json|'{"a": [1, 2.50, null], "b": "x\u00e4"}'|'"text"'|'"null"'|'[]'|'1e400'|'12345678901234567890'|'true'
jsonb|'{"a": [1, 2.50, null], "b": "x\u00e4"}'|'"text"'|'"null"'|'[]'|'12345678901234567890.10'|'false'
timestamp|'2024-05-01 10:15:00.123456'|'infinity'|'-infinity'|'0044-03-15 00:00:00 BC'|'294276-12-31 23:59:59'
timestamptz|'2024-05-01 10:15:00.123456+02'|'infinity'|'-infinity'|'0044-03-15 00:00Z BC'|'12345-01-01 00:00Z'
timestamptz(3)|'2024-05-01 10:15:00.123Z'
date|'2024-02-29'|'infinity'|'-infinity'|'0044-03-15 BC'|'5874897-12-31'
time|'00:00:00'|'23:59:59.999999'|'24:00:00'
timetz|'10:15:00+02'|'10:15:00.5-11:30'
interval|'0'|'1 year 2 mons 3 days 04:05:06.789'|'-1 year -2 mons +3 days -04:05:06'
bit(3)|B'101'
bit varying|B''|B'10101010101'
inet|'10.0.0.1'|'10.0.0.1/8'|'fe80::1/64'
cidr|'10.0.0.0/8'|'2001:db8::/32'
macaddr|'08:00:2b:01:02:03'
point|'(1.5,-2)'
xml|'<a b="c">d</a>'
tsvector|'a:1 ''b c'':2'
int4range|'empty'|'[1,5)'|'(,)'|'[3,)'
numrange|'[1.10,2.20]'
tstzrange|'[2024-01-01 00:00:00Z,infinity)'|'[2024-01-01 00:00:00Z,)'
int4multirange|'{}'|'{[1,3),[5,9)}'
mood|'sad'|'so so'|'ha"ppy'
pair|'(1,"x y")'|'(,)'
positive|1|2147483647
exact|1.1|12345678901234567890.0123456789
word|'two words'
moment|'2024-05-01 10:15:00.5Z'|'infinity'
flag|true|false
raw|'\x00ff'
doc|'{"a": 1}'|'"x"'
int[]|'{}'|'{1,NULL,-3}'|'{{1,2},{3,4}}'|'[0:1]={5,6}'
bigint[]|'{9223372036854775807,9007199254740993,1}'
bool[]|'{t,f,NULL}'
text[]|'{}'|ARRAY['', 'NULL', NULL, 'a,b', '{x}', 'q"q', 'b\b', ' s ', E'n\nl', '😀']|'{{a,b},{c,NULL}}'
numeric[]|'{1.10,NaN,NULL,123456789012345678901234567890.5,-Infinity}'
float8[]|'{0.1,NaN,-Infinity,5e-324,1e22,NULL}'
timestamptz[]|ARRAY['2024-05-01 10:15:00Z', NULL, 'infinity', '0044-03-15 00:00:00Z BC']::timestamptz[]
date[]|'{2024-02-29,NULL,infinity}'
uuid[]|'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}'
bytea[]|ARRAY['\x00ff', '', NULL]::bytea[]
json[]|ARRAY['{"a": [1, "x"]}', '[1,2]', 'null', NULL, '"s"', '1']::json[]
jsonb[]|ARRAY['{"a": [1, "x"]}', '[1,2]', 'null', NULL, '"s"', '1', 'true']::jsonb[]
inet[]|'{10.0.0.1,NULL}'
mood[]|'{sad,"so so",NULL}'
pair[]|ARRAY[(1, 'x y'), NULL, (2, 'a"b')]::pair[]
int4range[]|ARRAY['[1,5)', 'empty']::int4range[]
positive[]|'{1,2}'
jsonb NOT NULL DEFAULT '{}'|'null'|'"null"'|'[null]'
json NOT NULL DEFAULT '{}'|'null'|'{}'
TYPES
}

make_tables() {
    sql "CREATE TYPE mood AS ENUM ('sad', 'so so', 'ha\"ppy'); CREATE TYPE pair AS (a int, b text);
        CREATE DOMAIN positive AS int CHECK (value > 0); CREATE DOMAIN exact AS numeric(30, 10);
        CREATE DOMAIN word AS text CHECK (value <> ''); CREATE DOMAIN moment AS timestamptz;
        CREATE DOMAIN flag AS bool; CREATE DOMAIN raw AS bytea; CREATE DOMAIN doc AS jsonb"
    types | awk -F '|' 'BEGIN { printf "CREATE TABLE typed (id int PRIMARY KEY" } { printf ", c%d %s", NR, $1 }
        END { print "); CREATE TABLE typed_again (LIKE typed INCLUDING ALL)" }' > ddl.sql
    psql "$url" -qXAt -v ON_ERROR_STOP=1 -f ddl.sql
}

# For each value a row with it, and NULL elsewhere; the rows are numbered from $1 on.
insert_values() {
    types | awk -F '|' -v id="$1" '{ for (i = 2; i <= NF; i++) printf "INSERT INTO typed (id, c%d) VALUES (%d, %s);\n", NR, id++, $i }
        END { printf "INSERT INTO typed (id) VALUES (%d);\n", id }' > values.sql
    psql "$url" -qXAt -v ON_ERROR_STOP=1 -f values.sql
}

# Columns in which the tables differ, each with an example.
differences() {
    types | awk -F '|' '{ printf "SELECT format($$%s: row %%s: %%s became %%s$$, a.id, left(a.c%d::text, 60), left(b.c%d::text, 60)) FROM typed a FULL JOIN typed_again b USING (id) WHERE a.c%d::text IS DISTINCT FROM b.c%d::text OR pg_typeof(a.c%d) <> pg_typeof(b.c%d) LIMIT 1;\n", $1, NR, NR, NR, NR, NR, NR }' > differences.sql
    psql "$url" -qXAt -v ON_ERROR_STOP=1 -f differences.sql
    sql "SELECT 'missing: ' || left(t::text, 200) FROM typed t WHERE t::text IN (SELECT t::text FROM typed t EXCEPT
        SELECT t::text FROM typed_again t) LIMIT 3"
    sql "SELECT 'not there: ' || left(t::text, 200) FROM typed_again t WHERE t::text IN (SELECT t::text FROM typed_again t
        EXCEPT SELECT t::text FROM typed t) LIMIT 3"
}

test_values_of_every_type_come_back_equal() {
    [ "${no_server:-0}" -eq 0 ] || skip "PostgreSQL's server can't be had"
    local columns
    make_tables
    insert_values 1
    cat > p.lua << LUA
local tm = require "tidemill"
local app = tm.app "types"
app:source("capture", tm.connect.postgres { url = "$url", tables = { "public.typed" } }):to("changes")
app:stream("changes"):unwrap():sink("rows", tm.connect.postgres { url = "$url", table = "typed_again", key = { "id" } })
LUA
    tm run p.lua --until-end --log-level warn
    same "" "$(differences)"
    insert_values 1001
    tm run p.lua --until-end --log-level warn
    same "" "$(differences)"
    same "$(sql 'SELECT count(*) FROM typed')" "$(sql 'SELECT count(*) FROM typed_again')"
    # Each row gets the values of the one behind it.
    columns=$(types | awk '{ printf "%sc%d = s.c%d", (NR > 1 ? ", " : ""), NR, NR }')
    sql "UPDATE typed t SET $columns FROM typed s WHERE s.id = t.id + 1"
    tm run p.lua --until-end --log-level warn
    same "" "$(differences)"
    # A record has one null: where the database may have its own, JSON's becomes that.
    sql "CREATE TABLE nulls (id int PRIMARY KEY, c jsonb); INSERT INTO nulls VALUES (1, 'null'), (2, NULL), (3, '\"null\"');
        CREATE TABLE nulls_again (LIKE nulls INCLUDING ALL)"
    sed -i 's/"types"/"nulls"/; s/public.typed/public.nulls/; s/"changes"/"nulls"/g; s/typed_again/nulls_again/' p.lua
    tm run p.lua --until-end --log-level warn
    same '1  2  3 "null"' "$(sql "SELECT string_agg(concat(id, ' ', c), ' ' ORDER BY id) FROM nulls_again")"
}

run_tests
