/* What the HTTP server of a running app tells about its stores: asked of the workers, on their own threads.
 *
 * Ownership: nothing is kept.
 */
#ifndef TIDEMILL_CLI_RUN_STORES_H
#define TIDEMILL_CLI_RUN_STORES_H

#include "engine/runner.h"
#include "http/http.h"

/* Appends a line of JSON per store (request->store NULL), or per entry of a store; where a partition has more than one
 * answer holds, a line {"partition":P,"next":"..."} says what to ask with as `after`. ERR_CONFIG: there is no such
 * store or a bad argument, ERR_RETRY: the workers are busy. */
int run_stores(struct runner *runner, const struct http_stores *request, struct bytes *out, struct err *err);

#endif
