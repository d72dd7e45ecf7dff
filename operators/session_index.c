#include "operators/session_index.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "operators/time_queue.h"
#include "operators/window.h"

#define FIRST_PLACES ((size_t)64)

/* Each owner is in the queue with the time at which something of it is due, or an earlier one; what else the queue has
 * for its key is left over. */
struct session_of_key {
    uint64_t hash;
    int64_t scheduled;
    int64_t told; /* sessions with an end up to this are known to be closed */
    struct session *list;
    uint32_t count;
    uint32_t capacity;
    struct session single; /* the list, as long as there is one */
    uint32_t key_size;
    unsigned char key[];
};

struct session_index {
    int64_t gap;
    int64_t keep;
    bool finals;
    struct session_of_key **places; /* open addressing */
    size_t place_count;             /* a power of two */
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
    index->places = memory_alloc(index->place_count * sizeof(struct session_of_key *));
    return index;
}

static void free_owner(struct session_of_key *owner)
{
    if (owner->list != &owner->single) {
        free(owner->list);
    }
    free(owner);
}

void session_index_free(struct session_index *index)
{
    if (!index) {
        return;
    }
    for (size_t i = 0; i < index->place_count; i++) {
        if (index->places[i]) {
            free_owner(index->places[i]);
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
    return slice_of(owner->key, owner->key_size);
}

/* Where the key is, or belongs. */
static size_t place_of(const struct session_index *index, struct slice key, uint64_t hash)
{
    size_t mask = index->place_count - 1;
    size_t at = hash & mask;
    const struct session_of_key *owner;
    while ((owner = index->places[at]) != NULL && !(owner->hash == hash && slice_equal(key_of(owner), key))) {
        at = (at + 1) & mask;
    }
    return at;
}

static void grow(struct session_index *index)
{
    struct session_of_key **before = index->places;
    size_t count = index->place_count;
    index->place_count = 2 * count;
    index->places = memory_alloc(index->place_count * sizeof(struct session_of_key *));
    for (size_t i = 0; i < count; i++) {
        if (before[i]) {
            index->places[place_of(index, key_of(before[i]), before[i]->hash)] = before[i];
        }
    }
    free(before);
}

static struct session_of_key *add_owner(struct session_index *index, struct slice key, int64_t closed)
{
    if (index->owners * 2 >= index->place_count) {
        grow(index);
    }
    struct session_of_key *owner = memory_alloc(sizeof(*owner) + key.size);
    owner->hash = hash_table64(key);
    owner->scheduled = INT64_MAX;
    owner->told = closed;
    owner->list = &owner->single;
    owner->capacity = 1;
    owner->key_size = (uint32_t)key.size;
    if (key.size > 0) {
        memcpy(owner->key, key.data, key.size);
    }
    index->places[place_of(index, key, owner->hash)] = owner;
    index->owners++;
    return owner;
}

/* What lies behind in the same run moves up, so that searches end at the first free place. */
static void remove_owner(struct session_index *index, struct session_of_key *owner)
{
    size_t mask = index->place_count - 1;
    size_t free_place = place_of(index, key_of(owner), owner->hash);
    index->places[free_place] = NULL;
    for (size_t at = (free_place + 1) & mask; index->places[at]; at = (at + 1) & mask) {
        size_t home = index->places[at]->hash & mask;
        if (((at - home) & mask) >= ((at - free_place) & mask)) {
            index->places[free_place] = index->places[at];
            index->places[at] = NULL;
            free_place = at;
        }
    }
    index->owners--;
    free_owner(owner);
}

/* ---- what is due ---- */

/* When something of the owner is due; it has sessions. */
static int64_t next_time(const struct session_index *index, const struct session_of_key *owner)
{
    int64_t next = window_add(owner->list[0].end, index->keep);
    for (uint32_t i = 0; index->finals && i < owner->count; i++) {
        if (owner->list[i].end > owner->told) {
            return owner->list[i].end < next ? owner->list[i].end : next;
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
    memmove(owner->list + first, owner->list + first + count, (owner->count - first - count) * sizeof(*owner->list));
    owner->count -= (uint32_t)count;
    index->sessions -= count;
}

static void put_in(struct session_index *index, struct session_of_key *owner, size_t first,
                   const struct session *session)
{
    if (owner->count == owner->capacity) {
        uint32_t capacity = 2 * owner->capacity;
        struct session *list = memory_alloc(capacity * sizeof(*list));
        memcpy(list, owner->list, owner->count * sizeof(*list));
        if (owner->list != &owner->single) {
            free(owner->list);
        }
        owner->list = list;
        owner->capacity = capacity;
    }
    memmove(owner->list + first + 1, owner->list + first, (owner->count - first) * sizeof(*owner->list));
    owner->list[first] = *session;
    owner->count++;
    index->sessions++;
}

/* What the first of the queue says about its owner, up to `time`. */
static enum session_event tell(struct session_index *index, struct session_of_key *owner, int64_t time,
                               struct session *session)
{
    for (uint32_t i = 0; index->finals && i < owner->count; i++) {
        if (owner->list[i].end > owner->told && owner->list[i].end <= time) {
            *session = owner->list[i];
            owner->told = session->end;
            return SESSION_CLOSED;
        }
    }
    if (owner->count > 0 && window_add(owner->list[0].end, index->keep) <= time) {
        *session = owner->list[0];
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
        struct session_of_key *owner = index->places[place_of(index, first, hash_table64(first))];
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
    struct session_place place = {index->places[place_of(index, key, hash_table64(key))], 0, 0};
    const struct session_of_key *owner = place.owner;
    if (!owner) {
        return place;
    }
    size_t end = owner->count;
    while (end > 0 && owner->list[end - 1].start > window_add(time, index->gap)) {
        end--;
    }
    place.first = end;
    while (place.first > 0 && owner->list[place.first - 1].end >= time - index->gap) {
        place.first--;
    }
    place.count = end - place.first;
    return place;
}

struct session session_index_at(const struct session_place *place, size_t number)
{
    return place->owner->list[place->first + number];
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
