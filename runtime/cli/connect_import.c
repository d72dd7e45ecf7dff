#include "cli/connect_import.h"

#include <stdlib.h>

#include "base/memory.h"
#include "cli/connect_capture.h"
#include "cli/connect_poll.h"
#include "cli/connect_sink.h"

/* ---- what is not translated, and why ---- */

/* Settings by name, or by their beginning when it ends with a dot. The first row that fits counts. */
static const struct {
    const char *key;
    const char *why;
} reasons[] = {
    {"tasks.max", "a source has the tasks that its connector gives it; a sink has the option `tasks`."},
    {"max.retries", "connecting is tried again for ever; retry_ms and retry_max_ms say how often."},
    {"retry.backoff.ms", "the first wait is 100 ms and the longest 30 s; set retry_ms and retry_max_ms to change it."},
    {"connection.attempts", "connecting is tried again for ever; retry_ms and retry_max_ms say how often."},
    {"connection.backoff.ms", "the options retry_ms and retry_max_ms say how often connecting is tried again."},
    {"errors.retry.", "retries go on for ever; the options are retry_ms and retry_max_ms."},
    {"errors.log.", "records that are dropped or go to the dead letter topic are logged and counted anyhow."},
    {"errors.deadletterqueue.", "the dead letter topic is made with the headers __connect.errors.* in each record."},
    {"plugin.name", "pgoutput is used, which every PostgreSQL from version 10 on has."},
    {"publication.autocreate.mode", "a missing publication is made for the tables that are named, as with filtered."},
    {"heartbeat.", "no heartbeat is needed: an idle source confirms what the server tells it."},
    {"decimal.handling.mode", "docs/connectors/postgres.md says how numeric values are written."},
    {"time.precision.mode", "times are written as ISO 8601."},
    {"binary.handling.mode", "docs/connectors/postgres.md says how bytea is written."},
    {"hstore.handling.mode", "types that are not known are written as PostgreSQL prints them."},
    {"interval.handling.mode", "intervals are written as PostgreSQL prints them."},
    {"include.unknown.datatypes", "types that are not known are written as PostgreSQL prints them."},
    {"schema.include.list", "tables are named one by one in `tables`."},
    {"schema.exclude.list", "tables are named one by one in `tables`."},
    {"schema.whitelist", "tables are named one by one in `tables`."},
    {"schema.blacklist", "tables are named one by one in `tables`."},
    {"table.exclude.list", "tables are named one by one."},
    {"table.blacklist", "tables are named one by one."},
    {"column.", "take columns out in a :map_values behind the source."},
    {"message.key.columns", "the key is the primary key; :select_key makes another one."},
    {"skipped.operations", "drop them with :filter(function(_, change) return change.op ~= \"t\" end)."},
    {"provide.transaction.metadata", "each event has its transaction's number in source.txId."},
    {"slot.drop.on.stop", "the slot is kept, so that nothing is lost while the app is away."},
    {"slot.", "the slot is looked after by the source."},
    {"lsn.flush.mode", "the server may forget what is committed in the log, and nothing before."},
    {"offset.mismatch.strategy", "a slot that is ahead of the stored position stops the app, with a message."},
    {"status.update.interval.ms", "the source confirms by itself."},
    {"query.suffix", "write the whole query in `query`; what a restart needs is added to it."},
    {"max.queue.size", "memory is bounded by the batches that are read ahead."},
    {"max.batch.size", "memory is bounded by the batches that are read ahead."},
    {"poll.interval.ms", "changes come as they are committed."},
    {"snapshot.", "the snapshot reads the tables one after the other, as of one moment."},
    {"signal.", "there are no signals; a new snapshot is made after `tidemill connect offsets reset`."},
    {"incremental.snapshot.", "there are no incremental snapshots."},
    {"notification.", "the status page /connectors tells how far a snapshot is."},
    {"database.", "is not translated; the url takes what libpq knows."},
    {"driver.", "is not translated; the url takes what libpq knows."},
    {"converters", "values are JSON, with integers as they are and times as ISO 8601."},
    {"numeric.mapping", "numbers are written as JSON numbers, or as text where a number would lose digits."},
    {"numeric.precision.mapping", "numbers are written as JSON numbers, or as text where one would lose digits."},
    {"validate.non.null", "rows whose cursor columns are null are not seen."},
    {"batch.max.rows", "a batch is at most 1000 rows or 1 MB."},
    {"table.poll.interval.ms", "tables are named one by one."},
    {"table.types", "a view is named like a table."},
    {"catalog.pattern", "name the schema with the table."},
    {"schema.pattern", "name the schema with the table: table = \"schema.name\"."},
    {"db.timezone", "times are written as ISO 8601 with their offset."},
    {"db.name", "is not needed."},
    {"dialect.name", "the connector is chosen by the address."},
    {"quote.sql.identifiers", "names are always quoted; capital and small letters count."},
    {"quote.identifiers", "names are always quoted; capital and small letters count."},
    {"replace.null.with.default", "fields that the value does not have get the column's default."},
    {"connection.ds.pool", "each task has one connection."},
    {"connection.pool.", "each task has one connection."},
    {"key.converter", "keys are text or JSON: see the script."},
    {"value.converter", "values are JSON without a schema."},
    {"header.converter", "headers are bytes, and are passed on as they are."},
    {"consumer.override.", "set properties of the app: tm.app { kafka = { ... } }."},
    {"producer.override.", "set properties of the app: tm.app { kafka = { ... } }."},
    {"admin.override.", "set properties of the app: tm.app { kafka = { ... } }."},
    {"topic.creation.", "topics are made with create_topics = true and partitions = N of the app, or beforehand by "
                        "`tidemill topics create`."},
    {"topic.creation.enable", "create_topics = true of the app makes missing topics."},
    {"exactly.once.support", "is always on: records and position are committed together."},
    {"transaction.boundary", "commit_ms of the app says how often there is a commit."},
    {"offsets.storage.topic", "positions are in a topic of the app; `tidemill connect offsets show` shows them."},
    {"config.action.reload", "scripts are read at start; `tidemill dev` reads a changed one again."},
    {"initial_state", "the app runs as soon as it is started."},
    {"predicates.", "no transform asks it."},
    {"transforms.", "the list `transforms` does not name it."},
};

static const char *reason_of(const char *key)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        size_t size = strlen(reasons[i].key);
        bool beginning = reasons[i].key[size - 1] == '.';
        if (beginning ? strncmp(key, reasons[i].key, size) == 0 : strcmp(key, reasons[i].key) == 0) {
            return reasons[i].why;
        }
    }
    if (strstr(key, ".converter.") != NULL) {
        return "values are JSON without a schema.";
    }
    return "is not known here, and has no effect.";
}

static void note_rest(struct connect_script *script)
{
    for (size_t i = 0; i < script->config->count; i++) {
        const struct connect_setting *setting = &script->config->list[i];
        if (!setting->taken) {
            connect_script_note(script, setting->key, "%s", reason_of(setting->key));
        }
    }
}

/* ---- the connectors ---- */

static const struct importer {
    const char *class;
    int (*write)(struct connect_script *script, struct err *err);
} importers[] = {
    {"io.confluent.connect.jdbc.JdbcSinkConnector", connect_sink_write},
    {"io.confluent.connect.jdbc.JdbcSourceConnector", connect_poll_write},
    {"io.aiven.connect.jdbc.JdbcSinkConnector", connect_sink_write},
    {"io.aiven.connect.jdbc.JdbcSourceConnector", connect_poll_write},
    {"io.debezium.connector.jdbc.JdbcSinkConnector", connect_sink_write},
    {"io.debezium.connector.postgresql.PostgresConnector", connect_capture_write},
};
#define IMPORTER_COUNT (sizeof importers / sizeof importers[0])

/* By the whole name, or by its last part, as Connect allows too. */
static const struct importer *find_importer(const char *class)
{
    for (size_t i = 0; i < IMPORTER_COUNT; i++) {
        const char *last = strrchr(importers[i].class, '.') + 1;
        if (strcmp(class, importers[i].class) == 0 || strcmp(class, last) == 0) {
            return &importers[i];
        }
    }
    return NULL;
}

static int unknown_class(const char *class, struct err *err)
{
    struct bytes known = {0};
    for (size_t i = 0; i < IMPORTER_COUNT; i++) {
        bytes_append_format(&known, "%s%s", i > 0 ? ", " : "", importers[i].class);
    }
    if (class == NULL) {
        err_set(err, ERR_FATAL, ERR_CONFIG, "The setting connector.class is missing. Known are %s.",
                bytes_text(&known));
    } else {
        err_set(err, ERR_FATAL, ERR_CONFIG, "The connector.class %.200s is not known here. Known are %s.", class,
                bytes_text(&known));
    }
    bytes_free(&known);
    return -1;
}

/* ---- the script ---- */

static void append_app(struct connect_script *script, struct bytes *out)
{
    struct connect_config *config = script->config;
    bool tolerant = connect_config_is(config, "errors.tolerance", "all");
    const char *topic = connect_config_take(config, "errors.deadletterqueue.topic.name");
    bytes_append_text(out, tolerant ? "local app = tm.app { id = \"" : "local app = tm.app \"");
    connect_script_name(out, config->name);
    bytes_append_text(out, "\"");
    if (tolerant && topic != NULL) {
        bytes_append_text(out, ", on_error = \"dead_letter\", dead_letter = ");
        connect_script_quote(out, slice_text(topic));
    } else if (tolerant) {
        bytes_append_text(out, ", on_error = \"skip\"");
    }
    bytes_append_text(out, tolerant ? " }\n\n" : "\n\n");
}

static void append_head(const struct connect_script *script, const char *from, const char *class, struct bytes *out)
{
    char *first = memory_format("Made by `tidemill connect import` of %s: the connector %s, %s.", from,
                                script->config->name, class);
    connect_script_comment(out, "", first);
    free(first);
    if (script->notes.size > 0) {
        bytes_append_text(out, "--\n-- To know, setting by setting:\n");
        bytes_append_slice(out, bytes_slice(&script->notes));
    }
    bytes_append_text(out, "\nlocal tm = require \"tidemill\"\n\n");
    if (script->secrets) {
        bytes_append_text(out, "-- A text from the environment, as it stands in a URL.\n"
                               "local function secret(name)\n"
                               "  return ((tm.env(name) or \"\"):gsub(\"[^%w%-._~]\", function(byte)\n"
                               "    return (\"%%%02X\"):format(byte:byte())\n"
                               "  end))\n"
                               "end\n\n");
    }
}

static int write_script(struct connect_script *script, const char *from, struct bytes *out, struct err *err)
{
    const char *class = connect_config_take(script->config, "connector.class");
    const struct importer *importer = class != NULL ? find_importer(class) : NULL;
    struct bytes app = {0};
    if (importer == NULL) {
        return unknown_class(class, err);
    }
    append_app(script, &app);
    int result = importer->write(script, err);
    if (result == 0) {
        note_rest(script);
        append_head(script, from, class, out);
        bytes_append_slice(out, bytes_slice(&app));
        bytes_append_slice(out, bytes_slice(&script->body));
    }
    bytes_free(&app);
    return result;
}

int connect_import(struct slice json, const char *from, struct bytes *out, struct err *err)
{
    struct connect_config config;
    struct connect_script script = {.config = &config};
    int result = connect_config_parse(json, &config, err);
    if (result == 0) {
        result = write_script(&script, from, out, err);
    }
    connect_script_free(&script);
    connect_config_free(&config);
    return result;
}
