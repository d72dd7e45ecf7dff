/* What the sources that poll a table have in common: options, which columns the cursor is made of, the position. Pure.
 *
 * The position is {"cursor":["tx","id"],"after":["731","12"]}: the columns, and their values of the last row that was
 * handed out.
 * Ownership: a struct poll_position owns its texts; it starts as zeroes. The rest is borrowed.
 */
#ifndef TIDEMILL_CONNECTORS_POLL_H
#define TIDEMILL_CONNECTORS_POLL_H

#include "connectors/envelope.h"
#include "connectors/pieces.h"
#include "engine/connector.h"

enum poll_cursor { POLL_COMMIT, POLL_ID, POLL_TIME_ID };

#define POLL_COLUMNS 2 /* a cursor has at most */

struct poll_options {
    char *place; /* the file, or the URL */
    char *table;
    char *query;
    struct option_list columns;
    struct option_list key;
    int cursor; /* enum poll_cursor */
    char *id;
    char *time;
    char *commit; /* PostgreSQL's only */
    int64_t poll_ms;
    int64_t delay_ms;
};

/* The rows of an option table that are the same for all databases; those before and behind are `place`, `cursor` and
 * `commit`. */
#define POLL_OPTIONS                                                                                                   \
    {.name = "table",                                                                                                  \
     .type = OPTION_TEXT,                                                                                              \
     .offset = offsetof(struct poll_options, table),                                                                   \
     .text = "The table to read; or else a query."},                                                                   \
        {.name = "query",                                                                                              \
         .type = OPTION_TEXT,                                                                                          \
         .offset = offsetof(struct poll_options, query),                                                               \
         .argument = "SELECT",                                                                                         \
         .text = "What to read instead of a table: a SELECT that has the cursor's columns; it may have a WHERE, and "  \
                 "its order does not matter."},                                                                        \
        {.name = "columns",                                                                                            \
         .type = OPTION_LIST,                                                                                          \
         .offset = offsetof(struct poll_options, columns),                                                             \
         .argument = "COLUMN",                                                                                         \
         .text = "The columns that records have; by default all."},                                                    \
        {.name = "key",                                                                                                \
         .type = OPTION_LIST,                                                                                          \
         .offset = offsetof(struct poll_options, key),                                                                 \
         .argument = "COLUMN",                                                                                         \
         .text = "The columns that a record's key is made of, as a JSON object; by default the column of the option "  \
                 "id, when there is one."},                                                                            \
        {.name = "id",                                                                                                 \
         .type = OPTION_TEXT,                                                                                          \
         .offset = offsetof(struct poll_options, id),                                                                  \
         .default_text = "id",                                                                                         \
         .argument = "COLUMN",                                                                                         \
         .text = "The column that tells rows apart and grows."},                                                       \
        {.name = "time",                                                                                               \
         .type = OPTION_TEXT,                                                                                          \
         .offset = offsetof(struct poll_options, time),                                                                \
         .default_text = "updated_at",                                                                                 \
         .argument = "COLUMN",                                                                                         \
         .text = "For the cursor time+id: the column with the time of the last change, in UTC."},                      \
        {.name = "poll_ms",                                                                                            \
         .type = OPTION_DURATION,                                                                                      \
         .offset = offsetof(struct poll_options, poll_ms),                                                             \
         .default_text = "1s",                                                                                         \
         .low = 1,                                                                                                     \
         .high = 86400000,                                                                                             \
         .text = "How long to wait when there was nothing more."},                                                     \
    {                                                                                                                  \
        .name = "delay_ms", .type = OPTION_DURATION, .offset = offsetof(struct poll_options, delay_ms),                \
        .default_text = "1s", .low = 0, .high = 86400000,                                                              \
        .text = "For the cursor time+id: rows are left alone until their time is so long ago, since transactions "     \
                "that began before may still add earlier ones."                                                        \
    }

/* What no single option can tell. `kind` and `place` are for messages: "sqlite_poll", "path". */
int poll_validate(const struct poll_options *options, const char *kind, const char *place, struct err *err);
const char *poll_cursor_name(enum poll_cursor cursor);

struct poll_position {
    struct option_list after; /* empty: before the first row */
};

/* ERR_FATAL: it is none, or one of other columns. */
int poll_position_read(struct poll_position *position, struct slice text, const char *const *columns, size_t count,
                       struct err *err);
void poll_position_write(const struct poll_position *position, const char *const *columns, size_t count,
                         struct bytes *out);

/* A row as a record: a JSON object of its fields; its key has those that `keys` names by index. `scratch` has room for
 * as many fields as there are keys. */
void poll_add_row(struct pieces *pieces, const char *topic, struct envelope_row row, const size_t *keys, size_t count,
                  struct envelope_field *scratch);
/* Finds the key's columns; *count is 0 when there is none of the option id. ERR_FATAL: a named one is not there. The
 * caller frees *keys. */
int poll_find_keys(const struct poll_options *options, const char *const *names, size_t name_count, size_t **keys,
                   size_t *count, struct err *err);
/* Says once at the start what a cursor does not see. */
void poll_warn(const struct connector_context *context, const char *text);

#endif
