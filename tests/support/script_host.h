/* A host made by hand for tests, fuzzers and benches of views, codecs and rec: a plain Lua state, an arena, an epoch.
 *
 * Ownership: script_host_open's host is closed with script_host_close.
 */
#ifndef TIDEMILL_TESTS_SUPPORT_SCRIPT_HOST_H
#define TIDEMILL_TESTS_SUPPORT_SCRIPT_HOST_H

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "scripts/codec.h"
#include "scripts/datum.h"
#include "scripts/host.h"
#include "scripts/rec.h"
#include "scripts/view.h"

static int script_host_copy(lua_State *L)
{
    view_copy(L, 1);
    return 1;
}

static int script_host_list(lua_State *L)
{
    view_mark_list(L, 1);
    lua_settop(L, 1);
    return 1;
}

/* json(text): a view as a record's value would be. */
static int script_host_json(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    view_push(L, arena_copy(host_of(L)->arena, slice_of(text, size)));
    return 1;
}

/* checked_json(text): the same, of a value whose check found the members. */
static int script_host_checked_json(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    struct slice json = arena_copy(host_of(L)->arena, slice_of(text, size));
    struct json_problem problem;
    if (!view_check(host_of(L), json, &problem)) {
        luaL_error(L, "this is not JSON: %s", problem.reason);
    }
    view_push(L, json);
    return 1;
}

static inline struct host *script_host_open(void)
{
    struct host *host = memory_alloc(sizeof *host);
    host->arena = memory_alloc(sizeof *host->arena);
    host->L = lua_newstate(pool_resize, &host->pool);
    *(struct host **)lua_getextraspace(host->L) = host;
    luaL_openlibs(host->L);
    view_install(host->L);
    rec_install(host->L);
    view_push_null(host->L);
    lua_setglobal(host->L, "null");
    view_push_tombstone(host->L);
    lua_setglobal(host->L, "tombstone");
    lua_register(host->L, "copy", script_host_copy);
    lua_register(host->L, "list", script_host_list);
    lua_register(host->L, "json", script_host_json);
    lua_register(host->L, "checked_json", script_host_checked_json);
    return host;
}

/* The end of a record. */
static inline void script_host_next(struct host *host)
{
    host->epoch++;
    arena_clear(host->arena);
}

static inline void script_host_close(struct host *host)
{
    lua_close(host->L);
    pool_free(&host->pool);
    bytes_free(&host->scratch);
    arena_free(&host->texts);
    arena_free(host->arena);
    free(host->arena);
    free(host);
}

#endif
