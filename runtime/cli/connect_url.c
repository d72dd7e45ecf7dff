#include "cli/connect_url.h"

/* ---- the beginning of a libpq URL ---- */

static void append_literal(struct connect_text *text, const char *literal)
{
    connect_script_text(text, literal, strlen(literal));
}

static void begin_url(struct connect_text *text, const struct connect_address *address)
{
    append_literal(text, "postgresql://");
    if (address->user == NULL && address->password == NULL) {
        return;
    }
    connect_script_value(text, slice_text(address->user), true);
    if (address->password != NULL) {
        append_literal(text, ":");
        connect_script_password(text, address->password_key, address->password);
    }
    append_literal(text, "@");
}

void connect_url_parts(struct connect_script *script, const struct connect_address *address, const char *host,
                       const char *port, const char *database, const char *sslmode, struct bytes *out)
{
    struct connect_text text = {.script = script};
    begin_url(&text, address);
    connect_script_value(&text, slice_text(host != NULL ? host : "localhost"), true);
    if (port != NULL) {
        append_literal(&text, ":");
        connect_script_value(&text, slice_text(port), true);
    }
    append_literal(&text, "/");
    connect_script_value(&text, slice_text(database), true);
    if (sslmode != NULL) {
        append_literal(&text, "?sslmode=");
        connect_script_value(&text, slice_text(sslmode), true);
    }
    bytes_append_text(out, "url = ");
    connect_script_finish(&text, out);
}

/* ---- parameters of jdbc:postgresql ---- */

static const struct {
    const char *jdbc;
    const char *libpq; /* NULL: nothing needs to stand for it */
} parameters[] = {
    {"sslmode", "sslmode"},
    {"sslrootcert", "sslrootcert"},
    {"sslcert", "sslcert"},
    {"ApplicationName", "application_name"},
    {"connectTimeout", "connect_timeout"},
    {"loginTimeout", "connect_timeout"},
    {"options", "options"},
    {"gssEncMode", "gssencmode"},
    {"channelBinding", "channel_binding"},
    {"tcpKeepAlive", NULL},
    {"reWriteBatchedInserts", NULL}, /* batches are one statement anyhow */
    {"stringtype", NULL},            /* types are those of the columns */
    {"prepareThreshold", NULL},
    {"defaultRowFetchSize", NULL},
    {"socketTimeout", NULL},
};

static bool is_name(struct slice name, const char *text)
{
    return slice_equal(name, slice_text(text));
}

static void append_parameter(struct connect_text *text, const char *name, struct slice value, bool *first)
{
    append_literal(text, *first ? "?" : "&");
    append_literal(text, name);
    append_literal(text, "=");
    *first = false;
    const char *at = (const char *)value.data;
    size_t left = value.size;
    while (left > 0) { /* percent signs stand as they are: the value is encoded already */
        size_t plain = 0;
        while (plain < left && at[plain] == '%') {
            plain++;
        }
        connect_script_text(text, at, plain);
        size_t other = plain;
        while (other < left && at[other] != '%') {
            other++;
        }
        connect_script_value(text, slice_of(at + plain, other - plain), true);
        at += other;
        left -= other;
    }
}

static void note_parameter(struct connect_script *script, struct slice name)
{
    connect_script_note(script, "connection.url", "the parameter %.*s is not translated.",
                        (int)(name.size < 100 ? name.size : 100), (const char *)name.data);
}

static void translate_parameter(struct connect_text *text, struct slice name, struct slice value, bool *first)
{
    if (is_name(name, "ssl")) {
        append_parameter(text, "sslmode", slice_text(is_name(value, "false") ? "disable" : "verify-full"), first);
        return;
    }
    if (is_name(name, "currentSchema")) {
        append_parameter(text, "options", slice_text("-csearch_path="), first);
        connect_script_value(text, value, true);
        return;
    }
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        if (is_name(name, parameters[i].jdbc)) {
            if (parameters[i].libpq != NULL) {
                append_parameter(text, parameters[i].libpq, value, first);
            }
            return;
        }
    }
    note_parameter(text->script, name);
}

/* Calls translate_parameter, or finds user and password when `text` is NULL. */
static void walk_parameters(const char *query, struct connect_text *text, struct slice *user, struct slice *password)
{
    bool first = true;
    while (*query != '\0') {
        size_t size = connect_script_span(query, "&");
        const char *equals = memchr(query, '=', size);
        struct slice name = slice_of(query, equals != NULL ? (size_t)(equals - query) : size);
        struct slice value = equals != NULL ? slice_of(equals + 1, size - name.size - 1) : slice_text("");
        if (is_name(name, "user") || is_name(name, "password")) {
            *(is_name(name, "user") ? user : password) = value;
        } else if (text != NULL && name.size > 0) {
            translate_parameter(text, name, value, &first);
        }
        query += size + (query[size] == '&');
    }
}

/* ---- jdbc:postgresql ---- */

/* User and password of the settings count more than those of the address, as they do in Connect. */
static void begin_jdbc(struct connect_text *text, const struct connect_address *address, const char *query)
{
    struct slice user = slice_text(address->user);
    struct slice password = SLICE_NULL;
    struct bytes copies[2] = {{0}, {0}};
    struct connect_address whole = *address;
    if (address->user == NULL || address->password == NULL) {
        walk_parameters(query, NULL, &user, &password);
    }
    bytes_append_slice(&copies[0], user);
    bytes_append_slice(&copies[1], password);
    if (whole.user == NULL && !slice_is_null(user)) {
        whole.user = bytes_text(&copies[0]);
    }
    if (whole.password == NULL && !slice_is_null(password)) {
        whole.password_key = "connection.url: the password";
        whole.password = bytes_text(&copies[1]);
    }
    begin_url(text, &whole);
    bytes_free(&copies[0]);
    bytes_free(&copies[1]);
}

/* Hosts and ports keep their punctuation. */
static void append_place(struct connect_text *text, const char *at, size_t size)
{
    while (size > 0) {
        size_t plain = strspn(at, ",:[]%/");
        plain = plain < size ? plain : size;
        connect_script_text(text, at, plain);
        size_t other = connect_script_span(at + plain, ",:[]%/");
        other = other < size - plain ? other : size - plain;
        connect_script_value(text, slice_of(at + plain, other), true);
        at += plain + other;
        size -= plain + other;
    }
}

/* `rest` is what follows jdbc:postgresql: */
static void write_postgres(struct connect_script *script, const struct connect_address *address, const char *rest,
                           struct bytes *out)
{
    struct connect_text text = {.script = script};
    size_t size = connect_script_span(rest, "?");
    const char *query = rest[size] == '?' ? rest + size + 1 : "";
    begin_jdbc(&text, address, query);
    if (strncmp(rest, "//", 2) == 0) {
        append_place(&text, rest + 2, size - 2);
    } else {
        append_literal(&text, "localhost/");
        append_place(&text, rest + (rest[0] == '/'), size - (rest[0] == '/'));
    }
    struct slice ignored;
    walk_parameters(query, &text, &ignored, &ignored);
    bytes_append_text(out, "url = ");
    connect_script_finish(&text, out);
}

/* ---- the others ---- */

static void write_sqlite(struct connect_script *script, const char *rest, struct bytes *out)
{
    struct connect_text text = {.script = script};
    size_t size = connect_script_span(rest, "?");
    if (rest[size] == '?') {
        connect_script_note(script, "connection.url", "the parameters of SQLite are not translated.");
    }
    connect_script_value(&text, slice_of(rest, size), false);
    bytes_append_text(out, "path = ");
    connect_script_finish(&text, out);
}

/* The whole address comes from a provider. */
static void write_unknown(struct connect_script *script, const char *url, struct bytes *out)
{
    struct connect_text text = {.script = script, .otherwise = "postgresql://localhost"};
    connect_script_note(script, "connection.url",
                        "is taken from the environment, where it must stand as "
                        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE; that it is PostgreSQL is a guess.");
    connect_script_value(&text, slice_text(url), false);
    bytes_append_text(out, "url = ");
    connect_script_finish(&text, out);
}

static const char *behind(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}

int connect_url_jdbc(struct connect_script *script, const struct connect_address *address,
                     enum connect_database *database, struct bytes *out, struct err *err)
{
    const char *url = connect_config_take(script->config, "connection.url");
    if (url == NULL) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The setting connection.url is missing.");
    }
    const char *postgres = behind(url, "jdbc:postgresql:");
    const char *sqlite = behind(url, "jdbc:sqlite:");
    *database = sqlite != NULL ? CONNECT_SQLITE : CONNECT_POSTGRES;
    if (postgres != NULL) {
        write_postgres(script, address, postgres, out);
    } else if (sqlite != NULL) {
        write_sqlite(script, sqlite, out);
    } else if (strncmp(url, "${", 2) == 0) {
        write_unknown(script, url, out);
    } else {
        int scheme = (int)strcspn(url, "/@?");
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "There is no connector for the database of connection.url (%.*s...); there are ones for "
                       "jdbc:postgresql: and jdbc:sqlite:.",
                       scheme < 60 ? scheme : 60, url);
    }
    return 0;
}
