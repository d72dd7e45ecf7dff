#include "base/json_field.h"

#include "base/clock.h"
#include "base/json.h"

#define TIME_TEXT_MAX 64

bool json_field(struct slice object, const char *path, struct slice *value)
{
    if (json_type(object) != JSON_OBJECT) {
        return false;
    }
    if (json_member(object, slice_text(path), value)) {
        return true;
    }
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        struct slice inner;
        if (json_member(object, slice_of(path, (size_t)(dot - path)), &inner) && json_field(inner, dot + 1, value)) {
            return true;
        }
    }
    return false;
}

static bool number_time(struct slice value, int64_t *ms)
{
    double real;
    if (!json_number(value, ms, &real)) {
        *ms = real >= 0 && real < 9e15 ? (int64_t)real : -1;
    }
    return *ms >= 0;
}

bool json_field_time(struct slice value, int64_t *ms)
{
    if (json_type(value) == JSON_NUMBER) {
        return number_time(value, ms);
    }
    if (json_type(value) != JSON_STRING) {
        return false;
    }
    struct bytes text = {0};
    json_decode_string(json_trim(value), &text);
    bool good = text.size < TIME_TEXT_MAX && clock_parse_time(bytes_text(&text), ms) == 0 && *ms >= 0;
    bytes_free(&text);
    return good;
}
