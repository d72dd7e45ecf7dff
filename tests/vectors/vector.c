#include "tests/vectors/vector.h"

#include "base/json.h"

struct slice vector_member(struct slice object, const char *name)
{
    struct slice value;
    return json_member(object, slice_text(name), &value) ? json_trim(value) : SLICE_NULL;
}

/* The decoded text of a string; null for anything else. */
struct slice vector_text(struct arena *arena, struct slice value)
{
    if (!value.data || json_type(value) != JSON_STRING) {
        return SLICE_NULL;
    }
    struct bytes decoded = {0};
    json_decode_string(value, &decoded);
    struct slice text = arena_copy(arena, bytes_slice(&decoded));
    bytes_free(&decoded);
    return text;
}

const char *vector_name(struct arena *arena, struct slice value)
{
    struct slice text = vector_text(arena, value);
    char *name = arena_alloc(arena, text.size + 1);
    if (text.size > 0) {
        memcpy(name, text.data, text.size);
    }
    name[text.size] = '\0';
    return name;
}

int64_t vector_integer(struct slice value)
{
    int64_t integer = 0;
    double real;
    return value.data && json_number(value, &integer, &real) ? integer : -1;
}

size_t vector_members(struct slice object)
{
    struct json_walk walk = json_walk(object);
    struct slice name, value;
    size_t count = 0;
    while (json_next_member(&walk, &name, &value)) {
        count++;
    }
    return count;
}

static bool objects_equal(struct arena *arena, struct slice one, struct slice other)
{
    struct json_walk walk = json_walk(one);
    struct slice name, value, match;
    while (json_next_member(&walk, &name, &value)) {
        struct slice plain = vector_text(arena, slice_of(name.data - 1, name.size + 2));
        if (!json_member(other, plain, &match) || !vector_equal(arena, value, match)) {
            return false;
        }
    }
    return vector_members(one) == vector_members(other);
}

static bool arrays_equal(struct arena *arena, struct slice one, struct slice other)
{
    struct json_walk walk = json_walk(one), match_walk = json_walk(other);
    struct slice value, match;
    while (json_next_element(&walk, &value)) {
        if (!json_next_element(&match_walk, &match) || !vector_equal(arena, value, match)) {
            return false;
        }
    }
    return !json_next_element(&match_walk, &match);
}

/* Integers are equal as integers: 5 and 5.0 differ. */
static bool numbers_equal(struct slice one, struct slice other)
{
    int64_t integer, other_integer;
    double real, other_real;
    bool whole = json_number(one, &integer, &real);
    if (whole != json_number(other, &other_integer, &other_real)) {
        return false;
    }
    return whole ? integer == other_integer : real == other_real;
}

bool vector_equal(struct arena *arena, struct slice one, struct slice other)
{
    enum json_type type = json_type(one);
    if (type != json_type(other)) {
        return false;
    }
    switch (type) {
    case JSON_OBJECT:
        return objects_equal(arena, one, other);
    case JSON_ARRAY:
        return arrays_equal(arena, one, other);
    case JSON_NUMBER:
        return numbers_equal(one, other);
    case JSON_STRING:
        return slice_equal(vector_text(arena, one), vector_text(arena, other));
    default:
        return true;
    }
}

/* Bytes written or stored against a JSON value; null is a tombstone. Counts in stores are eight bytes. */
bool vector_value_matches(struct arena *arena, struct slice expected, struct slice value)
{
    struct json_problem problem;
    if (!value.data) {
        return json_type(expected) == JSON_NULL;
    }
    if (json_check(value, &problem)) {
        return json_type(expected) != JSON_NULL && vector_equal(arena, expected, value);
    }
    struct bytes_reader reader = bytes_reader_of(value);
    return value.size == sizeof(uint64_t) && (int64_t)bytes_take_u64(&reader) == vector_integer(expected);
}
