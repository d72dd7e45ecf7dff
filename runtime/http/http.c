#include "http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/metric.h"

#define HOST_DEFAULT "127.0.0.1"
#define CONNECTIONS_MAX 32
#define CONNECTION_BYTES ((size_t)8 * 1024)
#define CONNECTION_SECONDS 15
#define STACK_BYTES ((size_t)256 * 1024)

struct http {
    struct http_source source;
    struct MHD_Daemon *daemon;
};

/* What a path answers with. */
struct answer {
    unsigned status;
    const char *type;
    struct bytes body;
};

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_JSON "application/json"

/* ---- the paths ---- */

static void answer_health(bool good, const char *bad, struct answer *answer)
{
    answer->status = good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    bytes_append_format(&answer->body, "%s\n", good ? "ok" : bad);
}

static void healthz(struct http *http, struct MHD_Connection *connection, struct answer *answer)
{
    (void)connection;
    answer_health(http->source.healthy(http->source.self), "a thread is stuck or has ended with an error", answer);
}

static void readyz(struct http *http, struct MHD_Connection *connection, struct answer *answer)
{
    (void)connection;
    answer_health(http->source.ready(http->source.self), "starting or restoring", answer);
}

static void metrics(struct http *http, struct MHD_Connection *connection, struct answer *answer)
{
    (void)http;
    (void)connection;
    answer->type = "text/plain; version=0.0.4; charset=utf-8";
    metric_print(&answer->body);
}

static void topology(struct http *http, struct MHD_Connection *connection, struct answer *answer)
{
    static const struct {
        const char *name;
        const char *type;
    } formats[] = {[GRAPH_TEXT] = {"text", TYPE_TEXT},
                   [GRAPH_DOT] = {"dot", "text/vnd.graphviz; charset=utf-8"},
                   [GRAPH_MERMAID] = {"mermaid", TYPE_TEXT},
                   [GRAPH_JSON] = {"json", TYPE_JSON}};
    const char *wanted = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "format");
    for (int i = 0; i <= GRAPH_JSON; i++) {
        if (strcmp(wanted != NULL ? wanted : "text", formats[i].name) == 0) {
            answer->type = formats[i].type;
            http->source.topology(http->source.self, (enum graph_format)i, &answer->body);
            return;
        }
    }
    answer->status = MHD_HTTP_BAD_REQUEST;
    bytes_append_text(&answer->body, "The format is text, dot, mermaid or json.\n");
}

static void workers(struct http *http, struct MHD_Connection *connection, struct answer *answer)
{
    (void)connection;
    answer->type = TYPE_JSON;
    http->source.workers(http->source.self, &answer->body);
}

static void connectors(struct http *http, struct MHD_Connection *connection, struct answer *answer)
{
    struct err err;
    (void)connection;
    answer->type = TYPE_JSON;
    if (http->source.connectors(http->source.self, &answer->body, &err) != 0) {
        answer->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        answer->type = TYPE_TEXT;
        bytes_clear(&answer->body);
        bytes_append_format(&answer->body, "%s\n", err.text);
    }
}

#define STORES "/stores"

static const char *argument(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static void read_stores(struct http *http, struct MHD_Connection *connection, const char *store, struct answer *answer)
{
    struct err err;
    struct http_stores request = {.store = store,
                                  .key = argument(connection, "key"),
                                  .prefix = argument(connection, "prefix"),
                                  .from = argument(connection, "from"),
                                  .to = argument(connection, "to"),
                                  .after = argument(connection, "after"),
                                  .partition = argument(connection, "partition"),
                                  .limit = argument(connection, "limit")};
    answer->type = "application/x-ndjson";
    if (http->source.stores(http->source.self, &request, &answer->body, &err) == 0) {
        return;
    }
    answer->status = err.class == ERR_RETRY   ? MHD_HTTP_SERVICE_UNAVAILABLE
                     : err.code == ERR_CONFIG ? MHD_HTTP_NOT_FOUND
                                              : MHD_HTTP_BAD_REQUEST;
    answer->type = TYPE_TEXT;
    bytes_clear(&answer->body);
    bytes_append_format(&answer->body, "%s\n", err.text);
}

static void stores(struct http *http, struct MHD_Connection *connection, struct answer *answer)
{
    read_stores(http, connection, NULL, answer);
}

static const struct {
    const char *path;
    void (*fill)(struct http *http, struct MHD_Connection *connection, struct answer *answer);
} paths[] = {
    {"/healthz", healthz}, {"/readyz", readyz},         {"/metrics", metrics}, {"/topology", topology},
    {"/workers", workers}, {"/connectors", connectors}, {STORES, stores},
};
#define PATH_COUNT (sizeof paths / sizeof paths[0])

static void not_found(struct answer *answer)
{
    answer->status = MHD_HTTP_NOT_FOUND;
    bytes_append_text(&answer->body, "There is nothing here. The paths are:\n");
    for (size_t i = 0; i < PATH_COUNT; i++) {
        bytes_append_format(&answer->body, "%s\n", paths[i].path);
    }
}

/* ---- a request ---- */

static void fill(struct http *http, struct MHD_Connection *connection, const char *url, const char *method,
                 struct answer *answer)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        answer->status = MHD_HTTP_METHOD_NOT_ALLOWED;
        bytes_append_text(&answer->body, "This server only answers GET and HEAD.\n");
        return;
    }
    for (size_t i = 0; i < PATH_COUNT; i++) {
        if (strcmp(url, paths[i].path) == 0) {
            paths[i].fill(http, connection, answer);
            return;
        }
    }
    if (strncmp(url, STORES "/", sizeof STORES) == 0 && url[sizeof STORES] != '\0') {
        read_stores(http, connection, url + sizeof STORES, answer);
        return;
    }
    not_found(answer);
}

static enum MHD_Result queue(struct MHD_Connection *connection, struct answer *answer)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body.size, answer->body.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* The library calls once for the head of a request and again for each part of a body; bodies are passed over. */
static enum MHD_Result on_request(void *self, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **state)
{
    static char seen;
    (void)version;
    (void)upload;
    if (*state == NULL) {
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    struct answer answer = {.status = MHD_HTTP_OK, .type = TYPE_TEXT};
    fill(self, connection, url, method, &answer);
    enum MHD_Result result = queue(connection, &answer);
    bytes_free(&answer.body);
    return result;
}

/* ---- opening ---- */

static int bad_address(const char *address, const char *reason, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_CONFIG,
                   "The HTTP server can't listen on \"%.100s\": %s. Give HOST:PORT, or a port on the loopback.",
                   address, reason);
}

static bool is_port(const char *text)
{
    size_t length = strspn(text, "0123456789");
    return length > 0 && length <= 5 && text[length] == '\0' && atoi(text) <= 65535;
}

/* Splits into host (the caller frees it) and port. */
static int split(const char *address, char **host, const char **port, struct err *err)
{
    const char *colon = strrchr(address, ':');
    *port = colon != NULL ? colon + 1 : address;
    if (!is_port(*port)) {
        return bad_address(address, "it has no port from 0 to 65535", err);
    }
    size_t length = colon != NULL ? (size_t)(colon - address) : 0;
    if (length > 1 && address[0] == '[' && address[length - 1] == ']') {
        *host = memory_format("%.*s", (int)length - 2, address + 1);
    } else if (length > 0 && memchr(address, ':', length) != NULL) {
        return bad_address(address, "an IPv6 address stands in brackets", err);
    } else {
        *host = length > 0 ? memory_format("%.*s", (int)length, address) : memory_copy_text(HOST_DEFAULT);
    }
    return 0;
}

static int resolve(const char *address, struct addrinfo **found, struct err *err)
{
    char *host = NULL;
    const char *port = NULL;
    if (split(address, &host, &port, err) != 0) {
        return -1;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int code = getaddrinfo(host, port, &hints, found);
    free(host);
    return code == 0 ? 0 : bad_address(address, gai_strerror(code), err);
}

int http_open(const char *address, const struct http_source *source, struct http **result, struct err *err)
{
    struct addrinfo *found;
    if (resolve(address, &found, err) != 0) {
        return -1;
    }
    struct http *http = memory_alloc(sizeof *http);
    http->source = *source;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | (found->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    errno = 0;
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR, found->ai_addr, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)CONNECTION_SECONDS, MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, MHD_OPTION_END);
    int code = errno;
    freeaddrinfo(found);
    if (http->daemon == NULL) {
        free(http);
        return bad_address(address, code != 0 ? strerror(code) : "the server can't be started", err);
    }
    *result = http;
    return 0;
}

void http_close(struct http *http)
{
    if (http != NULL) {
        MHD_stop_daemon(http->daemon);
        free(http);
    }
}

int http_port(const struct http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info != NULL ? info->port : -1;
}
