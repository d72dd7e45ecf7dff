#include "scripts/coverage.h"

#include <stdlib.h>

#include "base/memory.h"
#include "scripts/coverage_lines.h"
#include "scripts/host.h"

enum line_state { LINE_EMPTY, LINE_MISSED, LINE_RUN };

struct file {
    char *path;
    char *name;           /* of the chunk, without its first character: what Lua reports of a line's source */
    unsigned char *lines; /* enum line_state; the first is line 1 */
    size_t line_count;
};

struct coverage {
    struct file *files;
    size_t count;
    size_t capacity;
    int *missed; /* of the file asked for last */
};

struct coverage *coverage_new(void)
{
    return memory_alloc(sizeof(struct coverage));
}

void coverage_free(struct coverage *coverage)
{
    if (!coverage) {
        return;
    }
    for (size_t i = 0; i < coverage->count; i++) {
        free(coverage->files[i].path);
        free(coverage->files[i].name);
        free(coverage->files[i].lines);
    }
    free(coverage->files);
    free(coverage->missed);
    free(coverage);
}

/* ---- what there is ---- */

static int write_compiled(lua_State *L, const void *part, size_t size, void *out)
{
    (void)L;
    bytes_append(out, part, size);
    return 0;
}

static void note_line(void *self, int line)
{
    struct file *file = self;
    if (line <= 0) {
        return;
    }
    size_t number = (size_t)line;
    if (number > file->line_count) {
        file->lines = memory_resize(file->lines, number);
        memset(file->lines + file->line_count, LINE_EMPTY, number - file->line_count);
        file->line_count = number;
    }
    if (file->lines[number - 1] == LINE_EMPTY) {
        file->lines[number - 1] = LINE_MISSED;
    }
}

static struct file *find_path(const struct coverage *coverage, const char *path)
{
    for (size_t i = 0; i < coverage->count; i++) {
        if (strcmp(coverage->files[i].path, path) == 0) {
            return &coverage->files[i];
        }
    }
    return NULL;
}

void coverage_add(struct coverage *coverage, lua_State *L, const char *path, const char *name)
{
    if (find_path(coverage, path)) {
        return;
    }
    coverage->files = memory_grow(coverage->files, coverage->count, &coverage->capacity, sizeof(struct file));
    struct file *file = &coverage->files[coverage->count++];
    *file = (struct file){.path = memory_copy_text(path), .name = memory_copy_text(name)};
    struct bytes compiled = {0};
    lua_dump(L, write_compiled, &compiled, 0);
    coverage_lines(bytes_slice(&compiled), note_line, file);
    bytes_free(&compiled);
}

/* ---- what runs ---- */

/* Chunks are named by their file without its folder; of two files with one name the one that was loaded last is meant,
 * because the tests of one folder follow each other. */
static struct file *find_name(const struct coverage *coverage, const char *name)
{
    for (size_t i = coverage->count; i-- > 0;) {
        if (strcmp(coverage->files[i].name, name) == 0) {
            return &coverage->files[i];
        }
    }
    return NULL;
}

static void on_line(lua_State *L, lua_Debug *record)
{
    lua_getinfo(L, "Sl", record);
    if (record->source[0] != HOST_USER_CHUNK) {
        return;
    }
    struct file *file = find_name(host_of(L)->coverage, record->source + 1);
    size_t number = (size_t)record->currentline;
    if (file && record->currentline > 0 && number <= file->line_count && file->lines[number - 1] == LINE_MISSED) {
        file->lines[number - 1] = LINE_RUN;
    }
}

void coverage_watch(struct coverage *coverage, lua_State *L)
{
    host_of(L)->coverage = coverage;
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
}

/* ---- the report ---- */

size_t coverage_count(const struct coverage *coverage)
{
    return coverage->count;
}

struct coverage_file coverage_file(struct coverage *coverage, size_t index)
{
    const struct file *file = &coverage->files[index];
    struct coverage_file report = {.path = file->path};
    coverage->missed = memory_resize(coverage->missed, sizeof(int) * (file->line_count + 1));
    for (size_t i = 0; i < file->line_count; i++) {
        report.lines += file->lines[i] != LINE_EMPTY;
        report.run += file->lines[i] == LINE_RUN;
        if (file->lines[i] == LINE_MISSED) {
            coverage->missed[report.missed_count++] = (int)i + 1;
        }
    }
    report.missed = coverage->missed;
    return report;
}
