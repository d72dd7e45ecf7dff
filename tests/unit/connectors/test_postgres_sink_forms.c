/* Values in their binary and text forms, and tables and rows of all shapes, on a real server. */
#include "base/bytes.h"
#include "tests/support/postgres_sink.h"

/* ---- values ---- */

struct value {
    const char *type;
    const char *json;
    const char *sql; /* NULL: the server, or the sink, refuses it */
};

static const struct value values[] = {
    {"smallint", "-32768", "-32768"},
    {"smallint", "32768", NULL},
    {"integer", "2147483647", "2147483647"},
    {"integer", "\"-12\"", "-12"},
    {"integer", "3.0", "3"},
    {"integer", "true", NULL},
    {"bigint", "9223372036854775807", "9223372036854775807"},
    {"bigint", "-9223372036854775808", "-9223372036854775808"},
    {"bigint", "9007199254740993", "9007199254740993"},
    {"bigint", "9223372036854775808", NULL},
    {"real", "0.1", "0.1"},
    {"real", "16777217", "16777216"},
    {"real", "-0.0", "-0"},
    {"real", "\"Infinity\"", "Infinity"},
    {"double precision", "0", "0"},
    {"double precision", "0.0", "0"},
    {"double precision", "-0.0", "-0"},
    {"double precision", "-0", "-0"},
    {"double precision", "1e308", "1e308"},
    {"double precision", "1e309", NULL},
    {"double precision", "1e-400", NULL},
    {"double precision", "5e-324", "5e-324"},
    {"double precision", "123456789012345678", "123456789012345678"},
    {"double precision", "\"NaN\"", "NaN"},
    {"double precision", "\"-Infinity\"", "-Infinity"},
    {"numeric", "0", "0"},
    {"numeric", "0.00", "0.00"},
    {"numeric", "-0.00", "0.00"},
    {"numeric", "1", "1"},
    {"numeric", "10000", "10000"},
    {"numeric", "\"99999999999999999999.99999999990\"", "99999999999999999999.99999999990"},
    {"numeric", "123456789012345678901234567890", "123456789012345678901234567890"},
    {"numeric", "-0.000012340000", "-0.000012340000"},
    {"numeric", "\"0001.10\"", "1.10"},
    {"numeric", "1e5", "100000"},
    {"numeric", "\"NaN\"", "NaN"},
    {"numeric", "\"-Infinity\"", "-Infinity"},
    {"numeric", "\".5\"", "0.5"},
    {"numeric", "\"\"", NULL},
    {"numeric", "\"-\"", NULL},
    {"numeric(6,2)", "1234.567", "1234.57"},
    {"numeric(6,2)", "12345.67", NULL},
    {"boolean", "true", "true"},
    {"boolean", "false", "false"},
    {"boolean", "1", NULL},
    {"text", "\"\"", ""},
    {"text", "\"a\\tb\\\\c\\u00e4\\ud83d\\ude00\\n\"", "a\tb\\c\u00e4\U0001f600\n"},
    {"text", "12.50", "12.50"},
    {"text", "{\"a\":[1, null]}", "{\"a\":[1, null]}"},
    {"text", "\"\\u0000\"", NULL},
    {"varchar(3)", "\"abc\"", "abc"},
    {"varchar(3)", "\"abcd\"", NULL},
    {"char(3)", "\"ab\"", "ab "},
    {"timestamptz", "1700000000123", "2023-11-14 22:13:20.123Z"},
    {"timestamptz", "-1", "1969-12-31 23:59:59.999Z"},
    {"timestamptz", "\"2024-02-29T23:59:59.123456Z\"", "2024-02-29 23:59:59.123456Z"},
    {"timestamptz", "\"1969-12-31T23:59:59.999999Z\"", "1969-12-31 23:59:59.999999Z"},
    {"timestamptz", "\"2024-02-29T23:59:59.1234567Z\"", "2024-02-29 23:59:59.123457Z"},
    {"timestamptz", "\"2024-02-29T23:59:59+02:00\"", "2024-02-29 21:59:59Z"},
    {"timestamptz", "\"0001-01-01T00:00:00Z\"", "0001-01-01 00:00:00Z"},
    {"timestamptz", "\"infinity\"", "infinity"},
    {"timestamptz", "\"0044-03-15 10:00:00 BC\"", "0044-03-15 10:00:00 BC"},
    {"timestamptz", "\"2023-02-29T10:00:00Z\"", NULL},
    {"timestamptz", "99999999999999999", NULL},
    {"timestamp", "\"2024-02-29T23:59:59\"", "2024-02-29 23:59:59"},
    {"timestamp", "\"2024-02-29T23:59:59+02:00\"", "2024-02-29 23:59:59"},
    {"timestamp", "1700000000123", "2023-11-14 22:13:20.123"},
    {"date", "\"2024-02-29\"", "2024-02-29"},
    {"date", "\"1999-12-31\"", "1999-12-31"},
    {"date", "\"0001-01-01\"", "0001-01-01"},
    {"date", "\"2024-02-30\"", NULL},
    {"date", "\"-infinity\"", "-infinity"},
    {"time", "\"23:59:59.5\"", "23:59:59.5"},
    {"interval", "\"1 mon 2 days\"", "1 mon 2 days"},
    {"uuid", "\"7C9E6679-7425-40de-944b-e07fc1f90ae7\"", "7c9e6679-7425-40de-944b-e07fc1f90ae7"},
    {"uuid", "\"{7c9e6679742540de944be07fc1f90ae7}\"", "7c9e6679-7425-40de-944b-e07fc1f90ae7"},
    {"uuid", "\"7c9e6679-7425-40de-944b-e07fc1f90ae\"", NULL},
    {"json", "{\"a\" : 1.50, \"a\":2}", "{\"a\" : 1.50, \"a\":2}"},
    {"jsonb", "{\"a\" : 1.50, \"b\":[true,\"x\\ty\"]}", "{\"a\" : 1.50, \"b\":[true,\"x\\ty\"]}"},
    {"jsonb", "\"text\"", "\"text\""},
    {"jsonb", "12", "12"},
    {"bytea", "\"AP8=\"", "\\x00ff"},
    {"bytea", "\"\"", ""},
    {"bytea", "\"*\"", NULL},
    {"integer[]", "[1,null,3]", "{1,NULL,3}"},
    {"text[]", "[\"a b\",\"NULL\",null]", "{\"a b\",\"NULL\",NULL}"},
    {"inet", "\"10.0.0.1/8\"", "10.0.0.1/8"},
    {"int4range", "\"[1,5)\"", "[1,5)"},
    {"mood", "\"good\"", "good"},
    {"mood", "\"sad\"", NULL},
    {"positive", "7", "7"},
    {"positive", "-7", NULL},
    {"word", "\"dom\"", "dom"},
    {"word", "\"domino\"", NULL},
    {"short_word", "\"do\"", "do"},
    {"short_word", "\"dom\"", NULL},
    {"short_word", "\"domino\"", NULL},
};

static void check_value(const struct value *value, const char *mode)
{
    char sql[512], json[512];
    snprintf(sql, sizeof(sql),
             "DROP TABLE IF EXISTS formed; CREATE TABLE formed (id int PRIMARY KEY, v %s);"
             "DELETE FROM _tidemill_offsets",
             value->type);
    run(sql);
    snprintf(json, sizeof(json), "{\"v\":%s}", value->json);
    open_sink();
    /* A null and a row without the column beside it go in the same statement or not. */
    int status = WRITE(-1, "1", json, "2", "{\"v\":null}", "3", json, "4", "{}");
    postgres_sink_class.close(task);
    task = NULL;
    if (!value->sql) {
        ck_assert_msg(status == -1 && err.class == ERR_SKIP, "%s %s: %s", value->type, value->json, err.text);
        return;
    }
    ck_assert_msg(status == 0, "%s %s in mode %s: %s", value->type, value->json, mode, err.text);
    const char *parameters[] = {value->sql};
    snprintf(sql, sizeof(sql),
             "SELECT string_agg(coalesce(v::text, '<null>'), '|' ORDER BY id),"
             " concat($1::%s::text, '|<null>|', $1::%s::text, '|<null>') FROM formed",
             value->type, value->type);
    PGresult *result = postgres_connection_query_params(connection, sql, 1, parameters, value->json, &err);
    ck_assert_msg(result != NULL, "%s", err.text);
    ck_assert_msg(strcmp(PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1)) == 0, "%s %s in mode %s: %s", value->type,
                  value->json, mode, PQgetvalue(result, 0, 0));
    PQclear(result);
}

static void check_values(const char *mode)
{
    setup("formed", "CREATE TABLE IF NOT EXISTS formed (id int PRIMARY KEY);"
                    "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN positive AS int CHECK (value > 0);"
                    "CREATE DOMAIN word AS varchar(5); CREATE DOMAIN short_word AS word CHECK (length(value) < 3)");
    set("mode", mode);
    set("key", "id");
    open_sink(); /* makes the table of positions */
    postgres_sink_class.close(task);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        check_value(&values[i], mode);
    }
    run("DROP TABLE formed; DROP TYPE mood; DROP DOMAIN positive; DROP DOMAIN short_word; DROP DOMAIN word");
    teardown(); /* the sink is closed */
}

START_TEST(values_by_upsert)
{
    check_values("upsert");
}
END_TEST

START_TEST(values_by_copy)
{
    check_values("insert");
}
END_TEST

START_TEST(forms_of_one_column_are_mixed)
{
    static const char *const modes[] = {"upsert", "insert"};
    for (size_t i = 0; i < 2; i++) {
        setup("mixed", "DROP TABLE IF EXISTS mixed; CREATE TABLE mixed (id int PRIMARY KEY, at timestamptz, n int,"
                       " m text[]); DROP TABLE IF EXISTS _tidemill_offsets");
        set("mode", modes[i]);
        set("key", "id");
        open_sink();
        ck_assert_msg(WRITE(-1, "1", "{\"at\":\"2024-01-01T00:00:00Z\",\"n\":1}", "2",
                            "{\"at\":\"1 Feb 2024 UTC\",\"n\":\"2\"}", "3", "{\"at\":1709251200000,\"n\":3}", "4",
                            "{\"at\":null,\"n\":4,\"m\":[\"x\"]}") == 0,
                      "%s", err.text);
        ck_assert_str_eq(ask("SELECT string_agg(concat_ws(' ', id, at::date, n, m), ', ' ORDER BY id) FROM mixed"),
                         "1 2024-01-01 1, 2 2024-02-01 2, 3 2024-03-01 3, 4 4 {x}");
        teardown();
        task = NULL;
    }
}
END_TEST

/* ---- columns that rows lack ---- */

START_TEST(missing_columns_keep_their_value)
{
    /* As an unwrapped change lacks what the source's server did not send since it had not changed. */
    setup("toasted", "CREATE TABLE toasted (id int PRIMARY KEY, n int, big text NOT NULL, at date NOT NULL DEFAULT "
                     "'2024-01-01')");
    open_sink();
    ck_assert_msg(WRITE(-1, "1", "{\"n\":1,\"big\":\"one\"}", "2", "{\"n\":2,\"big\":\"two\"}") == 0, "%s", err.text);
    ck_assert_msg(
        WRITE(2, "1", "{\"n\":11}", "2", "{\"n\":12,\"at\":\"2024-02-02\"}", "3", "{\"n\":3,\"big\":\"three\"}") == 0,
        "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(concat_ws(' ', id, n, big, at), ', ' ORDER BY id) FROM toasted"),
                     "1 11 one 2024-01-01, 2 12 two 2024-02-02, 3 3 three 2024-01-01");
    /* A row that is not there can't be made of it. */
    ck_assert_int_eq(WRITE(5, "1", "{\"n\":21}", "4", "{\"n\":4}"), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_msg(strstr(err.text, "big"), "%s", err.text);
    ck_assert_str_eq(ask("SELECT n FROM toasted WHERE id = 1"), "11");
    teardown();
}
END_TEST

/* A record has one null for the database's and for JSON's. */
static void write_json_nulls(const char *mode, const char *name)
{
    char sql[512];
    snprintf(sql, sizeof(sql),
             "CREATE TABLE %s (id int PRIMARY KEY, a jsonb NOT NULL DEFAULT '[]', b json NOT NULL,"
             " c jsonb)",
             name);
    setup(name, sql);
    set("mode", mode);
    set("key", "id");
    open_sink();
    ck_assert_msg(WRITE(-1, "1", "{\"a\":null,\"b\":null,\"c\":null}", "2", "{\"b\":{},\"c\":\"null\"}") == 0, "%s",
                  err.text);
    snprintf(sql, sizeof(sql),
             "SELECT string_agg(concat_ws(' ', id, a, b, coalesce(c::text, '-')), ', ' ORDER BY id)"
             " FROM %s",
             name);
    ck_assert_str_eq(ask(sql), "1 null null -, 2 [] {} \"null\"");
    teardown();
}

START_TEST(null_is_json_where_nothing_else_may_be)
{
    write_json_nulls("upsert", "json_nulls");
}
END_TEST

START_TEST(null_is_json_in_a_copy_too)
{
    write_json_nulls("insert", "json_nulls_copied");
}
END_TEST

START_TEST(appended_rows_have_defaults)
{
    setup("defaults", "CREATE TABLE defaults (at int GENERATED ALWAYS AS IDENTITY, a int, b text DEFAULT 'none',"
                      " c int NOT NULL DEFAULT 5, d text)");
    set("mode", "insert");
    open_sink();
    ck_assert_msg(WRITE(-1, "1", "{\"a\":1,\"d\":\"x\"}", "1", "{\"a\":2}", "1", "{\"b\":null,\"a\":3}", "1",
                        "{\"d\":\"y\",\"c\":6}", "1", "{\"a\":4}") == 0,
                  "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(concat_ws(',', at, a, coalesce(b, '-'), c, d), ' ' ORDER BY at)"
                         " FROM defaults"),
                     "1,1,none,5,x 2,2,none,5 3,3,-,5 4,none,6,y 5,4,none,5");
    teardown();
}
END_TEST

/* Every row has other columns: more statements than a connection keeps. */
START_TEST(every_row_has_other_columns)
{
    setup("shapes", "CREATE TABLE shapes (id int PRIMARY KEY, c0 int, c1 int, c2 int, c3 int, c4 int, c5 int, c6 int)");
    open_sink();
    int64_t next = CONNECTOR_NO_OFFSET;
    for (int round = 0; round < 8; round++) {
        struct bytes texts[16] = {0};
        char ids[16][8];
        const char *pairs[33] = {0};
        for (int i = 0; i < 16; i++) {
            const char *before = "{";
            for (int bit = 0; bit < 7; bit++) {
                if ((round * 16 + i) & 1 << bit) {
                    bytes_append_format(&texts[i], "%s\"c%d\":%d", before, bit, 1 << bit);
                    before = ",";
                }
            }
            bytes_append_text(&texts[i], before[0] == '{' ? "{}" : "}");
            snprintf(ids[i], sizeof(ids[i]), "%d", round * 16 + i);
            pairs[2 * i] = ids[i];
            pairs[2 * i + 1] = bytes_text(&texts[i]);
        }
        ck_assert_msg(write_pairs(next, pairs) == 0, "%s", err.text);
        next = round * 16 + 16;
        for (int i = 0; i < 16; i++) {
            bytes_free(&texts[i]);
        }
    }
    ck_assert_str_eq(ask("SELECT concat_ws(' ', count(*), bool_and(id = coalesce(c0, 0) + coalesce(c1, 0) +"
                         " coalesce(c2, 0) + coalesce(c3, 0) + coalesce(c4, 0) + coalesce(c5, 0) + coalesce(c6, 0)))"
                         " FROM shapes"),
                     "128 t");
    teardown();
}
END_TEST

/* ---- keys ---- */

START_TEST(keys_come_from_key_or_value)
{
    setup("keyed", "CREATE TABLE keyed (a int, b text, n int, PRIMARY KEY (a, b))");
    set("delete", "true");
    open_sink();
    ck_assert_msg(WRITE(-1, "{\"b\":\"x\",\"a\":1,\"other\":0}", "{\"n\":1}", "[2,\"y\"]", "{\"n\":2}", "null",
                        "{\"a\":3,\"b\":\"z\",\"n\":3}", "[9,\"w\"]", "{\"a\":4,\"n\":4}") == 0,
                  "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(concat(a, b, n), ' ' ORDER BY a) FROM keyed"), "1x1 2y2 3z3 4w4");
    ck_assert_msg(WRITE(4, "{\"a\":1,\"b\":\"x\"}", NULL, "[4,\"w\"]", NULL, "[5,\"none\"]", NULL) == 0, "%s",
                  err.text);
    ck_assert_str_eq(ask("SELECT string_agg(concat(a, b, n), ' ' ORDER BY a) FROM keyed"), "2y2 3z3");
    ck_assert_int_eq(WRITE(7, "null", NULL), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    teardown();
}
END_TEST

START_TEST(plain_text_keys)
{
    setup("plain", "CREATE TABLE plain (code text PRIMARY KEY, n int)");
    context.json_keys = false;
    set("delete", "true");
    open_sink();
    ck_assert_msg(WRITE(-1, "17", "{\"n\":1}", "a \"b\"", "{\"n\":2}", "17", NULL) == 0, "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(concat_ws('=', code, n), ' ') FROM plain"), "a \"b\"=2");
    teardown();
}
END_TEST

/* ---- tables that are made ---- */

START_TEST(made_columns_hold_all_json)
{
    setup("json", "DROP TABLE IF EXISTS json");
    set("key", "id");
    set("auto_create", "true");
    set("auto_evolve", "true");
    open_sink();
    ck_assert_msg(
        WRITE(
            -1, "\"one\"",
            "{\"b\":true,\"i\":9007199254740993,\"big\":18446744073709551615,\"mix\":9007199254740993,\"r\":1.5,"
            "\"d\":\"12.340\",\"o\":{\"x\":[1]},\"l\":[1,\"a\"],\"any\":1,\"nothing\":null,\"Caf\\u00e9 \\\"1\\\"\":1}",
            "\"two\"", "{\"i\":-1,\"big\":-1,\"mix\":0.5,\"r\":2,\"any\":\"x\"}") == 0,
        "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(attname || ' ' || format_type(atttypid, -1), ', ' ORDER BY attnum) FROM "
                         "pg_attribute WHERE attrelid = 'json'::regclass AND attnum > 0"),
                     "id text, b boolean, i bigint, big numeric, mix numeric, r double precision, d text, o jsonb,"
                     " l jsonb, any jsonb, Caf\u00e9 \"1\" bigint");
    ck_assert_str_eq(ask("SELECT concat_ws('|', b, i, big, mix, r, d, o, l, \"any\") FROM json ORDER BY id LIMIT 1"),
                     "t|9007199254740993|18446744073709551615|9007199254740993|1.5|12.340|{\"x\": [1]}|[1, \"a\"]|1");
    /* Later columns, also in the middle of a batch, and those that were null until now. */
    ck_assert_msg(
        WRITE(2, "\"three\"", "{\"i\":3}", "\"four\"", "{\"nothing\":\"some\",\"more\":false}", "\"one\"", NULL) == 0,
        "%s", err.text);
    ck_assert_str_eq(ask("SELECT concat_ws('|', nothing, more) FROM json WHERE id = 'four'"), "some|f");
    ck_assert_str_eq(ask("SELECT count(*) FROM json"), "4"); /* the tombstone is passed over */
    teardown();
}
END_TEST

START_TEST(appended_table_is_made_and_widened)
{
    setup("log", "DROP TABLE IF EXISTS log");
    set("mode", "insert");
    set("auto_create", "true");
    set("auto_evolve", "true");
    open_sink();
    ck_assert_msg(WRITE(-1, "1", "{\"a\":1}", "1", "{\"a\":2,\"b\":\"x\"}") == 0, "%s", err.text);
    ck_assert_msg(WRITE(2, "1", "{\"c\":[1],\"a\":3}") == 0, "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(concat_ws(',', a, b, c), ' ' ORDER BY a) FROM log"), "1 2,x 3,[1]");
    teardown();
}
END_TEST

/* ---- batches of several parts ---- */

#define CHANGES 5000
#define KEYS 700

static int64_t write_changes(const struct record *records, size_t count, int64_t from)
{
    const struct sink_batch batch = {records, count, from, (from < 0 ? 0 : from) + (int64_t)count};
    ck_assert_msg(postgres_sink_class.write(task, &batch, &bad, &err) == 0, "%s", err.text);
    return batch.to;
}

START_TEST(parts_of_a_batch_come_in_their_order)
{
    struct record records[CHANGES] = {0};
    int expected[KEYS] = {0}; /* 0: deleted */
    struct bytes texts = {0};
    bytes_reserve(&texts, CHANGES * 64);
    setup("parts", "CREATE TABLE parts (id int PRIMARY KEY, n int, first int)");
    set("delete", "true");
    set("key", "id");
    open_sink();
    for (int i = 0; i < CHANGES; i++) {
        int key = i * 7919 % KEYS;
        size_t start = texts.size;
        bytes_append_format(&texts, "%d", key);
        records[i].key = slice_of(texts.data + start, texts.size - start);
        start = texts.size;
        expected[key] = i % 5 ? i : 0;
        if (i % 5) {
            bytes_append_format(&texts, "{\"n\":%d%s}", i, i < KEYS ? ",\"first\":1" : "");
            records[i].value = slice_of(texts.data + start, texts.size - start);
        }
    }
    ck_assert_uint_le(texts.size, CHANGES * 64);
    write_changes(records, CHANGES, CONNECTOR_NO_OFFSET);
    int64_t sum = 0, count = 0;
    for (int i = 0; i < KEYS; i++) {
        sum += expected[i];
        count += expected[i] != 0;
    }
    char text[64];
    snprintf(text, sizeof(text), "%lld %lld", (long long)count, (long long)sum);
    ck_assert_str_eq(ask("SELECT count(*) || ' ' || sum(n) FROM parts"), text);
    bytes_free(&texts);
    teardown();
}
END_TEST

START_TEST(bad_record_in_a_later_part_is_named)
{
    static const char *const modes[] = {"upsert", "insert"};
    static char texts[CHANGES][32];
    struct record records[CHANGES] = {0};
    for (int i = 0; i < CHANGES; i++) {
        snprintf(texts[i], sizeof(texts[i]), "{\"id\":%d,\"n\":%s}", i, i == 4321 ? "{}" : "1");
        records[i].value = slice_text(texts[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        setup("later", "DROP TABLE IF EXISTS later; CREATE TABLE later (id int PRIMARY KEY, n int)");
        set("mode", modes[i]);
        open_sink();
        const struct sink_batch batch = {records, CHANGES, CONNECTOR_NO_OFFSET, CHANGES};
        ck_assert_int_eq(postgres_sink_class.write(task, &batch, &bad, &err), -1);
        ck_assert_int_eq(err.class, ERR_SKIP);
        ck_assert_uint_eq(bad, 4321);
        ck_assert_str_eq(ask("SELECT count(*) FROM later"), "0");
        ck_assert_int_eq(where(), CONNECTOR_NO_OFFSET);
        teardown();
        task = NULL;
    }
}
END_TEST

POSTGRES_MAIN("postgres_sink_forms", values_by_upsert, values_by_copy, forms_of_one_column_are_mixed,
              missing_columns_keep_their_value, null_is_json_where_nothing_else_may_be, null_is_json_in_a_copy_too,
              appended_rows_have_defaults, every_row_has_other_columns, keys_come_from_key_or_value, plain_text_keys,
              made_columns_hold_all_json, appended_table_is_made_and_widened, parts_of_a_batch_come_in_their_order,
              bad_record_in_a_later_part_is_named)
