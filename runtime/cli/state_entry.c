#include "cli/state_entry.h"

#include "base/json.h"
#include "cli/record_json.h"
#include "engine/store_form.h"

void state_entry_make(const struct store_spec *spec, int32_t partition, const struct store_entry *stored,
                      struct state_entry *entry, struct arena *arena)
{
    struct store_window window;
    *entry = (struct state_entry){.store = spec->name,
                                  .partition = partition,
                                  .key = stored->key,
                                  .value = stored->value,
                                  .timestamp = stored->timestamp};
    if (spec->kind == STORE_KEY_VALUE || !store_form_window(spec, stored->key, &window)) {
        return;
    }
    entry->key = window.key;
    entry->window = spec->kind == STORE_SESSION ? STATE_SESSION : STATE_WINDOW;
    entry->window_start = window.start;
    entry->window_end = window.end;
    struct slice value;
    if (spec->headers && store_form_parse_value(stored->value, NULL, &value, arena)) {
        entry->value = value;
    }
}

void state_entry_print(const struct state_entry *entry, struct bytes *out)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("store"));
    json_text(&writer, entry->store);
    json_name(&writer, slice_text("partition"));
    json_integer(&writer, entry->partition);
    record_print_datum(&writer, "key", "key_encoding", false, entry->key);
    if (entry->window != STATE_NO_WINDOW) {
        json_name(&writer, slice_text("window_start"));
        json_integer(&writer, entry->window_start);
    }
    if (entry->window == STATE_SESSION) {
        json_name(&writer, slice_text("window_end"));
        json_integer(&writer, entry->window_end);
    }
    record_print_datum(&writer, "value", "value_encoding", true, entry->value);
    json_name(&writer, slice_text("timestamp"));
    json_integer(&writer, entry->timestamp);
    json_end_object(&writer);
    bytes_append_byte(out, '\n');
}

static bool take_time(struct slice line, const char *name, int64_t *time)
{
    struct slice value;
    double real;
    return json_member(line, slice_text(name), &value) && json_number(value, time, &real);
}

int state_entry_parse(struct slice line, struct state_entry *entry, struct arena *arena, struct err *err)
{
    struct record record;
    struct slice store;
    struct bytes name = {0};
    if (!json_check(line, NULL) || !json_member(line, slice_text("store"), &store) || json_type(store) != JSON_STRING) {
        return err_set(err, ERR_FATAL, ERR_RECORD, "An entry of a store was expected.");
    }
    if (record_parse(line, arena, &record, err) != 0) {
        return -1;
    }
    json_decode_string(store, &name);
    const char *text = bytes_text(&name);
    *entry = (struct state_entry){.store = (const char *)arena_copy(arena, slice_of(text, name.size + 1)).data,
                                  .partition = record.partition,
                                  .key = record.key,
                                  .value = record.value,
                                  .timestamp = record.timestamp};
    bytes_free(&name);
    if (take_time(line, "window_start", &entry->window_start)) {
        entry->window = take_time(line, "window_end", &entry->window_end) ? STATE_SESSION : STATE_WINDOW;
    }
    return 0;
}

struct slice state_entry_record_key(const struct state_entry *entry, struct arena *arena)
{
    if (entry->window == STATE_NO_WINDOW) {
        return entry->key;
    }
    struct store_window window = {entry->key, entry->window_start, entry->window_end};
    return store_form_windowed(entry->window == STATE_SESSION, &window, arena);
}
