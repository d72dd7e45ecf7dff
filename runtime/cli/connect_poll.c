#include "cli/connect_poll.h"

#include <stdlib.h>

#include "base/memory.h"
#include "cli/connect_tables.h"
#include "cli/connect_transforms.h"
#include "cli/connect_url.h"

struct poll {
    struct connect_script *script;
    enum connect_database database;
    struct bytes address; /* "url = ..." */
    struct bytes tables;  /* list */
    bool loop;            /* several tables: the name is in the variable `name` */
    const char *prefix;
    const char *query; /* NULL: tables */
    const char *indent;
};

/* ---- how the table is read ---- */

static void append_option(struct poll *poll, const char *option, const char *value, bool quoted)
{
    struct bytes *out = &poll->script->body;
    bytes_append_format(out, "%s%s = ", poll->indent, option);
    if (quoted) {
        connect_script_quote(out, slice_text(value));
    } else {
        bytes_append_text(out, value);
    }
    bytes_append_text(out, ",\n");
}

static const char *first_item(const char *list, struct bytes *copy)
{
    struct slice item;
    bytes_clear(copy);
    if (connect_config_item(&list, &item)) {
        bytes_append_slice(copy, item);
    }
    return bytes_text(copy);
}

/* Connect takes the first of several columns that is not null; ours is one. */
static void append_time(struct poll *poll, const char *columns)
{
    struct bytes column = {0};
    if (columns != NULL && strchr(columns, ',') != NULL) {
        connect_script_note(poll->script, "timestamp.column.name",
                            "of several columns the first is taken; for the first that is not null make a generated "
                            "column or a view.");
    }
    append_option(poll, "time", columns != NULL ? first_item(columns, &column) : "updated_at", true);
    bytes_free(&column);
}

static void append_cursor(struct poll *poll)
{
    struct connect_config *config = poll->script->config;
    const char *mode = connect_config_take(config, "mode");
    const char *id = connect_config_take(config, "incrementing.column.name");
    const char *time = connect_config_take(config, "timestamp.column.name");
    mode = mode != NULL ? mode : "";
    bool timed = strncmp(mode, "timestamp", 9) == 0;
    append_option(poll, "cursor", timed ? "time+id" : "id", true);
    if (timed) {
        append_time(poll, time);
    }
    if (timed || id != NULL) {
        append_option(poll, "id", id != NULL ? id : "id", true);
    }
    if (strcmp(mode, "timestamp") == 0) {
        connect_script_note(poll->script, "mode",
                            "rows of one timestamp are told apart by a unique column: name it with `id`.");
    } else if (!timed && strcmp(mode, "incrementing") != 0) {
        connect_script_note(poll->script, "mode",
                            "TODO whole tables are not read again and again; the script reads by the column `id` what "
                            "is new. tm.connect.postgres reads the rows that are there and then every change.");
    }
    connect_script_note(poll->script, "mode",
                        "each record has the column `id` as its key. Rows that were written before others but are "
                        "committed after them are not seen, here as in "
                        "Connect; cursor = \"commit\" loses none. `tidemill connect check` prints what it needs.");
}

static void append_duration(struct poll *poll, const char *key, const char *option)
{
    const char *value = connect_config_take(poll->script->config, key);
    if (value == NULL) {
        return;
    }
    if (value[strspn(value, "0123456789")] == '\0' && strlen(value) < 8) {
        append_option(poll, option, value, false);
    } else {
        connect_script_note(poll->script, key, "is no number of milliseconds up to 9999999.");
    }
}

/* ---- the whole ---- */

static void append_table(struct poll *poll, struct slice table)
{
    if (poll->query != NULL) {
        append_option(poll, "query", poll->query, true);
        return;
    }
    if (poll->loop) {
        append_option(poll, "table", "name", false);
        return;
    }
    struct bytes copy = {0};
    bytes_append_slice(&copy, table);
    append_option(poll, "table", bytes_text(&copy), true);
    bytes_free(&copy);
}

/* Connect leaves the schema out of the topic's name; that of a query is the prefix alone. */
static void append_to(struct poll *poll, struct slice table)
{
    struct bytes *out = &poll->script->body;
    struct bytes topic = {0};
    bytes_append_text(&topic, poll->prefix);
    if (poll->loop) {
        bytes_append_format(out, "%s:to(", poll->indent);
        connect_script_quote(out, bytes_slice(&topic));
        bytes_append_text(out, " .. name:match(\"[^.]*$\"))\n");
    } else {
        const unsigned char *dot = memrchr(table.data, '.', table.size);
        size_t skip = dot != NULL ? (size_t)(dot - table.data) + 1 : 0;
        bytes_append(&topic, table.data + skip, table.size - skip);
        bytes_append_format(out, "%s:to(", poll->indent);
        connect_script_quote(out, bytes_slice(&topic));
        bytes_append_text(out, ")\n");
    }
    bytes_free(&topic);
}

static void append_source(struct poll *poll, struct slice table)
{
    struct bytes *out = &poll->script->body;
    bytes_append_text(out, poll->loop ? "  app:source(\"" : "app:source(\"");
    connect_script_name(out, poll->script->config->name);
    bytes_append_format(out, "%s, tm.connect.%s_poll {\n", poll->loop ? "-\" .. name" : "\"",
                        poll->database == CONNECT_SQLITE ? "sqlite" : "postgres");
    bytes_append_format(out, "%s%s,\n", poll->indent, bytes_text(&poll->address));
    append_table(poll, table);
    append_cursor(poll);
    append_duration(poll, "poll.interval.ms", "poll_ms");
    append_duration(poll, "timestamp.delay.interval.ms", "delay_ms");
    bytes_append_format(out, "%s})\n", poll->loop ? "  " : "");
    connect_transforms_write(poll->script, poll->indent);
    append_to(poll, table);
}

static void write_tables(struct poll *poll)
{
    struct bytes *out = &poll->script->body;
    const char *list = bytes_text(&poll->tables);
    const char *at = list;
    struct slice table = slice_text("");
    struct slice second;
    poll->loop = poll->query == NULL && (!connect_config_item(&at, &table) || connect_config_item(&at, &second));
    poll->indent = poll->loop ? "    " : "  ";
    if (poll->loop) {
        bytes_append_text(out, "for _, name in ipairs ");
        connect_script_list(out, list);
        bytes_append_text(out, " do\n");
    }
    append_source(poll, table);
    bytes_append_text(out, poll->loop ? "end\n" : "");
}

int connect_poll_write(struct connect_script *script, struct err *err)
{
    struct connect_config *config = script->config;
    struct poll poll = {.script = script};
    struct connect_address address = {
        .user = connect_config_take(config, "connection.user"),
        .password_key = "connection.password",
        .password = connect_config_take(config, "connection.password"),
    };
    const char *prefix = connect_config_take(config, "topic.prefix");
    poll.prefix = prefix != NULL ? prefix : "";
    poll.query = connect_config_take(config, "query");
    int result = connect_url_jdbc(script, &address, &poll.database, &poll.address, err);
    if (result == 0) {
        if (poll.query == NULL) {
            connect_tables_list(script, "table.whitelist", "table.include.list", &poll.tables);
        }
        write_tables(&poll);
    }
    bytes_free(&poll.address);
    bytes_free(&poll.tables);
    return result;
}
