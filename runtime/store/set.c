#include "store/set.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "store/budget.h"
#include "store/files.h"
#include "store/interval.h"
#include "store/meta.h"
#include "store/range.h"
#include "store/store.h"

#include <stdlib.h>

/* Opening loads what is not merged, and is to be quick: the cap bounds it. Without a limit on memory, speed counts
 * more: the more commits are merged at once, the more of their changes are of the same keys. */
#define MERGE_BYTES FAILPOINT_NUMBER("TIDEMILL_MERGE_BYTES", INT64_C(24) << 20)
#define BACKGROUND_BYTES FAILPOINT_NUMBER("TIDEMILL_BACKGROUND_BYTES", INT64_C(1) << 20)
#define CAP_BYTES (INT64_C(64) << 20)
#define UNLIMITED_CAP_BYTES (INT64_C(256) << 20)

static int check_specs(const struct store_config *config, struct err *err)
{
    for (size_t i = 0; i < config->spec_count; i++) {
        const char *name = config->specs[i].name;
        for (size_t j = 0; j < i; j++) {
            if (strcmp(config->specs[j].name, name) == 0) {
                return err_set(err, ERR_FATAL, ERR_INTERNAL, "The store %s is there twice.", name);
            }
        }
    }
    return 0;
}

/* What has no changelog is in the files alone, so its commits return when they are there. */
static int64_t background_bytes(const struct store_config *config)
{
    for (size_t i = 0; i < config->spec_count; i++) {
        if (!config->specs[i].changelog) {
            return INT64_MAX;
        }
    }
    return config->background_bytes > 0 ? config->background_bytes : BACKGROUND_BYTES;
}

static struct store_set *make(const struct store_config *config)
{
    struct store_set *set = memory_alloc(sizeof *set);
    set->directory = memory_copy_text(config->directory);
    set->app = memory_copy_text(config->app != NULL ? config->app : "");
    set->worker = memory_copy_text(config->worker != NULL ? config->worker : "");
    set->specs = memory_alloc((config->spec_count + 1) * sizeof *set->specs);
    set->stores = memory_alloc((config->spec_count + 1) * sizeof *set->stores);
    set->store_count = config->spec_count;
    for (size_t i = 0; i < config->spec_count; i++) {
        store_init(&set->stores[i], set, &config->specs[i]);
        set->specs[i] = config->specs[i];
        set->specs[i].name = set->stores[i].name;
    }
    append_init(&set->append, &set->log);
    budget_join(set, config);
    int64_t cap = set->budget->limit > 0 ? CAP_BYTES : UNLIMITED_CAP_BYTES;
    set->quarantine_keep = config->quarantine_keep;
    set->merge_bytes = config->merge_bytes > 0 ? config->merge_bytes : MERGE_BYTES;
    set->cap_bytes = config->unmerged_bytes > 0 ? config->unmerged_bytes : cap;
    set->background_bytes = background_bytes(config);
    return set;
}

static void release(struct store_set *set)
{
    budget_leave(set);
    for (size_t i = 0; i < set->store_count; i++) {
        store_free(&set->stores[i]);
    }
    append_free(&set->append);
    bytes_free(&set->meta);
    arena_free(&set->meta_arena);
    arena_free(&set->usage.before);
    free(set->stores);
    free(set->specs);
    free(set->directory);
    free(set->app);
    free(set->worker);
    free(set);
}

static int open_files(struct store_set *set, struct store_meta *meta, struct err *err)
{
    if (files_open(set, set->specs, err) != 0) {
        return -1;
    }
    if (set->meta.size == 0) {
        return 0;
    }
    if (meta_decode(bytes_slice(&set->meta), &set->meta_arena, meta, err) == 0) {
        return 0;
    }
    /* The meta says where the state stands; without it the state is worth nothing. */
    store_note_damage(set, err);
    files_close(set);
    arena_clear(&set->meta_arena);
    return files_open(set, set->specs, err);
}

int set_open(const struct store_config *config, struct store_set **set, struct store_meta *meta, bool *fresh,
             struct err *err)
{
    struct store_meta found = {.app = NULL};
    if (check_specs(config, err) != 0) {
        return -1;
    }
    struct store_set *made = make(config);
    if (made->directory != NULL && open_files(made, &found, err) != 0) {
        release(made);
        return -1;
    }
    if (meta != NULL) {
        *meta = made->meta.size > 0 ? found : (struct store_meta){.app = NULL};
    }
    *fresh = made->meta.size == 0;
    budget_count(made);
    *set = made;
    return 0;
}

void set_close(struct store_set *set)
{
    if (set == NULL) {
        return;
    }
    range_close_all(set);
    if (set->directory != NULL) {
        interval_end(set);
        files_close(set);
    }
    release(set);
}

int set_wipe(struct store_set *set, struct err *err)
{
    range_close_all(set);
    for (size_t i = 0; i < set->store_count; i++) {
        store_clear(&set->stores[i]);
    }
    if (set->directory == NULL) {
        return 0;
    }
    files_close(set);
    return files_delete(set->directory, err) != 0 ? -1 : files_open(set, set->specs, err);
}

struct store *set_find(struct store_set *set, const char *name)
{
    for (size_t i = 0; i < set->store_count; i++) {
        if (strcmp(set->stores[i].name, name) == 0) {
            return &set->stores[i];
        }
    }
    return NULL;
}

int64_t set_bytes(const struct store_set *set)
{
    int64_t bytes = set->directory != NULL ? files_bytes(set->directory) : 0;
    for (size_t i = 0; i < set->store_count; i++) {
        const struct store *store = &set->stores[i];
        bytes += (int64_t)order_bytes(store->order);
        for (size_t j = 0; j < store->segment_count; j++) {
            bytes += (int64_t)table_bytes(&store->segments[j]->table);
        }
    }
    return bytes;
}

int64_t set_entries(const struct store_set *set)
{
    return set->usage.counts.live;
}
