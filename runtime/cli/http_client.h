/* A GET of the HTTP address of a running app. Blocks; for commands.
 *
 * Ownership: the body is appended to the caller's bytes.
 */
#ifndef TIDEMILL_CLI_HTTP_CLIENT_H
#define TIDEMILL_CLI_HTTP_CLIENT_H

#include "base/bytes.h"
#include "base/err.h"

/* `address`: "HOST:PORT", "[V6]:PORT", ":PORT" or "PORT", the loopback without a host. ERR_UNREACHABLE: nobody answers
 * there. Any other status than 200 is ERR_CONFIG with what the app says. */
int http_client_get(const char *address, const char *path, struct bytes *body, struct err *err);

/* Appends text for a path or query: what has a meaning there as %XX. */
void http_client_escape(struct slice text, struct bytes *out);

#endif
