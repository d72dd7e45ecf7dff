#include "cli/connect_capture.h"

#include "cli/connect_tables.h"
#include "cli/connect_transforms.h"
#include "cli/connect_url.h"

static void append_text_option(struct bytes *out, const char *option, const char *value)
{
    bytes_append_format(out, "  %s = ", option);
    connect_script_quote(out, slice_text(value));
    bytes_append_text(out, ",\n");
}

static void append_address(struct connect_script *script)
{
    struct connect_config *config = script->config;
    struct connect_address address = {
        .user = connect_config_take(config, "database.user"),
        .password_key = "database.password",
        .password = connect_config_take(config, "database.password"),
    };
    const char *host = connect_config_take(config, "database.hostname");
    const char *port = connect_config_take(config, "database.port");
    const char *mode = connect_config_take(config, "database.sslmode");
    bytes_append_text(&script->body, "  ");
    connect_url_parts(script, &address, host, port, connect_config_take(config, "database.dbname"), mode,
                      &script->body);
    bytes_append_text(&script->body, ",\n");
}

static bool is_any(const char *text, const char *one, const char *other, const char *third)
{
    return strcmp(text, one) == 0 || strcmp(text, other) == 0 || strcmp(text, third) == 0;
}

/* Whether rows that are there are read first, as Debezium does by default. */
static bool wants_snapshot(struct connect_script *script)
{
    const char *mode = connect_config_take(script->config, "snapshot.mode");
    if (mode == NULL || is_any(mode, "initial", "exported", "when_needed")) {
        return true;
    }
    if (is_any(mode, "never", "no_data", "schema_only")) {
        return false;
    }
    connect_script_note(script, "snapshot.mode",
                        "has no translation; the script reads the rows that are there once, and then the changes.");
    return true;
}

/* A first start with a snapshot makes its slot anew, which must not happen to Debezium's. */
static void append_slot(struct connect_script *script, bool snapshot)
{
    struct connect_config *config = script->config;
    const char *slot = connect_config_take(config, "slot.name");
    const char *publication = connect_config_take(config, "publication.name");
    if (!snapshot) {
        append_text_option(&script->body, "slot", slot != NULL ? slot : "debezium");
        connect_script_note(script, "slot.name",
                            "changes are taken from where Debezium has stopped: stop it before the first start.");
    } else {
        connect_script_note(script, "slot.name",
                            "the source makes a slot of its own and reads the rows that are there. When Debezium has "
                            "stopped, drop its slot: SELECT pg_drop_replication_slot('%.63s'). To go on where it "
                            "stopped instead, give slot = \"%.63s\" and snapshot = \"never\".",
                            slot != NULL ? slot : "debezium", slot != NULL ? slot : "debezium");
    }
    append_text_option(&script->body, "publication", publication != NULL ? publication : "dbz_publication");
    if (!snapshot) {
        append_text_option(&script->body, "snapshot", "never");
    }
}

static void append_tables(struct connect_script *script, const char *tables)
{
    bytes_append_text(&script->body, "  tables = ");
    connect_script_list(&script->body, tables);
    bytes_append_text(&script->body, ",\n");
}

/* <prefix>.<schema>.<table>, as Debezium names them; rec.topic is <schema>.<table>. */
static void append_to(struct connect_script *script, const char *tables)
{
    struct bytes *out = &script->body;
    struct bytes prefix = {0};
    struct slice table;
    struct slice second;
    const char *value = connect_config_either(script->config, "topic.prefix", "database.server.name");
    if (value != NULL) {
        bytes_append_format(&prefix, "%s.", value);
    }
    bool one = connect_config_item(&tables, &table) && !connect_config_item(&tables, &second);
    bytes_append_text(out, one ? "  :to(" : "  :to(function(_, _, rec) return ");
    if (one) {
        bytes_append_slice(&prefix, table);
    }
    connect_script_quote(out, bytes_slice(&prefix));
    bytes_append_text(out, one ? ")\n" : " .. rec.topic end)\n");
    bytes_free(&prefix);
}

int connect_capture_write(struct connect_script *script, struct err *err)
{
    struct connect_config *config = script->config;
    struct bytes *out = &script->body;
    struct bytes tables = {0};
    if (connect_config_look(config, "database.dbname") == NULL) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The setting database.dbname is missing.");
    }
    bytes_append_text(out, "app:source(\"");
    connect_script_name(out, config->name);
    bytes_append_text(out, "\", tm.connect.postgres {\n");
    append_address(script);
    connect_tables_list(script, "table.include.list", "table.whitelist", &tables);
    append_tables(script, bytes_text(&tables));
    append_slot(script, wants_snapshot(script));
    if (connect_config_is(config, "tombstones.on.delete", "false")) {
        bytes_append_text(out, "  tombstones = false,\n");
    }
    bytes_append_text(out, "})\n");
    connect_transforms_write(script, "  ");
    append_to(script, bytes_text(&tables));
    bytes_free(&tables);
    return 0;
}
