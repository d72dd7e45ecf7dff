#include "tests/crash/kept_stores.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/memory.h"

#define STORES 4   /* of one worker, at most */
#define ENTRIES 64 /* of one store, at most */

/* What one commit left. Never changed once it is made, so that it can be held in several places. */
struct state {
    int references;
    struct arena bytes;
    struct store_meta meta;
    size_t counts[STORES];
    struct store_entry *entries[STORES];
};

/* One worker's directory. */
struct kept {
    char *path;
    struct state *durable; /* NULL: nothing */
    struct state *older;   /* what kept_stores_keep remembers */
};

struct store {
    struct store_set *set;
    char *name;
    bool changelog;
    struct store_entry entries[ENTRIES]; /* deleted ones have a null value until the next commit */
    bool changed[ENTRIES];
    size_t count;
};

struct store_set {
    size_t place; /* among the kept */
    struct state *found;
    struct state *newest; /* what a rollback goes back to */
    struct arena bytes;
    struct store stores[STORES];
    size_t count;
};

static struct kept *disk;
static size_t disk_count, disk_capacity;
static bool dying;

bool (*kept_stores_puts_off)(void);

/* ---- states ---- */

static struct state *hold(struct state *state)
{
    if (state) {
        state->references++;
    }
    return state;
}

static void let_go(struct state **state)
{
    if (*state && --(*state)->references == 0) {
        arena_free(&(*state)->bytes);
        free(*state);
    }
    *state = NULL;
}

static void replace(struct state **place, struct state *state)
{
    hold(state);
    let_go(place);
    *place = state;
}

static const char *copy_text(struct arena *arena, const char *text)
{
    return text ? (const char *)arena_copy(arena, slice_of(text, strlen(text) + 1)).data : NULL;
}

static const struct store_position *copy_positions(struct arena *arena, const struct store_position *list, size_t count)
{
    struct store_position *copies = arena_alloc(arena, sizeof(*copies) * (count + 1));
    for (size_t i = 0; i < count; i++) {
        copies[i] = list[i];
        copies[i].topic = copy_text(arena, list[i].topic);
        copies[i].metadata = copy_text(arena, list[i].metadata);
    }
    return copies;
}

static void copy_meta(struct state *state, const struct store_meta *meta)
{
    struct arena *arena = &state->bytes;
    state->meta = *meta;
    state->meta.app = copy_text(arena, meta->app);
    state->meta.worker = copy_text(arena, meta->worker);
    state->meta.inputs = copy_positions(arena, meta->inputs, meta->input_count);
    state->meta.changelogs = copy_positions(arena, meta->changelogs, meta->changelog_count);
}

static void copy_entry(struct arena *arena, struct store_entry *to, const struct store_entry *from)
{
    *to = (struct store_entry){arena_copy(arena, from->key), arena_copy(arena, from->value), from->timestamp};
}

static struct state *state_of(const struct store_set *set, const struct store_meta *meta)
{
    struct state *state = memory_alloc(sizeof(*state));
    state->bytes.chunk_size = 2048;
    copy_meta(state, meta);
    for (size_t s = 0; s < set->count; s++) {
        const struct store *store = &set->stores[s];
        state->entries[s] = arena_alloc(&state->bytes, sizeof(struct store_entry) * (store->count + 1));
        for (size_t i = 0; i < store->count; i++) {
            if (!slice_is_null(store->entries[i].value)) {
                copy_entry(&state->bytes, &state->entries[s][state->counts[s]++], &store->entries[i]);
            }
        }
    }
    return state;
}

/* Sets the entries to those of the newest commit. */
static void load(struct store_set *set)
{
    arena_clear(&set->bytes);
    for (size_t s = 0; s < set->count; s++) {
        struct store *store = &set->stores[s];
        store->count = set->newest ? set->newest->counts[s] : 0;
        memset(store->changed, 0, sizeof(store->changed));
        for (size_t i = 0; i < store->count; i++) {
            copy_entry(&set->bytes, &store->entries[i], &set->newest->entries[s][i]);
        }
    }
}

/* ---- the disk ---- */

static size_t place_of(const char *path)
{
    for (size_t i = 0; i < disk_count; i++) {
        if (strcmp(disk[i].path, path) == 0) {
            return i;
        }
    }
    disk = memory_grow(disk, disk_count, &disk_capacity, sizeof(*disk));
    disk[disk_count] = (struct kept){.path = memory_copy_text(path)};
    return disk_count++;
}

static bool lies_below(const struct kept *kept, const char *directory)
{
    size_t length = strlen(directory);
    return strncmp(kept->path, directory, length) == 0 && kept->path[length] == '/';
}

void kept_stores_delete(const char *directory)
{
    for (size_t i = 0; i < disk_count; i++) {
        if (lies_below(&disk[i], directory)) {
            let_go(&disk[i].durable);
        }
    }
}

void kept_stores_keep(const char *directory)
{
    for (size_t i = 0; i < disk_count; i++) {
        if (lies_below(&disk[i], directory)) {
            replace(&disk[i].older, disk[i].durable);
        }
    }
}

void kept_stores_put_back(const char *directory)
{
    for (size_t i = 0; i < disk_count; i++) {
        if (lies_below(&disk[i], directory)) {
            replace(&disk[i].durable, disk[i].older);
        }
    }
}

void kept_stores_die(bool dies)
{
    dying = dies;
}

void kept_stores_clear(void)
{
    for (size_t i = 0; i < disk_count; i++) {
        let_go(&disk[i].durable);
        let_go(&disk[i].older);
        free(disk[i].path);
    }
    free(disk);
    disk = NULL;
    disk_count = disk_capacity = 0;
}

/* ---- the driver ---- */

static int kept_open(const struct store_config *config, struct store_set **result, struct store_meta *meta, bool *fresh,
                     struct err *err)
{
    if (config->spec_count > STORES) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "These stores are made for %d of a worker.", STORES);
    }
    struct store_set *set = memory_alloc(sizeof(*set));
    set->place = place_of(config->directory);
    set->bytes.chunk_size = 2048;
    set->found = hold(disk[set->place].durable);
    set->newest = hold(set->found);
    set->count = config->spec_count;
    for (size_t i = 0; i < set->count; i++) {
        set->stores[i].set = set;
        set->stores[i].name = memory_copy_text(config->specs[i].name);
        set->stores[i].changelog = config->specs[i].changelog;
    }
    load(set);
    *fresh = !set->found;
    if (meta) {
        *meta = set->found ? set->found->meta : (struct store_meta){.app = NULL};
    }
    *result = set;
    return 0;
}

static void kept_close(struct store_set *set)
{
    if (!set) {
        return;
    }
    if (!dying) {
        replace(&disk[set->place].durable, set->newest);
    }
    let_go(&set->found);
    let_go(&set->newest);
    for (size_t i = 0; i < set->count; i++) {
        free(set->stores[i].name);
    }
    arena_free(&set->bytes);
    free(set);
}

static int kept_wipe(struct store_set *set, struct err *err)
{
    (void)err;
    let_go(&set->newest);
    let_go(&disk[set->place].durable);
    load(set);
    return 0;
}

static struct store *kept_find(struct store_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->stores[i].name, name) == 0) {
            return &set->stores[i];
        }
    }
    return NULL;
}

static size_t index_of(const struct store *store, struct slice key)
{
    size_t i = 0;
    while (i < store->count && !slice_equal(store->entries[i].key, key)) {
        i++;
    }
    return i;
}

static int kept_get(struct store *store, struct slice key, bool *found, struct store_entry *entry, struct err *err)
{
    (void)err;
    size_t i = index_of(store, key);
    *found = i < store->count && !slice_is_null(store->entries[i].value);
    if (*found) {
        *entry = store->entries[i];
    }
    return 0;
}

static int set_entry(struct store *store, const struct store_entry *entry, bool changed, struct err *err)
{
    size_t i = index_of(store, entry->key);
    if (i == ENTRIES) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "These stores are made for %d entries.", ENTRIES);
    }
    copy_entry(&store->set->bytes, &store->entries[i], entry);
    store->changed[i] = store->changed[i] || changed;
    store->count += i == store->count;
    return 0;
}

static int kept_put(struct store *store, struct slice key, struct slice value, int64_t timestamp, struct err *err)
{
    return set_entry(store, &(struct store_entry){key, value, timestamp}, true, err);
}

static int kept_restore(struct store *store, const struct store_entry *entries, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (set_entry(store, &entries[i], false, err)) {
            return -1;
        }
    }
    return 0;
}

static int kept_changes(struct store_set *set,
                        int (*each)(void *self, struct store *store, const struct store_entry *entry, struct err *err),
                        void *self, struct err *err)
{
    for (size_t s = 0; s < set->count; s++) {
        struct store *store = &set->stores[s];
        for (size_t i = 0; store->changelog && i < store->count; i++) {
            if (store->changed[i] && each(self, store, &store->entries[i], err)) {
                return -1;
            }
        }
    }
    return 0;
}

/* The commit before is durable in any case once this one is under way. */
static int kept_commit(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    (void)err;
    struct state *before = hold(set->newest);
    replace(&set->newest, state_of(set, meta));
    bool put_off = kept_stores_puts_off && kept_stores_puts_off();
    replace(&disk[set->place].durable, put_off ? before : set->newest);
    let_go(&before);
    load(set);
    return 0;
}

static int kept_rollback(struct store_set *set, struct err *err)
{
    (void)err;
    load(set);
    return 0;
}

static void kept_prefetch(struct store *store, const struct slice *keys, size_t count)
{
    (void)store, (void)keys, (void)count;
}

static void kept_tidy(struct store_set *set)
{
    (void)set;
}

static int64_t kept_bytes(const struct store_set *set)
{
    return (int64_t)arena_bytes(&set->bytes);
}

static int64_t kept_entries(const struct store_set *set)
{
    int64_t entries = 0;
    for (size_t i = 0; i < set->count; i++) {
        entries += (int64_t)set->stores[i].count;
    }
    return entries;
}

static const char *kept_name(const struct store *store)
{
    return store->name;
}

const struct store_driver kept_stores_driver = {
    .open = kept_open,
    .close = kept_close,
    .wipe = kept_wipe,
    .find = kept_find,
    .get = kept_get,
    .prefetch = kept_prefetch,
    .put = kept_put,
    .changes = kept_changes,
    .commit = kept_commit,
    .rollback = kept_rollback,
    .restore = kept_restore,
    .tidy = kept_tidy,
    .bytes = kept_bytes,
    .entries = kept_entries,
    .name = kept_name,
};
