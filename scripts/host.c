#include "scripts/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "scripts/bind_connector.h"
#include "scripts/coverage.h"
#include "scripts/rec.h"
#include "scripts/sandbox.h"
#include "scripts/view.h"
#include "scripts/windowed_key.h"

#define EXIT_PANIC 5
#define READ_SIZE ((size_t)64 * 1024)

static const struct clock system_clock = {false, 0};

/* ---- opening and closing ---- */

/* Every call into Lua that can fail is protected, so this is a bug; the process ends before it can do harm. */
static int panic(lua_State *L)
{
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "tidemill: an unprotected error in Lua: %s\n", message ? message : "(no text)");
    _exit(EXIT_PANIC);
}

static int install(lua_State *L)
{
    sandbox_install(L);
    view_install(L);
    rec_install(L);
    windowed_key_install(L);
    /* What a record leaves behind dies with it: looking at young objects only saves a tenth of a record. */
    lua_gc(L, LUA_GCGEN, 0, 0);
    return 0;
}

static struct host *make(const struct host_config *config)
{
    struct host *host = memory_alloc(sizeof(*host));
    host->operators = config->operators;
    host->connectors = config->connectors;
    host->script = config->script;
    host->test_module = config->test_module;
    host->clock = &system_clock;
    host->epoch = 1;
    host->arena = &host->texts;
    host->pool.limit = config->memory_limit;
    host->L = lua_newstate(pool_resize, &host->pool);
    return host;
}

int host_open(const struct host_config *config, struct host **result, struct err *err)
{
    struct host *host = make(config);
    if (!host->L) {
        pool_free(&host->pool);
        free(host);
        return err_set(err, ERR_FATAL, ERR_MEMORY,
                       "A Lua state does not fit into %zu bytes; raise the option lua_memory.", config->memory_limit);
    }
    *(struct host **)lua_getextraspace(host->L) = host;
    lua_atpanic(host->L, panic);
    limits_open(&host->limits, host->L, config->callback_ms);
    if (config->coverage) {
        coverage_watch(config->coverage, host->L);
    }
    lua_pushcfunction(host->L, install);
    if (lua_pcall(host->L, 0, 0, 0)) {
        err_set(err, ERR_FATAL, ERR_MEMORY, "Lua's libraries can't be opened: %s; raise the option lua_memory.",
                lua_tostring(host->L, -1));
        host_close(host);
        return -1;
    }
    *result = host;
    return 0;
}

void host_close(struct host *host)
{
    if (!host) {
        return;
    }
    limits_close(&host->limits);
    lua_close(host->L);
    bind_connector_free(host);
    pool_free(&host->pool);
    bytes_free(&host->scratch);
    arena_free(&host->texts);
    free(host->nodes);
    free(host);
}

void host_set_limits(struct host *host, size_t memory_limit, int64_t callback_ms)
{
    host->pool.limit = memory_limit;
    atomic_store(&host->limits.callback_ms, callback_ms);
}

/* ---- files ---- */

static int read_stream(FILE *file, struct bytes *text)
{
    for (;;) {
        unsigned char *room = bytes_reserve(text, READ_SIZE);
        size_t got = fread(room, 1, READ_SIZE, file);
        text->size += got;
        if (got < READ_SIZE) {
            return ferror(file) ? -1 : 0;
        }
    }
}

static int read_file(const char *path, struct bytes *text, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY, "The file %s can't be opened: %s.", path, strerror(errno));
    }
    int result = 0;
    if (read_stream(file, text)) {
        result = err_set(err, ERR_FATAL, ERR_TOPOLOGY, "The file %s can't be read: %s.", path, strerror(errno));
    }
    fclose(file);
    return result;
}

/* Without a byte order mark, and without a first line for the shell; its end stays, so that lines keep their numbers.
 */
static struct slice code_of(const struct bytes *text)
{
    struct slice code = bytes_slice(text);
    if (code.size >= 3 && memcmp(code.data, "\xEF\xBB\xBF", 3) == 0) {
        code = slice_of(code.data + 3, code.size - 3);
    }
    if (code.size > 0 && code.data[0] == '#') {
        const unsigned char *end = memchr(code.data, '\n', code.size);
        size_t skipped = end ? (size_t)(end - code.data) : code.size;
        code = slice_of(code.data + skipped, code.size - skipped);
    }
    return code;
}

int host_load_file(lua_State *L, const char *path, const char *name, struct err *err)
{
    struct bytes text = {0};
    if (read_file(path, &text, err)) {
        bytes_free(&text);
        return -1;
    }
    char chunk[256];
    snprintf(chunk, sizeof(chunk), "@%s", name);
    struct slice code = code_of(&text);
    int status = luaL_loadbufferx(L, (const char *)code.data, code.size, chunk, "t");
    bytes_free(&text);
    if (status == LUA_OK) {
        if (host_of(L)->coverage) {
            coverage_add(host_of(L)->coverage, L, path, name);
        }
        return 0;
    }
    const char *message = lua_tostring(L, -1);
    bool placed = strncmp(message, name, strlen(name)) == 0;
    err_set(err, ERR_FATAL, status == LUA_ERRMEM ? ERR_MEMORY : ERR_TOPOLOGY, "%s%s%s", placed ? "" : name,
            placed ? "" : ": ", message);
    lua_pop(L, 1);
    return -1;
}

/* ---- where and when ---- */

void host_require_phase(lua_State *L, enum host_phase phase, const char *function)
{
    enum host_phase now = host_of(L)->phase;
    if (now == phase) {
        return;
    }
    if (phase == HOST_BUILDING) {
        luaL_error(L,
                   "%s builds the topology: it can only be called while the script is being loaded, not in a callback",
                   function);
    }
    luaL_error(L, "%s can only be called in a callback, not while the script is being loaded", function);
}

void host_require_main(lua_State *L, const char *function)
{
    if (host_of(L)->L != L) {
        luaL_error(L, "%s can't be called inside a coroutine", function);
    }
}

bool host_user_frame(lua_State *L, lua_Debug *record)
{
    for (int level = 0; lua_getstack(L, level, record); level++) {
        lua_getinfo(L, "Sl", record);
        if (record->source[0] == HOST_USER_CHUNK && record->currentline > 0) {
            return true;
        }
    }
    return false;
}

bool host_place(lua_State *L, char text[HOST_PLACE_SIZE])
{
    lua_Debug record;
    text[0] = '\0';
    if (!host_user_frame(L, &record)) {
        return false;
    }
    snprintf(text, HOST_PLACE_SIZE, "%s:%d", record.short_src, record.currentline);
    return true;
}
