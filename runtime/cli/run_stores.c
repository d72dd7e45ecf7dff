#include "cli/run_stores.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "cli/state_entry.h"
#include "cli/state_http.h"

#define TIMEOUT_MS 5000
#define LIMIT_DEFAULT 100
#define LIMIT_MOST 1000
#define BYTES_MOST ((size_t)1024 * 1024) /* of entries of one partition */

/* What is asked for. */
struct query {
    struct runner *runner;
    const char *store; /* NULL: the list */
    int64_t partition; /* -1: all */
    int64_t limit;
    struct slice from;
    struct slice to;    /* null: no bound */
    struct bytes bound; /* holds what `from` or `to` points to */
    struct bytes after;
    bool known;
    struct bytes *out;
};

/* ---- on the workers' threads ---- */

static void list_store(const struct query *query, struct worker *worker, const struct graph_store *store)
{
    struct state_file file = {.app = (char *)graph_app(worker_graph(worker)),
                              .worker = (char *)worker_name(worker),
                              .partition = worker_partition(worker)};
    struct state_store listed = {&file, &store->spec, -1, -1};
    state_http_write_store(&listed, query->out);
}

static void write_next(const struct query *query, const struct worker *worker, struct slice key)
{
    struct json_writer writer = json_writer(query->out);
    struct bytes text = {0};
    json_base64_encode(key, &text);
    json_begin_object(&writer);
    json_name(&writer, slice_text("partition"));
    json_integer(&writer, worker_partition(worker));
    json_name(&writer, slice_text("next"));
    json_string(&writer, bytes_slice(&text));
    json_end_object(&writer);
    bytes_append_byte(query->out, '\n');
    bytes_free(&text);
}

static bool is_inside(const struct query *query, const struct state_entry *entry)
{
    return slice_compare(entry->key, query->from) >= 0 &&
           (slice_is_null(query->to) || slice_compare(entry->key, query->to) < 0);
}

/* Keys of window and session stores lie by time: bounds are looked at entry by entry, so the entries that are passed
 * over are bounded too. */
#define LOOKED_AT_MOST 20000

static int write_entries(struct query *query, struct worker *worker, const struct graph_store *store,
                         struct store_cursor *cursor, struct err *err)
{
    const struct store_driver *driver = worker_configuration(worker)->stores;
    struct arena arena = {0};
    size_t start = query->out->size;
    int64_t written = 0;
    bool found = true;
    int result = 0;
    for (int looked = 0; result == 0 && found; looked++) {
        struct store_entry stored;
        struct state_entry entry;
        result = driver->next(cursor, &found, &stored, err);
        if (result != 0 || !found) {
            break;
        }
        state_entry_make(&store->spec, worker_partition(worker), &stored, &entry, &arena);
        if (is_inside(query, &entry)) {
            state_entry_print(&entry, query->out);
            written++;
        }
        arena_clear(&arena);
        if (written >= query->limit || looked >= LOOKED_AT_MOST || query->out->size - start >= BYTES_MOST) {
            write_next(query, worker, stored.key);
            break;
        }
    }
    arena_free(&arena);
    return result;
}

static int scan_store(struct query *query, struct worker *worker, const struct graph_store *store, struct err *err)
{
    const struct store_driver *driver = worker_configuration(worker)->stores;
    struct store *found = driver->find(worker_stores(worker), store->spec.name);
    struct store_cursor *cursor;
    bool by_key = store->spec.kind == STORE_KEY_VALUE;
    struct slice from = by_key ? query->from : SLICE_NULL;
    if (query->after.size > 0) {
        from = bytes_slice(&query->after); /* ends with a zero byte: the least key behind the last one */
    }
    if (found == NULL) {
        return 0;
    }
    query->known = true;
    if (driver->range(found, from, by_key ? query->to : SLICE_NULL, false, &cursor, err) != 0) {
        return -1;
    }
    int result = write_entries(query, worker, store, cursor, err);
    driver->end(cursor);
    return result;
}

static int visit(void *self, struct worker *worker, struct err *err)
{
    struct query *query = self;
    const struct graph *graph = worker_graph(worker);
    if (query->partition >= 0 && query->partition != worker_partition(worker)) {
        return 0;
    }
    for (int i = 0; i < graph_store_count(graph); i++) {
        const struct graph_store *store = graph_store(graph, i);
        if (store->subtopology != worker_subtopology(worker)) {
            continue;
        }
        if (query->store == NULL) {
            list_store(query, worker, store);
        } else if (strcmp(query->store, store->spec.name) == 0 && scan_store(query, worker, store, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- on the server's ---- */

static int take_number(const char *name, const char *text, int64_t least, int64_t most, int64_t *number,
                       struct err *err)
{
    char *end;
    if (text == NULL) {
        return 0;
    }
    *number = strtoll(text, &end, 10);
    if (*text == '\0' || *end != '\0' || *number < least || *number > most) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The argument %s is a number from %lld to %lld.", name,
                       (long long)least, (long long)most);
    }
    return 0;
}

/* key=K is the range with that key only, prefix=P the one of all keys that begin so. */
static void take_bounds(struct query *query, const struct http_stores *request)
{
    query->from = slice_text(request->from != NULL ? request->from : "");
    query->to = request->to != NULL ? slice_text(request->to) : SLICE_NULL;
    if (request->key != NULL) {
        query->from = slice_text(request->key);
        bytes_append_slice(&query->bound, query->from);
        bytes_append_byte(&query->bound, 0);
        query->to = bytes_slice(&query->bound);
    } else if (request->prefix != NULL && request->prefix[0] != '\0') {
        query->from = slice_text(request->prefix);
        bytes_append_slice(&query->bound, query->from);
        query->bound.data[query->bound.size - 1]++; /* UTF-8 has no byte 0xff */
        query->to = bytes_slice(&query->bound);
    }
}

static int take_request(struct query *query, const struct http_stores *request, struct err *err)
{
    take_bounds(query, request);
    if (take_number("partition", request->partition, -1, INT32_MAX, &query->partition, err) != 0 ||
        take_number("limit", request->limit, 1, LIMIT_MOST, &query->limit, err) != 0) {
        return -1;
    }
    if (request->after != NULL && !json_base64_decode(slice_text(request->after), &query->after)) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The argument after is what an answer gave as next.");
    }
    bytes_append(&query->after, "", request->after != NULL ? 1 : 0);
    return 0;
}

int run_stores(struct runner *runner, const struct http_stores *request, struct bytes *out, struct err *err)
{
    struct query query = {
        .runner = runner, .store = request->store, .partition = -1, .limit = LIMIT_DEFAULT, .out = out};
    int result = take_request(&query, request, err);
    if (result == 0) {
        result = runner_ask(runner, TIMEOUT_MS, visit, &query, err);
    }
    if (result == 0 && request->store != NULL && !query.known) {
        result =
            err_set(err, ERR_FATAL, ERR_CONFIG,
                    "There is no store %s in the running workers of this process; /stores lists them.", request->store);
    }
    bytes_free(&query.bound);
    bytes_free(&query.after);
    return result;
}
