/* What the connectors of a running app are doing, for its HTTP server. */
#ifndef TIDEMILL_CLI_RUN_CONNECTORS_H
#define TIDEMILL_CLI_RUN_CONNECTORS_H

#include "base/bytes.h"
#include "engine/runner.h"

/* Appends a JSON array with an object per task that runs in this process. ERR_RETRY: its threads are too busy. */
int run_connectors(struct runner *runner, struct bytes *out, struct err *err);

#endif
