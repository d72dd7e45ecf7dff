#include "connectors/sqlite/sqlite.h"

#include "connectors/sqlite/sqlite_sink.h"
#include "connectors/sqlite/sqlite_source.h"

const struct connector sqlite_connector = {
    .kind = "sqlite",
    .text = "Reads every change of tables of a SQLite file by triggers, and writes records into a table, exactly once.",
    .source = &sqlite_source,
    .sink = &sqlite_sink,
};
