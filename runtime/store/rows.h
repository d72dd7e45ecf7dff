/* rows.db: what has been merged, one plain table per store, readable with any SQLite tool.
 *
 * The owner reads (and makes or drops tables when it opens the file); after that only the merge writes, through a
 * connection of its own.
 * Ownership: a struct rows belongs to one thread. Slices from reading are valid until the statement is released.
 */
#ifndef TIDEMILL_STORE_ROWS_H
#define TIDEMILL_STORE_ROWS_H

#include "engine/store.h"
#include "store/database.h"

#define ROWS_FILE "rows.db"
#define ROWS_APPLICATION_ID 0x544d5231u /* "TMR1" */
#define ROWS_RANGE_KINDS 4

struct rows_store {
    int64_t id;
    char *name;
    enum store_kind kind;
    bool by_key; /* as in the spec */
    bool headers;
    uint64_t hash;
    int64_t since;    /* entries in deltas up to this one belong to an earlier store of the same name */
    uint64_t expired; /* entries of earlier times are gone */
    char *table;      /* quoted for SQL */
    sqlite3_stmt *get;
    sqlite3_stmt *put;
    sqlite3_stmt *delete;
    sqlite3_stmt *ranges[ROWS_RANGE_KINDS]; /* idle ones */
};

struct rows {
    struct database database;
    const char *app;   /* of the identity it was opened with, borrowed */
    int64_t merged;    /* last delta in the file */
    struct bytes meta; /* that delta's; empty: none */
    struct rows_store *stores;
    size_t count;
    size_t capacity;
};

int rows_open(struct rows *rows, const char *directory, struct database_identity *identity, enum database_role role,
              bool *made, struct err *err);
int rows_load(struct rows *rows, struct err *err); /* of a database that is open: its state and list of stores */
void rows_close(struct rows *rows);

/* Makes the tables of new stores, as of delta `seq`, and drops those of stores that are no more. A store whose kind or
 * hash changed is refused with ERR_TOPOLOGY. Pointers to stores are valid from here on. @thread owner, at opening */
int rows_sync_stores(struct rows *rows, const struct store_spec *specs, size_t count, int64_t seq, struct err *err);
struct rows_store *rows_find(const struct rows *rows, struct slice name); /* NULL: none */

int rows_any(struct rows *rows, const struct rows_store *store, bool *any, struct err *err);
/* The greatest time that a key of a window or session store begins with; `*found` false without one. */
int rows_last_time(struct rows *rows, const struct rows_store *store, bool *found, uint64_t *time, struct err *err);

/* The entries of a window or session store whose keys are too short to begin with a time. */
int rows_timeless(struct rows *rows, const struct rows_store *store,
                  void (*each)(void *self, const struct store_entry *entry), void *self, struct err *err);

/* `value` is valid until rows_release_get, which must follow a successful call. */
int rows_get(struct rows *rows, struct rows_store *store, struct slice key, bool *found, struct slice *value,
             int64_t *timestamp, struct err *err);
void rows_release_get(struct rows_store *store);

/* low <= key < high (null: no bound); the bounds must live until rows_release_range. */
struct rows_range {
    struct rows_store *store;
    sqlite3_stmt *statement;
    int kind;
};
int rows_range(struct rows *rows, struct rows_store *store, struct slice low, struct slice high, bool backwards,
               struct rows_range *range, struct err *err);
int rows_range_step(struct rows *rows, struct rows_range *range, bool *found, struct store_entry *entry,
                    struct err *err);
void rows_release_range(struct rows_range *range);

/* The merge. Between begin and commit is one transaction that ends with what `merged` and `meta` say, or several with
 * rows_write_on and another begin between them. */
int rows_begin(struct rows *rows, struct err *err);
int rows_put(struct rows *rows, struct rows_store *store, const struct store_entry *entry, struct err *err);
int rows_expire(struct rows *rows, struct rows_store *store, uint64_t time, struct err *err);
int rows_write_on(struct rows *rows, struct err *err); /* commits what was written, and `merged` stays */
int rows_commit(struct rows *rows, int64_t merged, struct slice meta, struct err *err);
void rows_rollback(struct rows *rows);

#endif
