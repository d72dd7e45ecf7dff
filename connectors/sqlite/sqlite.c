#include "connectors/sqlite/sqlite.h"

#include "connectors/sqlite/sqlite_sink.h"

const struct connector sqlite_connector = {
    .kind = "sqlite",
    .text = "Writes the records of a topic into a table of a SQLite file, exactly once.",
    .sink = &sqlite_sink,
};
