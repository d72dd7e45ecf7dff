#include "engine/worker_ttl.h"

#include <stdlib.h>

#include "base/memory.h"

#define PIECE 5000       /* entries looked at before one commit */
#define PASSES_PER_TTL 8 /* a store larger than a piece is not gone through more often */
#define KEYS_AT_ONCE 256 /* deleted between two moves of the cursor */

struct ttl_store {
    struct store *store;
    int64_t ttl_ms;
    bool running;        /* a pass is under way */
    bool large;          /* the last pass took several pieces */
    struct bytes last;   /* key that the pass has reached */
    int64_t began;       /* stream time at its beginning */
    int64_t oldest;      /* least time of the entries that the last pass left; none is past its ttl before that time */
    int64_t pass_oldest; /* the same, so far, for the one under way */
};

struct worker_ttl {
    const struct store_driver *driver;
    struct ttl_store *stores;
    size_t count;
};

static void forget(struct ttl_store *store)
{
    store->running = false;
    store->large = false;
    store->began = -1;
    store->oldest = 0;
}

struct worker_ttl *worker_ttl_new(const struct graph *graph, int subtopology, struct store_set *stores,
                                  const struct store_driver *driver)
{
    struct worker_ttl *ttl = memory_alloc(sizeof(*ttl));
    ttl->driver = driver;
    ttl->stores = memory_alloc(sizeof(*ttl->stores) * (size_t)(graph_store_count(graph) + 1));
    for (int i = 0; i < graph_store_count(graph); i++) {
        const struct graph_store *known = graph_store(graph, i);
        if (known->subtopology == subtopology && known->spec.kind == STORE_KEY_VALUE && known->spec.ttl_ms > 0) {
            struct ttl_store *store = &ttl->stores[ttl->count++];
            store->store = driver->find(stores, known->spec.name);
            store->ttl_ms = known->spec.ttl_ms;
            forget(store);
        }
    }
    return ttl;
}

void worker_ttl_free(struct worker_ttl *ttl)
{
    for (size_t i = 0; ttl && i < ttl->count; i++) {
        bytes_free(&ttl->stores[i].last);
    }
    if (ttl) {
        free(ttl->stores);
    }
    free(ttl);
}

void worker_ttl_reset(struct worker_ttl *ttl)
{
    for (size_t i = 0; ttl && i < ttl->count; i++) {
        forget(&ttl->stores[i]);
    }
}

/* ---- a pass ---- */

static bool is_due(const struct ttl_store *store, int64_t stream_time)
{
    int64_t pause = store->large ? store->ttl_ms / PASSES_PER_TTL : 0;
    return store->running ||
           (stream_time - store->oldest >= store->ttl_ms && (store->began < 0 || stream_time - store->began >= pause));
}

static void begin(struct ttl_store *store, int64_t stream_time)
{
    store->running = true;
    store->large = false;
    store->began = stream_time;
    store->pass_oldest = INT64_MAX;
    bytes_clear(&store->last);
}

/* Writes of now have a later time than the pass's beginning; those with an older event time wait for the next pass. */
static void finish(struct ttl_store *store)
{
    store->running = false;
    store->oldest = store->pass_oldest < store->began ? store->pass_oldest : store->began;
}

/* Keys that are to go: a cursor's entry does not outlive the next call. */
struct condemned {
    struct bytes keys;
    size_t sizes[KEYS_AT_ONCE];
    size_t count;
};

static int delete_all(struct worker_ttl *ttl, struct ttl_store *store, struct condemned *condemned, int64_t stream_time,
                      struct err *err)
{
    const unsigned char *at = bytes_slice(&condemned->keys).data;
    int result = 0;
    for (size_t i = 0; i < condemned->count && result == 0; i++) {
        result = ttl->driver->put(store->store, slice_of(at, condemned->sizes[i]), SLICE_NULL, stream_time, err);
        at += condemned->sizes[i];
    }
    bytes_clear(&condemned->keys);
    condemned->count = 0;
    return result;
}

static void look_at(struct ttl_store *store, const struct store_entry *entry, int64_t stream_time,
                    struct condemned *condemned)
{
    bytes_clear(&store->last);
    bytes_append_slice(&store->last, entry->key);
    if (stream_time - entry->timestamp >= store->ttl_ms) {
        bytes_append_slice(&condemned->keys, entry->key);
        condemned->sizes[condemned->count++] = entry->key.size;
    } else if (entry->timestamp < store->pass_oldest) {
        store->pass_oldest = entry->timestamp;
    }
}

/* The entry at which the piece before has ended is looked at twice, which does no harm. */
static int run_piece(struct worker_ttl *ttl, struct ttl_store *store, struct store_cursor *cursor,
                     struct condemned *condemned, int64_t stream_time, struct err *err)
{
    struct store_entry entry;
    bool found = true;
    for (int looked = 0; looked < PIECE; looked++) {
        if (ttl->driver->next(cursor, &found, &entry, err)) {
            return -1;
        }
        if (!found) {
            finish(store);
            break;
        }
        look_at(store, &entry, stream_time, condemned);
        if (condemned->count == KEYS_AT_ONCE && delete_all(ttl, store, condemned, stream_time, err)) {
            return -1;
        }
    }
    store->large = store->large || store->running;
    return delete_all(ttl, store, condemned, stream_time, err);
}

static int sweep_store(struct worker_ttl *ttl, struct ttl_store *store, int64_t stream_time, struct err *err)
{
    struct condemned condemned = {.count = 0};
    struct store_cursor *cursor;
    if (!store->running) {
        begin(store, stream_time);
    }
    struct slice from = store->last.size > 0 ? bytes_slice(&store->last) : SLICE_NULL;
    if (ttl->driver->range(store->store, from, SLICE_NULL, false, &cursor, err)) {
        return -1;
    }
    int result = run_piece(ttl, store, cursor, &condemned, stream_time, err);
    ttl->driver->end(cursor);
    bytes_free(&condemned.keys);
    return result;
}

int worker_ttl_sweep(struct worker_ttl *ttl, int64_t stream_time, struct err *err)
{
    for (size_t i = 0; ttl && i < ttl->count; i++) {
        if (is_due(&ttl->stores[i], stream_time) && sweep_store(ttl, &ttl->stores[i], stream_time, err)) {
            return -1;
        }
    }
    return 0;
}
