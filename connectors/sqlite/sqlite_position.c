#include "connectors/sqlite/sqlite_position.h"

#include "base/json.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- tables ---- */

struct sqlite_position_table *sqlite_position_find(const struct sqlite_position *position, const char *name)
{
    for (size_t i = 0; i < position->count; i++) {
        if (strcmp(position->tables[i].name, name) == 0) {
            return &position->tables[i];
        }
    }
    return NULL;
}

struct sqlite_position_table *sqlite_position_add(struct sqlite_position *position, const char *name)
{
    position->tables = memory_grow(position->tables, position->count, &position->capacity, sizeof(*position->tables));
    struct sqlite_position_table *table = &position->tables[position->count++];
    *table = (struct sqlite_position_table){.name = memory_copy_text(name)};
    return table;
}

struct sqlite_position_table *sqlite_position_pending(const struct sqlite_position *position)
{
    for (size_t i = 0; i < position->count; i++) {
        if (position->tables[i].pending) {
            return &position->tables[i];
        }
    }
    return NULL;
}

void sqlite_position_forget_after(struct sqlite_position *position)
{
    option_list_free(&position->after);
    position->rows = 0;
}

void sqlite_position_free(struct sqlite_position *position)
{
    for (size_t i = 0; i < position->count; i++) {
        free(position->tables[i].name);
    }
    free(position->tables);
    option_list_free(&position->after);
    *position = (struct sqlite_position){0};
}

/* ---- reading ---- */

static bool take_integer(struct slice object, const char *name, int64_t *value)
{
    struct slice text;
    double ignored;
    return json_member(object, slice_text(name), &text) && json_type(text) == JSON_NUMBER &&
           json_number(text, value, &ignored) && *value >= 0;
}

/* As text without zero bytes. */
static bool take_text(struct slice value, struct bytes *out)
{
    if (json_type(value) != JSON_STRING) {
        return false;
    }
    bytes_clear(out);
    json_decode_string(value, out);
    return strlen(bytes_text(out)) == out->size;
}

static bool take_tables(struct sqlite_position *position, struct slice object)
{
    struct json_walk walk = json_walk(object);
    struct slice name, value;
    struct bytes text = {0};
    double ignored;
    bool good = json_type(object) == JSON_OBJECT;
    while (good && json_next_member(&walk, &name, &value)) {
        int64_t generation = 0;
        good = take_text(slice_of(name.data - 1, name.size + 2), &text) && json_type(value) == JSON_NUMBER &&
               json_number(value, &generation, &ignored) && !sqlite_position_find(position, bytes_text(&text));
        if (good) {
            sqlite_position_add(position, bytes_text(&text))->generation = generation;
        }
    }
    bytes_free(&text);
    return good;
}

/* Marks the tables that the member lists. */
static bool take_marks(struct sqlite_position *position, struct slice array, bool again)
{
    struct json_walk walk = json_walk(array);
    struct slice value;
    struct bytes text = {0};
    bool good = json_type(array) == JSON_ARRAY;
    while (good && json_next_element(&walk, &value)) {
        struct sqlite_position_table *table =
            take_text(value, &text) ? sqlite_position_find(position, bytes_text(&text)) : NULL;
        good = table != NULL;
        if (good) {
            *(again ? &table->again : &table->pending) = true;
        }
    }
    bytes_free(&text);
    return good;
}

static bool take_after(struct sqlite_position *position, struct slice array)
{
    struct json_walk walk = json_walk(array);
    struct slice item;
    struct bytes text = {0};
    struct sqlite_position_value value = {0};
    bool good = json_type(array) == JSON_ARRAY;
    while (good && json_next_element(&walk, &item)) {
        good = take_text(item, &text) && sqlite_position_take(bytes_text(&text), &value);
        if (good) {
            option_list_add(&position->after, bytes_text(&text));
        }
    }
    bytes_free(&value.text);
    bytes_free(&text);
    return good;
}

static bool read_members(struct sqlite_position *position, struct slice text)
{
    struct slice log, tables, pending, again, after;
    struct bytes name = {0};
    if (!json_check(text, NULL) || json_type(text) != JSON_OBJECT || !json_member(text, slice_text("log"), &log) ||
        !json_member(text, slice_text("tables"), &tables) || !json_member(text, slice_text("pending"), &pending) ||
        !json_member(text, slice_text("again"), &again) || !json_member(text, slice_text("after"), &after)) {
        return false;
    }
    bool good = take_text(log, &name) && name.size < sizeof(position->log) &&
                take_integer(text, "seq", &position->seq) && take_integer(text, "schema", &position->schema) &&
                take_integer(text, "rows", &position->rows) && take_tables(position, tables) &&
                take_marks(position, pending, false) && take_marks(position, again, true) &&
                take_after(position, after);
    snprintf(position->log, sizeof(position->log), "%s", bytes_text(&name));
    bytes_free(&name);
    return good;
}

int sqlite_position_read(struct sqlite_position *position, struct slice text, struct err *err)
{
    sqlite_position_free(position);
    if (read_members(position, text)) {
        return 0;
    }
    sqlite_position_free(position);
    return err_set(err, ERR_FATAL, ERR_CORRUPT,
                   "The stored position is not one of a SQLite source. Reset it to begin with the rows that are there: "
                   "tidemill connect offsets reset");
}

/* ---- writing ---- */

static void write_marks(const struct sqlite_position *position, struct json_writer *writer, bool again)
{
    json_begin_array(writer);
    for (size_t i = 0; i < position->count; i++) {
        const struct sqlite_position_table *table = &position->tables[i];
        if (again ? table->again : table->pending) {
            json_text(writer, table->name);
        }
    }
    json_end_array(writer);
}

static void write_number(struct json_writer *writer, const char *name, int64_t value)
{
    json_name(writer, slice_text(name));
    json_integer(writer, value);
}

void sqlite_position_write(const struct sqlite_position *position, struct bytes *out)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("log"));
    json_text(&writer, position->log);
    write_number(&writer, "seq", position->seq);
    write_number(&writer, "schema", position->schema);
    json_name(&writer, slice_text("tables"));
    json_begin_object(&writer);
    for (size_t i = 0; i < position->count; i++) {
        write_number(&writer, position->tables[i].name, position->tables[i].generation);
    }
    json_end_object(&writer);
    json_name(&writer, slice_text("pending"));
    write_marks(position, &writer, false);
    json_name(&writer, slice_text("again"));
    write_marks(position, &writer, true);
    json_name(&writer, slice_text("after"));
    json_begin_array(&writer);
    for (size_t i = 0; i < position->after.count; i++) {
        json_text(&writer, position->after.items[i]);
    }
    json_end_array(&writer);
    write_number(&writer, "rows", position->rows);
    json_end_object(&writer);
}

/* ---- key values ---- */

void sqlite_position_put(struct option_list *after, const struct sqlite_position_value *value)
{
    struct bytes item = {0};
    struct slice text = bytes_slice(&value->text);
    bool plain = value->type == 't' && json_utf8_valid(text) && (text.size == 0 || !memchr(text.data, 0, text.size));
    bytes_append_byte(&item, value->type == 't' && !plain ? 'x' : (unsigned char)value->type);
    if (value->type == 'i') {
        bytes_append_format(&item, "%lld", (long long)value->integer);
    } else if (value->type == 'r') {
        bytes_append_format(&item, "%.17g", value->real);
    } else if (plain) {
        bytes_append_slice(&item, text);
    } else if (value->type != 'n') {
        json_base64_encode(text, &item);
    }
    option_list_add(after, bytes_text(&item));
    bytes_free(&item);
}

bool sqlite_position_take(const char *item, struct sqlite_position_value *value)
{
    char *end = NULL;
    const char *text = item[0] ? item + 1 : item;
    value->type = item[0];
    bytes_clear(&value->text);
    switch (item[0]) {
    case 'i':
        value->integer = strtoll(text, &end, 10);
        return end != text && *end == 0;
    case 'r':
        value->real = strtod(text, &end);
        return end != text && *end == 0;
    case 't':
        bytes_append_text(&value->text, text);
        return true;
    case 'x':
        value->type = 't';
        return json_base64_decode(slice_text(text), &value->text);
    case 'b':
        return json_base64_decode(slice_text(text), &value->text);
    case 'n':
        return *text == 0;
    default:
        return false;
    }
}
