/* Where a SQLite source stands, as the JSON text that is kept with its records. Pure.
 *
 * {"log":"5f..","seq":7,"schema":3,"tables":{"orders":1,"items":2},"pending":["items"],"again":[],"after":["i41"],
 * "rows":41}: everything of the change log up to `seq` has been handed out; the tables of `pending` are still to be
 * read, the first of them behind the row with the key `after`.
 * Ownership: a struct sqlite_position owns its texts; it starts as zeroes.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_POSITION_H
#define TIDEMILL_CONNECTORS_SQLITE_POSITION_H

#include "base/option.h"

#define SQLITE_POSITION_LOG_SIZE 33 /* 32 hexadecimal digits and the end */

struct sqlite_position_table {
    char *name;
    int64_t generation; /* of the table, as the log counts it */
    bool pending;       /* its rows are still to be read */
    bool again;         /* not for the first time: its changes are handed out meanwhile, whatever their keys */
};

struct sqlite_position {
    char log[SQLITE_POSITION_LOG_SIZE]; /* which log it is */
    int64_t seq;
    int64_t schema; /* the file's schema_version */
    struct sqlite_position_table *tables;
    size_t count;
    size_t capacity;
    struct option_list after; /* key values of the first pending table, see sqlite_position_put */
    int64_t rows;             /* of it that were read */
};

/* ERR_FATAL: the text is no position. */
int sqlite_position_read(struct sqlite_position *position, struct slice text, struct err *err);
void sqlite_position_write(const struct sqlite_position *position, struct bytes *out);
struct sqlite_position_table *sqlite_position_find(const struct sqlite_position *position, const char *name);
struct sqlite_position_table *sqlite_position_add(struct sqlite_position *position, const char *name);
struct sqlite_position_table *sqlite_position_pending(const struct sqlite_position *position); /* the first, or NULL */
void sqlite_position_forget_after(struct sqlite_position *position);
void sqlite_position_free(struct sqlite_position *position);

/* A key value of `after`: "i42", "r" and a number that reads back the same, "t" and text, "x" and text that is not
 * UTF-8 in base64, "b" and a blob in base64, "n" null. */
struct sqlite_position_value {
    char type; /* the letter; x comes out as t */
    int64_t integer;
    double real;
    struct bytes text;
};
void sqlite_position_put(struct option_list *after, const struct sqlite_position_value *value);
/* False: it is none. The value's text is replaced. */
bool sqlite_position_take(const char *item, struct sqlite_position_value *value);

#endif
