#include "cli/connect_sink.h"

#include <stdlib.h>

#include "base/memory.h"
#include "cli/connect_transforms.h"
#include "cli/connect_url.h"

struct sink {
    struct connect_script *script;
    enum connect_database database;
    struct bytes address; /* "url = ..." */
    const char *topics;   /* list */
    const char *regex;
    bool loop; /* several topics: the name is in the variable `topic` */
    const char *format;
    bool normalize;
    const char *mode;
    const char *indent;
};

/* ---- options that are the same for every topic ---- */

static void append_option(struct sink *sink, const char *format, const char *value)
{
    struct bytes *out = &sink->script->body;
    bytes_append_format(out, "%s  ", sink->indent);
    bytes_append_format(out, format, value);
    bytes_append_text(out, ",\n");
}

static void append_flag(struct sink *sink, const char *key, const char *option)
{
    if (connect_config_is(sink->script->config, key, "true")) {
        append_option(sink, "%s = true", option);
    }
}

/* PostgreSQL's table says itself what its key is, if it is there. */
static bool needs_key(const struct sink *sink)
{
    const struct connect_config *config = sink->script->config;
    const char *create = connect_config_look(config, "auto.create");
    const char *evolution = connect_config_look(config, "schema.evolution");
    return sink->database == CONNECT_SQLITE || (create != NULL && strcmp(create, "true") == 0) ||
           (evolution != NULL && strcmp(evolution, "basic") == 0);
}

/* Our key columns come from the value's fields, else from the record's key: both of Connect's ways. */
static void append_key(struct sink *sink)
{
    struct connect_config *config = sink->script->config;
    const char *mode = connect_config_either(config, "pk.mode", "primary.key.mode");
    const char *fields = connect_config_either(config, "pk.fields", "primary.key.fields");
    const char *key = connect_config_look(config, "pk.mode") != NULL ? "pk.mode" : "primary.key.mode";
    if (mode != NULL && (strcmp(mode, "kafka") == 0 || strcmp(mode, "record_header") == 0)) {
        connect_script_note(sink->script, key,
                            "is not needed to write each record once. To have topic, partition, offset or a header as "
                            "columns, put them into the value in a :map_values.");
        fields = NULL;
    } else if (mode != NULL && strcmp(mode, "none") != 0 && fields == NULL) {
        connect_script_note(sink->script, key, "no fields are named: name the key's columns with `key`%s.",
                            sink->database == CONNECT_POSTGRES ? ", or the table's primary key is taken" : "");
    }
    if (fields != NULL && mode != NULL && strcmp(mode, "none") != 0) {
        struct bytes list = {0};
        connect_script_list(&list, fields);
        append_option(sink, "key = %s", bytes_text(&list));
        bytes_free(&list);
    } else if (strcmp(sink->mode, "insert") != 0 && needs_key(sink)) {
        append_option(sink, "key = %s", "{ \"id\" }");
        connect_script_note(sink->script, key, "TODO the script has key = { \"id\" }: name the key's columns.");
    }
}

static const char *mode_of(struct sink *sink)
{
    const char *mode = connect_config_take(sink->script->config, "insert.mode");
    if (mode == NULL || strcmp(mode, "insert") == 0 || strcmp(mode, "multi") == 0) {
        return "insert";
    }
    if (strcmp(mode, "upsert") == 0 || strcmp(mode, "update") == 0) {
        return mode;
    }
    connect_script_note(sink->script, "insert.mode", "is not known; the script has mode = \"upsert\".");
    return "upsert";
}

/* Insert mode has no deletes in our connectors: a key makes it an upsert. */
static void choose_mode(struct sink *sink)
{
    sink->mode = mode_of(sink);
    if (strcmp(sink->mode, "insert") == 0 && connect_config_is(sink->script->config, "delete.enabled", "true")) {
        connect_script_note(sink->script, "delete.enabled",
                            "deletes go by a key, so the script has mode = \"upsert\" in the place of insert.");
        sink->mode = "upsert";
    }
}

static void append_batch(struct sink *sink)
{
    const char *batch = connect_config_take(sink->script->config, "batch.size");
    if (batch != NULL && batch[strspn(batch, "0123456789")] == '\0' && strlen(batch) < 7 && atol(batch) > 0) {
        append_option(sink, "batch = %s", batch);
    } else if (batch != NULL) {
        connect_script_note(sink->script, "batch.size", "is no number from 1 to 999999; the default is taken.");
    }
}

static void append_options(struct sink *sink)
{
    struct connect_config *config = sink->script->config;
    append_key(sink);
    append_option(sink, "mode = \"%s\"", sink->mode);
    append_flag(sink, "delete.enabled", "delete");
    const char *evolution = connect_config_take(config, "schema.evolution");
    if (evolution != NULL && strcmp(evolution, "basic") == 0) {
        append_option(sink, "%s = true", "auto_create");
        append_option(sink, "%s = true", "auto_evolve");
    } else {
        append_flag(sink, "auto.create", "auto_create");
        append_flag(sink, "auto.evolve", "auto_evolve");
    }
    append_batch(sink);
}

/* ---- the table's name ---- */

static bool is_word(unsigned char byte)
{
    return byte == '_' || (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

/* table.name.normalize: every character that no plain name has becomes an underscore. */
static void append_topic(struct sink *sink, struct slice topic, struct bytes *out)
{
    for (size_t i = 0; i < topic.size; i++) {
        bytes_append_byte(out, sink->normalize && !is_word(topic.data[i]) ? '_' : topic.data[i]);
    }
}

static void append_piece(struct bytes *out, struct slice literal)
{
    if (literal.size > 0) {
        bytes_append_text(out, out->size > 0 ? " .. " : "");
        connect_script_quote(out, literal);
    }
}

/* "kafka_" .. topic */
static void loop_table(struct sink *sink, struct bytes *out)
{
    const char *at = sink->format;
    const char *hole;
    while ((hole = strstr(at, "${topic}")) != NULL) {
        append_piece(out, slice_of(at, (size_t)(hole - at)));
        bytes_append_text(out, out->size > 0 ? " .. " : "");
        bytes_append_text(out, sink->normalize ? "topic:gsub(\"[^%w_]\", \"_\")" : "topic");
        at = hole + 8;
    }
    append_piece(out, slice_text(at));
    if (sink->normalize) { /* gsub gives two results; the braces keep the first */
        bytes_append_byte(out, ')');
        struct bytes whole = {0};
        bytes_append_byte(&whole, '(');
        bytes_append_slice(&whole, bytes_slice(out));
        bytes_free(out);
        *out = whole;
    }
}

static void one_table(struct sink *sink, struct slice topic, struct bytes *out)
{
    struct bytes name = {0};
    const char *at = sink->format;
    const char *hole;
    while ((hole = strstr(at, "${topic}")) != NULL) {
        bytes_append(&name, at, (size_t)(hole - at));
        append_topic(sink, topic, &name);
        at = hole + 8;
    }
    bytes_append_text(&name, at);
    connect_script_quote(out, bytes_slice(&name));
    bytes_free(&name);
}

static void append_table(struct sink *sink, struct slice topic)
{
    struct bytes table = {0};
    if (sink->loop) {
        loop_table(sink, &table);
    } else {
        one_table(sink, topic, &table);
    }
    append_option(sink, "table = %s", bytes_text(&table));
    bytes_free(&table);
}

static void choose_table(struct sink *sink)
{
    struct connect_config *config = sink->script->config;
    const char *format = connect_config_either(config, "table.name.format", "collection.name.format");
    sink->format = format != NULL ? format : "${topic}";
    sink->normalize = connect_config_is(config, "table.name.normalize", "true");
}

/* ---- what the records look like ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t size = text != NULL ? strlen(text) : 0;
    return size >= strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

/* A codec of ours for a converter of theirs; NULL: none. */
static const char *codec_of(const char *converter)
{
    static const char *const codecs[][2] = {{".JsonConverter", "json"},
                                            {".StringConverter", "string"},
                                            {".ByteArrayConverter", "bytes"},
                                            {".LongConverter", "int64"},
                                            {".DoubleConverter", "double"}};
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
        if (ends_with(converter, codecs[i][0])) {
            return codecs[i][1];
        }
    }
    return NULL;
}

/* Whether the converter wraps data as {"schema": ..., "payload": ...}, which is its default. */
static bool has_schemas(struct connect_config *config, const char *converter, const char *setting)
{
    const char *schemas = connect_config_take(config, setting);
    return ends_with(converter, ".JsonConverter") && (schemas == NULL || strcmp(schemas, "true") == 0);
}

static void note_converter(struct connect_script *script, const char *key, const char *value, const char *what)
{
    if (value == NULL) {
        connect_script_note(script, key,
                            "is not set here, so the worker's own holds, which is not known; the script "
                            "takes %s.",
                            what);
    } else {
        connect_script_note(script, key,
                            "is not translated; the script takes %s. What needs a schema registry must be "
                            "written as JSON by its producer.",
                            what);
    }
}

static void append_codecs(struct connect_script *script, const char *key, const char *value, struct bytes *out)
{
    const char *key_codec = codec_of(key);
    const char *value_codec = codec_of(value);
    bool other_key = key_codec != NULL && strcmp(key_codec, "string") != 0;
    bool other_value = value_codec != NULL && strcmp(value_codec, "json") != 0;
    if (key_codec == NULL) {
        note_converter(script, "key.converter", key, "keys as text");
    }
    if (value_codec == NULL) {
        note_converter(script, "value.converter", value, "values as JSON");
    }
    if (other_key || other_value) {
        bytes_append_text(out, ", {");
        bytes_append_text(out, other_key ? " key = tm." : "");
        bytes_append_text(out, other_key ? key_codec : "");
        bytes_append_text(out, other_value ? other_key ? ", value = tm." : " value = tm." : "");
        bytes_append_text(out, other_value ? value_codec : "");
        bytes_append_text(out, " }");
    }
}

/* Debezium's own JDBC sink takes change events as they are. */
static bool takes_changes(const struct connect_config *config)
{
    const char *class = connect_config_look(config, "connector.class");
    return class != NULL && strncmp(class, "io.debezium.", 12) == 0;
}

static void append_payload(struct sink *sink, bool keys, bool values)
{
    struct bytes *out = &sink->script->body;
    if (keys) {
        bytes_append_format(out, "%s:select_key(function(key) return key and key.payload end)\n", sink->indent);
    }
    if (values) {
        bytes_append_format(out, "%s:map_values(function(_, value) return value and value.payload end)\n",
                            sink->indent);
    }
    if (takes_changes(sink->script->config)) {
        connect_script_comment(out, sink->indent,
                               "Debezium's sink takes change events and plain rows alike; :unwrap() is for change "
                               "events.");
        bytes_append_format(out, "%s:unwrap()\n", sink->indent);
    }
}

/* fields.whitelist */
static void append_fields(struct sink *sink)
{
    struct connect_config *config = sink->script->config;
    struct bytes *out = &sink->script->body;
    const char *list = connect_config_either(config, "fields.whitelist", "fields.include.list");
    struct slice field;
    if (list == NULL) {
        return;
    }
    bytes_append_format(out, "%s:map_values(function(_, value)\n%s  return value and {", sink->indent, sink->indent);
    for (bool first = true; connect_config_item(&list, &field); first = false) {
        const unsigned char *colon = memchr(field.data, ':', field.size);
        if (colon != NULL) { /* topic:field */
            field = slice_of(colon + 1, field.size - (size_t)(colon + 1 - field.data));
        }
        bytes_append_text(out, first ? " [" : ", [");
        connect_script_quote(out, field);
        bytes_append_text(out, "] = value");
        connect_script_field(out, field);
    }
    bytes_append_format(out, " }\n%send)\n", sink->indent);
}

/* ---- the whole ---- */

static void append_stream(struct sink *sink, struct slice topic)
{
    struct connect_script *script = sink->script;
    struct connect_config *config = script->config;
    const char *key = connect_config_take(config, "key.converter");
    const char *value = connect_config_take(config, "value.converter");
    bool keys = has_schemas(config, key, "key.converter.schemas.enable");
    bool values = has_schemas(config, value, "value.converter.schemas.enable");
    bytes_append_text(&script->body, sink->loop ? "  app:stream(topic" : "app:stream(");
    if (!sink->loop) {
        connect_script_quote(&script->body, topic);
    }
    append_codecs(script, key, value, &script->body);
    bytes_append_text(&script->body, ")\n");
    append_payload(sink, keys, values);
    connect_transforms_write(script, sink->indent);
    append_fields(sink);
}

static void append_sink(struct sink *sink, struct slice topic)
{
    struct bytes *out = &sink->script->body;
    bytes_append_format(out, "%s:sink(\"", sink->indent);
    connect_script_name(out, sink->script->config->name);
    bytes_append_format(out, "%s, tm.connect.%s {\n", sink->loop ? "-\" .. topic" : "\"",
                        sink->database == CONNECT_SQLITE ? "sqlite" : "postgres");
    append_option(sink, "%s", bytes_text(&sink->address));
    append_table(sink, topic);
    append_options(sink);
    bytes_append_format(out, "%s})\n", sink->indent);
}

static bool single(const char *list, struct slice *item)
{
    struct slice second;
    return connect_config_item(&list, item) && !connect_config_item(&list, &second);
}

/* A pattern is one stream when all of its topics go to one table. */
static void write_topics(struct sink *sink)
{
    struct bytes *out = &sink->script->body;
    struct slice topic = SLICE_NULL;
    struct bytes pattern = {0};
    sink->loop = !single(sink->topics, &topic);
    if (sink->regex != NULL && strstr(sink->format, "${topic}") == NULL) {
        bytes_append_format(&pattern, "^(%s)$", sink->regex);
        topic = bytes_slice(&pattern);
        sink->loop = false;
        connect_script_note(sink->script, "topics.regex", "patterns are POSIX extended regular expressions here.");
    } else if (sink->regex != NULL) {
        connect_script_note(sink->script, "topics.regex",
                            "a sink writes one table: name the topics in the script's list.");
    }
    sink->indent = sink->loop ? "    " : "  ";
    if (sink->loop) {
        bytes_append_text(out, "for _, topic in ipairs ");
        connect_script_list(out, sink->topics != NULL ? sink->topics : "");
        bytes_append_text(out, " do\n");
    }
    append_stream(sink, topic);
    append_sink(sink, topic);
    bytes_append_text(out, sink->loop ? "end\n" : "");
    bytes_free(&pattern);
}

int connect_sink_write(struct connect_script *script, struct err *err)
{
    struct connect_config *config = script->config;
    struct sink sink = {.script = script};
    struct connect_address address = {
        .user = connect_config_either(config, "connection.user", "connection.username"),
        .password_key = "connection.password",
        .password = connect_config_take(config, "connection.password"),
    };
    sink.topics = connect_config_take(config, "topics");
    sink.regex = connect_config_take(config, "topics.regex");
    if (sink.topics == NULL && sink.regex == NULL) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The setting topics is missing: what does the sink read?");
    }
    int result = connect_url_jdbc(script, &address, &sink.database, &sink.address, err);
    if (result == 0) {
        choose_table(&sink);
        choose_mode(&sink);
        write_topics(&sink);
    }
    bytes_free(&sink.address);
    return result;
}
