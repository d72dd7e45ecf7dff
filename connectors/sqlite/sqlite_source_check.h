/* What `tidemill connect check` says about a SQLite source. The options are borrowed from the context. */
#ifndef TIDEMILL_CONNECTORS_SQLITE_SOURCE_CHECK_H
#define TIDEMILL_CONNECTORS_SQLITE_SOURCE_CHECK_H

#include "engine/connector.h"

enum sqlite_source_snapshot { SQLITE_SNAPSHOT_INITIAL, SQLITE_SNAPSHOT_NEVER };

struct sqlite_source_options {
    char *path;
    struct option_list tables;
    int snapshot; /* enum sqlite_source_snapshot */
    bool tombstones;
};

/* What can be done with a file that can't be written. */
#define SQLITE_SOURCE_OTHERWISE ", since a source needs a change log in it; sqlite_poll only reads"

/* Changes nothing in the file. -1: it can't even be opened. */
int sqlite_source_check(const struct connector_context *context, const struct connector_check *check, struct err *err);

#endif
