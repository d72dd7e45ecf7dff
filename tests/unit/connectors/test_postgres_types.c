/* Values of every type go from a table through change events into a table like it, and must be equal there; by the
 * snapshot and by the stream. tests/support/with_postgres.sh gives the server.
 */
#include "../../support/postgres_source.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/memory.h"
#include "connectors/postgres/postgres_sink.h"

#define MOST_VALUES 40

struct type {
    const char *type;
    const char *values[MOST_VALUES]; /* SQL, besides NULL; ended by NULL */
};

static const char prepare[] =
    "CREATE TYPE mood AS ENUM ('sad', 'so so', 'ha\"ppy'); CREATE TYPE pair AS (a int, b text);"
    "CREATE DOMAIN positive AS int CHECK (value > 0); CREATE DOMAIN exact AS numeric(30, 10);"
    "CREATE DOMAIN word AS text CHECK (value <> ''); CREATE DOMAIN moment AS timestamptz;"
    "CREATE DOMAIN flag AS bool; CREATE DOMAIN raw AS bytea; CREATE DOMAIN doc AS jsonb";

static const struct type types[] = {
    {"bool", {"true", "false"}},
    {"smallint", {"0", "-32768", "32767"}},
    {"integer", {"0", "-2147483648", "2147483647"}},
    {"bigint", {"0", "-9223372036854775808", "9223372036854775807", "9007199254740992", "9007199254740993", "-1"}},
    {"oid", {"0", "4294967295"}},
    {"numeric",
     {"0", "1.10", "-0.000000000000000000000000000000001", "'NaN'", "'Infinity'", "'-Infinity'", "1e100", "2e-50",
      "123456789012345678901234567890.123456789"}},
    {"numeric(12, 2)", {"1.10", "-9999999999.99", "'NaN'"}},
    {"real", {"0", "'-0'", "1.1", "3.4028235e38", "1e-45", "'NaN'", "'Infinity'", "'-Infinity'", "16777216"}},
    {"double precision",
     {"0", "'-0'", "0.1", "1.7976931348623157e308", "5e-324", "'NaN'", "'Infinity'", "'-Infinity'", "1e22",
      "123456789.123456789"}},
    {"money", {"0", "1234.5", "-92233720368547758.08"}},
    {"text",
     {"''", "'a'", "E'tab\\tnewline\\nreturn\\rquote\"back\\\\slash\\x01'", "'\\N'", "'NULL'", "'äöü€😀'", "' spaces '",
      "repeat('long ', 3000)", "E'a\\\\.b'", "'{}'", "'null'"}},
    {"varchar(10)", {"''", "'ten chars.'"}},
    {"char(5)", {"'ab'", "'     '"}},
    {"\"char\"", {"'x'"}},
    {"name", {"'a name'"}},
    {"bytea", {"''", "'\\x00'", "'\\x00ff10'", "'\\xdeadbeef'", "decode(repeat('00ff', 5000), 'hex')"}},
    {"uuid", {"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"}},
    {"json",
     {"'{\"a\": [1, 2.50, null], \"b\": \"x\\u00e4\"}'", "'\"text\"'", "'[]'", "'1e400'", "'12345678901234567890'",
      "'true'"}},
    {"jsonb",
     {"'{\"a\": [1, 2.50, null], \"b\": \"x\\u00e4\\\"\"}'", "'\"text\"'", "'[]'", "'12345678901234567890.10'",
      "'false'", "'{}'"}},
    {"timestamp",
     {"'2024-05-01 10:15:00'", "'2024-05-01 10:15:00.123456'", "'infinity'", "'-infinity'", "'0044-03-15 00:00:00 BC'",
      "'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'", "'12345-01-01 00:00:00'", "'294276-12-31 23:59:59'"}},
    {"timestamptz",
     {"'2024-05-01 10:15:00Z'", "'2024-05-01 10:15:00.123456+02'", "'infinity'", "'-infinity'",
      "'0044-03-15 00:00:00Z BC'", "'0001-01-01 00:00:00Z'", "'9999-12-31 23:59:59.999999Z'", "'12345-01-01 00:00:00Z'",
      "'294276-12-31 23:59:59Z'"}},
    {"timestamptz(3)", {"'2024-05-01 10:15:00.123Z'"}},
    {"date", {"'2024-02-29'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'5874897-12-31'"}},
    {"time", {"'00:00:00'", "'23:59:59.999999'", "'24:00:00'"}},
    {"timetz", {"'10:15:00+02'", "'10:15:00.5-11:30'", "'24:00:00+00'"}},
    {"interval",
     {"'0'", "'1 year 2 mons 3 days 04:05:06.789'", "'-1 year -2 mons +3 days -04:05:06'", "'1 microsecond'"}},
    {"bit(3)", {"B'101'"}},
    {"bit varying", {"B''", "B'1'", "B'10101010101'"}},
    {"inet", {"'10.0.0.1'", "'10.0.0.1/8'", "'::1'", "'fe80::1/64'"}},
    {"cidr", {"'10.0.0.0/8'", "'2001:db8::/32'"}},
    {"macaddr", {"'08:00:2b:01:02:03'"}},
    {"macaddr8", {"'08:00:2b:01:02:03:04:05'"}},
    {"point", {"'(1.5,-2)'"}},
    {"box", {"'((1,2),(3,4))'"}},
    {"polygon", {"'((0,0),(1,1),(2,0))'"}},
    {"xml", {"'<a b=\"c\">d</a>'"}},
    {"tsvector", {"'a:1 ''b c'':2'"}},
    {"tsquery", {"'a & b'"}},
    {"pg_lsn", {"'16/B374D848'"}},
    {"int4range", {"'empty'", "'[1,5)'", "'(,)'", "'[3,)'"}},
    {"numrange", {"'[1.10,2.20]'"}},
    {"tstzrange", {"'[2024-01-01 00:00:00Z,infinity)'", "'[2024-01-01 00:00:00Z,)'"}},
    {"daterange", {"'[2024-01-01,2024-02-01)'"}},
    {"int4multirange", {"'{}'", "'{[1,3),[5,9)}'"}},
    {"mood", {"'sad'", "'so so'", "'ha\"ppy'"}},
    {"pair", {"'(1,\"x y\")'", "'(,)'"}},
    {"positive", {"1", "2147483647"}},
    {"exact", {"1.1", "12345678901234567890.0123456789"}},
    {"word", {"'w'", "'two words'"}},
    {"moment", {"'2024-05-01 10:15:00.5Z'", "'infinity'"}},
    {"flag", {"true", "false"}},
    {"raw", {"'\\x00ff'"}},
    {"doc", {"'{\"a\": 1}'"}},
    {"int[]", {"'{}'", "'{1,NULL,-3}'", "'{{1,2},{3,4}}'", "'[0:1]={5,6}'", "'{{{1}},{{2}}}'"}},
    {"smallint[]", {"'{1,2}'"}},
    {"bigint[]", {"'{9223372036854775807,9007199254740993,1}'"}},
    {"bool[]", {"'{t,f,NULL}'"}},
    {"text[]",
     {"'{}'", "ARRAY['', 'NULL', NULL, 'a,b', '{x}', 'q\"q', 'b\\b', ' s ', E'n\\nl', '😀']", "'{{a,b},{c,NULL}}'"}},
    {"varchar(9)[]", {"'{a,\"b c\"}'"}},
    {"numeric[]", {"'{1.10,NaN,NULL,123456789012345678901234567890.5,-Infinity}'"}},
    {"real[]", {"'{1.1,NaN,Infinity,-0}'"}},
    {"float8[]", {"'{0.1,NaN,-Infinity,5e-324,1e22,NULL}'"}},
    {"timestamptz[]", {"ARRAY['2024-05-01 10:15:00Z', NULL, 'infinity', '0044-03-15 00:00:00Z BC']::timestamptz[]"}},
    {"timestamp[]", {"ARRAY['2024-05-01 10:15:00.5']::timestamp[]"}},
    {"date[]", {"'{2024-02-29,NULL,infinity}'"}},
    {"interval[]", {"ARRAY['1 day 2 hours']::interval[]"}},
    {"uuid[]", {"'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}'"}},
    {"bytea[]", {"ARRAY['\\x00ff', '', NULL]::bytea[]"}},
    {"json[]", {"ARRAY['{\"a\": [1, \"x\"]}', '[1,2]', 'null', NULL, '\"s\"', '1']::json[]"}},
    {"jsonb[]",
     {"ARRAY['{\"a\": [1, \"x\"]}', '[1,2]', 'null', NULL, '\"s\"', '1', 'true']::jsonb[]",
      "ARRAY[ARRAY['[1]'], ARRAY['[2]']]::jsonb[]"}},
    {"inet[]", {"'{10.0.0.1,NULL}'"}},
    {"mood[]", {"'{sad,\"so so\",NULL}'"}},
    {"pair[]", {"ARRAY[(1, 'x y'), NULL, (2, 'a\"b')]::pair[]"}},
    {"int4range[]", {"ARRAY['[1,5)', 'empty']::int4range[]"}},
    {"positive[]", {"'{1,2}'"}},
};

#define TYPES (sizeof(types) / sizeof(types[0]))

static struct bytes script;

/* A column for each type, and for each of its values a row with that one and NULL elsewhere. */
static void create_tables(void)
{
    bytes_append_text(&script, "CREATE TABLE typed (id int PRIMARY KEY");
    for (size_t i = 0; i < TYPES; i++) {
        bytes_append_format(&script, ", c%zu %s", i, types[i].type);
    }
    bytes_append_text(&script, "); CREATE TABLE typed_again (LIKE typed INCLUDING ALL)");
    capture_sql(bytes_text(&script));
}

static int insert_values(int first)
{
    bytes_clear(&script);
    bytes_append_format(&script, "INSERT INTO typed VALUES (%d)", first++);
    for (size_t i = 0; i < TYPES; i++) {
        for (size_t k = 0; types[i].values[k]; k++) {
            bytes_append_format(&script, "; INSERT INTO typed (id, c%zu) VALUES (%d, %s)", i, first++,
                                types[i].values[k]);
        }
    }
    capture_sql(bytes_text(&script));
    return first;
}

/* ---- the sink ---- */

struct target {
    struct postgres_sink_options options;
    struct connector_context context;
    struct connector_task *task;
    int64_t next;
};

static void open_target(struct target *target)
{
    struct err err;
    *target = (struct target){.next = CONNECTOR_NO_OFFSET};
    option_defaults(postgres_sink_class.options, &target->options);
    ck_assert_int_eq(option_set(postgres_sink_class.options, &target->options, "url", capture_url(), &err), 0);
    ck_assert_int_eq(option_set(postgres_sink_class.options, &target->options, "table", "typed_again", &err), 0);
    ck_assert_int_eq(option_set(postgres_sink_class.options, &target->options, "mode", "upsert", &err), 0);
    ck_assert_int_eq(option_set(postgres_sink_class.options, &target->options, "key", "id", &err), 0);
    ck_assert_msg(postgres_sink_class.validate(&target->options, &err) == 0, "%s", err.text);
    target->context = (struct connector_context){
        .app = "types", .name = "types", .topic = "types", .tasks = 1, .json_keys = true, .options = &target->options};
    ck_assert_msg(postgres_sink_class.open(&target->context, &target->task, &err) == 0, "%s", err.text);
    ck_assert_int_eq(postgres_sink_class.position(target->task, &target->next, &err), 0);
}

/* The row after the change, as unwrap() takes it out of the event. */
static void write_after(void *self, const struct record *record)
{
    struct target *target = self;
    struct record row = {.key = record->key, .offset = -1, .topic = "types"};
    struct slice after;
    struct err err;
    size_t bad = 0;
    ck_assert(json_check(record->value, NULL));
    ck_assert(json_member(record->value, slice_text("after"), &after));
    row.value = json_trim(after);
    int64_t to = (target->next == CONNECTOR_NO_OFFSET ? 0 : target->next) + 1;
    const struct sink_batch batch = {&row, 1, target->next, to};
    ck_assert_msg(postgres_sink_class.write(target->task, &batch, &bad, &err) == 0, "%s: %.*s", err.text,
                  (int)(row.value.size < 4000 ? row.value.size : 4000), (const char *)row.value.data);
    target->next = to;
}

static void close_target(struct target *target)
{
    postgres_sink_class.close(target->task);
    option_free(postgres_sink_class.options, &target->options);
}

/* ---- equal ---- */

static void compare_column(size_t column, struct bytes *differences)
{
    char sql[512];
    snprintf(
        sql, sizeof(sql),
        "SELECT coalesce(string_agg(format('%%s: %%s became %%s', a.id, left(a.c%zu::text, 100), left(b.c%zu::text, "
        "100)), '; '), '') FROM typed a FULL JOIN typed_again b USING (id) WHERE a.c%zu::text IS DISTINCT FROM "
        "b.c%zu::text",
        column, column, column, column);
    const char *answer = capture_ask(sql);
    if (answer[0]) {
        bytes_append_format(differences, "%s: %s\n", types[column].type, answer);
    }
}

static void compare_tables(int rows)
{
    struct bytes differences = {0};
    char expected[32];
    snprintf(expected, sizeof(expected), "%d", rows);
    ck_assert_str_eq(capture_ask("SELECT count(*) FROM typed"), expected);
    ck_assert_str_eq(capture_ask("SELECT count(*) FROM typed_again"), expected);
    for (size_t i = 0; i < TYPES; i++) {
        compare_column(i, &differences);
    }
    ck_assert_msg(differences.size == 0, "%s", bytes_text(&differences));
    ck_assert_str_eq(capture_ask("SELECT count(*) FROM (SELECT t::text FROM typed t EXCEPT SELECT t::text FROM "
                                 "typed_again t) AS gone"),
                     "0");
    ck_assert_str_eq(capture_ask("SELECT count(*) FROM (SELECT t::text FROM typed_again t EXCEPT SELECT t::text FROM "
                                 "typed t) AS new"),
                     "0");
}

START_TEST(values_arrive_as_they_were)
{
    struct capture c;
    struct target target;
    capture_sql(prepare);
    create_tables();
    int rows = insert_values(0);
    capture_begin(&c, "typed", "public.typed");
    c.keep = false;
    capture_open(&c);
    open_target(&target);
    do {
        capture_poll_each(&c, write_after, &target);
    } while (!c.at_end);
    ck_assert_uint_eq(c.count, (size_t)rows);
    compare_tables(rows);
    rows = insert_values(rows);
    while (c.count < (size_t)rows) {
        capture_poll_each(&c, write_after, &target);
    }
    compare_tables(rows);
    close_target(&target);
    capture_end(&c);
    bytes_free(&script);
}
END_TEST

POSTGRES_MAIN("postgres_types", values_arrive_as_they_were)
