#include "base/log.h"

#include "base/clock.h"
#include "base/json.h"

#include <ck_pr.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* Read by every thread without a lock, written when the process starts. */
static unsigned current_level = LOG_INFO;
static unsigned current_json = 0;

void log_configure(enum log_level level, bool json)
{
    ck_pr_store_uint(&current_level, level);
    ck_pr_store_uint(&current_json, json);
}

int log_parse_level(const char *text, enum log_level *level)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return 0;
        }
    }
    return -1;
}

bool log_enabled(enum log_level level)
{
    return (unsigned)level <= ck_pr_load_uint(&current_level);
}

/* Values that a reader could take for something else stand in quotes. */
static bool needs_quotes(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ' || *at == '"' || *at == '=' || *at == '\\' || *at == 0x7f) {
            return true;
        }
    }
    return text[0] == '\0';
}

/* Foreign bytes that are not UTF-8 would make the line unreadable for a JSON parser: each becomes a question mark. */
static void append_text_value(struct json_writer *writer, const char *text)
{
    if (json_utf8_valid(slice_text(text))) {
        json_text(writer, text);
        return;
    }
    struct bytes copy = {0};
    bytes_append_text(&copy, text);
    for (size_t i = 0; i < copy.size; i++) {
        if (copy.data[i] >= 0x80) {
            copy.data[i] = '?';
        }
    }
    json_string(writer, bytes_slice(&copy));
    bytes_free(&copy);
}

static void append_plain_field(struct bytes *line, const char *name, const char *text)
{
    bytes_append_format(line, " %s=", name);
    if (needs_quotes(text)) {
        struct json_writer writer = json_writer(line);
        append_text_value(&writer, text);
    } else {
        bytes_append_text(line, text);
    }
}

static void format_plain(struct bytes *line, const char *time, enum log_level level, const char *message,
                         const struct log_field *fields, size_t count)
{
    bytes_append_format(line, "%s %s", time, level_names[level]);
    append_plain_field(line, "message", message);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].text != NULL) {
            append_plain_field(line, fields[i].name, fields[i].text);
        } else {
            bytes_append_format(line, " %s=%lld", fields[i].name, (long long)fields[i].number);
        }
    }
}

static void append_json_field(struct json_writer *writer, const char *name, const char *text)
{
    json_name(writer, slice_text(name));
    append_text_value(writer, text);
}

static void format_json(struct bytes *line, const char *time, enum log_level level, const char *message,
                        const struct log_field *fields, size_t count)
{
    struct json_writer writer = json_writer(line);
    json_begin_object(&writer);
    append_json_field(&writer, "time", time);
    append_json_field(&writer, "level", level_names[level]);
    append_json_field(&writer, "message", message);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].text != NULL) {
            append_json_field(&writer, fields[i].name, fields[i].text);
        } else {
            json_name(&writer, slice_text(fields[i].name));
            json_integer(&writer, fields[i].number);
        }
    }
    json_end_object(&writer);
}

/* One write, so that lines of several threads don't mix. A line that can't be written is lost: there is no place left
 * to complain. */
static void write_line(const struct bytes *line)
{
    int saved = errno;
    ssize_t written;
    do {
        written = write(STDERR_FILENO, line->data, line->size);
    } while (written < 0 && errno == EINTR);
    errno = saved;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t count)
{
    if (!log_enabled(level)) {
        return;
    }
    char time[CLOCK_TEXT_SIZE];
    struct bytes line = {0};
    clock_format_time(clock_wall_ms(&CLOCK_SYSTEM), time);
    if (ck_pr_load_uint(&current_json)) {
        format_json(&line, time, level, message, fields, count);
    } else {
        format_plain(&line, time, level, message, fields, count);
    }
    bytes_append_byte(&line, '\n');
    write_line(&line);
    bytes_free(&line);
}
