#include "connectors/sqlite/sqlite_source_check.h"

#include "connectors/sqlite/sqlite_shape.h"

#include <stdio.h>

#define TEXT_SIZE (ERR_TEXT_SIZE + 512)

static void check_journal(struct sqlite_db *db, const struct connector_check *check)
{
    struct err ignored;
    sqlite3_stmt *statement = sqlite_db_prepare(db, "PRAGMA journal_mode", "looking at it", &ignored);
    if (statement && sqlite3_step(statement) == SQLITE_ROW &&
        sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") != 0) {
        check->say(check->self, FINDING_WARNING,
                   "The file has no write-ahead log: reading and writing wait for each other.");
        check->statement(check->self, "PRAGMA journal_mode = WAL;");
    }
    sqlite3_finalize(statement);
}

/* REPLACE removes rows without telling any trigger, unless.. */
static void check_unique(struct sqlite_db *db, const char *table, const struct connector_check *check)
{
    struct err ignored;
    char text[TEXT_SIZE];
    sqlite3_stmt *statement =
        sqlite_db_prepare(db, "SELECT count(*) FROM pragma_index_list(?1) WHERE \"unique\" AND origin <> 'pk'",
                          "looking at it", &ignored);
    if (!statement) {
        return;
    }
    sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0) > 0) {
        snprintf(text, sizeof(text),
                 "Table %s has a unique index besides its primary key: a row that INSERT OR REPLACE removes because of "
                 "it is seen only when the program that writes has set PRAGMA recursive_triggers = ON.",
                 table);
        check->say(check->self, FINDING_WARNING, text);
    }
    sqlite3_finalize(statement);
}

static void check_table(struct sqlite_db *db, const char *table, const struct connector_check *check)
{
    struct err problem;
    char text[TEXT_SIZE];
    struct sqlite_shape *shape = sqlite_shape_of_table(db, table, &problem);
    if (!shape) {
        check->say(check->self, FINDING_BAD, problem.text);
        return;
    }
    snprintf(text, sizeof(text), "Table %s can be watched.", table);
    check->say(check->self, FINDING_GOOD, text);
    if (shape->keys == 0) {
        snprintf(text, sizeof(text),
                 "Table %s has no primary key: its records' keys are rowids, which VACUUM may change.", table);
        check->say(check->self, FINDING_WARNING, text);
    }
    check_unique(db, table, check);
    sqlite_shape_free(shape);
}

/* Whether it can be written, found out without writing. */
static void check_writable(struct sqlite_db *db, const struct connector_check *check)
{
    struct err problem;
    if (sqlite_db_check_writable(db, SQLITE_SOURCE_OTHERWISE, &problem) != 0) {
        check->say(check->self, FINDING_BAD, problem.text);
    }
}

int sqlite_source_check(const struct connector_context *context, const struct connector_check *check, struct err *err)
{
    const struct sqlite_source_options *options = context->options;
    struct sqlite_db db;
    char text[TEXT_SIZE];
    if (sqlite_db_open_existing(&db, context, options->path, err) != 0) {
        return -1;
    }
    check_writable(&db, check);
    check_journal(&db, check);
    for (size_t i = 0; i < options->tables.count; i++) {
        check_table(&db, options->tables.items[i], check);
    }
    snprintf(
        text, sizeof(text),
        "Each table gets three triggers that write old and new values into \"_tidemill_log:%s:%s\": a write then "
        "takes two to four times as long, and DROP COLUMN needs the triggers dropped before. They go with DROP "
        "TRIGGER \"_tidemill_trigger:%s:%s:TABLE:insert\" (also :update, :delete), and then DROP TABLE the log and "
        "\"_tidemill_tables:%s:%s\".",
        context->app, context->name, context->app, context->name, context->app, context->name);
    check->say(check->self, FINDING_GOOD, text);
    sqlite_db_close(&db);
    return 0;
}
