#include "connectors/sqlite/sqlite_trigger.h"

#include "base/memory.h"

#include <stdlib.h>

#define DOING "looking at the triggers"

void sqlite_trigger_places(size_t count, struct bytes *sql)
{
    for (size_t i = 0; i < count; i++) {
        bytes_append_format(sql, ", c%zu", i);
    }
}

static const char *const actions[] = {"insert", "update", "delete"};

/* Triggers of tables that are not watched, or whose table was renamed. */
static int list_strangers(struct sqlite_log *log, struct bytes *sql, struct err *err)
{
    sqlite3_stmt *statement = sqlite_db_prepare(log->db,
                                                "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger' AND "
                                                "substr(name, 1, length(?1)) = ?1",
                                                DOING, err);
    if (!statement) {
        return -1;
    }
    sqlite3_bind_text(statement, 1, log->trigger_prefix, -1, SQLITE_STATIC);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        const char *of = (const char *)sqlite3_column_text(statement, 1);
        size_t prefix = strlen(log->trigger_prefix);
        bool wanted = false;
        for (size_t i = 0; i < log->tables->count && !wanted; i++) {
            const char *table = log->tables->items[i];
            wanted = sqlite3_stricmp(of, table) == 0 && strncmp(name + prefix, table, strlen(table)) == 0 &&
                     name[prefix + strlen(table)] == ':';
        }
        if (!wanted) {
            bytes_append_text(sql, "DROP TRIGGER ");
            sqlite_db_quote(sql, slice_text(name));
            bytes_append_text(sql, "; ");
        }
    }
    int result = code == SQLITE_DONE ? 0 : sqlite_db_fail(log->db, DOING, err);
    sqlite3_finalize(statement);
    return result;
}

int sqlite_trigger_drop_strangers(struct sqlite_log *log, struct err *err)
{
    struct bytes sql = {0};
    int result = list_strangers(log, &sql, err);
    result = result == 0 ? sqlite_db_run(log->db, bytes_text(&sql), "removing triggers", err) : result;
    bytes_free(&sql);
    return result;
}

static void append_trigger_name(const struct sqlite_log *log, const char *table, const char *action, struct bytes *sql)
{
    char *name = memory_format("%s%s:%s", log->trigger_prefix, table, action);
    sqlite_db_quote(sql, slice_text(name));
    free(name);
}

int sqlite_trigger_present(struct sqlite_log *log, const char *table, bool *all, struct err *err)
{
    sqlite3_stmt *statement = sqlite_db_prepare(log->db,
                                                "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name IN "
                                                "(?1 || 'insert', ?1 || 'update', ?1 || 'delete')",
                                                DOING, err);
    if (!statement) {
        return -1;
    }
    char *prefix = memory_format("%s%s:", log->trigger_prefix, table);
    sqlite3_bind_text(statement, 1, prefix, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    *all = code == SQLITE_ROW && sqlite3_column_int(statement, 0) == 3;
    int result = code == SQLITE_ROW ? 0 : sqlite_db_fail(log->db, DOING, err);
    sqlite3_finalize(statement);
    free(prefix);
    return result;
}

static void append_trigger(const struct sqlite_log *log, const struct sqlite_shape *shape, int action,
                           struct bytes *sql)
{
    size_t width = sqlite_shape_width(shape);
    bytes_append_text(sql, "DROP TRIGGER IF EXISTS ");
    append_trigger_name(log, shape->table, actions[action], sql);
    bytes_append_text(sql, "; CREATE TRIGGER ");
    append_trigger_name(log, shape->table, actions[action], sql);
    bytes_append_format(sql, " AFTER %s ON ", actions[action]);
    sqlite_db_quote(sql, slice_text(shape->table));
    bytes_append_format(sql, " BEGIN INSERT INTO %s (shape, op, ts", log->log);
    sqlite_trigger_places(actions[action][0] == 'u' ? 2 * width : width, sql);
    bytes_append_format(sql, ") VALUES (%lld, '%c', " SQLITE_TRIGGER_NOW ", ", (long long)shape->id, "cud"[action]);
    sqlite_shape_values(shape, actions[action][0] == 'i' ? "NEW." : "OLD.", sql);
    if (actions[action][0] == 'u') {
        bytes_append_text(sql, ", ");
        sqlite_shape_values(shape, "NEW.", sql);
    }
    bytes_append_text(sql, "); END; ");
}

int sqlite_trigger_make(struct sqlite_log *log, const struct sqlite_shape *shape, struct err *err)
{
    struct bytes sql = {0};
    for (int action = 0; action < 3; action++) {
        append_trigger(log, shape, action, &sql);
    }
    int result = sqlite_db_run(log->db, bytes_text(&sql), "creating the triggers of a table", err);
    bytes_free(&sql);
    return result;
}
