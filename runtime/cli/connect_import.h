/* Configs of Kafka Connect as pipelines: what `tidemill connect import` prints. Pure. */
#ifndef TIDEMILL_CLI_CONNECT_IMPORT_H
#define TIDEMILL_CLI_CONNECT_IMPORT_H

#include "base/bytes.h"
#include "base/err.h"

/* Appends the Lua script of a JDBC sink or source or a Debezium PostgreSQL source, given as its settings or as
 * {"name": ..., "config": {...}}. A setting that is not translated stands in a comment with the reason; passwords never
 * do. `from` names the input in the script's first line. ERR_CONFIG: it is no JSON, with the place, or no connector
 * that is known here. */
int connect_import(struct slice json, const char *from, struct bytes *out, struct err *err);

#endif
