#include "connectors/all.h"

#include "connectors/file/file.h"
#include "connectors/postgres/postgres.h"
#include "connectors/postgres/postgres_poll.h"
#include "connectors/sqlite/sqlite.h"
#include "connectors/sqlite/sqlite_poll.h"

/* In the order of the reference page. */
static const struct connector *const list[] = {
    &file_connector, &sqlite_connector, &sqlite_poll_connector, &postgres_connector, &postgres_poll_connector,
};

const struct connector_table connectors_all = {list, sizeof(list) / sizeof(list[0])};
