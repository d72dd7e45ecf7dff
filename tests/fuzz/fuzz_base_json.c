/* JSON: nothing reads outside of its bytes, and what json_check accepts can be walked, decoded and written again. */
#include "base/json.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rewrite(struct slice value, struct json_writer *writer);

static void rewrite_string(struct slice value, struct json_writer *writer)
{
    struct bytes text = {0};
    json_decode_string(value, &text);
    REQUIRE(json_utf8_valid(bytes_slice(&text)));
    REQUIRE(json_string_equal(slice_of(value.data + 1, value.size - 2), bytes_slice(&text)));
    json_string(writer, bytes_slice(&text));
    bytes_free(&text);
}

static void rewrite_number(struct slice value, struct json_writer *writer)
{
    int64_t integer;
    double real;
    if (json_number(value, &integer, &real)) {
        json_integer(writer, integer);
    } else if (!json_real(writer, real)) {
        json_raw(writer, value); /* too large for a double */
    }
}

static void rewrite_array(struct slice value, struct json_writer *writer)
{
    struct json_walk walk = json_walk(value);
    struct slice element;
    json_begin_array(writer);
    while (json_next_element(&walk, &element)) {
        rewrite(element, writer);
    }
    REQUIRE(walk.at + 1 == walk.end && *walk.at == ']');
    json_end_array(writer);
}

static void rewrite_object(struct slice value, struct json_writer *writer)
{
    struct json_walk walk = json_walk(value);
    struct slice name;
    struct slice member;
    json_begin_object(writer);
    while (json_next_member(&walk, &name, &member)) {
        struct bytes text = {0};
        struct slice found;
        json_decode_string(slice_of(name.data - 1, name.size + 2), &text);
        REQUIRE(json_member(value, bytes_slice(&text), &found));
        json_name(writer, bytes_slice(&text));
        bytes_free(&text);
        rewrite(member, writer);
    }
    REQUIRE(walk.at + 1 == walk.end && *walk.at == '}');
    json_end_object(writer);
}

static void rewrite(struct slice value, struct json_writer *writer)
{
    REQUIRE(json_check(value, NULL) && slice_equal(value, json_trim(value)));
    switch (json_type(value)) {
    case JSON_STRING:
        rewrite_string(value, writer);
        break;
    case JSON_NUMBER:
        rewrite_number(value, writer);
        break;
    case JSON_ARRAY:
        rewrite_array(value, writer);
        break;
    case JSON_OBJECT:
        rewrite_object(value, writer);
        break;
    case JSON_NULL:
        json_null(writer);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        json_bool(writer, json_type(value) == JSON_TRUE);
        break;
    case JSON_NONE:
        abort();
    }
}

/* Text that was not checked: any answer will do, as long as it comes and comes from inside. */
static void walk_unchecked(struct slice text)
{
    struct slice name;
    struct slice value;
    struct bytes out = {0};
    int64_t integer;
    double real;
    struct json_walk walk = json_walk(text);
    while (json_next_member(&walk, &name, &value)) {
        json_string_equal(name, slice_text("name"));
    }
    walk = json_walk(text);
    while (json_next_element(&walk, &value)) {
        json_type(value);
    }
    json_member(text, slice_text("name"), &value);
    json_number(text, &integer, &real);
    json_decode_string(text, &out);
    json_base64_decode(text, &out);
    bytes_free(&out);
}

/* With a blank in front of it no text is checked quickly. */
static void check_slowly_too(struct slice text)
{
    struct json_problem problem;
    struct bytes blank = {0};
    bytes_append_byte(&blank, ' ');
    bytes_append_slice(&blank, text);
    REQUIRE(json_check(bytes_slice(&blank), &problem) == json_check(text, NULL));
    bytes_free(&blank);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct json_problem problem;
    walk_unchecked(text);
    check_slowly_too(text);
    if (!json_check(text, &problem)) {
        REQUIRE(problem.at <= size && problem.reason != NULL);
        return 0;
    }
    REQUIRE(json_utf8_valid(text));
    struct bytes first = {0};
    struct bytes second = {0};
    struct json_writer writer = json_writer(&first);
    rewrite(json_trim(text), &writer);
    REQUIRE(json_check(bytes_slice(&first), NULL));
    writer = json_writer(&second);
    rewrite(bytes_slice(&first), &writer);
    REQUIRE(slice_equal(bytes_slice(&first), bytes_slice(&second)));
    bytes_free(&first);
    bytes_free(&second);
    return 0;
}
