#include "cli/state_files.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/state_reader.h"

#define DEPTH 4 /* <state>/<app>/<slot>/<store>_<partition> */
#define STATE_FILE "rows.db"

/* ---- finding ---- */

static struct state_file *find_copy(struct state_files *files, const struct store_meta *meta)
{
    for (size_t i = 0; i < files->count; i++) {
        struct state_file *file = &files->list[i];
        if (strcmp(file->app, meta->app) == 0 && strcmp(file->worker, meta->worker) == 0) {
            return file;
        }
    }
    return NULL;
}

static void add_file(struct state_files *files, const char *directory, const struct store_meta *meta)
{
    struct state_file *file = find_copy(files, meta);
    if (file != NULL) {
        if (file->committed_ms < meta->committed_ms) {
            free(file->directory);
            file->directory = memory_copy_text(directory);
            file->committed_ms = meta->committed_ms;
        }
        return;
    }
    const char *partition = strrchr(meta->worker, '_');
    files->list = memory_grow(files->list, files->count, &files->capacity, sizeof *files->list);
    files->list[files->count++] =
        (struct state_file){.directory = memory_copy_text(directory),
                            .app = memory_copy_text(meta->app),
                            .worker = memory_copy_text(meta->worker),
                            .partition = partition != NULL ? (int32_t)strtol(partition + 1, NULL, 10) : 0,
                            .committed_ms = meta->committed_ms};
}

static int look_into(struct state_files *files, const char *directory, struct err *err)
{
    struct state_reader *reader;
    if (state_reader_open(directory, &reader, err) != 0) {
        return -1;
    }
    const struct store_meta *meta = state_reader_meta(reader);
    if (meta->app != NULL) {
        add_file(files, directory, meta);
    }
    state_reader_close(reader);
    return 0;
}

static bool has_state(const char *directory)
{
    char *path = memory_format("%s/%s", directory, STATE_FILE);
    bool has = access(path, F_OK) == 0;
    free(path);
    return has;
}

static int search(struct state_files *files, const char *directory, int depth, struct err *err)
{
    if (has_state(directory)) {
        return look_into(files, directory, err) == 0 || !has_state(directory) ? 0 : -1; /* it may go meanwhile */
    }
    DIR *stream = depth > 0 ? opendir(directory) : NULL;
    int result = 0;
    const struct dirent *entry;
    while (stream != NULL && result == 0 && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)) {
            char *path = memory_format("%s/%s", directory, entry->d_name);
            result = search(files, path, depth - 1, err);
            free(path);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return result;
}

static int compare_files(const void *a, const void *b)
{
    const struct state_file *one = a;
    const struct state_file *other = b;
    int order = strcmp(one->app, other->app);
    order = order != 0 ? order : atoi(one->worker) - atoi(other->worker);
    return order != 0 ? order : (one->partition > other->partition) - (one->partition < other->partition);
}

int state_files_find_any(const char *directory, struct state_files *files, struct err *err)
{
    *files = (struct state_files){NULL, 0, 0};
    if (search(files, directory, DEPTH, err) != 0) {
        return -1;
    }
    if (files->count > 0) {
        qsort(files->list, files->count, sizeof *files->list, compare_files);
    }
    return 0;
}

int state_files_find(const char *directory, struct state_files *files, struct err *err)
{
    if (state_files_find_any(directory, files, err) != 0) {
        return -1;
    }
    return files->count > 0
               ? 0
               : err_set(err, ERR_FATAL, ERR_CONFIG,
                         "There is no state in %s. Name the data directory with --data, and the app with --app.",
                         directory);
}

void state_files_free(struct state_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->list[i].directory);
        free(files->list[i].app);
        free(files->list[i].worker);
    }
    free(files->list);
    *files = (struct state_files){NULL, 0, 0};
}

/* ---- listing ---- */

static int measure(struct state_reader *reader, size_t index, struct state_store *store, struct err *err)
{
    struct store_entry entry;
    bool found = true;
    if (state_reader_scan(reader, index, SLICE_NULL, SLICE_NULL, err) != 0) {
        return -1;
    }
    store->entries = 0;
    store->bytes = 0;
    while (found) {
        if (state_reader_next(reader, &found, &entry, err) != 0) {
            return -1;
        }
        store->entries += found;
        store->bytes += found ? (int64_t)(entry.key.size + entry.value.size) : 0;
    }
    return 0;
}

static int list_file(const struct state_file *file, bool counts,
                     int (*each)(void *self, const struct state_store *store, struct err *err), void *self,
                     struct err *err)
{
    struct state_reader *reader;
    if (state_reader_open(file->directory, &reader, err) != 0) {
        return -1;
    }
    int result = 0;
    for (size_t i = 0; i < state_reader_count(reader) && result == 0; i++) {
        struct state_store store = {file, state_reader_spec(reader, i), -1, -1};
        result = (counts && measure(reader, i, &store, err) != 0) || each(self, &store, err) != 0 ? -1 : 0;
    }
    state_reader_close(reader);
    return result;
}

int state_files_list(const struct state_files *files, bool counts,
                     int (*each)(void *self, const struct state_store *store, struct err *err), void *self,
                     struct err *err)
{
    for (size_t i = 0; i < files->count; i++) {
        if (list_file(&files->list[i], counts, each, self, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- scanning ---- */

static int scan_store(const struct state_file *file, struct state_reader *reader, size_t index,
                      const struct state_scan *scan, bool *stop, struct err *err)
{
    struct arena arena = {0};
    struct store_entry stored;
    struct state_entry entry;
    bool found = true;
    bool by_key = state_reader_spec(reader, index)->kind == STORE_KEY_VALUE;
    struct slice from = by_key ? scan->from : SLICE_NULL;
    int result = state_reader_scan(reader, index, from, by_key ? scan->to : SLICE_NULL, err);
    while (result == 0 && found && !*stop) {
        result = state_reader_next(reader, &found, &stored, err);
        if (result == 0 && found) {
            state_entry_make(state_reader_spec(reader, index), file->partition, &stored, &entry, &arena);
            result = scan->each(scan->self, &entry, stop, err);
            arena_clear(&arena);
        }
    }
    arena_free(&arena);
    return result;
}

static int scan_file(const struct state_file *file, const struct state_scan *scan, bool *known, bool *stop,
                     struct err *err)
{
    struct state_reader *reader;
    if (state_reader_open(file->directory, &reader, err) != 0) {
        return -1;
    }
    int result = 0;
    for (size_t i = 0; i < state_reader_count(reader) && result == 0; i++) {
        if (strcmp(state_reader_spec(reader, i)->name, scan->store) == 0) {
            *known = true;
            result = scan_store(file, reader, i, scan, stop, err);
        }
    }
    state_reader_close(reader);
    return result;
}

int state_files_scan(const struct state_files *files, const struct state_scan *scan, struct err *err)
{
    bool known = false;
    bool stop = false;
    for (size_t i = 0; i < files->count && !stop; i++) {
        const struct state_file *file = &files->list[i];
        if ((scan->partition < 0 || file->partition == scan->partition) &&
            scan_file(file, scan, &known, &stop, err) != 0) {
            return -1;
        }
    }
    return known ? 0
                 : err_set(err, ERR_FATAL, ERR_CONFIG,
                           "There is no store %s here; `tidemill state list` shows those that there are.", scan->store);
}
