/* Configs of Kafka Connect: whatever they are, they are refused or become Lua that can be read, with no setting lost.
 */
#include "cli/connect_config.h"
#include "cli/connect_import.h"

#include <lauxlib.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_script(struct bytes *script)
{
    lua_State *L = luaL_newstate();
    REQUIRE(luaL_loadbuffer(L, bytes_text(script), script->size, "script") == LUA_OK);
    lua_close(L);
}

#define TRANSFORM_START                                                                                                \
    "{\"connector.class\":\"JdbcSinkConnector\",\"topics\":\"t\",\"connection.url\":\"jdbc:sqlite:x\","                \
    "\"transforms\":\"x\",\"transforms.x.type\":\""

/* A config is given as a few settings of each connector around what the input has. */
static void check_config(const char *start, struct slice rest)
{
    struct bytes json = {0};
    struct bytes script = {0};
    struct err err;
    bytes_append_text(&json, start);
    bytes_append_slice(&json, rest);
    if (connect_import(bytes_slice(&json), "f", &script, &err) == 0) {
        check_script(&script);
    } else {
        REQUIRE(err.code == ERR_CONFIG && script.size == 0);
    }
    bytes_free(&script);
    bytes_free(&json);
}

/* The first byte chooses the connector; 0 is none. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const starts[] = {
        "",
        "{\"connector.class\":\"JdbcSinkConnector\",\"topics\":\"t\",\"connection.url\":\"jdbc:sqlite:x\",",
        "{\"connector.class\":\"JdbcSinkConnector\",\"topics\":\"a,b\",\"connection.url\":\"jdbc:postgresql:",
        "{\"connector.class\":\"JdbcSourceConnector\",\"connection.url\":\"jdbc:postgresql:x\",\"mode\":\"timestamp\",",
        "{\"connector.class\":\"PostgresConnector\",\"database.dbname\":\"d\",",
        TRANSFORM_START,
    };
    if (size > 0) {
        check_config(starts[data[0] % (sizeof starts / sizeof starts[0])], slice_of(data + 1, size - 1));
    }
    return 0;
}
