#include "connectors/postgres/postgres_sink.h"

#include "base/memory.h"
#include "connectors/postgres/postgres_write.h"

#include <stdlib.h>

static const char *const modes[] = {"insert", "upsert", "update", NULL};

static const struct option option_rows[] = {
    {.name = "url",
     .type = OPTION_TEXT,
     .offset = offsetof(struct postgres_sink_options, url),
     .argument = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
     .text = "Where the database is; everything that libpq understands. Keep the password in the environment."},
    {.name = "table",
     .type = OPTION_TEXT,
     .offset = offsetof(struct postgres_sink_options, table),
     .argument = "TABLE",
     .text = "The table, or SCHEMA.TABLE; capital and small letters count."},
    {.name = "key",
     .type = OPTION_LIST,
     .offset = offsetof(struct postgres_sink_options, key),
     .argument = "COLUMN",
     .text = "The key columns: taken from the value's fields, else from the record's key; the table's primary key when "
             "none are named. Insert mode needs none."},
    {.name = "mode",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct postgres_sink_options, mode),
     .default_text = "upsert",
     .choices = modes,
     .text = "What a record does: insert a row each time, insert or update the row of its key, or only update it."},
    {.name = "delete",
     .type = OPTION_FLAG,
     .offset = offsetof(struct postgres_sink_options, delete),
     .text = "Whether a null value deletes the row of its key; otherwise null values are passed over."},
    {.name = "auto_create",
     .type = OPTION_FLAG,
     .offset = offsetof(struct postgres_sink_options, auto_create),
     .text = "Make the table when it is missing: types by the first records, `key` as the primary key."},
    {.name = "auto_evolve",
     .type = OPTION_FLAG,
     .offset = offsetof(struct postgres_sink_options, auto_evolve),
     .text = "Add columns for fields that the table does not have; nothing is ever dropped or retyped."},
};
static const struct option_table option_table = {"postgres sink", option_rows,
                                                 sizeof(option_rows) / sizeof(option_rows[0])};

struct connector_task {
    const struct connector_context *context;
    const struct postgres_sink_options *options;
    PGconn *connection;
    struct postgres_table table;
    bool table_known; /* false: the catalog is read before the next write */
    struct rows rows;
    char number[16]; /* the task's, as a parameter */
};

static int validate(const void *given, struct err *err)
{
    const struct postgres_sink_options *options = given;
    if (!options->url || !options->url[0] || !options->table || !options->table[0]) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "A PostgreSQL sink needs `url` and `table`");
    }
    if (options->mode == POSTGRES_SINK_INSERT && options->delete) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "`delete` has no meaning with mode insert: leave it out, or use mode upsert");
    }
    if (options->auto_create && options->mode != POSTGRES_SINK_INSERT && options->key.count == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "`auto_create` needs `key` in mode %s: the columns that become the primary key",
                       modes[options->mode]);
    }
    return postgres_connection_check_url(options->url, err);
}

/* ---- positions ---- */

#define OFFSETS_DDL                                                                                                    \
    "CREATE TABLE IF NOT EXISTS " POSTGRES_SINK_OFFSETS                                                                \
    " (app text, name text, topic text, task int, next bigint NOT NULL, PRIMARY KEY (app, name, topic, task))"

/* Tasks that start together take turns, since CREATE TABLE IF NOT EXISTS alone fails when two do it at once. Who may
 * not create tables finds the one that an administrator made. */
static int make_offsets(PGconn *connection, struct err *err)
{
    PGresult *result = postgres_connection_query(connection, "SELECT to_regclass('" POSTGRES_SINK_OFFSETS "') IS NULL",
                                                 "looking for the table " POSTGRES_SINK_OFFSETS, err);
    bool missing = result && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    if (!missing) {
        return result ? 0 : -1;
    }
    return postgres_connection_run(
        connection,
        "BEGIN; SELECT pg_advisory_xact_lock(hashtext('" POSTGRES_SINK_OFFSETS "')); " OFFSETS_DDL "; COMMIT",
        "making the table " POSTGRES_SINK_OFFSETS " (an administrator may run: " OFFSETS_DDL ")", err);
}

static int position(struct connector_task *task, int64_t *next, struct err *err)
{
    const char *values[] = {task->context->app, task->context->name, task->context->topic, task->number};
    PGresult *result = postgres_connection_query_params(task->connection,
                                                        "SELECT next FROM " POSTGRES_SINK_OFFSETS
                                                        " WHERE app = $1 AND name = $2 AND topic = $3 AND task = $4",
                                                        4, values, "reading the position", err);
    *next = PQntuples(result) > 0 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : CONNECTOR_NO_OFFSET;
    PQclear(result);
    return result ? 0 : -1;
}

/* Compares and sets: whoever writes with an old position changes no row. */
static int move_position(struct connector_task *task, const struct sink_batch *batch, struct err *err)
{
    char from[24], to[24];
    bool first = batch->from == CONNECTOR_NO_OFFSET;
    snprintf(from, sizeof(from), "%lld", (long long)batch->from);
    snprintf(to, sizeof(to), "%lld", (long long)batch->to);
    const char *values[] = {task->context->app, task->context->name, task->context->topic, task->number, to, from};
    const char *sql = first ? "INSERT INTO " POSTGRES_SINK_OFFSETS
                              " (app, name, topic, task, next) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
                            : "UPDATE " POSTGRES_SINK_OFFSETS
                              " SET next = $5 WHERE app = $1 AND name = $2 AND topic = $3 AND task = $4 AND next = $6";
    PGresult *result =
        postgres_connection_query_params(task->connection, sql, first ? 5 : 6, values, "moving the position", err);
    bool moved = result && strcmp(PQcmdTuples(result), "1") == 0;
    PQclear(result);
    if (result && !moved) {
        return err_set(err, ERR_FENCED, ERR_PROTOCOL,
                       "The position of sink %s, task %s, in table " POSTGRES_SINK_OFFSETS
                       " is not %s any more: another process writes for it",
                       task->context->name, task->number, first ? "empty" : from);
    }
    return result ? 0 : -1;
}

/* ---- rows ---- */

static const struct option_list *key_columns(const struct connector_task *task)
{
    return task->options->key.count > 0 || task->options->mode == POSTGRES_SINK_INSERT ? &task->options->key
                                                                                       : &task->table.primary_key;
}

static int load_table(struct connector_task *task, struct err *err)
{
    if (postgres_table_load(&task->table, task->connection, task->options->table, err)) {
        return -1;
    }
    if (!task->table.exists && !task->options->auto_create) {
        return err_set(
            err, ERR_FATAL, ERR_CONFIG,
            "There is no table %s in the database, or its schema may not be used: create it, check the name, "
            "or set auto_create",
            task->options->table);
    }
    for (size_t i = 0; task->table.exists && i < task->options->key.count; i++) {
        if (postgres_table_find(&task->table, slice_text(task->options->key.items[i])) == SIZE_MAX) {
            return err_set(err, ERR_FATAL, ERR_CONFIG, "Table %s has no column \"%s\", which `key` names",
                           task->options->table, task->options->key.items[i]);
        }
    }
    if (task->table.exists && task->options->mode != POSTGRES_SINK_INSERT && key_columns(task)->count == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "Table %s has no primary key: name the columns of a unique index with `key`, or use mode insert",
                       task->options->table);
    }
    task->table_known = true;
    return 0;
}

/* Once more when another task was first to make the table, maybe with fewer columns. */
static int extend_table(struct connector_task *task, struct err *err)
{
    bool changed = task->rows.count > 0;
    while (changed && (!task->table.exists || task->options->auto_evolve)) {
        if (postgres_table_extend(&task->table, task->connection, task->options->table, &task->rows,
                                  key_columns(task)->count, &changed, err) ||
            (changed && load_table(task, err))) {
            return -1;
        }
    }
    return 0;
}

static int write_rows(struct connector_task *task, size_t *bad, struct err *err)
{
    const struct postgres_write write = {
        .connection = task->connection,
        .table_name = task->options->table,
        .table = &task->table,
        .key = key_columns(task),
        .rows = &task->rows,
        .skip_null = task->options->auto_evolve || task->options->auto_create,
        .bad = bad,
    };
    if (task->rows.count == 0) {
        return 0;
    }
    if (task->options->mode == POSTGRES_SINK_INSERT) {
        return postgres_write_copy(&write, err);
    }
    if (postgres_write_delete(&write, err)) {
        return -1;
    }
    return task->options->mode == POSTGRES_SINK_UPDATE ? postgres_write_update(&write, err)
                                                       : postgres_write_upsert(&write, err);
}

static int read_rows(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    const struct rows_form form = {key_columns(task), task->context->json_keys, task->options->delete};
    if (rows_read(&task->rows, &form, batch->records, batch->count, bad, err)) {
        return -1;
    }
    if (task->options->mode != POSTGRES_SINK_INSERT) {
        rows_merge(&task->rows, form.key->count);
    }
    return 0;
}

static int write_in_transaction(struct connector_task *task, const struct sink_batch *batch, size_t *bad,
                                struct err *err)
{
    if (!task->table_known && load_table(task, err)) {
        return -1;
    }
    if (move_position(task, batch, err) || read_rows(task, batch, bad, err) || extend_table(task, err)) {
        return -1;
    }
    return write_rows(task, bad, err);
}

/* The table may be as it was before, or the connection lost: the catalog is read again. */
static void roll_back(struct connector_task *task)
{
    PQclear(PQexec(task->connection, "ROLLBACK"));
    task->table_known = false;
}

static int try_batch(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    *bad = SINK_BAD_UNKNOWN;
    if (postgres_connection_run(task->connection, "BEGIN", "beginning a transaction", err) ||
        write_in_transaction(task, batch, bad, err) ||
        postgres_connection_run(task->connection, "COMMIT", "committing", err)) {
        roll_back(task);
        return -1;
    }
    return 0;
}

/* Somebody may have changed the table since its columns were read: then nobody's record is bad yet. */
static int write_batch(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    bool columns_may_be_old = task->table_known;
    int status = try_batch(task, batch, bad, err);
    if (status != 0 && columns_may_be_old && (err->class == ERR_SKIP || err->class == ERR_FATAL)) {
        status = try_batch(task, batch, bad, err);
    }
    return status;
}

/* ---- open and close ---- */

static void close_task(struct connector_task *task)
{
    PQfinish(task->connection);
    postgres_table_free(&task->table);
    rows_free(&task->rows);
    free(task);
}

static int open_task(const struct connector_context *context, struct connector_task **task, struct err *err)
{
    struct connector_task *made = memory_alloc(sizeof(*made));
    made->context = context;
    made->options = context->options;
    snprintf(made->number, sizeof(made->number), "%d", (int)context->task);
    made->connection = postgres_connection_open(context, made->options->url, false, err);
    if (!made->connection || make_offsets(made->connection, err) || load_table(made, err)) {
        close_task(made);
        return -1;
    }
    *task = made;
    return 0;
}

static void say(const struct connector_check *check, enum connector_finding finding, const char *text)
{
    check->say(check->self, finding, text);
}

static int check_rights(struct connector_task *task, const struct connector_check *check, struct err *err)
{
    struct bytes quoted = {0};
    postgres_connection_quote_table(&quoted, task->options->table);
    const char *values[] = {bytes_text(&quoted)};
    PGresult *result =
        postgres_connection_query_params(task->connection,
                                         "SELECT r FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r"
                                         " WHERE NOT has_table_privilege($1, r)",
                                         1, values, "looking for rights", err);
    for (int i = 0; i < PQntuples(result); i++) {
        const char *right = PQgetvalue(result, i, 0);
        bool needed = strcmp(right, "DELETE") == 0   ? task->options->delete
                      : strcmp(right, "INSERT") == 0 ? task->options->mode != POSTGRES_SINK_UPDATE
                                                     : task->options->mode != POSTGRES_SINK_INSERT;
        if (needed) {
            char *text = memory_format("The user may not %s in table %s.", right, task->options->table);
            char *sql = memory_format("GRANT %s ON %s TO \"%s\"", right, values[0], PQuser(task->connection));
            say(check, FINDING_BAD, text);
            check->statement(check->self, sql);
            free(text);
            free(sql);
        }
    }
    PQclear(result);
    bytes_free(&quoted);
    return result ? 0 : -1;
}

static int check_table(struct connector_task *task, const struct connector_check *check, struct err *err)
{
    if (load_table(task, err)) {
        say(check, FINDING_BAD, err->text);
        return 0;
    }
    if (!task->table.exists) {
        say(check, FINDING_GOOD, "The table is missing; the sink makes it with its first records.");
        return 0;
    }
    say(check, FINDING_GOOD, "The table is there.");
    return check_rights(task, check, err);
}

/* Changes nothing: a missing table of positions is only told. */
static int check_sink(const struct connector_context *context, const struct connector_check *check, struct err *err)
{
    struct connector_task task = {.context = context, .options = context->options};
    task.connection = postgres_connection_open(context, task.options->url, false, err);
    if (!task.connection) {
        return -1;
    }
    PGresult *result = postgres_connection_query(task.connection,
                                                 "SELECT to_regclass('" POSTGRES_SINK_OFFSETS "') IS NOT NULL,"
                                                 " coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)",
                                                 "looking for the table " POSTGRES_SINK_OFFSETS, err);
    if (result && PQgetvalue(result, 0, 0)[0] == 'f' && PQgetvalue(result, 0, 1)[0] == 'f') {
        say(check, FINDING_BAD, "The table " POSTGRES_SINK_OFFSETS " is missing, and the user may not create it.");
        check->statement(check->self, OFFSETS_DDL);
    }
    int status = result ? check_table(&task, check, err) : -1;
    PQclear(result);
    PQfinish(task.connection);
    postgres_table_free(&task.table);
    return status;
}

const struct sink_class postgres_sink_class = {
    .options = &option_table,
    .options_size = sizeof(struct postgres_sink_options),
    .tasks = 0,
    .validate = validate,
    .open = open_task,
    .position = position,
    .write = write_batch,
    .close = close_task,
    .check = check_sink,
};
