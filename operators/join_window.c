#include "operators/join_window.h"

#include <stdlib.h>

#include "base/arena.h"
#include "engine/graph.h"

#define FOLLOWS 2 /* added to the side of records that are not the first of their key and bucket */
#define FEWEST 16 /* room of a list to begin with */

static const struct slice time_key = {(const unsigned char *)"time", 4};

/* ---- time ---- */

static int64_t later(int64_t time, int64_t ms)
{
    int64_t sum;
    return __builtin_add_overflow(time, ms, &sum) ? INT64_MAX : sum;
}

static int64_t earlier(int64_t time, int64_t ms)
{
    return time > ms ? time - ms : 0;
}

/* Partners of one record are in two buckets at most. */
static int64_t bucket_of(const struct join_window *window, int64_t time)
{
    int64_t length = later(later(window->before, window->after), 1);
    return time - time % length;
}

static int64_t bucket_after(const struct join_window *window, int64_t bucket)
{
    return later(later(later(bucket, window->before), window->after), 1);
}

/* The last stream time at which a record is not late and not final. */
static int64_t due_of(const struct join_window *window, enum join_side side, int64_t time)
{
    return later(later(time, side == JOIN_LEFT ? window->after : window->before), window->grace);
}

bool join_window_closed(const struct join_window *window, enum join_side side, int64_t time)
{
    return due_of(window, side, time) < window->time;
}

/* ---- keys ---- */

static unsigned char *put_u32(unsigned char *at, uint32_t number)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        *at++ = (unsigned char)(number >> shift);
    }
    return at;
}

static unsigned char *put_u64(unsigned char *at, int64_t number)
{
    at = put_u32(at, (uint32_t)((uint64_t)number >> 32));
    return put_u32(at, (uint32_t)number);
}

static struct slice make_key(struct node *node, int64_t time, unsigned kind, const uint32_t *number, struct slice key)
{
    unsigned char *bytes = arena_alloc(op_arena(node->worker), 13 + key.size);
    unsigned char *at = put_u64(bytes, time);
    *at++ = (unsigned char)kind;
    if (number) {
        at = put_u32(at, *number);
    }
    if (key.size > 0) {
        memcpy(at, key.data, key.size);
    }
    return slice_of(bytes, (size_t)(at - bytes) + key.size);
}

static struct slice record_key(struct node *node, int64_t bucket, enum join_side side, uint32_t number,
                               struct slice key)
{
    return number == 0 ? make_key(node, bucket, side, NULL, key)
                       : make_key(node, bucket, (unsigned)side + FOLLOWS, &number, key);
}

static struct slice unmatched_key(struct node *node, const struct join_window *window, const struct join_record *record)
{
    int64_t due = due_of(window, record->side, record->time);
    return make_key(node, due, record->side == JOIN_LEFT, &record->number, record->key);
}

static bool parse_unmatched(struct slice key, int64_t *due, struct join_record *record)
{
    struct bytes_reader reader = bytes_reader_of(key);
    *due = (int64_t)bytes_take_u64(&reader);
    record->side = bytes_take_byte(&reader) == 0 ? JOIN_RIGHT : JOIN_LEFT;
    record->number = bytes_take_u32(&reader);
    record->key = slice_of(reader.at, (size_t)(reader.end - reader.at));
    return !reader.failed;
}

/* ---- store ---- */

static int report_foreign(struct node *node, const char *store)
{
    return err_set(op_error(node->worker), ERR_FATAL, ERR_CORRUPT,
                   "The store %s has an entry that is none of a join; was the name used for something else before?",
                   store);
}

static int get(struct node *node, struct store *store, struct slice key, bool *found, struct store_entry *entry)
{
    return op_store_driver(node->worker)->get(store, key, found, entry, op_error(node->worker));
}

static int put(struct node *node, struct store *store, struct slice key, struct slice value, int64_t timestamp)
{
    return op_store_driver(node->worker)->put(store, key, value, timestamp, op_error(node->worker));
}

/* The first record of a side, key and bucket, and how many there are; *count 0: none. The value is valid until the next
 * call of the store. */
static int get_first(struct node *node, const struct join_window *window, struct slice key, uint32_t *count,
                     struct store_entry *entry)
{
    bool found;
    *count = 0;
    if (get(node, window->records, key, &found, entry)) {
        return -1;
    }
    if (!found) {
        return 0;
    }
    struct bytes_reader reader = bytes_reader_of(entry->value);
    *count = bytes_take_u32(&reader);
    if (reader.failed || *count == 0) {
        return report_foreign(node, window->records_name);
    }
    entry->value = slice_of(reader.at, (size_t)(reader.end - reader.at));
    return 0;
}

static int put_first(struct node *node, const struct join_window *window, struct slice key, uint32_t count,
                     struct slice value, int64_t timestamp)
{
    unsigned char *bytes = arena_alloc(op_arena(node->worker), 4 + value.size);
    unsigned char *at = put_u32(bytes, count);
    if (value.size > 0) {
        memcpy(at, value.data, value.size);
    }
    return put(node, window->records, key, slice_of(bytes, 4 + value.size), timestamp);
}

/* ---- life ---- */

static int expire(struct node *node, const struct join_window *window)
{
    const struct store_driver *stores = op_store_driver(node->worker);
    struct err *err = op_error(node->worker);
    int64_t reach = later(later(window->before, window->after), window->grace);
    return stores->expire(window->records, bucket_of(window, earlier(window->time, reach)), err);
}

/* What was due before the time is out, whatever a changelog still has of it. */
static int recall(struct node *node, struct join_window *window, struct slice value)
{
    struct bytes_reader reader = bytes_reader_of(value);
    window->time = (int64_t)bytes_take_u64(&reader);
    if (reader.failed || window->time < 0) {
        return report_foreign(node, window->records_name);
    }
    window->noted_time = window->time;
    window->scanned = window->time;
    if (window->unmatched &&
        op_store_driver(node->worker)->expire(window->unmatched, window->time, op_error(node->worker))) {
        return -1;
    }
    return expire(node, window);
}

int join_window_open(struct node *node, struct join_window *window)
{
    struct store_entry entry;
    bool found;
    window->records = op_store(node, window->records_name);
    window->unmatched = window->unmatched_name ? op_store(node, window->unmatched_name) : NULL;
    window->time = -1;
    window->noted_time = -1;
    window->next_due = 0; /* not known: the first look will tell */
    window->scanned = 0;
    if (get(node, window->records, time_key, &found, &entry)) {
        return -1;
    }
    return found ? recall(node, window, entry.value) : 0;
}

/* What was deleted before the last commit is in the changelog, so that its segments can go. */
int join_window_flush(struct node *node, struct join_window *window)
{
    unsigned char bytes[8];
    if (window->time == window->noted_time) {
        return 0;
    }
    put_u64(bytes, window->time);
    if (window->unmatched && window->noted_time > 0 &&
        op_store_driver(node->worker)->expire(window->unmatched, window->noted_time, op_error(node->worker))) {
        return -1;
    }
    window->noted_time = window->time;
    return put(node, window->records, time_key, slice_of(bytes, sizeof(bytes)), window->time) || expire(node, window)
               ? -1
               : 0;
}

/* ---- lists ---- */

struct records {
    struct join_record *list;
    size_t count;
    size_t capacity;
};

static struct join_record *add_to(struct node *node, struct records *records)
{
    if (records->count == records->capacity) {
        size_t capacity = records->capacity > 0 ? records->capacity * 2 : FEWEST;
        struct join_record *list = arena_alloc(op_arena(node->worker), capacity * sizeof(*list));
        if (records->count > 0) {
            memcpy(list, records->list, records->count * sizeof(*list));
        }
        records->list = list;
        records->capacity = capacity;
    }
    return &records->list[records->count++];
}

static int compare(const void *one, const void *other)
{
    const struct join_record *a = one, *b = other;
    if (a->time != b->time) {
        return a->time < b->time ? -1 : 1;
    }
    if (a->side != b->side) {
        return a->side == JOIN_RIGHT ? -1 : 1;
    }
    int keys = slice_compare(a->key, b->key);
    return keys != 0 ? keys : (a->number > b->number) - (a->number < b->number);
}

/* Records mostly come in the order of their times. */
static void sort(struct records *records)
{
    bool sorted = true;
    for (size_t i = 1; i < records->count && sorted; i++) {
        sorted = compare(&records->list[i - 1], &records->list[i]) <= 0;
    }
    if (!sorted) {
        qsort(records->list, records->count, sizeof(*records->list), compare);
    }
}

/* ---- those without a match ---- */

int join_window_wait(struct node *node, struct join_window *window, const struct join_record *record)
{
    int64_t due = due_of(window, record->side, record->time);
    window->next_due = due < window->next_due ? due : window->next_due;
    return put(node, window->unmatched, unmatched_key(node, window, record), slice_of("", 1), record->time);
}

int join_window_matched(struct node *node, const struct join_window *window, const struct join_record *record)
{
    if (!window->unmatched || join_window_closed(window, record->side, record->time)) {
        return 0;
    }
    return put(node, window->unmatched, unmatched_key(node, window, record), SLICE_NULL, record->time);
}

/* One entry; false when it is not due yet. */
static bool take_due(struct node *node, struct join_window *window, const struct store_entry *entry,
                     struct records *records)
{
    struct join_record record = {.time = entry->timestamp};
    int64_t due;
    if (!parse_unmatched(entry->key, &due, &record)) {
        return true;
    }
    if (due >= window->time) {
        window->next_due = due;
        return false;
    }
    record.key = arena_copy(op_arena(node->worker), record.key);
    *add_to(node, records) = record;
    return true;
}

static int collect_due(struct node *node, struct join_window *window, struct records *records)
{
    const struct store_driver *stores = op_store_driver(node->worker);
    struct err *err = op_error(node->worker);
    struct store_cursor *cursor;
    struct store_entry entry;
    unsigned char from[8];
    bool found = true;
    put_u64(from, window->scanned);
    if (stores->range(window->unmatched, slice_of(from, sizeof(from)), SLICE_NULL, false, &cursor, err)) {
        return -1;
    }
    window->next_due = INT64_MAX;
    int result = 0;
    do {
        result = stores->next(cursor, &found, &entry, err);
    } while (result == 0 && found && take_due(node, window, &entry, records));
    stores->end(cursor);
    window->scanned = window->time;
    return result;
}

int join_window_advance(struct node *node, struct join_window *window, int64_t time, struct join_record **due,
                        size_t *count)
{
    struct records records = {NULL, 0, 0};
    *count = 0;
    if (time <= window->time) {
        return 0;
    }
    window->time = time;
    if (!window->unmatched || window->next_due >= time) {
        return 0;
    }
    if (collect_due(node, window, &records)) {
        return -1;
    }
    sort(&records);
    for (size_t i = 0; i < records.count; i++) {
        if (put(node, window->unmatched, unmatched_key(node, window, &records.list[i]), SLICE_NULL,
                records.list[i].time)) {
            return -1;
        }
    }
    *due = records.list;
    *count = records.count;
    return 0;
}

/* *found false: there is no such record. */
static int get_record(struct node *node, const struct join_window *window, const struct join_record *record,
                      bool *found, struct store_entry *entry)
{
    int64_t bucket = bucket_of(window, record->time);
    struct slice key = record_key(node, bucket, record->side, record->number, record->key);
    if (record->number > 0) {
        return get(node, window->records, key, found, entry);
    }
    uint32_t count;
    int result = get_first(node, window, key, &count, entry);
    *found = count > 0;
    return result;
}

int join_window_read(struct node *node, const struct join_window *window, struct join_record *record)
{
    struct store_entry entry;
    bool found;
    if (get_record(node, window, record, &found, &entry)) {
        return -1;
    }
    if (!found) {
        return report_foreign(node, window->unmatched_name);
    }
    record->value = arena_copy(op_arena(node->worker), entry.value);
    return 0;
}

/* ---- matches ---- */

static void take_match(struct node *node, const struct join_record *like, uint32_t number,
                       const struct store_entry *entry, int64_t from, int64_t to, struct records *matches)
{
    if (entry->timestamp < from || entry->timestamp > to) {
        return;
    }
    struct join_record *match = add_to(node, matches);
    *match = *like;
    match->time = entry->timestamp;
    match->number = number;
    match->value = arena_copy(op_arena(node->worker), entry->value);
}

static int find_in_bucket(struct node *node, const struct join_window *window, const struct join_record *like,
                          int64_t bucket, int64_t from, int64_t to, struct records *matches)
{
    struct store_entry entry;
    uint32_t count;
    if (get_first(node, window, record_key(node, bucket, like->side, 0, like->key), &count, &entry)) {
        return -1;
    }
    for (uint32_t number = 0; number < count; number++) {
        bool found = true;
        if (number > 0 &&
            get(node, window->records, record_key(node, bucket, like->side, number, like->key), &found, &entry)) {
            return -1;
        }
        if (found) {
            take_match(node, like, number, &entry, from, to, matches);
        }
    }
    return 0;
}

int join_window_find(struct node *node, const struct join_window *window, const struct join_record *record,
                     struct join_record **matches, size_t *count)
{
    bool left = record->side == JOIN_LEFT;
    int64_t from = earlier(record->time, left ? window->before : window->after);
    int64_t to = later(record->time, left ? window->after : window->before);
    struct join_record like = {.key = record->key, .side = left ? JOIN_RIGHT : JOIN_LEFT};
    struct records found = {NULL, 0, 0};
    /* Nothing is later than the time, so there is nothing to look for. */
    to = to < window->time ? to : window->time;
    for (int64_t bucket = bucket_of(window, from); bucket <= to; bucket = bucket_after(window, bucket)) {
        if (find_in_bucket(node, window, &like, bucket, from, to, &found)) {
            return -1;
        }
        if (bucket_after(window, bucket) == INT64_MAX) {
            break;
        }
    }
    sort(&found);
    *matches = found.list;
    *count = found.count;
    return 0;
}

int join_window_add(struct node *node, const struct join_window *window, struct join_record *record)
{
    int64_t bucket = bucket_of(window, record->time);
    struct slice key = record_key(node, bucket, record->side, 0, record->key);
    struct store_entry first;
    if (get_first(node, window, key, &record->number, &first)) {
        return -1;
    }
    if (record->number == 0) {
        return put_first(node, window, key, 1, record->value, record->time);
    }
    if (put_first(node, window, key, record->number + 1, first.value, first.timestamp)) {
        return -1;
    }
    return put(node, window->records, record_key(node, bucket, record->side, record->number, record->key),
               record->value, record->time);
}
