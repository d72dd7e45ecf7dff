#include "base/json_field.h"

#include "tests/support/unit.h"

START_TEST(a_field_is_found_by_name_or_path)
{
    struct slice object = slice_text("{\"a.b\":1,\"c\":{\"d\":{\"e\":2},\"d.e\":3}}");
    struct slice value;
    ck_assert(json_field(object, "a.b", &value) && slice_equal(value, slice_text("1")));
    ck_assert(json_field(object, "c.d.e", &value) && slice_equal(value, slice_text("3")));
    ck_assert(!json_field(object, "c.x", &value));
    ck_assert(!json_field(slice_text("5"), "c", &value));
}
END_TEST

START_TEST(a_time_is_milliseconds_or_text)
{
    int64_t ms;
    ck_assert(json_field_time(slice_text("1500"), &ms) && ms == 1500);
    ck_assert(json_field_time(slice_text("1500.9"), &ms) && ms == 1500);
    ck_assert(json_field_time(slice_text("\"1970-01-01T00:00:02Z\""), &ms) && ms == 2000);
    ck_assert(!json_field_time(slice_text("-1"), &ms));
    ck_assert(!json_field_time(slice_text("\"soon\""), &ms));
    ck_assert(!json_field_time(slice_text("null"), &ms));
}
END_TEST

UNIT_MAIN("json_field", a_field_is_found_by_name_or_path, a_time_is_milliseconds_or_text)
