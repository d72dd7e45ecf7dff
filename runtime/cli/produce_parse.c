#include "cli/produce_parse.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/record_json.h"

#define TIME_TEXT_MAX 64

/* A field by its name, or by a path with dots when there is none of the whole name. */
static bool find_field(struct slice object, const char *path, struct slice *value)
{
    if (json_type(object) != JSON_OBJECT) {
        return false;
    }
    if (json_member(object, slice_text(path), value)) {
        return true;
    }
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        struct slice inner;
        if (json_member(object, slice_of(path, (size_t)(dot - path)), &inner) && find_field(inner, dot + 1, value)) {
            return true;
        }
    }
    return false;
}

static struct slice string_text(struct produce_rules *rules, struct slice value)
{
    struct slice raw = slice_of(value.data + 1, value.size - 2);
    if (!json_has_escape(raw)) {
        return raw;
    }
    struct bytes text = {0};
    json_decode_string(value, &text);
    struct slice copy = arena_copy(&rules->scratch, bytes_slice(&text));
    bytes_free(&text);
    return copy;
}

static int missing(const char *field, bool null, struct err *err)
{
    return err_set(err, ERR_SKIP, ERR_RECORD, "its field \"%s\" is %s", field, null ? "null" : "missing");
}

static int take_key(struct produce_rules *rules, struct slice value, struct record *record, struct err *err)
{
    struct slice field;
    if (!find_field(value, rules->key, &field)) {
        return missing(rules->key, false, err);
    }
    if (json_type(field) == JSON_NULL) {
        return missing(rules->key, true, err);
    }
    record->key = json_type(field) == JSON_STRING ? string_text(rules, field) : field;
    return 0;
}

static int parse_time(struct produce_rules *rules, struct slice field, int64_t *ms)
{
    char text[TIME_TEXT_MAX];
    double real;
    if (json_type(field) == JSON_NUMBER) {
        if (!json_number(field, ms, &real)) {
            *ms = real >= 0 && real < 9e15 ? (int64_t)real : -1;
        }
        return *ms >= 0 ? 0 : -1;
    }
    if (json_type(field) != JSON_STRING) {
        return -1;
    }
    struct slice string = string_text(rules, field);
    if (string.size >= sizeof text) {
        return -1;
    }
    memcpy(text, string.data, string.size);
    text[string.size] = '\0';
    return clock_parse_time(text, ms) == 0 && *ms >= 0 ? 0 : -1;
}

static int take_time(struct produce_rules *rules, struct slice value, struct record *record, struct err *err)
{
    struct slice field;
    if (!find_field(value, rules->timestamp, &field)) {
        return missing(rules->timestamp, false, err);
    }
    if (parse_time(rules, field, &record->timestamp) != 0) {
        return err_set(err, ERR_SKIP, ERR_RECORD,
                       "its field \"%s\" is no time since 1970 in milliseconds or ISO 8601: %.*s", rules->timestamp,
                       (int)(field.size > 60 ? 60 : field.size), (const char *)field.data);
    }
    return 0;
}

/* Key and time from fields of a value that is JSON. */
static int take_fields(struct produce_rules *rules, struct slice value, struct record *record, struct err *err)
{
    if (rules->key != NULL && take_key(rules, value, record, err) != 0) {
        return -1;
    }
    return rules->timestamp != NULL ? take_time(rules, value, record, err) : 0;
}

static int check_json(struct slice line, struct err *err)
{
    struct json_problem problem;
    if (json_check(line, &problem)) {
        return 0;
    }
    return err_set(err, ERR_SKIP, ERR_RECORD, "it is not JSON: %s at byte %zu", problem.reason, problem.at + 1);
}

static int parse_key_value(struct slice line, struct record *record, struct err *err)
{
    const unsigned char *tab = line.size > 0 ? memchr(line.data, '\t', line.size) : NULL;
    if (tab == NULL) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "it has no tab between key and value");
    }
    record->key = slice_of(line.data, (size_t)(tab - line.data));
    record->value = slice_of(tab + 1, line.size - record->key.size - 1);
    return 0;
}

int produce_parse(struct produce_rules *rules, struct slice line, struct record *record, struct err *err)
{
    arena_clear(&rules->scratch);
    *record = (struct record){.value = line, .timestamp = -1, .offset = -1, .partition = -1};
    switch (rules->format) {
    case PRODUCE_VALUE:
        return 0;
    case PRODUCE_KEY_VALUE:
        return parse_key_value(line, record, err);
    case PRODUCE_JSON:
        return check_json(line, err) != 0 ? -1 : record_parse(line, &rules->scratch, record, err);
    case PRODUCE_CSV:
        bytes_clear(&rules->object);
        if (csv_object(rules->csv, line, &rules->object, err) != 0) {
            return -1;
        }
        record->value = bytes_slice(&rules->object);
        return take_fields(rules, record->value, record, err);
    case PRODUCE_LINES:
        break;
    }
    return check_json(line, err) != 0 ? -1 : take_fields(rules, line, record, err);
}

void produce_rules_free(struct produce_rules *rules)
{
    arena_free(&rules->scratch);
    bytes_free(&rules->object);
}
