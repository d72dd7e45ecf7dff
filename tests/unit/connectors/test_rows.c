#include "connectors/rows.h"

#include "tests/support/unit.h"

static struct option_list key_id = {.items = (char *[]){"id"}, .count = 1};
static struct option_list key_pair = {.items = (char *[]){"a", "b"}, .count = 2};
static struct option_list key_none = {0};

static struct record record_of(const char *key, const char *value)
{
    return (struct record){.key = slice_text(key), .value = slice_text(value)};
}

static void check_field(const struct rows_row *row, const char *name, enum rows_kind kind, const char *text)
{
    const struct rows_field *field = rows_field(row, slice_text(name));
    ck_assert_ptr_nonnull(field);
    ck_assert_int_eq(field->kind, kind);
    ck_assert_msg(slice_equal(field->text, slice_text(text)), "%.*s", (int)field->text.size,
                  (const char *)field->text.data);
}

static int read_one(struct rows *rows, const struct rows_form *form, const char *key, const char *value)
{
    struct record record = record_of(key, value);
    struct err err;
    size_t bad = 9;
    int result = rows_read(rows, form, &record, 1, &bad, &err);
    if (result != 0) {
        ck_assert_int_eq(err.class, ERR_SKIP);
        ck_assert_uint_eq(bad, 0);
    }
    return result;
}

START_TEST(members_become_fields)
{
    struct rows rows = {0};
    struct rows_form form = {&key_none, true, false};
    ck_assert_int_eq(read_one(&rows, &form, NULL,
                              "{\"i\": 1 ,\"r\":1.5,\"big\":12345678901234567890,\"t\":true,\"n\":null,"
                              "\"s\":\"\\u0041\",\"o\":{\"x\":[]},\"\\u0061\":[1],\"i\":2}"),
                     0);
    ck_assert_uint_eq(rows.count, 1);
    ck_assert_uint_eq(rows.list[0].count, 8);
    check_field(&rows.list[0], "i", ROWS_INTEGER, "2");
    check_field(&rows.list[0], "r", ROWS_REAL, "1.5");
    check_field(&rows.list[0], "big", ROWS_REAL, "12345678901234567890");
    check_field(&rows.list[0], "t", ROWS_BOOL, "true");
    check_field(&rows.list[0], "n", ROWS_NULL, "null");
    check_field(&rows.list[0], "s", ROWS_STRING, "\"\\u0041\"");
    check_field(&rows.list[0], "o", ROWS_NESTED, "{\"x\":[]}");
    check_field(&rows.list[0], "a", ROWS_NESTED, "[1]");
    rows_free(&rows);
}
END_TEST

START_TEST(keys_come_from_value_or_key)
{
    struct rows rows = {0};
    struct rows_form form = {&key_pair, true, true};
    ck_assert_int_eq(read_one(&rows, &form, "[1,2]", "{\"c\":0,\"b\":3}"), 0);
    ck_assert(slice_equal(rows.list[0].fields[0].name, slice_text("a")));
    check_field(&rows.list[0], "a", ROWS_INTEGER, "1");
    check_field(&rows.list[0], "b", ROWS_INTEGER, "3");
    ck_assert_int_eq(read_one(&rows, &form, "{\"b\":\"x\",\"a\":1}", NULL), 0);
    ck_assert(rows.list[0].tombstone);
    check_field(&rows.list[0], "b", ROWS_STRING, "\"x\"");
    ck_assert_int_eq(read_one(&rows, &form, "1", "{}"), -1);
    ck_assert_int_eq(read_one(&rows, &form, "[1,2,3]", "{}"), -1);
    form = (struct rows_form){&key_id, false, true};
    ck_assert_int_eq(read_one(&rows, &form, "say \"hi\"", NULL), 0);
    check_field(&rows.list[0], "id", ROWS_STRING, "\"say \\\"hi\\\"\"");
    ck_assert_int_eq(read_one(&rows, &form, "\xff", "{}"), -1);
    rows_free(&rows);
}
END_TEST

START_TEST(bad_values_are_refused)
{
    static const char *const values[] = {
        "", "{", "[1]", "null", "{\"\":1}", "{\"a\\u0000b\":1}", "{\"id\":null}", "{\"id\":[]}", "{}"};
    struct rows rows = {0};
    struct rows_form form = {&key_id, true, false};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ck_assert_msg(read_one(&rows, &form, NULL, values[i]) == -1, "%s", values[i]);
    }
    ck_assert_int_eq(read_one(&rows, &form, "{", "{}"), -1);
    ck_assert_int_eq(read_one(&rows, &form, NULL, NULL), 0);
    ck_assert_uint_eq(rows.count, 0);
    form.key = &key_none;
    ck_assert_int_eq(read_one(&rows, &form, NULL, "{}"), -1);
    rows_free(&rows);
}
END_TEST

START_TEST(merge_leaves_the_last_change_of_each_key)
{
    struct rows rows = {0};
    struct rows_form form = {&key_id, true, true};
    struct record records[] = {
        record_of("1", "{\"a\":1,\"b\":1}"), record_of("2", "{\"a\":2}"),    record_of("3", "{\"a\":3}"),
        record_of("\"1\"", "{\"a\":4}"),     record_of("2", NULL),           record_of("3", NULL),
        record_of("3", "{\"b\":5}"),         record_of("3", "{\"a\":null}"),
    };
    size_t bad = 0;
    struct err err;
    ck_assert_int_eq(rows_read(&rows, &form, records, 8, &bad, &err), 0);
    rows_merge(&rows, 1);
    ck_assert_uint_eq(rows.count, 3);
    check_field(&rows.list[0], "a", ROWS_INTEGER, "4");
    check_field(&rows.list[0], "b", ROWS_INTEGER, "1");
    ck_assert_uint_eq(rows.list[0].record, 3);
    ck_assert(!rows.list[0].replaces);
    ck_assert(rows.list[1].tombstone);
    check_field(&rows.list[2], "a", ROWS_NULL, "null");
    check_field(&rows.list[2], "b", ROWS_INTEGER, "5");
    ck_assert(rows.list[2].replaces);
    rows_free(&rows);
}
END_TEST

UNIT_MAIN("rows", members_become_fields, keys_come_from_value_or_key, bad_values_are_refused,
          merge_leaves_the_last_change_of_each_key)
