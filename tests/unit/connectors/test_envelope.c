#include "connectors/envelope.h"

#include "tests/support/unit.h"

#include <math.h>

static struct envelope_field field(const char *name, enum envelope_kind kind, const char *text)
{
    return (struct envelope_field){slice_text(name), {.kind = kind, .text = slice_text(text)}};
}

static void check(struct bytes *out, const char *expected)
{
    ck_assert_str_eq(bytes_text(out), expected);
    bytes_free(out);
}

START_TEST(values_of_every_kind)
{
    const struct envelope_field fields[] = {
        {slice_text("i"), envelope_integer(ENVELOPE_INTEGER_MAX)},
        {slice_text("big"), envelope_integer(ENVELOPE_INTEGER_MAX + 1)},
        {slice_text("low"), envelope_integer(INT64_MIN)},
        {slice_text("yes"), {.kind = ENVELOPE_BOOLEAN, .integer = 1}},
        {slice_text("f"), {.kind = ENVELOPE_REAL, .real = 1.5}},
        {slice_text("nan"), {.kind = ENVELOPE_REAL, .real = NAN}},
        {slice_text("inf"), {.kind = ENVELOPE_REAL, .real = -INFINITY}},
        field("j", ENVELOPE_JSON, " {\"a\":[1]} "),
        field("broken", ENVELOPE_JSON, "{"),
        field("t", ENVELOPE_TEXT, "a\"b"),
        field("latin", ENVELOPE_TEXT, "\xe4"),
        field("b", ENVELOPE_BYTES, "hi"),
        field("n", ENVELOPE_NULL, ""),
        field("u", ENVELOPE_UNAVAILABLE, ""),
    };
    struct bytes out = {0};
    ck_assert(envelope_write_key((struct envelope_row){fields, sizeof(fields) / sizeof(fields[0])}, &out));
    check(&out, "{\"i\":9007199254740992,\"big\":\"9007199254740993\",\"low\":\"-9223372036854775808\",\"yes\":true,"
                "\"f\":1.5,\"nan\":\"NaN\",\"inf\":\"-Infinity\",\"j\":{\"a\":[1]},\"broken\":\"{\",\"t\":\"a\\\"b\","
                "\"latin\":\"5A==\",\"b\":\"aGk=\",\"n\":null}");
}
END_TEST

START_TEST(an_update_names_what_is_unavailable)
{
    const struct envelope_field after[] = {{slice_text("id"), envelope_integer(1)},
                                           field("doc", ENVELOPE_UNAVAILABLE, "")};
    const struct envelope_field source[] = {field("table", ENVELOPE_TEXT, "t")};
    struct envelope envelope = {.op = 'u', .after = {after, 2}, .source = {source, 1}, .ts_ms = INT64_C(1700000000000)};
    struct bytes out = {0};
    envelope_write(&envelope, &out);
    check(&out, "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1},\"source\":{\"table\":\"t\",\"unavailable\":"
                "[\"doc\"]},\"ts_ms\":1700000000000}");
}
END_TEST

START_TEST(a_delete_has_only_what_was)
{
    const struct envelope_field before[] = {{slice_text("id"), envelope_integer(1)}, field("v", ENVELOPE_ABSENT, "")};
    struct envelope envelope = {.op = 'd', .before = {before, 2}};
    struct bytes out = {0};
    envelope_write(&envelope, &out);
    check(&out, "{\"op\":\"d\",\"before\":{\"id\":1},\"after\":null,\"source\":{},\"ts_ms\":0}");
}
END_TEST

START_TEST(no_key_is_no_object)
{
    const struct envelope_field none[] = {field("v", ENVELOPE_ABSENT, "")};
    struct bytes out = {0};
    ck_assert(!envelope_write_key((struct envelope_row){none, 1}, &out));
    ck_assert(!envelope_write_key((struct envelope_row){NULL, 0}, &out));
    ck_assert_uint_eq(out.size, 0);
    bytes_free(&out);
}
END_TEST

UNIT_MAIN("envelope", values_of_every_kind, an_update_names_what_is_unavailable, a_delete_has_only_what_was,
          no_key_is_no_object)
