#include "connectors/poll.h"

#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>

/* ---- options ---- */

static bool is_empty(const char *text)
{
    return !text || text[0] == 0;
}

int poll_validate(const struct poll_options *options, const char *kind, const char *place, struct err *err)
{
    if (is_empty(options->place)) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "A %s source needs the option %s", kind, place);
    }
    if (is_empty(options->table) == is_empty(options->query)) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "A %s source needs the option table or the option query, and one only", kind);
    }
    if (is_empty(options->id) || is_empty(options->time)) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The options id and time of a %s source name columns", kind);
    }
    return 0;
}

const char *poll_cursor_name(enum poll_cursor cursor)
{
    static const char *const names[] = {"commit", "id", "time+id"};
    return names[cursor];
}

void poll_warn(const struct connector_context *context, const char *text)
{
    log_event(LOG_WARN, text, log_text("source", context->name));
}

/* ---- the position ---- */

/* Texts of an array; false: it is none of texts without zero bytes. */
static bool take_texts(struct slice array, struct option_list *list)
{
    struct json_walk walk = json_walk(array);
    struct slice item;
    struct bytes text = {0};
    bool good = json_type(array) == JSON_ARRAY;
    while (good && json_next_element(&walk, &item)) {
        bytes_clear(&text);
        good = json_type(item) == JSON_STRING;
        if (good) {
            json_decode_string(item, &text);
            good = strlen(bytes_text(&text)) == text.size;
        }
        if (good) {
            option_list_add(list, bytes_text(&text));
        }
    }
    bytes_free(&text);
    return good;
}

static bool same_texts(const struct option_list *list, const char *const *columns, size_t count)
{
    bool same = list->count == count;
    for (size_t i = 0; same && i < count; i++) {
        same = strcmp(list->items[i], columns[i]) == 0;
    }
    return same;
}

int poll_position_read(struct poll_position *position, struct slice text, const char *const *columns, size_t count,
                       struct err *err)
{
    struct slice cursor, after;
    struct option_list names = {NULL, 0, 0};
    option_list_free(&position->after);
    bool good = json_check(text, NULL) && json_type(text) == JSON_OBJECT &&
                json_member(text, slice_text("cursor"), &cursor) && json_member(text, slice_text("after"), &after) &&
                take_texts(cursor, &names) && take_texts(after, &position->after) &&
                (position->after.count == 0 || position->after.count == names.count);
    bool same = good && same_texts(&names, columns, count);
    option_list_free(&names);
    if (same) {
        return 0;
    }
    option_list_free(&position->after);
    return err_set(err, ERR_FATAL, ERR_CONFIG,
                   "The stored position is %s: set the options back, or reset the position to read from the first row",
                   good ? "one of another cursor than the options now describe" : "not one of a source that polls");
}

static void write_texts(struct json_writer *writer, const char *name, const char *const *texts, size_t count)
{
    json_name(writer, slice_text(name));
    json_begin_array(writer);
    for (size_t i = 0; i < count; i++) {
        json_text(writer, texts[i]);
    }
    json_end_array(writer);
}

void poll_position_write(const struct poll_position *position, const char *const *columns, size_t count,
                         struct bytes *out)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    write_texts(&writer, "cursor", columns, count);
    write_texts(&writer, "after", (const char *const *)position->after.items, position->after.count);
    json_end_object(&writer);
}

/* ---- rows ---- */

void poll_add_row(struct pieces *pieces, const char *topic, struct envelope_row row, const size_t *keys, size_t count,
                  struct envelope_field *scratch)
{
    size_t start = pieces->text.size;
    for (size_t i = 0; i < count; i++) {
        scratch[i] = row.fields[keys[i]];
    }
    bool keyed = envelope_write_key((struct envelope_row){scratch, count}, &pieces->text);
    size_t key_size = pieces->text.size - start;
    envelope_write_key(row, &pieces->text);
    pieces_add(pieces, topic, -1, keyed ? key_size : PIECES_NULL, pieces->text.size - start - key_size);
}

static bool find_name(const char *const *names, size_t count, const char *name, size_t *at)
{
    for (*at = 0; *at < count; (*at)++) {
        if (strcmp(names[*at], name) == 0) {
            return true;
        }
    }
    return false;
}

int poll_find_keys(const struct poll_options *options, const char *const *names, size_t name_count, size_t **keys,
                   size_t *count, struct err *err)
{
    const struct option_list *wanted = &options->key;
    *keys = memory_alloc((wanted->count + 1) * sizeof(**keys));
    *count = 0;
    if (wanted->count == 0) {
        *count = find_name(names, name_count, options->id, *keys);
        return 0;
    }
    for (size_t i = 0; i < wanted->count; i++) {
        if (!find_name(names, name_count, wanted->items[i], *keys + i)) {
            return err_set(err, ERR_FATAL, ERR_CONFIG,
                           "The option key names column %s, which is not among those that are read: add it to columns, "
                           "or take it out of key",
                           wanted->items[i]);
        }
        ++*count;
    }
    return 0;
}
