#include "connectors/postgres/postgres.h"

#include "connectors/postgres/postgres_sink.h"
#include "connectors/postgres/postgres_source.h"

const struct connector postgres_connector = {
    .kind = "postgres",
    .text =
        "Reads every change of PostgreSQL tables by logical decoding, and writes records into a table, exactly once.",
    .source = &postgres_source_class,
    .sink = &postgres_sink_class,
};
