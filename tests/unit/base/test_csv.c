#include "base/csv.h"

#include "tests/support/unit.h"

static struct csv open_csv(const char *header)
{
    struct csv csv;
    struct err err;
    ck_assert_msg(csv_header(&csv, slice_text(header), &err) == 0, "%s", err.text);
    return csv;
}

static void becomes(const char *header, const char *row, const char *object)
{
    struct csv csv = open_csv(header);
    struct bytes out = {0};
    struct err err;
    ck_assert_msg(csv_object(&csv, slice_text(row), &out, &err) == 0, "%s", err.text);
    ck_assert_str_eq(bytes_text(&out), object);
    bytes_free(&out);
    csv_free(&csv);
}

static void refused(const char *header, const char *row, const char *reason)
{
    struct csv csv = open_csv(header);
    struct bytes out = {0};
    struct err err;
    ck_assert_int_eq(csv_object(&csv, slice_text(row), &out, &err), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_msg(strstr(err.text, reason) != NULL, "%s", err.text);
    bytes_free(&out);
    csv_free(&csv);
}

START_TEST(plain_fields_keep_their_type)
{
    becomes("a,b,c,d,e,f", "1,-2.5e3,true,false,null,",
            "{\"a\":1,\"b\":-2.5e3,\"c\":true,\"d\":false,\"e\":\"null\","
            "\"f\":null}");
    becomes("a,b,c,d", "007,+1, 1,1 ", "{\"a\":\"007\",\"b\":\"+1\",\"c\":\" 1\",\"d\":\"1 \"}");
    becomes("a,b", "123456789012345678901234567890,text", "{\"a\":123456789012345678901234567890,\"b\":\"text\"}");
}
END_TEST

START_TEST(quoted_fields_are_strings)
{
    becomes("a,b,c", "\"1\",\"\",\"x, \"\"y\"\"\"", "{\"a\":\"1\",\"b\":\"\",\"c\":\"x, \\\"y\\\"\"}");
    becomes("\"a,\"\"b\"", "\"two\nlines\"\r", "{\"a,\\\"b\":\"two\\nlines\"}");
}
END_TEST

START_TEST(one_column_and_empty_ends)
{
    becomes("a", "x", "{\"a\":\"x\"}");
    becomes("a,b", ",", "{\"a\":null,\"b\":null}");
    becomes("a,", "1,2", "{\"a\":1,\"\":2}");
}
END_TEST

START_TEST(bad_rows_are_refused)
{
    refused("a,b", "1", "1 fields and the header 2");
    refused("a,b", "1,2,3", "3 fields");
    refused("a", "\"open", "does not end");
    refused("a", "\"x\"y", "follows the end");
    refused("a", "\xff", "not UTF-8");
}
END_TEST

START_TEST(bad_headers_are_refused)
{
    const char *const headers[] = {"", "\xff", "\"open", "\r", "a,a", "a,b,\"a\"", "a,,b,"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct csv csv;
        struct err err;
        ck_assert_int_eq(csv_header(&csv, slice_text(headers[i]), &err), -1);
        csv_free(&csv);
    }
}
END_TEST

static void typed(enum csv_type type, const char *row, const char *object)
{
    struct csv csv = open_csv("a");
    struct bytes out = {0};
    struct err err;
    csv.types[0] = type;
    int result = csv_object(&csv, slice_text(row), &out, &err);
    ck_assert_int_eq(result, object != NULL ? 0 : -1);
    if (object != NULL) {
        ck_assert_str_eq(bytes_text(&out), object);
    } else {
        ck_assert_msg(strstr(err.text, "column \"a\" is of type") != NULL, "%s", err.text);
    }
    bytes_free(&out);
    csv_free(&csv);
}

START_TEST(columns_with_a_type_hold_nothing_else)
{
    typed(CSV_TEXT, "007", "{\"a\":\"007\"}");
    typed(CSV_TEXT, "5", "{\"a\":\"5\"}");
    typed(CSV_TEXT, "\"\"", "{\"a\":\"\"}");
    typed(CSV_TEXT, "", "{\"a\":null}");
    typed(CSV_INTEGER, "\"5\"", "{\"a\":5}");
    typed(CSV_INTEGER, "\"\"", "{\"a\":null}");
    typed(CSV_INTEGER, "5.5", NULL);
    typed(CSV_INTEGER, "99999999999999999999", NULL);
    typed(CSV_REAL, "1e3", "{\"a\":1e3}");
    typed(CSV_REAL, "x", NULL);
    typed(CSV_BOOLEAN, "1", "{\"a\":true}");
    typed(CSV_BOOLEAN, "false", "{\"a\":false}");
    typed(CSV_BOOLEAN, "yes", NULL);
}
END_TEST

START_TEST(fields_written_are_read_as_the_same_values)
{
    const char *const values[] = {"null",
                                  "true",
                                  "-1.5e3",
                                  "\"\"",
                                  "\"true\"",
                                  "\"12\"",
                                  "\"a,b\"",
                                  "\"say \\\"x\\\"\"",
                                  "\"two\\nlines\\r\"",
                                  "\"plain\""};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct bytes row = {0}, object = {0};
        csv_field(slice_text(values[i]), &row);
        bytes_append_text(&object, "{\"a\":");
        bytes_append_text(&object, values[i]);
        bytes_append_text(&object, "}");
        becomes("a", bytes_text(&row), bytes_text(&object));
        bytes_free(&row);
        bytes_free(&object);
    }
    struct bytes row = {0};
    csv_field(slice_text("{\"x\":[1]}"), &row);
    ck_assert_str_eq(bytes_text(&row), "\"{\"\"x\"\":[1]}\"");
    bytes_free(&row);
}
END_TEST

START_TEST(an_open_quote_goes_on_with_the_next_line)
{
    ck_assert(csv_open(slice_text("a,\"b")));
    ck_assert(!csv_open(slice_text("a,\"b\"")));
    ck_assert(!csv_open(slice_text("a,\"b\"\"\"")));
    ck_assert(csv_open(slice_text("a,\"b\"\"")));
    ck_assert(!csv_open(slice_of("", 0)));
}
END_TEST

UNIT_MAIN("csv", plain_fields_keep_their_type, quoted_fields_are_strings, one_column_and_empty_ends,
          bad_rows_are_refused, bad_headers_are_refused, an_open_quote_goes_on_with_the_next_line,
          columns_with_a_type_hold_nothing_else, fields_written_are_read_as_the_same_values)
