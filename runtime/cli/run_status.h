/* What the HTTP server of a running app answers with. */
#ifndef TIDEMILL_CLI_RUN_STATUS_H
#define TIDEMILL_CLI_RUN_STATUS_H

#include "engine/runner.h"
#include "http/http.h"

/* The callbacks for a runner, which must outlive the server. */
struct http_source run_source(struct runner *runner);

#endif
