/* The read-only server of a running app: health, metrics, topology, workers, connectors, stores.
 *
 *     GET /healthz /readyz /metrics /topology?format=text|dot|mermaid|json /workers
 *     GET /connectors
 *     GET /stores, /stores/NAME?key=|prefix=|from=&to=, partition=, limit=, after=
 *
 * Ownership: http_open starts a thread of its own, http_close ends it. The callbacks are called on that thread, one at
 * a time, and must stay valid until http_close has returned.
 */
#ifndef TIDEMILL_HTTP_HTTP_H
#define TIDEMILL_HTTP_HTTP_H

#include "base/bytes.h"
#include "base/err.h"
#include "engine/graph.h"

struct http;

/* A request for /stores. Texts as they came, NULL where nothing was given. */
struct http_stores {
    const char *store; /* NULL: the list */
    const char *key, *prefix, *from, *to, *after, *partition, *limit;
};

struct http_source {
    void *self;
    bool (*healthy)(void *self); /* no thread stuck or ended by an error */
    bool (*ready)(void *self);   /* joined and restored */
    void (*topology)(void *self, enum graph_format format, struct bytes *out);
    void (*workers)(void *self, struct bytes *out); /* JSON */
    /* JSON. ERR_RETRY: 503. */
    int (*connectors)(void *self, struct bytes *out, struct err *err);
    /* Lines of JSON. ERR_RETRY: 503, ERR_CONFIG: 404, others: 400. */
    int (*stores)(void *self, const struct http_stores *request, struct bytes *out, struct err *err);
};

/* `address`: "HOST:PORT", "[V6]:PORT", ":PORT" or "PORT"; without a host the loopback. Port 0: a free one.
 * ERR_CONFIG: it can't be used. */
int http_open(const char *address, const struct http_source *source, struct http **http, struct err *err);
void http_close(struct http *http);
int http_port(const struct http *http); /* that it listens on */

#endif
