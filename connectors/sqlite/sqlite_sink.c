#include "connectors/sqlite/sqlite_sink.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "connectors/sqlite/sqlite_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OFFSETS_TABLE "_tidemill_offsets"

/* ---- options ---- */

struct sink_options {
    char *path;
    char *table;
    struct option_list key;
    int mode; /* enum sqlite_table_mode */
    bool delete;
    bool auto_create;
    bool auto_evolve;
};

static const char *const modes[] = {"auto", "insert", "upsert", "update", NULL};

static const struct option options[] = {
    {.name = "path",
     .type = OPTION_TEXT,
     .offset = offsetof(struct sink_options, path),
     .argument = "FILE",
     .text = "The database file; it is kept with a write-ahead log. With auto_create a missing file is made."},
    {.name = "table",
     .type = OPTION_TEXT,
     .offset = offsetof(struct sink_options, table),
     .text = "The table to write."},
    {.name = "key",
     .type = OPTION_LIST,
     .offset = offsetof(struct sink_options, key),
     .argument = "COLUMN",
     .text =
         "The columns that tell rows apart: members of the value, or else taken from the record's key. Upserts need "
         "a primary key or unique index on them."},
    {.name = "mode",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct sink_options, mode),
     .default_text = "auto",
     .choices = modes,
     .text =
         "insert: every record is a new row; upsert: or changes, in the row with its key, the columns it has; update: "
         "changes rows that exist and passes over the others; auto: upsert with a key, insert without."},
    {.name = "delete",
     .type = OPTION_FLAG,
     .offset = offsetof(struct sink_options, delete),
     .text = "Tombstones delete the row with their key; without it they are passed over."},
    {.name = "auto_create",
     .type = OPTION_FLAG,
     .offset = offsetof(struct sink_options, auto_create),
     .text = "A missing table is created with the columns of the first record; types are INTEGER, REAL and TEXT."},
    {.name = "auto_evolve",
     .type = OPTION_FLAG,
     .offset = offsetof(struct sink_options, auto_evolve),
     .text = "Columns that the table does not have are added with the first record that has a value for them."},
};

static enum sqlite_table_mode mode_of(const struct sink_options *given)
{
    if (given->mode != SQLITE_TABLE_AUTO) {
        return (enum sqlite_table_mode)given->mode;
    }
    return given->key.count > 0 ? SQLITE_TABLE_UPSERT : SQLITE_TABLE_INSERT;
}

static bool is_empty(const char *text)
{
    return !text || text[0] == 0;
}

static int validate(const void *self, struct err *err)
{
    const struct sink_options *given = self;
    const char *problem = NULL;
    if (is_empty(given->path)) {
        problem = "needs the option path: the database file";
    } else if (is_empty(given->table)) {
        problem = "needs the option table: the table to write";
    } else if (sqlite3_stricmp(given->table, OFFSETS_TABLE) == 0 || sqlite3_strnicmp(given->table, "sqlite_", 7) == 0) {
        problem = "can't write that table: " OFFSETS_TABLE " and names that start with sqlite_ have their own use";
    } else if (given->key.count == 0 && given->mode > SQLITE_TABLE_INSERT) {
        problem = "needs the option key for this mode: the columns that tell rows apart";
    } else if (given->key.count == 0 && given->delete) {
        problem = "needs the option key to delete rows: the columns that tell rows apart";
    }
    return problem ? err_set(err, ERR_FATAL, ERR_CONFIG, "A SQLite sink %s", problem) : 0;
}

/* ---- tasks ---- */

struct connector_task {
    const struct connector_context *context;
    struct sqlite_db db;
    struct sqlite_table table;
    struct rows rows;
    struct rows_form form;
    sqlite3_stmt *begin, *commit, *first_position, *next_position; /* prepared at the first use */
};

static void close_task(struct connector_task *task)
{
    sqlite3_finalize(task->begin);
    sqlite3_finalize(task->commit);
    sqlite3_finalize(task->first_position);
    sqlite3_finalize(task->next_position);
    sqlite_table_close(&task->table);
    sqlite_db_close(&task->db);
    rows_free(&task->rows);
    free(task);
}

/* Connected, and the table found fit. */
static int prepare_task(struct connector_task *task, bool create, struct err *err)
{
    const struct sink_options *given = task->context->options;
    if (sqlite_db_open(&task->db, task->context, given->path, create, err) != 0) {
        return -1;
    }
    task->form = (struct rows_form){&given->key, task->context->json_keys, given->delete};
    task->table = (struct sqlite_table){.db = &task->db,
                                        .name = given->table,
                                        .key = &given->key,
                                        .mode = mode_of(given),
                                        .create = given->auto_create,
                                        .evolve = given->auto_evolve};
    if (sqlite_table_load(&task->table, err) != 0) {
        return -1;
    }
    return sqlite_table_check(&task->table, err);
}

static const char offsets_sql[] =
    "CREATE TABLE IF NOT EXISTS " OFFSETS_TABLE " (app TEXT NOT NULL, name TEXT NOT NULL, topic TEXT NOT NULL, "
    "part INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (app, name, topic, part)) WITHOUT ROWID";

static int open_task(const struct connector_context *context, struct connector_task **task, struct err *err)
{
    struct connector_task *made = memory_alloc(sizeof(*made));
    made->context = context;
    const struct sink_options *given = context->options;
    if (prepare_task(made, given->auto_create, err) != 0 ||
        sqlite_db_run(&made->db, offsets_sql, "creating the table of positions " OFFSETS_TABLE, err) != 0) {
        close_task(made);
        return -1;
    }
    *task = made;
    return 0;
}

/* ---- positions ---- */

/* ?1 to ?3, and ?4 with the task, are who the position belongs to. */
static sqlite3_stmt *topic_statement(struct connector_task *task, const char *sql, struct err *err)
{
    sqlite3_stmt *statement = sqlite_db_prepare(&task->db, sql, "using the table of positions", err);
    if (statement) {
        sqlite3_bind_text(statement, 1, task->context->app, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 2, task->context->name, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 3, task->context->topic, -1, SQLITE_STATIC);
    }
    return statement;
}

static sqlite3_stmt *position_statement(struct connector_task *task, const char *sql, struct err *err)
{
    sqlite3_stmt *statement = topic_statement(task, sql, err);
    if (statement) {
        sqlite3_bind_int64(statement, 4, task->context->task);
    }
    return statement;
}

static int position(struct connector_task *task, int64_t *next, struct err *err)
{
    sqlite3_stmt *statement = position_statement(
        task, "SELECT next FROM " OFFSETS_TABLE " WHERE app = ?1 AND name = ?2 AND topic = ?3 AND part = ?4", err);
    if (!statement) {
        return -1;
    }
    int code = sqlite3_step(statement);
    *next = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : CONNECTOR_NO_OFFSET;
    int result = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_db_fail(&task->db, "reading the position", err);
    sqlite3_finalize(statement);
    return result;
}

static int other_topic(struct connector_task *task, char topic[CONNECTOR_TOPIC_SIZE], struct err *err)
{
    sqlite3_stmt *statement = topic_statement(
        task, "SELECT topic FROM " OFFSETS_TABLE " WHERE app = ?1 AND name = ?2 AND topic <> ?3 LIMIT 1", err);
    if (!statement) {
        return -1;
    }
    int code = sqlite3_step(statement);
    const char *found = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    snprintf(topic, CONNECTOR_TOPIC_SIZE, "%s", found ? found : "");
    int result = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_db_fail(&task->db, "reading positions", err);
    sqlite3_finalize(statement);
    return result;
}

static int forget_others(struct connector_task *task, struct err *err)
{
    sqlite3_stmt *statement =
        topic_statement(task, "DELETE FROM " OFFSETS_TABLE " WHERE app = ?1 AND name = ?2 AND topic <> ?3", err);
    if (!statement) {
        return -1;
    }
    int result = sqlite3_step(statement) == SQLITE_DONE ? 0 : sqlite_db_fail(&task->db, "removing positions", err);
    sqlite3_finalize(statement);
    return result;
}

static const char insert_position_sql[] = "INSERT INTO " OFFSETS_TABLE " (app, name, topic, part, next) "
                                          "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
static const char update_position_sql[] = "UPDATE " OFFSETS_TABLE " SET next = ?5 WHERE app = ?1 AND name = ?2 "
                                          "AND topic = ?3 AND part = ?4 AND next = ?6";

static int move_position(struct connector_task *task, const struct sink_batch *batch, struct err *err)
{
    bool first = batch->from == CONNECTOR_NO_OFFSET;
    sqlite3_stmt **statement = first ? &task->first_position : &task->next_position;
    if (!*statement &&
        !(*statement = position_statement(task, first ? insert_position_sql : update_position_sql, err))) {
        return -1;
    }
    sqlite3_bind_int64(*statement, 5, batch->to);
    if (!first) {
        sqlite3_bind_int64(*statement, 6, batch->from);
    }
    int result = sqlite3_step(*statement) == SQLITE_DONE ? 0 : sqlite_db_fail(&task->db, "moving the position", err);
    if (result == 0 && sqlite3_changes(task->db.handle) == 0) {
        result = err_set(
            err, ERR_FENCED, ERR_PROTOCOL,
            "The position of sink %s for partition %d of topic %s in %s is not %lld: another process writes "
            "for it",
            task->context->name, (int)task->context->task, task->context->topic, task->db.path, (long long)batch->from);
    }
    sqlite3_reset(*statement);
    return result;
}

/* ---- writing ---- */

static int write_rows(struct connector_task *task, size_t *bad, struct err *err)
{
    for (size_t i = 0; i < task->rows.count; i++) {
        if (sqlite_table_write(&task->table, &task->rows.list[i], err) != 0) {
            *bad = task->rows.list[i].record;
            return -1;
        }
    }
    return 0;
}

/* A statement without parameters and rows. */
static int run_prepared(struct connector_task *task, sqlite3_stmt **statement, const char *sql, const char *doing,
                        struct err *err)
{
    if (!*statement && !(*statement = sqlite_db_prepare(&task->db, sql, doing, err))) {
        return -1;
    }
    int result = sqlite3_step(*statement) == SQLITE_DONE ? 0 : sqlite_db_fail(&task->db, doing, err);
    sqlite3_reset(*statement);
    return result;
}

/* Rows go in one by one in their order, which is as fast here as sets are and needs no merging. */
static int write_transaction(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    if (run_prepared(task, &task->begin, "BEGIN IMMEDIATE", "waiting for the lock to write", err) != 0 ||
        move_position(task, batch, err) != 0 ||
        rows_read(&task->rows, &task->form, batch->records, batch->count, bad, err) != 0 ||
        write_rows(task, bad, err) != 0) {
        return -1;
    }
    FAILPOINT(SINK_ROWS);
    return run_prepared(task, &task->commit, "COMMIT", "committing rows", err);
}

static int write_batch(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    *bad = SINK_BAD_UNKNOWN;
    if (write_transaction(task, batch, bad, err) == 0) {
        return 0;
    }
    sqlite_db_rollback(&task->db);
    struct err ignored;
    if (err->class == ERR_SKIP && sqlite_table_load(&task->table, &ignored) != 0) {
        *err = ignored; /* columns that were added are gone again, and there is no knowing which */
    }
    return -1;
}

/* ---- checking ---- */

static int check(const struct connector_context *context, const struct connector_check *check, struct err *err)
{
    const struct sink_options *given = context->options;
    if (given->auto_create && access(given->path, F_OK) != 0) {
        check->say(check->self, FINDING_WARNING, "The database file is missing and will be created (auto_create).");
        return 0;
    }
    struct connector_task *task = memory_alloc(sizeof(*task));
    task->context = context;
    struct err problem;
    int result = 0;
    char text[ERR_TEXT_SIZE + 128];
    if (prepare_task(task, false, &problem) == 0) {
        snprintf(text, sizeof(text), "%s can be opened, and table %s %s.", given->path, given->table,
                 task->table.column_count > 0 ? "is fit for the options" : "is missing and will be created");
        check->say(check->self, FINDING_GOOD, text);
    } else if (task->db.handle) {
        check->say(check->self, FINDING_BAD, problem.text);
    } else {
        *err = problem;
        result = -1;
    }
    close_task(task);
    return result;
}

const struct sink_class sqlite_sink = {
    .options = &(const struct option_table){"sqlite", options, sizeof(options) / sizeof(options[0])},
    .options_size = sizeof(struct sink_options),
    .tasks = 1, /* SQLite has one writer at a time */
    .validate = validate,
    .open = open_task,
    .position = position,
    .other_topic = other_topic,
    .forget_others = forget_others,
    .write = write_batch,
    .close = close_task,
    .check = check,
};
