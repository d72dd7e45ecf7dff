#include "connectors/postgres/postgres_connection.h"

#include "base/clock.h"
#include "base/memory.h"

#include <ctype.h>
#include <poll.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_S 10
#define POLL_MS 250 /* how often a wait looks whether it is to stop */

/* What a SQLSTATE means; the first row whose prefix fits counts. */
struct meaning {
    const char *prefix;
    enum err_class class;
    enum err_code code;
    const char *advice;
};
static const struct meaning meanings[] = {
    {"08", ERR_RETRY, ERR_UNREACHABLE, ""},
    {"57", ERR_RETRY, ERR_UNREACHABLE, ""},
    {"53100", ERR_RETRY, ERR_DISK_FULL, "make room on the server's disk"},
    {"53", ERR_RETRY, ERR_UNREACHABLE, "the server is short of something; see its log"},
    {"40", ERR_RETRY, ERR_UNREACHABLE, ""},
    {"55P03", ERR_RETRY, ERR_UNREACHABLE, "another transaction holds a lock"},
    {"55006", ERR_RETRY, ERR_UNREACHABLE, "somebody else uses it now"},
    {"25006", ERR_RETRY, ERR_UNREACHABLE, "the server is a standby; name the primary, or add target_session_attrs"},
    {"58", ERR_RETRY, ERR_UNREACHABLE, "see the server's log"},
    {"26000", ERR_FATAL, ERR_CONFIG, "a pooler in front of the server has to pool sessions, not transactions"},
    {"28", ERR_FATAL, ERR_AUTH, "check user and password in the url, and the server's pg_hba.conf"},
    {"3D", ERR_FATAL, ERR_CONFIG, "create the database, or name another one in the url"},
    {"42501", ERR_FATAL, ERR_AUTH, "GRANT the right to the user that the url names"},
    {"42P01", ERR_FATAL, ERR_CONFIG, "create the table, or check its name and schema"},
    {"42P10", ERR_FATAL, ERR_CONFIG, "`key` must be the primary key or have a unique index"},
    {"42703", ERR_FATAL, ERR_CONFIG, "check the names of the columns"},
    {"42", ERR_FATAL, ERR_CONFIG, "check the table and the options against each other"},
    {"21000", ERR_SKIP, ERR_RECORD, "two spellings of one key in a batch, such as 1 and 1.0"},
    {"22", ERR_SKIP, ERR_RECORD, ""},
    {"23", ERR_SKIP, ERR_RECORD, ""},
    {"44", ERR_SKIP, ERR_RECORD, ""},
    {"54", ERR_SKIP, ERR_RECORD, ""},
    {"P0", ERR_SKIP, ERR_RECORD, "a trigger or function of the database refuses it"},
    {"", ERR_FATAL, ERR_FAILED, "see the server's log"},
};

static const struct meaning *find_meaning(const char *state)
{
    const struct meaning *meaning = meanings;
    while (strncmp(state, meaning->prefix, strlen(meaning->prefix)) != 0) {
        meaning++;
    }
    return meaning;
}

/* Several lines become one, without the white space at their ends. */
static void one_line(struct bytes *out, const char *text)
{
    while (*text) {
        if (!isspace((unsigned char)*text)) {
            bytes_append_byte(out, (unsigned char)*text);
        } else if (out->size > 0 && out->data[out->size - 1] != ' ') {
            bytes_append_byte(out, ' ');
        }
        text++;
    }
    while (out->size > 0 && out->data[out->size - 1] == ' ') {
        out->size--;
    }
}

static int fail_by_state(const char *state, const char *text, const char *detail, const char *what, struct err *err)
{
    const struct meaning *meaning = find_meaning(state);
    struct bytes message = {0};
    one_line(&message, text);
    if (detail && detail[0]) {
        bytes_append_text(&message, " (");
        one_line(&message, detail);
        bytes_append_text(&message, ")");
    }
    err_set(err, meaning->class, meaning->code, "PostgreSQL, %s: %s [%s]%s%s", what, bytes_text(&message), state,
            meaning->advice[0] ? ": " : "", meaning->advice);
    bytes_free(&message);
    return -1;
}

static int fail_without_state(const char *text, const char *what, struct err *err)
{
    struct bytes message = {0};
    one_line(&message, text);
    err_set(err, ERR_RETRY, ERR_UNREACHABLE, "PostgreSQL, %s: %s", what,
            message.size ? bytes_text(&message) : "the connection is lost");
    bytes_free(&message);
    return -1;
}

int postgres_connection_fail(const PGconn *connection, const PGresult *result, const char *what, struct err *err)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (!state) {
        return fail_without_state(result ? PQresultErrorMessage(result) : PQerrorMessage(connection), what, err);
    }
    return fail_by_state(state, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
                         PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL), what, err);
}

/* What libpq says about the text may repeat a password, so it is not passed on. */
int postgres_connection_check_url(const char *url, struct err *err)
{
    PQconninfoOption *parsed = url && url[0] ? PQconninfoParse(url, NULL) : NULL;
    if (!parsed) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The url is not one of PostgreSQL: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE "
                       "(other characters than letters and digits in the parts as %%XX)");
    }
    PQconninfoFree(parsed);
    return 0;
}

static int64_t url_timeout_ms(const char *url)
{
    int64_t seconds = CONNECT_TIMEOUT_S;
    PQconninfoOption *parsed = PQconninfoParse(url, NULL);
    for (PQconninfoOption *option = parsed; option && option->keyword; option++) {
        if (strcmp(option->keyword, "connect_timeout") == 0 && option->val && atoi(option->val) > 0) {
            seconds = atoi(option->val);
        }
    }
    PQconninfoFree(parsed);
    return seconds * 1000;
}

/* libpq would print what the server remarks, such as that it shuts down; what fails is told by its error. */
static void ignore_notice(void *self, const char *text)
{
    (void)self, (void)text;
}

static PGconn *begin_connecting(const struct connector_context *context, const char *url, bool replication)
{
    /* What stands behind the URL wins over it, what stands before gives way. A peer that vanished is noticed by the
     * keepalives in about 30 seconds. */
    char *application = memory_format("tidemill %s %s", context->app, context->name);
    const char *names[] = {"keepalives_idle",
                           "keepalives_interval",
                           "keepalives_count",
                           "tcp_user_timeout",
                           "fallback_application_name",
                           "dbname",
                           "client_encoding",
                           "replication",
                           NULL};
    const char *values[] = {"10", "5", "4", "30000", application, url, "UTF8", replication ? "database" : NULL, NULL};
    PGconn *connection = PQconnectStartParams(names, values, 1);
    free(application);
    if (connection) {
        /* Only then do errors of connecting bring their SQLSTATE. */
        PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
        PQsetNoticeProcessor(connection, ignore_notice, NULL);
    }
    return connection;
}

/* "connection to server at .. failed: FATAL:  28P01: password .." */
static bool find_state(const char *text, char state[6])
{
    for (const char *at = strstr(text, ":  "); at; at = strstr(at + 1, ":  ")) {
        const char *code = at + 3;
        if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && code[5] == ':') {
            memcpy(state, code, 5);
            state[5] = 0;
            return true;
        }
    }
    return false;
}

static int fail_to_connect(const PGconn *connection, struct err *err)
{
    char state[6];
    char *text = memory_copy_text(PQerrorMessage(connection));
    char *location = strstr(text, "\nLOCATION:"); /* of the server's source: nobody needs it */
    if (location) {
        *location = 0;
    }
    if (find_state(text, state)) {
        fail_by_state(state, text, NULL, "connecting", err);
    } else {
        fail_without_state(text, "connecting", err);
    }
    free(text);
    return -1;
}

static int64_t now_ms(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM) / 1000000;
}

static int wait_for_connection(const struct connector_context *context, PGconn *connection, int64_t timeout_ms,
                               struct err *err)
{
    int64_t end = now_ms() + timeout_ms;
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
        struct pollfd wait = {.fd = PQsocket(connection), .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int ready = poll(&wait, 1, POLL_MS);
        if (connector_stopping(context)) {
            return err_set(err, ERR_RETRY, ERR_UNREACHABLE,
                           "Connecting to PostgreSQL was given up: the task is closed");
        }
        if (ready > 0) {
            status = PQconnectPoll(connection);
        } else if (now_ms() >= end) {
            return err_set(err, ERR_RETRY, ERR_UNREACHABLE,
                           "PostgreSQL at %s, port %s, did not answer within %lld seconds: check host, port and "
                           "firewalls, or set connect_timeout in the url",
                           PQhost(connection), PQport(connection), (long long)timeout_ms / 1000);
        }
    }
    return status == PGRES_POLLING_OK ? 0 : fail_to_connect(connection, err);
}

PGconn *postgres_connection_open(const struct connector_context *context, const char *url, bool replication,
                                 struct err *err)
{
    if (postgres_connection_check_url(url, err)) {
        return NULL;
    }
    PGconn *connection = begin_connecting(context, url, replication);
    if (!connection || PQstatus(connection) == CONNECTION_BAD) {
        fail_without_state(connection ? PQerrorMessage(connection) : "out of memory", "connecting", err);
        PQfinish(connection);
        return NULL;
    }
    if (wait_for_connection(context, connection, url_timeout_ms(url), err)) {
        PQfinish(connection);
        return NULL;
    }
    PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
    if (postgres_connection_run(connection,
                                "SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET TimeZone = 'UTC'; "
                                "SET DateStyle = 'ISO'; SET client_min_messages = error; "
                                "SET standard_conforming_strings = on; "
                                /* A plan made for a small table would be kept while the table grows. */
                                "SET plan_cache_mode = force_custom_plan",
                                "settings of the connection", err)) {
        PQfinish(connection);
        return NULL;
    }
    return connection;
}

static PGresult *checked(PGconn *connection, PGresult *result, const char *what, struct err *err)
{
    ExecStatusType status = result ? PQresultStatus(result) : PGRES_FATAL_ERROR;
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE || status == PGRES_NONFATAL_ERROR) {
        postgres_connection_fail(connection, result, what, err);
        PQclear(result);
        return NULL;
    }
    return result;
}

PGresult *postgres_connection_query(PGconn *connection, const char *sql, const char *what, struct err *err)
{
    return checked(connection, PQexec(connection, sql), what, err);
}

PGresult *postgres_connection_query_params(PGconn *connection, const char *sql, int count, const char *const *values,
                                           const char *what, struct err *err)
{
    return checked(connection, PQexecParams(connection, sql, count, NULL, values, NULL, NULL, 0), what, err);
}

int postgres_connection_run(PGconn *connection, const char *sql, const char *what, struct err *err)
{
    PGresult *result = postgres_connection_query(connection, sql, what, err);
    PQclear(result);
    return result ? 0 : -1;
}

static void append_quoted(struct bytes *out, struct slice text, unsigned char quote)
{
    bytes_append_byte(out, quote);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == quote) {
            bytes_append_byte(out, quote);
        }
        bytes_append_byte(out, text.data[i]);
    }
    bytes_append_byte(out, quote);
}

void postgres_connection_quote(struct bytes *out, struct slice name)
{
    append_quoted(out, name, '"');
}

void postgres_connection_quote_text(struct bytes *out, struct slice text)
{
    append_quoted(out, text, '\'');
}

void postgres_connection_quote_table(struct bytes *out, const char *table)
{
    const char *dot = strchr(table, '.');
    if (dot) {
        append_quoted(out, slice_of(table, (size_t)(dot - table)), '"');
        bytes_append_byte(out, '.');
        table = dot + 1;
    }
    append_quoted(out, slice_text(table), '"');
}
