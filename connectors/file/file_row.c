#include "connectors/file/file_row.h"

#include "base/json.h"
#include "base/json_field.h"
#include "base/memory.h"

/* ---- the position ---- */

void file_row_print_position(const struct file_position *position, struct bytes *out)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("file"));
    json_raw(&writer, position->file);
    json_name(&writer, slice_text("inode"));
    json_integer(&writer, (int64_t)position->inode);
    json_name(&writer, slice_text("offset"));
    json_integer(&writer, position->offset);
    json_name(&writer, slice_text("line"));
    json_integer(&writer, position->line);
    json_end_object(&writer);
}

static bool take_number(struct slice object, const char *name, int64_t *number)
{
    struct slice value;
    double real;
    return json_member(object, slice_text(name), &value) && json_type(value) == JSON_NUMBER &&
           json_number(value, number, &real);
}

int file_row_parse_position(struct slice text, struct file_position *position, struct err *err)
{
    int64_t inode;
    bool good = json_check(text, NULL) && json_type(text) == JSON_OBJECT &&
                json_member(text, slice_text("file"), &position->file) && json_type(position->file) == JSON_STRING &&
                take_number(text, "inode", &inode) && take_number(text, "offset", &position->offset) &&
                take_number(text, "line", &position->line) && position->offset >= 0 && position->line >= 0;
    if (!good) {
        return err_set(
            err, ERR_FATAL, ERR_CONFIG,
            "The position %.*s is none of a file source: it must have file, inode, offset and line. Reset the "
            "source's position.",
            (int)(text.size < 200 ? text.size : 200), (const char *)text.data);
    }
    position->inode = (uint64_t)inode;
    return 0;
}

/* ---- columns ---- */

static int parse_type(const char *item, struct slice *name, enum csv_type *type, struct err *err)
{
    static const char *const names[] = CSV_TYPE_NAMES;
    const char *equals = strrchr(item, '=');
    for (size_t i = CSV_INTEGER; equals != NULL && equals > item && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(equals + 1, names[i]) == 0) {
            *name = slice_of(item, (size_t)(equals - item));
            *type = (enum csv_type)i;
            return 0;
        }
    }
    return err_set(
        err, ERR_FATAL, ERR_CONFIG,
        "The option types has \"%s\", which is not \"column=type\" with one of the types integer, real, text "
        "and boolean.",
        item);
}

int file_row_columns(const struct option_list *types, struct csv *csv, struct err *err)
{
    size_t size = 0;
    *csv = (struct csv){.count = types->count};
    csv->names = memory_alloc(types->count * sizeof *csv->names);
    csv->types = memory_alloc(types->count * sizeof *csv->types);
    for (size_t i = 0; i < types->count; i++) {
        if (parse_type(types->items[i], &csv->names[i], &csv->types[i], err) != 0) {
            return -1;
        }
        bytes_append_slice(&csv->texts, csv->names[i]);
    }
    for (size_t i = 0; i < types->count; i++) {
        csv->names[i].data = csv->texts.data + size;
        size += csv->names[i].size;
    }
    return 0;
}

static int set_type(const char *item, struct csv *csv, struct err *err)
{
    struct slice name;
    enum csv_type type;
    bool found = false;
    if (parse_type(item, &name, &type, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < csv->count; i++) {
        if (slice_equal(csv->names[i], name)) {
            csv->types[i] = type;
            found = true;
        }
    }
    return found ? 0
                 : err_set(err, ERR_FATAL, ERR_CONFIG, "The option types has \"%s\", and the header no such column.",
                           item);
}

int file_row_types(const struct option_list *types, struct csv *csv, struct err *err)
{
    for (size_t i = 0; i < types->count; i++) {
        if (set_type(types->items[i], csv, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- records ---- */

static int missing(const char *field, bool null, struct err *err)
{
    return err_set(err, ERR_SKIP, ERR_RECORD, "its field \"%s\" is %s", field, null ? "null" : "missing");
}

static int read_value(const struct file_row_rules *rules, struct slice row, struct arena *arena, struct slice *value,
                      struct err *err)
{
    if (rules->csv != NULL) {
        struct bytes object = {0};
        int result = csv_object(rules->csv, row, &object, err);
        *value = arena_copy(arena, bytes_slice(&object));
        bytes_free(&object);
        return result;
    }
    struct json_problem problem;
    if (!json_check(row, &problem)) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "it is not JSON: %s at byte %zu", problem.reason, problem.at + 1);
    }
    *value = arena_copy(arena, json_trim(row));
    return 0;
}

int file_row_record(const struct file_row_rules *rules, struct slice row, struct arena *arena, struct record *record,
                    struct err *err)
{
    struct slice field;
    *record = (struct record){.timestamp = -1, .offset = -1, .partition = -1};
    if (read_value(rules, row, arena, &record->value, err) != 0) {
        return -1;
    }
    if (rules->key != NULL) {
        bool found = json_field(record->value, rules->key, &field);
        if (!found || json_type(field) == JSON_NULL) {
            return missing(rules->key, found, err);
        }
        record->key = json_trim(field);
    }
    if (rules->timestamp == NULL) {
        return 0;
    }
    if (!json_field(record->value, rules->timestamp, &field)) {
        return missing(rules->timestamp, false, err);
    }
    if (!json_field_time(field, &record->timestamp)) {
        return err_set(err, ERR_SKIP, ERR_RECORD,
                       "its field \"%s\" is no time since 1970 in milliseconds or ISO 8601: %.*s", rules->timestamp,
                       (int)(field.size < 60 ? field.size : 60), (const char *)field.data);
    }
    return 0;
}
