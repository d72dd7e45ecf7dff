/* One line per event on standard error: key=value text, or JSON by option.
 *
 * Ownership: fields borrow their text for the duration of the call. May be called from any thread; one event is one
 * write(2).
 */
#ifndef TIDEMILL_BASE_LOG_H
#define TIDEMILL_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_field {
    const char *name;
    const char *text; /* NULL: the number counts */
    int64_t number;
};

static inline struct log_field log_text(const char *name, const char *text)
{
    return (struct log_field){name, text ? text : "", 0};
}
static inline struct log_field log_number(const char *name, int64_t number)
{
    return (struct log_field){name, NULL, number};
}

void log_configure(enum log_level level, bool json);
int log_parse_level(const char *text, enum log_level *level); /* error warn info debug; 0 or -1 */
bool log_enabled(enum log_level level);

/* `message` is a plain sentence without the values; they go into the fields. */
void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t count);

#define log_event(level, message, ...)                                                                                 \
    log_write(level, message, (const struct log_field[]){__VA_ARGS__},                                                 \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
