#include "cli/state_http.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "cli/http_client.h"

#define PAGE 1000 /* entries asked for at once */

static const char *const kinds[] = {
    [STORE_KEY_VALUE] = "key-value", [STORE_WINDOW] = "window", [STORE_SESSION] = "session"};

static void write_integer(struct json_writer *writer, const char *name, int64_t number)
{
    json_name(writer, slice_text(name));
    json_integer(writer, number);
}

static void write_text(struct json_writer *writer, const char *name, const char *text)
{
    json_name(writer, slice_text(name));
    json_text(writer, text);
}

void state_http_write_store(const struct state_store *store, struct bytes *out)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    write_text(&writer, "app", store->file->app);
    write_text(&writer, "store", store->spec->name);
    write_text(&writer, "kind", kinds[store->spec->kind]);
    write_text(&writer, "worker", store->file->worker);
    write_integer(&writer, "partition", store->file->partition);
    if (store->entries >= 0) {
        write_integer(&writer, "entries", store->entries);
        write_integer(&writer, "bytes", store->bytes);
    }
    if (store->file->committed_ms > 0) {
        write_integer(&writer, "committed", store->file->committed_ms);
    }
    json_end_object(&writer);
    bytes_append_byte(out, '\n');
}

/* ---- lines ---- */

/* The next line of a body; false: there is none. */
static bool next_line(struct slice *rest, struct slice *line)
{
    const unsigned char *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;
    if (end == NULL) {
        return false;
    }
    *line = slice_of(rest->data, (size_t)(end - rest->data));
    *rest = slice_of(end + 1, rest->size - line->size - 1);
    return true;
}

/* The caller frees it; NULL: the line has no such text. */
static char *take_text(struct slice line, const char *name)
{
    struct slice value;
    struct bytes text = {0};
    if (!json_member(line, slice_text(name), &value) || json_type(value) != JSON_STRING) {
        return NULL;
    }
    json_decode_string(value, &text);
    char *copy = memory_copy_text(bytes_text(&text));
    bytes_free(&text);
    return copy;
}

static int64_t take_integer(struct slice line, const char *name)
{
    struct slice value;
    int64_t number = 0;
    double real;
    return json_member(line, slice_text(name), &value) && json_number(value, &number, &real) ? number : 0;
}

static int take_store(struct slice line, int (*each)(void *self, const struct state_store *store, struct err *err),
                      void *self, struct err *err)
{
    if (!json_check(line, NULL) || json_type(line) != JSON_OBJECT) {
        return err_set(err, ERR_FATAL, ERR_PROTOCOL, "What answers there is no app of this version.");
    }
    char *name = take_text(line, "store");
    char *kind = take_text(line, "kind");
    struct state_file file = {.app = take_text(line, "app"),
                              .worker = take_text(line, "worker"),
                              .partition = (int32_t)take_integer(line, "partition")};
    struct store_spec spec = {.name = name};
    for (int i = 0; kind != NULL && i <= STORE_SESSION; i++) {
        spec.kind = strcmp(kind, kinds[i]) == 0 ? (enum store_kind)i : spec.kind;
    }
    struct state_store store = {&file, &spec, -1, -1};
    int result = name != NULL ? each(self, &store, err) : 0;
    free(name);
    free(kind);
    free(file.app);
    free(file.worker);
    return result;
}

int state_http_list(const char *address, int (*each)(void *self, const struct state_store *store, struct err *err),
                    void *self, struct err *err)
{
    struct bytes body = {0};
    struct slice line;
    int result = http_client_get(address, "/stores", &body, err);
    struct slice rest = bytes_slice(&body);
    while (result == 0 && next_line(&rest, &line)) {
        result = take_store(line, each, self, err);
    }
    bytes_free(&body);
    return result;
}

/* ---- pages ---- */

static void append_argument(struct bytes *path, const char *name, struct slice text)
{
    if (!slice_is_null(text)) {
        bytes_append_format(path, "&%s=", name);
        http_client_escape(text, path);
    }
}

/* The range of one key ends with a byte that has no place in an address. */
static bool is_one_key(const struct state_scan *scan)
{
    return scan->to.size == scan->from.size + 1 && scan->to.data[scan->from.size] == 0 &&
           slice_equal(scan->from, slice_of(scan->to.data, scan->from.size));
}

static void make_path(const struct state_scan *scan, int32_t partition, const char *after, struct bytes *path)
{
    bytes_append_text(path, "/stores/");
    http_client_escape(slice_text(scan->store), path);
    bytes_append_format(path, "?partition=%d&limit=%d", (int)partition, PAGE);
    if (is_one_key(scan)) {
        append_argument(path, "key", scan->from);
    } else {
        append_argument(path, "from", scan->from.size > 0 ? scan->from : SLICE_NULL);
        append_argument(path, "to", scan->to);
    }
    append_argument(path, "after", after != NULL ? slice_text(after) : SLICE_NULL);
}

static int take_entry(const struct state_scan *scan, struct slice line, struct arena *arena, char **next, bool *stop,
                      struct err *err)
{
    struct state_entry entry;
    char *more = json_check(line, NULL) ? take_text(line, "next") : NULL;
    if (more != NULL) {
        *next = more;
        return 0;
    }
    int result = state_entry_parse(line, &entry, arena, err) != 0 || scan->each(scan->self, &entry, stop, err) != 0;
    arena_clear(arena);
    return result != 0 ? -1 : 0;
}

/* `after` is where the page begins, and becomes where the next one does; NULL: it was the last. */
static int scan_page(const char *address, const struct state_scan *scan, int32_t partition, char **after, bool *stop,
                     struct err *err)
{
    struct bytes path = {0};
    struct bytes body = {0};
    struct arena arena = {0};
    struct slice line;
    char *next = NULL;
    make_path(scan, partition, *after, &path);
    int result = http_client_get(address, bytes_text(&path), &body, err);
    struct slice rest = bytes_slice(&body);
    while (result == 0 && !*stop && next_line(&rest, &line)) {
        result = take_entry(scan, line, &arena, &next, stop, err);
    }
    bytes_free(&path);
    bytes_free(&body);
    arena_free(&arena);
    free(*after);
    *after = next;
    return result;
}

struct partitions {
    const char *store;
    int32_t only; /* -1: all */
    int32_t *list;
    size_t count;
    size_t capacity;
};

static int note_partition(void *self, const struct state_store *store, struct err *err)
{
    struct partitions *partitions = self;
    (void)err;
    if (strcmp(store->spec->name, partitions->store) == 0 &&
        (partitions->only < 0 || store->file->partition == partitions->only)) {
        partitions->list =
            memory_grow(partitions->list, partitions->count, &partitions->capacity, sizeof *partitions->list);
        partitions->list[partitions->count++] = store->file->partition;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

static int scan_all(const char *address, const struct state_scan *scan, struct partitions *partitions, struct err *err)
{
    bool stop = false;
    if (partitions->count == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The app at %s has no store %s%s now.", address, scan->store,
                       scan->partition >= 0 ? " of this partition" : "");
    }
    qsort(partitions->list, partitions->count, sizeof *partitions->list, compare);
    for (size_t i = 0; i < partitions->count && !stop; i++) {
        char *after = NULL;
        do {
            if (scan_page(address, scan, partitions->list[i], &after, &stop, err) != 0) {
                free(after);
                return -1;
            }
        } while (after != NULL && !stop);
        free(after);
    }
    return 0;
}

int state_http_scan(const char *address, const struct state_scan *scan, struct err *err)
{
    struct partitions partitions = {scan->store, scan->partition, NULL, 0, 0};
    int result = state_http_list(address, note_partition, &partitions, err);
    if (result == 0) {
        result = scan_all(address, scan, &partitions, err);
    }
    free(partitions.list);
    return result;
}
