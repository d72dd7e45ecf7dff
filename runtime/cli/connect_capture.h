/* Debezium's PostgreSQL source as a source that captures changes. Pure. */
#ifndef TIDEMILL_CLI_CONNECT_CAPTURE_H
#define TIDEMILL_CLI_CONNECT_CAPTURE_H

#include "cli/connect_script.h"

/* Appends the source and its topics to the script's body. ERR_CONFIG. */
int connect_capture_write(struct connect_script *script, struct err *err);

#endif
