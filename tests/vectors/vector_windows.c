#include "tests/vectors/vector_windows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "engine/graph.h"
#include "engine/store_form.h"
#include "scripts/codec_windowed.h"
#include "scripts/host.h"
#include "scripts/view.h"

/* ---- keys ---- */

static const struct codec *codec_of_topic(const struct host *host, const char *topic)
{
    for (int i = 0; i < graph_topic_count(host->graph); i++) {
        const struct graph_topic *use = graph_topic(host->graph, i);
        const struct codec *codec = host->nodes[use->node->id].key_codec;
        if (strcmp(use->name, topic) == 0 && codec && codec_windowed_inner(codec)) {
            return codec;
        }
    }
    return NULL;
}

bool vector_windows_key_matches(struct arena *arena, struct driver *driver, const char *topic, struct slice expected,
                                struct slice key)
{
    struct host *host = (struct host *)driver_instance(driver, 0);
    const struct codec *codec = codec_of_topic(host, topic);
    struct err err;
    if (!codec || !key.data || codec->check(codec, key, &err)) {
        return false;
    }
    struct bytes json = {0};
    codec->decode(codec, host->L, key);
    view_encode(host->L, -1, &json);
    lua_pop(host->L, 1);
    bool equal = vector_equal(arena, expected, bytes_slice(&json));
    bytes_free(&json);
    return equal;
}

/* ---- stores ---- */

static const struct graph_store *find(struct driver *driver, const char *name)
{
    const struct graph *graph = driver_graph(driver);
    for (int i = 0; i < graph_store_count(graph); i++) {
        if (strcmp(graph_store(graph, i)->spec.name, name) == 0) {
            return graph_store(graph, i);
        }
    }
    return NULL;
}

bool vector_windows_in(struct driver *driver, const char *store)
{
    const struct graph_store *found = find(driver, store);
    return found && found->spec.kind != STORE_KEY_VALUE;
}

/* A window in the store. */
struct held {
    struct store_window window;
    struct slice value;
    bool listed;
};

struct content {
    struct held *list;
    size_t count;
    size_t capacity;
    int64_t latest; /* start, of sessions end */
};

static int64_t time_of(const struct store_spec *spec, const struct store_window *window)
{
    return spec->kind == STORE_SESSION ? window->end : window->start;
}

static void take(struct arena *arena, struct content *content, const struct store_spec *spec,
                 const struct store_entry *entry)
{
    struct held held = {.value = arena_copy(arena, entry->value)};
    if (!store_form_window(spec, arena_copy(arena, entry->key), &held.window)) {
        return; /* what the operator notes about itself */
    }
    if (spec->headers) {
        store_form_parse_value(held.value, NULL, &held.value, NULL);
    }
    int64_t time = time_of(spec, &held.window);
    content->latest = time > content->latest ? time : content->latest;
    content->list = memory_grow(content->list, content->count, &content->capacity, sizeof(*content->list));
    content->list[content->count++] = held;
}

static bool read_store(struct arena *arena, struct driver *driver, const struct graph_store *store,
                       struct content *content)
{
    const struct store_driver *stores = driver_store_driver(driver);
    struct store_cursor *cursor;
    struct store_entry entry;
    struct err err;
    bool found = false;
    if (stores->range(driver_store(driver, store->spec.name, 0), SLICE_NULL, SLICE_NULL, false, &cursor, &err)) {
        return false;
    }
    int result;
    while ((result = stores->next(cursor, &found, &entry, &err)) == 0 && found) {
        take(arena, content, &store->spec, &entry);
    }
    stores->end(cursor);
    return result == 0;
}

static bool is_window(struct arena *arena, const struct store_spec *spec, const struct held *held,
                      struct slice expected)
{
    return slice_equal(held->window.key, vector_text(arena, vector_member(expected, "key"))) &&
           held->window.start == vector_integer(vector_member(expected, "window_start")) &&
           (spec->kind != STORE_SESSION || held->window.end == vector_integer(vector_member(expected, "window_end"))) &&
           vector_value_matches(arena, vector_member(expected, "value"), held->value);
}

static bool all_there(struct arena *arena, struct content *content, const struct store_spec *spec,
                      struct slice expected)
{
    struct json_walk walk = json_walk(expected);
    struct slice window;
    while (json_next_element(&walk, &window)) {
        size_t i = 0;
        while (i < content->count && !is_window(arena, spec, &content->list[i], window)) {
            i++;
        }
        if (i == content->count) {
            printf("    not in the store: %.*s\n", (int)window.size, (const char *)window.data);
            return false;
        }
        content->list[i].listed = true;
    }
    return true;
}

static bool others_expired(const struct content *content, const struct store_spec *spec)
{
    for (size_t i = 0; i < content->count; i++) {
        const struct held *held = &content->list[i];
        if (!held->listed && time_of(spec, &held->window) > content->latest - spec->retention_ms) {
            printf("    in the store: %.*s from %" PRId64 ": %.*s\n", (int)held->window.key.size,
                   (const char *)held->window.key.data, held->window.start, (int)held->value.size,
                   (const char *)held->value.data);
            return false;
        }
    }
    return true;
}

bool vector_windows_store_matches(struct arena *arena, struct driver *driver, const char *store, struct slice expected)
{
    const struct graph_store *found = find(driver, store);
    struct content content = {.latest = -1};
    bool matches = read_store(arena, driver, found, &content) && all_there(arena, &content, &found->spec, expected) &&
                   others_expired(&content, &found->spec);
    free(content.list);
    return matches;
}
