/* One entry of a store as people see it: its key without the form that the store files it under, its window, its value.
 *
 *     {"store":"counts","partition":0,"key":"AA","window_start":0,"value":3,"timestamp":1000}
 *
 * Keys and values stand in JSON as those of records do (record_json.h); "window_start" is there for entries of window
 * and session stores, "window_end" for sessions. Pure.
 * Ownership: an entry borrows from the bytes it was made of and from the arena.
 */
#ifndef TIDEMILL_CLI_STATE_ENTRY_H
#define TIDEMILL_CLI_STATE_ENTRY_H

#include "base/arena.h"
#include "base/err.h"
#include "engine/store.h"

enum state_window { STATE_NO_WINDOW, STATE_WINDOW, STATE_SESSION };

struct state_entry {
    const char *store;
    int32_t partition;
    struct slice key;
    enum state_window window;
    int64_t window_start;
    int64_t window_end;
    struct slice value;
    int64_t timestamp;
};

void state_entry_make(const struct store_spec *spec, int32_t partition, const struct store_entry *stored,
                      struct state_entry *entry, struct arena *arena);
/* Appends the object and a line end. */
void state_entry_print(const struct state_entry *entry, struct bytes *out);
/* The way back, of a line as it was printed. ERR_RECORD. */
int state_entry_parse(struct slice line, struct state_entry *entry, struct arena *arena, struct err *err);
/* Key as records of the changelog's kind have it: with the window behind it. */
struct slice state_entry_record_key(const struct state_entry *entry, struct arena *arena);

#endif
