#include "cli/connect_script.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/memory.h"

#define COMMENT_WIDTH 116

void connect_script_free(struct connect_script *script)
{
    bytes_free(&script->notes);
    bytes_free(&script->body);
}

/* ---- comments ---- */

static bool is_blank(char byte)
{
    return (unsigned char)byte <= ' ' || byte == 0x7f;
}

/* One word of a comment, on a new line when it does not fit. */
static void append_word(struct bytes *out, const char *indent, const char *word, size_t size, size_t *column)
{
    if (*column == 0 || *column + 1 + size > COMMENT_WIDTH) {
        bytes_append_text(out, *column > 0 ? "\n" : "");
        bytes_append_text(out, indent);
        bytes_append_text(out, *column > 0 ? "--  " : "--");
        *column = strlen(indent) + 2;
    }
    bytes_append_byte(out, ' ');
    bytes_append(out, word, size);
    *column += 1 + size;
}

void connect_script_comment(struct bytes *out, const char *indent, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t size = 0;
        while (text[size] != '\0' && !is_blank(text[size])) {
            size++;
        }
        if (size > 0) {
            append_word(out, indent, text, size, &column);
        }
        text += size;
        while (*text != '\0' && is_blank(*text)) {
            text++;
        }
    }
    bytes_append_text(out, column > 0 ? "\n" : "");
}

static bool has_part(const char *key, const char *part)
{
    return strcasestr(key, part) != NULL;
}

static bool is_secret(const char *key)
{
    return has_part(key, "password") || has_part(key, "secret") || has_part(key, "token") || has_part(key, "jaas") ||
           has_part(key, "user.info") || has_part(key, "private") || has_part(key, "credential") ||
           has_part(key, "api.key") || has_part(key, ".url"); /* parameters of addresses */
}

void connect_script_note(struct connect_script *script, const char *key, const char *format, ...)
{
    const char *value = connect_config_look(script->config, key);
    struct bytes line = {0};
    va_list arguments;
    va_start(arguments, format);
    char text[1024];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bytes_append_text(&line, key);
    if (value != NULL && !is_secret(key)) {
        bytes_append_format(&line, " = %s", value);
    }
    bytes_append_format(&line, ": %s", text);
    connect_script_comment(&script->notes, "", bytes_text(&line));
    bytes_free(&line);
}

/* ---- pieces of Lua ---- */

void connect_script_quote(struct bytes *out, struct slice text)
{
    bytes_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = text.data[i];
        if (byte == '"' || byte == '\\') {
            bytes_append_byte(out, '\\');
            bytes_append_byte(out, byte);
        } else if (byte < ' ' || byte == 0x7f) {
            bytes_append_format(out, "\\%03d", byte);
        } else {
            bytes_append_byte(out, byte);
        }
    }
    bytes_append_byte(out, '"');
}

static bool is_identifier(struct slice name)
{
    static const char *const reserved[] = {"and",      "break",  "do",   "else", "elseif", "end",  "false", "for",
                                           "function", "goto",   "if",   "in",   "local",  "nil",  "not",   "or",
                                           "repeat",   "return", "then", "true", "until",  "while"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (slice_equal(name, slice_text(reserved[i]))) {
            return false;
        }
    }
    for (size_t i = 0; i < name.size; i++) {
        unsigned char byte = name.data[i];
        if (byte > 0x7e || !(isalpha(byte) || byte == '_' || (i > 0 && isdigit(byte)))) {
            return false;
        }
    }
    return name.size > 0;
}

void connect_script_field(struct bytes *out, struct slice name)
{
    if (is_identifier(name)) {
        bytes_append_byte(out, '.');
        bytes_append_slice(out, name);
    } else {
        bytes_append_byte(out, '[');
        connect_script_quote(out, name);
        bytes_append_byte(out, ']');
    }
}

void connect_script_list(struct bytes *out, const char *items)
{
    struct slice item;
    bool first = true;
    bytes_append_byte(out, '{');
    while (connect_config_item(&items, &item)) {
        bytes_append_text(out, first ? " " : ", ");
        connect_script_quote(out, item);
        first = false;
    }
    bytes_append_text(out, first ? "}" : " }");
}

static void append_mapped(struct bytes *out, struct slice text, const char *kept, char other, bool upper)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = text.data[i];
        bool good = byte < 0x80 && (isalnum(byte) || strchr(kept, byte) != NULL);
        bytes_append_byte(out, (unsigned char)(!good ? other : upper ? toupper(byte) : byte));
    }
}

void connect_script_name(struct bytes *out, const char *text)
{
    bool dots = text[strspn(text, ".")] == '\0';
    append_mapped(out, dots ? slice_text("imported") : slice_of(text, strnlen(text, 150)), "._-", '-', false);
}

void connect_script_variable(struct bytes *out, struct slice text)
{
    if (text.size == 0 || isdigit(text.data[0])) {
        bytes_append_byte(out, '_');
    }
    append_mapped(out, text, "_", '_', true);
}

/* ---- texts with secrets in them ---- */

void connect_script_text(struct connect_text *text, const char *literal, size_t size)
{
    bytes_append(&text->literal, literal, size);
}

static void end_literal(struct connect_text *text)
{
    if (text->literal.size > 0) {
        bytes_append_text(&text->expression, text->expression.size > 0 ? " .. " : "");
        connect_script_quote(&text->expression, bytes_slice(&text->literal));
        bytes_clear(&text->literal);
    }
}

static void append_variable(struct connect_text *text, const char *name, bool in_url)
{
    end_literal(text);
    bytes_append_text(&text->expression, text->expression.size > 0 ? " .. " : "");
    bytes_append_format(&text->expression, in_url ? "secret \"%s\"" : "(tm.env \"%s\" or ", name);
    if (!in_url) {
        connect_script_quote(&text->expression, slice_text(text->otherwise != NULL ? text->otherwise : ""));
        bytes_append_byte(&text->expression, ')');
    }
    text->script->secrets = text->script->secrets || in_url;
}

/* The size of ${provider:...} at the start; 0: there is none. */
static size_t placeholder(const char *text, size_t size)
{
    const char *end = size > 3 && text[0] == '$' && text[1] == '{' ? memchr(text, '}', size) : NULL;
    const char *colon = end != NULL ? memrchr(text, ':', (size_t)(end - text)) : NULL;
    return colon != NULL && colon + 1 < end ? (size_t)(end - text) + 1 : 0;
}

/* ${env:NAME} names its variable; what other providers have is called by the connector and the last part. */
static void name_variable(const struct connect_script *script, struct slice hole, struct bytes *out)
{
    const char *text = (const char *)hole.data;
    const char *colon = memrchr(text, ':', hole.size);
    struct bytes name = {0};
    if (strncmp(text, "${env:", 6) != 0) {
        bytes_append_format(&name, "%s_", script->config->name);
    }
    bytes_append(&name, colon + 1, hole.size - (size_t)(colon + 1 - text) - 1);
    connect_script_variable(out, bytes_slice(&name));
    bytes_free(&name);
}

/* The value's ${...} is the variable; says so where that is not plain. */
static void append_placeholder(struct connect_text *text, struct slice hole, bool in_url)
{
    struct bytes variable = {0};
    name_variable(text->script, hole, &variable);
    append_variable(text, bytes_text(&variable), in_url);
    if (strncmp((const char *)hole.data, "${env:", 6) != 0) {
        char *key = memory_format("%.*s", (int)hole.size, (const char *)hole.data);
        connect_script_note(text->script, key, "is taken from the environment variable %s.", bytes_text(&variable));
        free(key);
    }
    bytes_free(&variable);
}

static void append_encoded(struct connect_text *text, unsigned char byte, bool in_url)
{
    if (in_url && (byte > 0x7e || !(isalnum(byte) || strchr("-._~", byte) != NULL))) {
        bytes_append_format(&text->literal, "%%%02X", byte);
    } else {
        bytes_append_byte(&text->literal, byte);
    }
}

void connect_script_value(struct connect_text *text, struct slice value, bool in_url)
{
    const char *at = (const char *)value.data;
    size_t left = value.size;
    while (left > 0) {
        size_t taken = placeholder(at, left);
        if (taken > 0) {
            append_placeholder(text, slice_of(at, taken), in_url);
        } else {
            append_encoded(text, (unsigned char)*at, in_url);
            taken = 1;
        }
        at += taken;
        left -= taken;
    }
}

void connect_script_password(struct connect_text *text, const char *key, const char *value)
{
    size_t whole = placeholder(value, strlen(value));
    if (whole > 0 && value[whole] == '\0') {
        connect_script_value(text, slice_text(value), true);
        return;
    }
    struct bytes variable = {0};
    char *made = memory_format("%s_PASSWORD", text->script->config->name);
    connect_script_variable(&variable, slice_text(made));
    append_variable(text, bytes_text(&variable), true);
    connect_script_note(text->script, key, "is taken from the environment variable %s.", bytes_text(&variable));
    free(made);
    bytes_free(&variable);
}

void connect_script_finish(struct connect_text *text, struct bytes *out)
{
    end_literal(text);
    bytes_append_slice(out, bytes_slice(&text->expression));
    bytes_append_text(out, text->expression.size == 0 ? "\"\"" : "");
    bytes_free(&text->expression);
    bytes_free(&text->literal);
}

size_t connect_script_span(const char *text, const char *stops)
{
    size_t at = 0;
    while (text[at] != '\0' && strchr(stops, text[at]) == NULL) {
        size_t taken = placeholder(text + at, strlen(text + at));
        at += taken > 0 ? taken : 1;
    }
    return at;
}
