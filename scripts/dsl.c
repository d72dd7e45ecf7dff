#include "scripts/dsl.h"

#include <lauxlib.h>

#include "dsl_checks_lua.h"
#include "dsl_connectors_lua.h"
#include "dsl_global_tables_lua.h"
#include "dsl_foreign_key_lua.h"
#include "dsl_grouping_lua.h"
#include "dsl_module_lua.h"
#include "dsl_objects_lua.h"
#include "dsl_processors_lua.h"
#include "dsl_sources_lua.h"
#include "dsl_stream_joins_lua.h"
#include "dsl_streams_lua.h"
#include "dsl_suppress_lua.h"
#include "dsl_table_grouping_lua.h"
#include "dsl_table_joins_lua.h"
#include "dsl_tables_lua.h"
#include "dsl_windows_lua.h"

/* Each runs with two arguments, `core` and a table that they share: `tm`, and what one offers to those behind it. */
static const struct {
    const char *code;
    size_t size;
} chunks[] = {
    {dsl_checks_lua, sizeof(dsl_checks_lua)},
    {dsl_objects_lua, sizeof(dsl_objects_lua)},
    {dsl_sources_lua, sizeof(dsl_sources_lua)},
    {dsl_streams_lua, sizeof(dsl_streams_lua)},
    {dsl_grouping_lua, sizeof(dsl_grouping_lua)},
    {dsl_tables_lua, sizeof(dsl_tables_lua)},
    {dsl_table_grouping_lua, sizeof(dsl_table_grouping_lua)},
    {dsl_suppress_lua, sizeof(dsl_suppress_lua)},
    {dsl_table_joins_lua, sizeof(dsl_table_joins_lua)},
    {dsl_stream_joins_lua, sizeof(dsl_stream_joins_lua)},
    {dsl_foreign_key_lua, sizeof(dsl_foreign_key_lua)},
    {dsl_windows_lua, sizeof(dsl_windows_lua)},
    {dsl_global_tables_lua, sizeof(dsl_global_tables_lua)},
    {dsl_processors_lua, sizeof(dsl_processors_lua)},
    {dsl_connectors_lua, sizeof(dsl_connectors_lua)},
    {dsl_module_lua, sizeof(dsl_module_lua)}, /* the last */
};

void dsl_run(lua_State *L)
{
    int core = lua_gettop(L);
    lua_newtable(L);
    lua_newtable(L);
    lua_setfield(L, -2, "tm");
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        lua_settop(L, core + 1);
        if (luaL_loadbufferx(L, chunks[i].code, chunks[i].size - 1, "=tidemill", "t")) {
            lua_error(L);
        }
        lua_pushvalue(L, core);
        lua_pushvalue(L, core + 1);
        lua_call(L, 2, 1);
    }
    lua_replace(L, core);
    lua_settop(L, core);
}
