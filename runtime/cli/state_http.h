/* State of a running app, asked for at its HTTP address: what state_files.h is for files.
 *
 * Ownership: what callbacks get ends with the callback.
 */
#ifndef TIDEMILL_CLI_STATE_HTTP_H
#define TIDEMILL_CLI_STATE_HTTP_H

#include "cli/state_files.h"

/* One line of /stores, and of `state list --format json`. */
void state_http_write_store(const struct state_store *store, struct bytes *out);

/* As state_files_list and state_files_scan; the counts are -1. ERR_UNREACHABLE: nobody answers there. */
int state_http_list(const char *address, int (*each)(void *self, const struct state_store *store, struct err *err),
                    void *self, struct err *err);
int state_http_scan(const char *address, const struct state_scan *scan, struct err *err);

#endif
