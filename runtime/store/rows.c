#include "store/rows.h"

#include "base/memory.h"
#include "store/store_sql.h"

#include <stdio.h>
#include <stdlib.h>

/* Statements with the table's name in them. */
static int prepare_for(struct rows *rows, const struct rows_store *store, const char *format, sqlite3_stmt **statement,
                       struct err *err)
{
    char *sql = sqlite3_mprintf(format, store->table);
    if (sql == NULL) {
        return database_error(&rows->database, SQLITE_NOMEM, err);
    }
    int failed = database_prepare_own(&rows->database, sql, statement, err);
    sqlite3_free(sql);
    return failed;
}

static int execute_for(struct rows *rows, const struct rows_store *store, const char *format, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (prepare_for(rows, store, format, &statement, err) != 0) {
        return -1;
    }
    int failed = database_run(&rows->database, statement, err);
    sqlite3_finalize(statement);
    return failed;
}

/* The list of stores. */

static char *table_name(int64_t id, const char *name)
{
    char *plain = memory_format("store_%lld_%s", (long long)id, name);
    struct bytes quoted = {NULL, 0, 0};
    bytes_append_byte(&quoted, '"');
    for (const char *at = plain; *at != '\0'; at++) {
        bytes_append(&quoted, "\"\"", *at == '"' ? 1 : 0);
        bytes_append_byte(&quoted, (unsigned char)*at);
    }
    bytes_append_byte(&quoted, '"');
    free(plain);
    bytes_text(&quoted);
    return (char *)quoted.data;
}

static struct rows_store *remember(struct rows *rows, int64_t id, const char *name)
{
    rows->stores = memory_grow(rows->stores, rows->count, &rows->capacity, sizeof *rows->stores);
    struct rows_store *store = &rows->stores[rows->count++];
    *store = (struct rows_store){.id = id, .name = memory_copy_text(name), .table = table_name(id, name)};
    return store;
}

static void forget(struct rows_store *store)
{
    sqlite3_finalize(store->get);
    sqlite3_finalize(store->put);
    sqlite3_finalize(store->delete);
    for (int kind = 0; kind < ROWS_RANGE_KINDS; kind++) {
        sqlite3_finalize(store->ranges[kind]);
    }
    free(store->name);
    free(store->table);
}

static int read_stores(struct rows *rows, sqlite3_stmt *statement, struct err *err)
{
    for (;;) {
        bool row;
        if (database_step(&rows->database, statement, &row, err) != 0) {
            return -1;
        }
        if (!row) {
            return 0;
        }
        const char *name = (const char *)sqlite3_column_text(statement, 1);
        struct rows_store *store = remember(rows, sqlite3_column_int64(statement, 0), name != NULL ? name : "");
        int kind = sqlite3_column_int(statement, 2);
        store->kind = (enum store_kind)(kind & SQL_KIND_MASK);
        store->by_key = (kind & SQL_KIND_BY_KEY) != 0;
        store->headers = (kind & SQL_KIND_HEADERS) != 0;
        store->hash = (uint64_t)sqlite3_column_int64(statement, 3);
        store->since = sqlite3_column_int64(statement, 4);
        store->expired = (uint64_t)sqlite3_column_int64(statement, 5);
    }
}

static int load_stores(struct rows *rows, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (database_prepare_own(&rows->database, SQL_LIST_STORES, &statement, err) != 0) {
        return -1;
    }
    int failed = read_stores(rows, statement, err);
    sqlite3_finalize(statement);
    return failed;
}

static int load_state(struct rows *rows, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row;
    if (database_prepare_own(&rows->database, SQL_GET_STATE, &statement, err) != 0) {
        return -1;
    }
    int failed = database_step(&rows->database, statement, &row, err);
    if (failed == 0 && !row) {
        failed = err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s has no state row.", rows->database.path);
    } else if (failed == 0) {
        rows->merged = sqlite3_column_int64(statement, 0);
        bytes_clear(&rows->meta);
        bytes_append_slice(&rows->meta, database_column_slice(statement, 1));
    }
    sqlite3_finalize(statement);
    return failed;
}

int rows_load(struct rows *rows, struct err *err)
{
    return load_state(rows, err) != 0 || load_stores(rows, err) != 0 ? -1 : 0;
}

int rows_open(struct rows *rows, const char *directory, struct database_identity *identity, enum database_role role,
              bool *made, struct err *err)
{
    *rows = (struct rows){.merged = 0};
    rows->app = identity->app;
    identity->application_id = ROWS_APPLICATION_ID;
    identity->schema = SQL_ROWS_SCHEMA;
    char *path = memory_format("%s/%s", directory, ROWS_FILE);
    int failed = database_open(&rows->database, path, identity, role, made, err);
    free(path);
    if (failed != 0) {
        return -1;
    }
    if (rows_load(rows, err) != 0) {
        rows_close(rows);
        return -1;
    }
    return 0;
}

void rows_close(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        forget(&rows->stores[i]);
    }
    free(rows->stores);
    bytes_free(&rows->meta);
    database_close(&rows->database);
    *rows = (struct rows){.merged = 0};
}

/* Following the topology. */

struct rows_store *rows_find(const struct rows *rows, struct slice name)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (slice_equal(slice_text(rows->stores[i].name), name)) {
            return &rows->stores[i];
        }
    }
    return NULL;
}

static bool is_specified(const struct rows_store *store, const struct store_spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(specs[i].name, store->name) == 0) {
            return true;
        }
    }
    return false;
}

static int delete_by_id(struct rows *rows, const struct rows_store *store, const char *sql, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (database_prepare(&rows->database, sql, &statement, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(statement, 1, store->id);
    int failed = database_run(&rows->database, statement, err);
    sqlite3_finalize(statement);
    return failed;
}

static int delete_store(struct rows *rows, size_t index, struct err *err)
{
    struct rows_store *store = &rows->stores[index];
    if (execute_for(rows, store, SQL_DROP_ROWS, err) != 0 || delete_by_id(rows, store, SQL_DELETE_STORE, err) != 0 ||
        delete_by_id(rows, store, SQL_DELETE_TIMELESS_ROWS, err) != 0) {
        return -1;
    }
    forget(store);
    rows->count--;
    memmove(store, store + 1, (rows->count - index) * sizeof *store);
    return 0;
}

static int add_store(struct rows *rows, const struct store_spec *spec, int64_t seq, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (database_prepare(&rows->database, SQL_ADD_STORE, &statement, err) != 0) {
        return -1;
    }
    sqlite3_bind_text(statement, 1, spec->name, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 2,
                     (int)spec->kind | (spec->by_key ? SQL_KIND_BY_KEY : 0) | (spec->headers ? SQL_KIND_HEADERS : 0));
    sqlite3_bind_int64(statement, 3, (int64_t)spec->hash);
    sqlite3_bind_int64(statement, 4, seq);
    int failed = database_run(&rows->database, statement, err);
    sqlite3_finalize(statement);
    if (failed != 0) {
        return -1;
    }
    struct rows_store *store = remember(rows, sqlite3_last_insert_rowid(rows->database.handle), spec->name);
    store->kind = spec->kind;
    store->hash = spec->hash;
    store->since = seq;
    return execute_for(rows, store, SQL_MAKE_ROWS, err);
}

static int check_store(const struct rows *rows, const struct rows_store *store, const struct store_spec *spec,
                       struct err *err)
{
    if (store->kind == spec->kind && store->hash == spec->hash) {
        return 0;
    }
    static const char *const kinds[] = {
        [STORE_KEY_VALUE] = "key-value", [STORE_WINDOW] = "window", [STORE_SESSION] = "session"};
    char how[96] = "with another operator, codec or window";
    if (store->kind != spec->kind) {
        snprintf(how, sizeof how, "as a %s store, and is a %s store now", kinds[store->kind], kinds[spec->kind]);
    }
    return err_set(
        err, ERR_FATAL, ERR_TOPOLOGY,
        "The store %s in %s was written by a pipeline that defined it differently, %s, so its state can't be "
        "used. Give the store a new name, or start over with: tidemill reset --app %s --to-earliest "
        "--execute",
        spec->name, rows->database.path, how, rows->app);
}

static int follow_specs(struct rows *rows, const struct store_spec *specs, size_t count, int64_t seq, struct err *err)
{
    for (size_t i = rows->count; i > 0; i--) {
        if (!is_specified(&rows->stores[i - 1], specs, count) && delete_store(rows, i - 1, err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct rows_store *store = rows_find(rows, slice_text(specs[i].name));
        if (store == NULL ? add_store(rows, &specs[i], seq, err) != 0 : check_store(rows, store, &specs[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Durable before the first delta is written: a store that a power cut takes out of rows.db, but whose deltas reached
 * the disk, would be taken for a new one behind them and be empty where its meta says that it has everything. */
int rows_sync_stores(struct rows *rows, const struct store_spec *specs, size_t count, int64_t seq, struct err *err)
{
    if (database_execute(&rows->database, SQL_SYNC_ALL, err) != 0 || rows_begin(rows, err) != 0) {
        return -1;
    }
    if (follow_specs(rows, specs, count, seq, err) != 0 || database_execute(&rows->database, SQL_COMMIT, err) != 0) {
        rows_rollback(rows);
        return -1;
    }
    return 0;
}

/* Reading. */

int rows_any(struct rows *rows, const struct rows_store *store, bool *any, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (prepare_for(rows, store, SQL_ANY_ROW, &statement, err) != 0) {
        return -1;
    }
    int failed = database_step(&rows->database, statement, any, err);
    sqlite3_finalize(statement);
    return failed;
}

int rows_last_time(struct rows *rows, const struct rows_store *store, bool *found, uint64_t *time, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (prepare_for(rows, store, SQL_LAST_KEY, &statement, err) != 0) {
        return -1;
    }
    int failed = database_step(&rows->database, statement, found, err);
    if (failed == 0 && *found) {
        struct bytes_reader reader = bytes_reader_of(database_column_slice(statement, 0));
        *time = bytes_take_u64(&reader);
    }
    sqlite3_finalize(statement);
    return failed;
}

static struct store_entry column_entry(sqlite3_stmt *statement)
{
    return (struct store_entry){database_column_slice(statement, 0), database_column_slice(statement, 1),
                                sqlite3_column_int64(statement, 2)};
}

static int read_timeless(struct rows *rows, sqlite3_stmt *statement,
                         void (*each)(void *self, const struct store_entry *entry), void *self, struct err *err)
{
    for (;;) {
        bool row;
        if (database_step(&rows->database, statement, &row, err) != 0) {
            return -1;
        }
        if (!row) {
            return 0;
        }
        struct store_entry entry = column_entry(statement);
        each(self, &entry);
    }
}

int rows_timeless(struct rows *rows, const struct rows_store *store,
                  void (*each)(void *self, const struct store_entry *entry), void *self, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (database_prepare(&rows->database, SQL_GET_TIMELESS_ROWS, &statement, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(statement, 1, store->id);
    int failed = read_timeless(rows, statement, each, self, err);
    sqlite3_finalize(statement);
    return failed;
}

int rows_get(struct rows *rows, struct rows_store *store, struct slice key, bool *found, struct slice *value,
             int64_t *timestamp, struct err *err)
{
    if (store->get == NULL && prepare_for(rows, store, SQL_GET_ROW, &store->get, err) != 0) {
        return -1;
    }
    database_bind_slice(store->get, 1, key);
    if (database_step(&rows->database, store->get, found, err) != 0) {
        return -1;
    }
    if (*found) {
        *value = database_column_slice(store->get, 0);
        *timestamp = sqlite3_column_int64(store->get, 1);
    }
    return 0;
}

void rows_release_get(struct rows_store *store)
{
    sqlite3_reset(store->get);
    sqlite3_clear_bindings(store->get);
}

int rows_range(struct rows *rows, struct rows_store *store, struct slice low, struct slice high, bool backwards,
               struct rows_range *range, struct err *err)
{
    static const char *const sql[ROWS_RANGE_KINDS] = {SQL_RANGE_UP, SQL_RANGE_UP_TO, SQL_RANGE_DOWN, SQL_RANGE_DOWN_TO};
    range->store = store;
    range->kind = (backwards ? 2 : 0) + (slice_is_null(high) ? 0 : 1);
    range->statement = store->ranges[range->kind];
    store->ranges[range->kind] = NULL;
    if (range->statement == NULL && prepare_for(rows, store, sql[range->kind], &range->statement, err) != 0) {
        return -1;
    }
    database_bind_slice(range->statement, 1, slice_is_null(low) ? slice_text("") : low);
    if (!slice_is_null(high)) {
        database_bind_slice(range->statement, 2, high);
    }
    return 0;
}

int rows_range_step(struct rows *rows, struct rows_range *range, bool *found, struct store_entry *entry,
                    struct err *err)
{
    if (database_step(&rows->database, range->statement, found, err) != 0) {
        return -1;
    }
    if (*found) {
        *entry = column_entry(range->statement);
    }
    return 0;
}

void rows_release_range(struct rows_range *range)
{
    if (range->statement == NULL) {
        return;
    }
    sqlite3_reset(range->statement);
    sqlite3_clear_bindings(range->statement);
    if (range->store->ranges[range->kind] == NULL) {
        range->store->ranges[range->kind] = range->statement;
    } else {
        sqlite3_finalize(range->statement);
    }
    range->statement = NULL;
}

/* Writing. */

int rows_begin(struct rows *rows, struct err *err)
{
    return database_execute(&rows->database, SQL_BEGIN, err);
}

static int delete_row(struct rows *rows, struct rows_store *store, struct slice key, struct err *err)
{
    if (store->delete == NULL && prepare_for(rows, store, SQL_DELETE_ROW, &store->delete, err) != 0) {
        return -1;
    }
    database_bind_slice(store->delete, 1, key);
    return database_run(&rows->database, store->delete, err);
}

/* They are few, so their statements are not kept. */
static int put_timeless(struct rows *rows, const struct rows_store *store, const struct store_entry *entry,
                        struct err *err)
{
    sqlite3_stmt *statement = NULL;
    bool deletion = slice_is_null(entry->value);
    const char *sql = deletion ? SQL_DELETE_TIMELESS_ROW : SQL_PUT_TIMELESS_ROW;
    if (database_prepare(&rows->database, sql, &statement, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(statement, 1, store->id);
    database_bind_slice(statement, 2, entry->key);
    if (!deletion) {
        database_bind_slice(statement, 3, entry->value);
        sqlite3_bind_int64(statement, 4, entry->timestamp);
    }
    int failed = database_run(&rows->database, statement, err);
    sqlite3_finalize(statement);
    return failed;
}

int rows_put(struct rows *rows, struct rows_store *store, const struct store_entry *entry, struct err *err)
{
    if (store->kind != STORE_KEY_VALUE && entry->key.size < 8) {
        return put_timeless(rows, store, entry, err);
    }
    if (slice_is_null(entry->value)) {
        return delete_row(rows, store, entry->key, err);
    }
    if (store->put == NULL && prepare_for(rows, store, SQL_PUT_ROW, &store->put, err) != 0) {
        return -1;
    }
    database_bind_slice(store->put, 1, entry->key);
    database_bind_slice(store->put, 2, entry->value);
    sqlite3_bind_int64(store->put, 3, entry->timestamp);
    return database_run(&rows->database, store->put, err);
}

static int delete_expired(struct rows *rows, const struct rows_store *store, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (prepare_for(rows, store, SQL_EXPIRE_ROWS, &statement, err) != 0) {
        return -1;
    }
    struct bytes bound = {NULL, 0, 0};
    bytes_append_u64(&bound, store->expired);
    database_bind_slice(statement, 1, bytes_slice(&bound));
    int failed = database_run(&rows->database, statement, err);
    sqlite3_finalize(statement);
    bytes_free(&bound);
    return failed;
}

int rows_expire(struct rows *rows, struct rows_store *store, uint64_t time, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (database_prepare(&rows->database, SQL_SET_EXPIRED, &statement, err) != 0) {
        return -1;
    }
    store->expired = time;
    sqlite3_bind_int64(statement, 1, store->id);
    sqlite3_bind_int64(statement, 2, (int64_t)time);
    int failed = database_run(&rows->database, statement, err);
    sqlite3_finalize(statement);
    return failed != 0 ? -1 : delete_expired(rows, store, err);
}

static int set_state(struct rows *rows, int64_t merged, struct slice meta, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (database_prepare(&rows->database, SQL_SET_STATE, &statement, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(statement, 1, merged);
    database_bind_slice(statement, 2, meta);
    int failed = database_run(&rows->database, statement, err);
    sqlite3_finalize(statement);
    return failed;
}

int rows_write_on(struct rows *rows, struct err *err)
{
    return database_execute(&rows->database, SQL_COMMIT, err);
}

int rows_commit(struct rows *rows, int64_t merged, struct slice meta, struct err *err)
{
    if (set_state(rows, merged, meta, err) != 0 || database_execute(&rows->database, SQL_COMMIT, err) != 0) {
        return -1;
    }
    rows->merged = merged;
    return 0;
}

void rows_rollback(struct rows *rows)
{
    sqlite3_exec(rows->database.handle, SQL_ROLLBACK, NULL, NULL, NULL);
}
