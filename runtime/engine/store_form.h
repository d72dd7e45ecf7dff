/* What entries of window and session stores look like: in the store, in the changelog, and as windowed keys of records.
 *
 *     in the store, windows                start, key
 *     in the store, windows by key         start of the segment, key, start
 *     in the store, sessions               start of the segment of the end, key, end, start
 *     in the changelog, windows            key, start, 0 (32 bits)
 *     in the changelog, sessions           key, end, start
 *     key of a record, windows             key, start
 *     key of a record, sessions            key, end, start
 * Times are 64 bits; all numbers are big-endian. The forms outside of the store are those of Kafka Streams
 * (WindowKeySchema, TimeWindowedSerializer, SessionKeySchema). A store begins its keys with a time so that whole
 * segments of it can be dropped (store.h); `by_key` lets the windows of one key in a segment lie together, in order.
 * Keys of a store that are shorter than 8 bytes have no window: they are what an operator notes about itself, and the
 * same in the changelog.
 *
 * Values of stores with `headers` begin with the headers of the record that wrote them: their number (varint), then
 * name and value of each (blobs). In the changelog they are the record's headers.
 *
 * Pure. Ownership: what is made lies in the given arena; what is parsed borrows from the bytes.
 */
#ifndef TIDEMILL_ENGINE_STORE_FORM_H
#define TIDEMILL_ENGINE_STORE_FORM_H

#include "base/arena.h"
#include "engine/store.h"

/* One window of one key. */
struct store_window {
    struct slice key; /* of the records */
    int64_t start;
    int64_t end; /* sessions only: time of the last record */
};

/* The time under which the store files a window that starts (session: ends) at `time`. */
static inline int64_t store_form_segment(const struct store_spec *spec, int64_t time)
{
    bool exact = spec->kind == STORE_WINDOW && !spec->by_key;
    return exact ? time : time - time % spec->segment_ms;
}

/* Key in the store. */
struct slice store_form_key(const struct store_spec *spec, const struct store_window *window, struct arena *arena);
/* The window of a key in the store; false: it has none. */
bool store_form_window(const struct store_spec *spec, struct slice key, struct store_window *window);

/* The windowed key as records have it; `sessions`: of a session, else of a window. */
struct slice store_form_windowed(bool sessions, const struct store_window *window, struct arena *arena);
bool store_form_parse_windowed(bool sessions, struct slice bytes, struct store_window *window); /* false: too short */

/* A value with its headers in front, and back. `headers` may be NULL where nobody wants them; false: malformed. */
struct slice store_form_value(const struct headers *headers, struct slice value, struct arena *arena);
bool store_form_parse_value(struct slice bytes, struct headers *headers, struct slice *value, struct arena *arena);

/* Whether entries of the store and records of its changelog differ. */
static inline bool store_form_converts(const struct store_spec *spec)
{
    return spec->kind != STORE_KEY_VALUE || spec->headers;
}
/* Key, value, headers and timestamp of the entry's changelog record. */
struct record store_form_record(const struct store_spec *spec, const struct store_entry *entry, struct arena *arena);
/* The way back; ERR_FATAL for a record that is none of such a store's. */
int store_form_entry(const struct store_spec *spec, const struct record *record, struct store_entry *entry,
                     struct arena *arena, struct err *err);

#endif
