#include "http/http.h"

#include "base/metric.h"
#include "tests/support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* An app as the server sees it. */
struct app {
    bool healthy;
    bool ready;
};

static bool healthy(void *self)
{
    return ((struct app *)self)->healthy;
}

static bool ready(void *self)
{
    return ((struct app *)self)->ready;
}

static void topology(void *self, enum graph_format format, struct bytes *out)
{
    (void)self;
    bytes_append_format(out, "picture %d", (int)format);
}

static void workers(void *self, struct bytes *out)
{
    (void)self;
    bytes_append_text(out, "[{\"worker\":\"0_0\"}]");
}

/* Those of an app that is not healthy don't answer. */
static int connectors(void *self, struct bytes *out, struct err *err)
{
    bytes_append_text(out, "[{\"connector\":\"orders\"}]");
    return ((struct app *)self)->healthy ? 0 : err_set(err, ERR_RETRY, ERR_UNREACHABLE, "All are busy.");
}

/* Says what was asked for; the store "gone" is not there, the store "busy" does not answer. */
static int stores(void *self, const struct http_stores *request, struct bytes *out, struct err *err)
{
    (void)self;
    if (request->store != NULL && strcmp(request->store, "gone") == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "There is no store gone.");
    }
    if (request->store != NULL && strcmp(request->store, "busy") == 0) {
        return err_set(err, ERR_RETRY, ERR_UNREACHABLE, "All are busy.");
    }
    if (request->limit != NULL && strcmp(request->limit, "x") == 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The limit is a number.");
    }
    bytes_append_format(out, "store %s key %s\n", request->store != NULL ? request->store : "-",
                        request->key != NULL ? request->key : "-");
    return 0;
}

static struct http *open_server(struct app *app)
{
    struct http_source source = {app, healthy, ready, topology, workers, connectors, stores};
    struct http *http = NULL;
    struct err err;
    ck_assert_msg(http_open("127.0.0.1:0", &source, &http, &err) == 0, "%s", err.text);
    ck_assert_int_gt(http_port(http), 0);
    return http;
}

/* Sends bytes as they are and reads until the server closes. */
static char *exchange(struct http *http, const char *request)
{
    static char answer[65536];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(http))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(send(fd, request, strlen(request), 0), (ssize_t)strlen(request));
    size_t size = 0;
    ssize_t got;
    while (size < sizeof answer - 1 && (got = recv(fd, answer + size, sizeof answer - 1 - size, 0)) > 0) {
        size += (size_t)got;
    }
    answer[size] = '\0';
    close(fd);
    return answer;
}

static char *ask(struct http *http, const char *method, const char *path)
{
    char request[512];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    return exchange(http, request);
}

static void answers(char *answer, const char *status, const char *text)
{
    ck_assert_msg(strncmp(answer, "HTTP/1.1 ", 9) == 0 && strncmp(answer + 9, status, 3) == 0, "%s: %s", status,
                  answer);
    ck_assert_msg(strstr(answer, text) != NULL, "no \"%s\" in: %s", text, answer);
}

START_TEST(health_follows_the_app)
{
    struct app app = {true, false};
    struct http *http = open_server(&app);
    answers(ask(http, "GET", "/healthz"), "200", "ok\n");
    answers(ask(http, "GET", "/readyz"), "503", "restoring");
    app = (struct app){false, true};
    answers(ask(http, "GET", "/healthz"), "503", "stuck");
    answers(ask(http, "GET", "/readyz"), "200", "ok\n");
    http_close(http);
}
END_TEST

START_TEST(metrics_are_those_of_the_registry)
{
    struct app app = {true, true};
    struct http *http = open_server(&app);
    struct metric_set *set = metric_set_new("worker=\"0_7\"");
    metric_add(set, METRIC_RECORDS_IN, 42);
    char *answer = ask(http, "GET", "/metrics");
    answers(answer, "200", "tidemill_records_in_total{worker=\"0_7\"} 42\n");
    answers(answer, "200", "Content-Type: text/plain; version=0.0.4");
    metric_set_free(set);
    http_close(http);
}
END_TEST

START_TEST(stores_are_listed_and_read)
{
    struct app app = {true, true};
    struct http *http = open_server(&app);
    answers(ask(http, "GET", "/stores"), "200", "store - key -");
    answers(ask(http, "GET", "/stores/totals"), "200", "store totals key -");
    answers(ask(http, "GET", "/stores/to%20tals?key=a%26b"), "200", "store to tals key a&b");
    answers(ask(http, "GET", "/stores/gone"), "404", "There is no store gone.");
    answers(ask(http, "GET", "/stores/busy"), "503", "All are busy.");
    answers(ask(http, "GET", "/stores/totals?limit=x"), "400", "a number");
    answers(ask(http, "POST", "/stores/totals"), "405", "only answers GET");
    answers(ask(http, "GET", "/stores/"), "404", "nothing here");
    http_close(http);
}
END_TEST

START_TEST(the_topology_has_formats)
{
    struct app app = {true, true};
    struct http *http = open_server(&app);
    answers(ask(http, "GET", "/topology"), "200", "picture 0");
    answers(ask(http, "GET", "/topology?format=dot"), "200", "picture 1");
    answers(ask(http, "GET", "/topology?format=mermaid"), "200", "picture 2");
    answers(ask(http, "GET", "/topology?format=json"), "200", "picture 3");
    answers(ask(http, "GET", "/topology?format=png"), "400", "text, dot, mermaid or json");
    answers(ask(http, "GET", "/workers"), "200", "application/json");
    answers(ask(http, "GET", "/connectors"), "200", "orders");
    app.healthy = false;
    answers(ask(http, "GET", "/connectors"), "503", "All are busy.");
    http_close(http);
}
END_TEST

START_TEST(other_paths_and_methods_are_refused)
{
    struct app app = {true, true};
    struct http *http = open_server(&app);
    answers(ask(http, "GET", "/"), "404", "/healthz\n/readyz\n/metrics\n/topology\n/workers\n/connectors\n");
    answers(ask(http, "GET", "/healthz/x"), "404", "/healthz");
    answers(ask(http, "DELETE", "/metrics"), "405", "Allow: GET, HEAD");
    answers(exchange(http, "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"),
            "405", "GET and HEAD");
    char *answer = ask(http, "HEAD", "/healthz");
    answers(answer, "200", "Content-Length: 3");
    ck_assert_ptr_null(strstr(answer, "ok\n"));
    http_close(http);
}
END_TEST

START_TEST(rubbish_does_no_harm)
{
    struct app app = {true, true};
    struct http *http = open_server(&app);
    char big[20000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    memcpy(big, "GET /", 5);
    memcpy(big + sizeof big - 14, " HTTP/1.1\r\n\r\n", 14);
    exchange(http, big);
    exchange(http, "\x01\x02\x03\r\n\r\n");
    exchange(http, "GET\r\n\r\n");
    answers(ask(http, "GET", "/healthz"), "200", "ok");
    http_close(http);
}
END_TEST

static void refused(const char *address, const char *text)
{
    struct app app = {true, true};
    struct http_source source = {&app, healthy, ready, topology, workers, connectors, stores};
    struct http *http;
    struct err err;
    ck_assert_int_eq(http_open(address, &source, &http, &err), -1);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

START_TEST(bad_addresses_are_refused)
{
    refused("", "no port");
    refused("nowhere", "no port");
    refused("127.0.0.1:70000", "no port");
    refused("127.0.0.1:", "no port");
    refused("::1:80", "brackets");
    refused("no.such.host.invalid:80", "can't listen");
    struct app app = {true, true};
    struct http *http = open_server(&app);
    char taken[32];
    snprintf(taken, sizeof taken, "%d", http_port(http));
    refused(taken, "in use");
    http_close(http);
}
END_TEST

START_TEST(a_port_alone_is_the_loopback)
{
    struct app app = {true, true};
    struct http_source source = {&app, healthy, ready, topology, workers, connectors, stores};
    const char *const addresses[] = {"0", ":0", "localhost:0"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct http *http;
        struct err err;
        ck_assert_msg(http_open(addresses[i], &source, &http, &err) == 0, "%s", err.text);
        if (i < 2) {
            answers(ask(http, "GET", "/healthz"), "200", "ok");
        }
        http_close(http);
    }
    http_close(NULL);
}
END_TEST

UNIT_MAIN("http", health_follows_the_app, metrics_are_those_of_the_registry, stores_are_listed_and_read,
          the_topology_has_formats, other_paths_and_methods_are_refused, rubbish_does_no_harm,
          bad_addresses_are_refused, a_port_alone_is_the_loopback)
