#include "scripts/lua_connector.h"

#include "scripts/lua_sink.h"
#include "scripts/lua_source.h"

const struct connector lua_connector = {
    .kind = "lua",
    .text = "Sources and sinks of the script's own, as functions of Lua: tm.source and tm.sink.",
    .source = &lua_source_class,
    .sink = &lua_sink_class,
};
