#include "operators/session_index.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "operators/time_queue.h"
#include "operators/window.h"

#define FIRST_PLACES ((size_t)64)

#define SHORT_KEY 16

/* Each owner is in the queue with the time at which something of it is due, or an earlier one; what else the queue has
 * for its key is left over. It has the size of a line of the cache: with one session and a short key that is all there
 * is to look at. */
struct session_of_key {
    uint32_t hash;
    uint32_t key_size;
    uint32_t count;    /* of sessions */
    uint32_t capacity; /* 0: the place is free; 1: `single` counts */
    int64_t scheduled;
    int64_t told; /* sessions with an end up to this are known to be closed */
    union {
        struct session single;
        struct session *list;
    } sessions;
    union {
        unsigned char bytes[SHORT_KEY];
        unsigned char *pointer; /* of a longer one */
    } key;
};

struct session_index {
    int64_t gap;
    int64_t keep;
    bool finals;
    struct session_of_key *places; /* open addressing, at most half of them used */
    size_t place_count;            /* a power of two */
    size_t owners;
    size_t sessions;
    struct time_queue queue;
};

struct session_index *session_index_new(int64_t gap, int64_t keep, bool finals)
{
    struct session_index *index = memory_alloc(sizeof(*index));
    index->gap = gap;
    index->keep = keep;
    index->finals = finals;
    index->place_count = FIRST_PLACES;
    index->places = memory_alloc(index->place_count * sizeof(*index->places));
    return index;
}

static struct session *list_of(struct session_of_key *owner)
{
    return owner->capacity > 1 ? owner->sessions.list : &owner->sessions.single;
}

/* Frees what the owner has, and its place. */
static void clear_owner(struct session_of_key *owner)
{
    if (owner->capacity > 1) {
        free(owner->sessions.list);
    }
    if (owner->key_size > SHORT_KEY) {
        free(owner->key.pointer);
    }
    *owner = (struct session_of_key){0};
}

void session_index_free(struct session_index *index)
{
    if (!index) {
        return;
    }
    for (size_t i = 0; i < index->place_count; i++) {
        if (index->places[i].capacity > 0) {
            clear_owner(&index->places[i]);
        }
    }
    time_queue_free(&index->queue);
    free(index->places);
    free(index);
}

size_t session_index_count(const struct session_index *index)
{
    return index->sessions;
}

/* ---- keys ---- */

static struct slice key_of(const struct session_of_key *owner)
{
    return slice_of(owner->key_size > SHORT_KEY ? owner->key.pointer : owner->key.bytes, owner->key_size);
}

/* Where the key is, or belongs. */
static struct session_of_key *place_of(const struct session_index *index, struct slice key, uint32_t hash)
{
    size_t mask = index->place_count - 1;
    size_t at = hash & mask;
    struct session_of_key *owner = &index->places[at];
    while (owner->capacity > 0 && !(owner->hash == hash && slice_equal(key_of(owner), key))) {
        at = (at + 1) & mask;
        owner = &index->places[at];
    }
    return owner;
}

static struct session_of_key *find_owner(const struct session_index *index, struct slice key)
{
    struct session_of_key *owner = place_of(index, key, (uint32_t)hash_table64(key));
    return owner->capacity > 0 ? owner : NULL;
}

static void grow(struct session_index *index)
{
    struct session_of_key *before = index->places;
    size_t count = index->place_count;
    index->place_count = 2 * count;
    index->places = memory_alloc(index->place_count * sizeof(*index->places));
    for (size_t i = 0; i < count; i++) {
        if (before[i].capacity > 0) {
            *place_of(index, key_of(&before[i]), before[i].hash) = before[i];
        }
    }
    free(before);
}

static struct session_of_key *add_owner(struct session_index *index, struct slice key, int64_t closed)
{
    if (index->owners * 2 >= index->place_count) {
        grow(index);
    }
    uint32_t hash = (uint32_t)hash_table64(key);
    struct session_of_key *owner = place_of(index, key, hash);
    owner->hash = hash;
    owner->scheduled = INT64_MAX;
    owner->told = closed;
    owner->capacity = 1;
    owner->key_size = (uint32_t)key.size;
    if (key.size > SHORT_KEY) {
        owner->key.pointer = memory_alloc(key.size);
    }
    if (key.size > 0) {
        memcpy((unsigned char *)key_of(owner).data, key.data, key.size);
    }
    index->owners++;
    return owner;
}

/* What lies behind in the same run moves up, so that searches end at the first free place. */
static void remove_owner(struct session_index *index, struct session_of_key *owner)
{
    size_t mask = index->place_count - 1;
    size_t free_place = (size_t)(owner - index->places);
    clear_owner(owner);
    for (size_t at = (free_place + 1) & mask; index->places[at].capacity > 0; at = (at + 1) & mask) {
        size_t home = index->places[at].hash & mask;
        if (((at - home) & mask) >= ((at - free_place) & mask)) {
            index->places[free_place] = index->places[at];
            index->places[at] = (struct session_of_key){0};
            free_place = at;
        }
    }
    index->owners--;
}

/* ---- what is due ---- */

/* When something of the owner is due; it has sessions. */
static int64_t next_time(const struct session_index *index, struct session_of_key *owner)
{
    const struct session *list = list_of(owner);
    int64_t next = window_add(list[0].end, index->keep);
    for (uint32_t i = 0; index->finals && i < owner->count; i++) {
        if (list[i].end > owner->told) {
            return list[i].end < next ? list[i].end : next;
        }
    }
    return next;
}

static void schedule(struct session_index *index, struct session_of_key *owner)
{
    int64_t next = next_time(index, owner);
    if (next < owner->scheduled) {
        owner->scheduled = next;
        time_queue_push(&index->queue, next, key_of(owner));
    }
}

static void take_out(struct session_index *index, struct session_of_key *owner, size_t first, size_t count)
{
    struct session *list = list_of(owner);
    memmove(list + first, list + first + count, (owner->count - first - count) * sizeof(*list));
    owner->count -= (uint32_t)count;
    index->sessions -= count;
}

static void make_room(struct session_of_key *owner)
{
    uint32_t capacity = 2 * owner->capacity;
    struct session *larger = memory_alloc(capacity * sizeof(*larger));
    memcpy(larger, list_of(owner), owner->count * sizeof(*larger));
    if (owner->capacity > 1) {
        free(owner->sessions.list);
    }
    owner->sessions.list = larger;
    owner->capacity = capacity;
}

static void put_in(struct session_index *index, struct session_of_key *owner, size_t first,
                   const struct session *session)
{
    if (owner->count == owner->capacity) {
        make_room(owner);
    }
    struct session *list = list_of(owner);
    memmove(list + first + 1, list + first, (owner->count - first) * sizeof(*list));
    list[first] = *session;
    owner->count++;
    index->sessions++;
}

/* What the first of the queue says about its owner, up to `time`. */
static enum session_event tell(struct session_index *index, struct session_of_key *owner, int64_t time,
                               struct session *session)
{
    const struct session *list = list_of(owner);
    for (uint32_t i = 0; index->finals && i < owner->count; i++) {
        if (list[i].end > owner->told && list[i].end <= time) {
            *session = list[i];
            owner->told = session->end;
            return SESSION_CLOSED;
        }
    }
    if (owner->count > 0 && window_add(list[0].end, index->keep) <= time) {
        *session = list[0];
        take_out(index, owner, 0, 1);
        return SESSION_FORGOTTEN;
    }
    return SESSION_NONE;
}

enum session_event session_index_due(struct session_index *index, int64_t closed, struct slice *key,
                                     struct session *session)
{
    int64_t time;
    struct slice first;
    while (time_queue_first(&index->queue, &time, &first) && time <= closed) {
        struct session_of_key *owner = find_owner(index, first);
        if (!owner || owner->scheduled != time) {
            time_queue_pop(&index->queue);
            continue;
        }
        enum session_event event = tell(index, owner, time, session);
        if (event != SESSION_NONE) {
            *key = key_of(owner);
            return event;
        }
        if (owner->count == 0) {
            remove_owner(index, owner);
            time_queue_pop(&index->queue);
        } else {
            owner->scheduled = next_time(index, owner);
            time_queue_postpone(&index->queue, owner->scheduled);
        }
    }
    return SESSION_NONE;
}

/* ---- sessions ---- */

struct session_place session_index_find(const struct session_index *index, struct slice key, int64_t time)
{
    struct session_place place = {find_owner(index, key), 0, 0};
    if (!place.owner) {
        return place;
    }
    const struct session *list = list_of(place.owner);
    size_t end = place.owner->count;
    while (end > 0 && list[end - 1].start > window_add(time, index->gap)) {
        end--;
    }
    place.first = end;
    while (place.first > 0 && list[place.first - 1].end >= time - index->gap) {
        place.first--;
    }
    place.count = end - place.first;
    return place;
}

void session_index_prefetch(const struct session_index *index, struct slice key)
{
    __builtin_prefetch(&index->places[hash_table64(key) & (index->place_count - 1)]);
}

bool session_index_last(const struct session_index *index, struct slice key, struct session *session)
{
    struct session_of_key *owner = find_owner(index, key);
    if (!owner || owner->count == 0) {
        return false;
    }
    *session = list_of(owner)[owner->count - 1];
    return true;
}

struct session session_index_at(const struct session_place *place, size_t number)
{
    return list_of(place->owner)[place->first + number];
}

void session_index_replace(struct session_index *index, struct slice key, const struct session_place *place,
                           const struct session *session, int64_t closed)
{
    struct session_of_key *owner = place->owner;
    if (!owner && !session) {
        return;
    }
    if (!owner) {
        owner = add_owner(index, key, closed);
    }
    take_out(index, owner, place->first, place->count);
    if (session) {
        put_in(index, owner, place->first, session);
    }
    if (owner->count > 0) {
        schedule(index, owner);
    }
}
