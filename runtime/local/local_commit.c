#include "local/local_commit.h"

#include "base/failpoint.h"
#include "local/local_batch.h"
#include "local/local_maintenance.h"
#include "local/local_wait.h"

/* ---- the right to write ---- */

static void enter(struct local *local)
{
    pthread_mutex_lock(&local->commit_lock);
    while (local->writing) {
        pthread_cond_wait(&local->commit_done, &local->commit_lock);
    }
    local->writing = true;
    pthread_mutex_unlock(&local->commit_lock);
}

static void leave(struct local *local)
{
    pthread_mutex_lock(&local->commit_lock);
    local->writing = false;
    pthread_cond_broadcast(&local->commit_done);
    pthread_mutex_unlock(&local->commit_lock);
}

/* ---- one transaction, by whoever has the right to write ---- */

static int note_wal_pages(void *self, sqlite3 *handle, const char *name, int pages)
{
    (void)handle;
    (void)name;
    ((struct local *)self)->wal_pages = pages;
    return SQLITE_OK;
}

static int open_writer(struct local *local, struct err *err)
{
    if (local->writer.handle != NULL) {
        return 0;
    }
    if (local_db_open(&local->writer, local->directory, LOCAL_DB_WRITE, err) != 0) {
        return -1;
    }
    sqlite3_wal_hook(local->writer.handle, note_wal_pages, local);
    return 0;
}

static int begin(struct local *local, struct err *err)
{
    if (local->broken) {
        return err_set(err, ERR_UNKNOWN, ERR_IO,
                       "The log %s has to be recovered after a commit whose outcome is unknown.", local->directory);
    }
    if (open_writer(local, err) != 0) {
        return -1;
    }
    local_turn_take(&local->turn, local->directory);
    if (local_db_exec(&local->writer, SQL_BEGIN_WRITE, err) != 0) {
        local_turn_give(&local->turn);
        return -1;
    }
    return 0;
}

/* Writes the pages before the COMMIT, so that a full disk shows while nothing is decided yet (L7): what is left for the
 * COMMIT is a single page. */
static int flush_pages(struct local *local, struct err *err)
{
    int code = sqlite3_db_cacheflush(local->writer.handle);
    if (FAILPOINT_FAILS(LOG_PAGES, err)) {
        return -1;
    }
    return code == SQLITE_OK ? 0 : local_db_fail_code(&local->writer, code, err);
}

static int commit_transaction(struct local *local, struct err *err)
{
    struct local_db *db = &local->writer;
    if (!FAILPOINT_FAILS(LOG_COMMIT, err) && local_db_exec(db, SQL_COMMIT, err) == 0) {
        FAILPOINT(ENDING);
        local_wait_announce(local);
        return 0;
    }
    if (err->code == ERR_LOCKED) {
        local_db_rollback(db);
        return -1;
    }
    local_db_rollback(db); /* mostly SQLite has done so; what it left open would keep all others from writing */
    local->broken = true;
    err->class = ERR_UNKNOWN;
    return err_wrap(err, "committing; whether it took place is not known yet");
}

static int end_transaction(struct local *local, int result, struct err *err)
{
    if (result == 0) {
        result = flush_pages(local, err);
    }
    if (result == 0) {
        return commit_transaction(local, err);
    }
    local_db_rollback(&local->writer);
    if (err->code == ERR_IO) {
        local_db_close(&local->writer); /* opened anew for the next try */
    }
    return -1;
}

/* Ends what begin began. */
static int end(struct local *local, int result, struct err *err)
{
    result = end_transaction(local, result, err);
    local_turn_give(&local->turn);
    return result;
}

int local_commit_begin(struct local *local, struct err *err)
{
    enter(local);
    if (begin(local, err) != 0) {
        leave(local);
        return -1;
    }
    return 0;
}

int local_commit_end(struct local *local, int result, struct err *err)
{
    result = end(local, result, err);
    local_maintenance_checkpoint(local);
    leave(local);
    return result;
}

int local_commit_recover(struct local *local, struct err *err)
{
    enter(local);
    if (local->broken) {
        local_db_close(&local->writer);
        local->broken = false;
    }
    int result = begin(local, err);
    if (result == 0) {
        result = end(local, local_db_exec(&local->writer, SQL_RECOVERED, err), err);
    }
    leave(local);
    return result;
}

/* ---- requests ---- */

static int insert_batch(struct local_db *db, const struct local_append *append, const struct local_batch *batch,
                        int64_t now, struct err *err)
{
    sqlite3_stmt *statement = local_db_statement(db, SQL_BATCH_INSERT, err);
    if (statement == NULL) {
        return -1;
    }
    const unsigned char *data = batch->records.data - LOCAL_BATCH_HEADER;
    sqlite3_bind_int64(statement, 1, local_db_key(append->partition_id, batch->base_offset));
    sqlite3_bind_int64(statement, 2, batch->last_offset);
    sqlite3_bind_int64(statement, 3, now);
    sqlite3_bind_int64(statement, 4, batch->max_timestamp);
    sqlite3_bind_blob64(statement, 5, data, batch->size, SQLITE_STATIC);
    int result = local_db_step(db, statement, err);
    sqlite3_clear_bindings(statement); /* the blob belongs to the request */
    return result;
}

static int check_room(const struct local_append *append, const struct local_batch *batch, struct err *err)
{
    if (batch->last_offset < LOCAL_OFFSET_LIMIT - 1) {
        return 0;
    }
    return err_set(err, ERR_FATAL, ERR_TOPIC,
                   "The topic %s has reached the largest offset that the embedded log can count. Create another topic.",
                   append->topic);
}

static int append_batches(struct local_db *db, struct local_append *append, int64_t now, struct err *err)
{
    struct local_batch batch;
    struct bytes *bytes = append->batches;
    for (size_t at = 0; at < bytes->size; at += batch.size) {
        local_batch_set_base(bytes->data + at, append->end);
        local_batch_header(slice_of(bytes->data + at, bytes->size - at), &batch);
        if (check_room(append, &batch, err) != 0 || insert_batch(db, append, &batch, now, err) != 0) {
            return -1;
        }
        append->end = batch.last_offset + 1;
        FAILPOINT(LOG_BATCH);
    }
    return 0;
}

static int run_append(struct local_db *db, struct local_append *append, int64_t now, struct err *err)
{
    sqlite3_stmt *marks = NULL;
    int found = local_db_first(db, SQL_PARTITION_MARKS, &append->partition_id, 1, &marks, err);
    if (found < 0) {
        return -1;
    }
    if (found == 0) {
        return err_set(err, ERR_FATAL, ERR_TOPIC,
                       "The topic %s was deleted while records were written to it. Create it again and start anew.",
                       append->topic);
    }
    append->end = sqlite3_column_int64(marks, 1);
    local_db_done(marks);
    if (append_batches(db, append, now, err) != 0) {
        return -1;
    }
    int64_t values[] = {append->partition_id, append->end, (int64_t)append->batches->size};
    return local_db_run(db, SQL_PARTITION_APPENDED, values, 3, err);
}

static int put_position(struct local_db *db, const char *app, const struct local_position *position, struct err *err)
{
    bool remove = position->offset == OFFSET_NONE;
    sqlite3_stmt *statement = local_db_statement(db, remove ? SQL_POSITION_DELETE : SQL_POSITION_PUT, err);
    if (statement == NULL) {
        return -1;
    }
    sqlite3_bind_text(statement, 1, app, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, position->partition_id);
    if (!remove) {
        sqlite3_bind_int64(statement, 3, position->offset);
        sqlite3_bind_text(statement, 4, position->metadata, -1, SQLITE_STATIC);
    }
    int result = local_db_step(db, statement, err);
    sqlite3_clear_bindings(statement);
    return result;
}

static int run_request(struct local_db *db, struct local_request *request, int64_t now, struct err *err)
{
    for (size_t i = 0; i < request->append_count; i++) {
        if (run_append(db, &request->appends[i], now, err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < request->position_count; i++) {
        if (put_position(db, request->app, &request->positions[i], err) != 0) {
            return -1;
        }
    }
    FAILPOINT(OFFSETS);
    return 0;
}

/* One request that can't be carried out must not take the others of its transaction with it. Errors of the log itself
 * (full, I/O) concern them all. */
static int run_apart(struct local_db *db, struct local_request *request, int64_t now, struct err *err)
{
    if (local_db_exec(db, SQL_SAVEPOINT, err) != 0) {
        return -1;
    }
    request->result = run_request(db, request, now, &request->err);
    if (request->result != 0 && request->err.code != ERR_TOPIC) {
        *err = request->err;
        return -1;
    }
    if (request->result != 0 && local_db_exec(db, SQL_ROLLBACK_TO, err) != 0) {
        return -1;
    }
    return local_db_exec(db, SQL_RELEASE, err);
}

static void share_outcome(struct local_request *list, int result, const struct err *err)
{
    for (struct local_request *request = list; request != NULL; request = request->next) {
        if (result != 0 && request->result == 0) {
            request->result = -1;
            request->err = *err;
        }
    }
}

static void run_requests(struct local *local, struct local_request *list)
{
    struct err err = {0};
    int64_t now = clock_wall_ms(local->clock);
    if (begin(local, &err) != 0) {
        share_outcome(list, -1, &err);
        return;
    }
    int result = 0;
    for (struct local_request *request = list; request != NULL && result == 0; request = request->next) {
        result = list->next == NULL ? run_request(&local->writer, request, now, &err)
                                    : run_apart(&local->writer, request, now, &err);
    }
    share_outcome(list, end(local, result, &err), &err);
    local_maintenance_checkpoint(local);
}

static void push(struct local *local, struct local_request *request)
{
    struct local_request **last = &local->requests;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = request;
}

/* The first thread that finds nobody writing leads: it writes what has gathered, its own request among it. */
static void lead(struct local *local)
{
    struct local_request *list = local->requests;
    local->requests = NULL;
    local->writing = true;
    pthread_mutex_unlock(&local->commit_lock);
    run_requests(local, list);
    pthread_mutex_lock(&local->commit_lock);
    while (list != NULL) {
        struct local_request *next = list->next; /* a request is gone as soon as its thread sees it done */
        list->done = true;
        list = next;
    }
    local->writing = false;
    pthread_cond_broadcast(&local->commit_done);
}

int local_commit(struct local *local, struct local_request *request, struct err *err)
{
    request->next = NULL;
    request->done = false;
    request->result = 0;
    pthread_mutex_lock(&local->commit_lock);
    push(local, request);
    while (!request->done) {
        if (local->writing) {
            pthread_cond_wait(&local->commit_done, &local->commit_lock);
        } else {
            lead(local);
        }
    }
    pthread_mutex_unlock(&local->commit_lock);
    if (request->result != 0) {
        *err = request->err;
    }
    return request->result;
}
