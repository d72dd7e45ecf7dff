#include "cli/csv.h"

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
    const char *const headers[] = {"", "\xff", "\"open", "\r"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct csv csv;
        struct err err;
        ck_assert_int_eq(csv_header(&csv, slice_text(headers[i]), &err), -1);
        csv_free(&csv);
    }
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
          bad_rows_are_refused, bad_headers_are_refused, an_open_quote_goes_on_with_the_next_line)
