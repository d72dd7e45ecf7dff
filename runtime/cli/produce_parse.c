#include "cli/produce_parse.h"

#include "base/json.h"
#include "base/json_field.h"
#include "cli/record_json.h"

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
    if (!json_field(value, rules->key, &field)) {
        return missing(rules->key, false, err);
    }
    if (json_type(field) == JSON_NULL) {
        return missing(rules->key, true, err);
    }
    record->key = json_type(field) == JSON_STRING ? string_text(rules, field) : field;
    return 0;
}

static int take_time(struct produce_rules *rules, struct slice value, struct record *record, struct err *err)
{
    struct slice field;
    if (!json_field(value, rules->timestamp, &field)) {
        return missing(rules->timestamp, false, err);
    }
    if (!json_field_time(field, &record->timestamp)) {
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
