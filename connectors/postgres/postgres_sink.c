#include "connectors/postgres/postgres_sink.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "connectors/postgres/postgres_copy.h"
#include "connectors/postgres/postgres_position.h"

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
    struct postgres_position position;
    struct postgres_table table;
    bool table_known;   /* false: the catalog is read before the next write */
    bool table_changed; /* the last write has found its columns changed */
    bool split;         /* a batch has needed several COPYs */
    struct postgres_writer writer;
    struct rows rows;
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
    const struct postgres_target target = {task->options->table, &task->table, key_columns(task)};
    postgres_write_target(&task->writer, &target, task->options->auto_evolve || task->options->auto_create);
    task->table_known = true;
    return 0;
}

/* Whether the table has to be made or widened before these rows. */
static bool must_extend(const struct connector_task *task)
{
    return task->rows.count > 0 && (!task->table.exists || task->options->auto_evolve) &&
           postgres_table_lacks(&task->table, &task->rows);
}

/* Once more when another task was first to make the table, maybe with fewer columns. */
static int extend_table(struct connector_task *task, struct err *err)
{
    while (must_extend(task)) {
        if (postgres_table_extend(&task->table, task->connection, task->options->table, &task->rows,
                                  key_columns(task)->count, err) ||
            load_table(task, err)) {
            return -1;
        }
    }
    return 0;
}

/* The records from `first` on, `count` of them; rows name them by their index in the batch. */
static int read_rows(struct connector_task *task, const struct sink_batch *batch, size_t first, size_t count,
                     size_t *bad, struct err *err)
{
    const struct rows_form form = {key_columns(task), task->context->json_keys, task->options->delete};
    if (rows_read(&task->rows, &form, batch->records + first, count, bad, err)) {
        *bad += first;
        return -1;
    }
    for (size_t i = 0; i < task->rows.count; i++) {
        task->rows.list[i].record += first;
    }
    if (task->options->mode != POSTGRES_SINK_INSERT) {
        rows_merge(&task->rows, form.key->count);
    }
    return 0;
}

/* ---- transactions ---- */

static const struct postgres_parameters no_parameters = {0};
static const char beginning[] = "beginning a transaction";

static int send_begin(struct connector_task *task, const struct sink_batch *batch, struct err *err)
{
    struct postgres_pipeline *pipeline = &task->writer.pipeline;
    return postgres_pipeline_send(pipeline, "BEGIN", &no_parameters, beginning, err) ||
                   postgres_position_send(&task->position, pipeline, batch->from, batch->to, err) ||
                   (task->table.exists && postgres_table_send_check(&task->table, pipeline, task->options->table, err))
               ? -1
               : 0;
}

/* What the error means by what has failed. Returns -1. */
static int explain(struct connector_task *task, const struct sink_batch *batch, const char *failed, struct err *err)
{
    if (postgres_table_has_changed(failed, err)) {
        task->table_changed = true;
        return err_set(err, ERR_RETRY, ERR_CONFIG, "Table %s is being changed: it is tried again",
                       task->options->table);
    }
    return postgres_position_explain(&task->position, batch->from, failed, err);
}

/* Waits for what was sent. That the position is not the expected one counts more than what is wrong with a record. */
static int end_pipeline(struct connector_task *task, const struct sink_batch *batch, struct err *err)
{
    const char *failed;
    return postgres_pipeline_end(&task->writer.pipeline, &failed, err) ? explain(task, batch, failed, err) : 0;
}

/* In parts, so that the server writes one while the next is read; the first rows say which columns a COPY has. */
#define CHANGED_ROWS 2000
#define FIRST_APPENDED_ROWS 16
#define APPENDED_ROWS 512

static int end_script(struct connector_task *task, const struct sink_batch *batch, struct err *err)
{
    const char *failed;
    return postgres_pipeline_end_script(&task->writer.pipeline, &failed, err) ? explain(task, batch, failed, err) : 0;
}

static int append_part(struct connector_task *task, const struct sink_batch *batch, struct postgres_copy *copy,
                       size_t *bad, struct err *err)
{
    if (must_extend(task) && (!postgres_copy_may_stop(copy, err) || postgres_copy_end(copy, bad, err) ||
                              end_script(task, batch, err) || extend_table(task, err))) {
        return -1;
    }
    return postgres_copy_rows(copy, &task->rows, bad, err);
}

static int append_parts(struct connector_task *task, const struct sink_batch *batch, struct postgres_copy *copy,
                        size_t *bad, struct err *err)
{
    size_t size = FIRST_APPENDED_ROWS;
    for (size_t at = 0; at < batch->count; at += size, size = APPENDED_ROWS) {
        size_t left = batch->count - at;
        if (read_rows(task, batch, at, left < size ? left : size, bad, err) ||
            append_part(task, batch, copy, bad, err)) {
            return -1;
        }
    }
    FAILPOINT(SINK_ROWS);
    return postgres_copy_end(copy, bad, err);
}

/* What the server says about the position before a bad record was noticed here counts: it is asked when it was not. */
static int fail_append(struct connector_task *task, const struct sink_batch *batch, const struct postgres_copy *copy,
                       size_t *bad, struct err *err)
{
    struct err earlier;
    if (copy->failed) {
        return explain(task, batch, copy->failed, err);
    }
    if (end_script(task, batch, &earlier)) {
        *err = earlier;
        *bad = SINK_BAD_UNKNOWN;
    }
    return -1;
}

/* All that comes before the rows goes to the server in one piece with the first COPY. */
static int append_records(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    struct postgres_copy copy = {.writer = &task->writer, .commits = !task->split};
    postgres_pipeline_begin_script(&task->writer.pipeline);
    int status = send_begin(task, batch, err) || append_parts(task, batch, &copy, bad, err) ? -1 : 0;
    status = status ? fail_append(task, batch, &copy, bad, err) : end_script(task, batch, err);
    bool committed = copy.committed;
    task->split = task->split || copy.split;
    postgres_copy_free(&copy);
    return status || committed ? status : postgres_connection_run(task->connection, "COMMIT", "committing", err);
}

static int change_part(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    struct postgres_writer *writer = &task->writer;
    bool update = task->options->mode == POSTGRES_SINK_UPDATE;
    if (must_extend(task)) { /* statements that depend on each other: not in a pipeline */
        if (end_pipeline(task, batch, err) || extend_table(task, err) ||
            postgres_pipeline_begin(&writer->pipeline, err)) {
            return -1;
        }
    }
    return postgres_write_delete(writer, &task->rows, bad, err) ||
                   (update ? postgres_write_update : postgres_write_upsert)(writer, &task->rows, bad, err)
               ? -1
               : 0;
}

static int change_records(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    struct postgres_pipeline *pipeline = &task->writer.pipeline;
    if (postgres_pipeline_begin(pipeline, err) || send_begin(task, batch, err) ||
        postgres_pipeline_flush(pipeline, err)) {
        return -1;
    }
    for (size_t at = 0; at < batch->count; at += CHANGED_ROWS) {
        size_t left = batch->count - at;
        if (read_rows(task, batch, at, left < CHANGED_ROWS ? left : CHANGED_ROWS, bad, err) ||
            change_part(task, batch, bad, err)) {
            return -1;
        }
    }
    FAILPOINT(SINK_ROWS);
    return postgres_pipeline_send(pipeline, "COMMIT", &no_parameters, "committing", err) ||
                   end_pipeline(task, batch, err)
               ? -1
               : 0;
}

static int write_in_transaction(struct connector_task *task, const struct sink_batch *batch, size_t *bad,
                                struct err *err)
{
    if (!task->table_known && load_table(task, err)) {
        return -1;
    }
    return (task->options->mode == POSTGRES_SINK_INSERT ? append_records : change_records)(task, batch, bad, err);
}

/* Ends what was begun. What the server found before a bad record was noticed here counts: it may be worse. The table
 * may be as it was before, so the catalog is read again. */
static void roll_back(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    struct err earlier;
    if (task->writer.pipeline.open && end_pipeline(task, batch, &earlier)) {
        *err = earlier;
        *bad = SINK_BAD_UNKNOWN;
    }
    if (PQtransactionStatus(task->connection) != PQTRANS_IDLE) {
        PQclear(PQexec(task->connection, "ROLLBACK"));
    }
    PQclear(PQexec(task->connection, "DEALLOCATE ALL"));
    postgres_pipeline_forget(&task->writer.pipeline);
    task->table_known = false;
}

static int try_batch(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    *bad = SINK_BAD_UNKNOWN;
    task->table_changed = false;
    if (write_in_transaction(task, batch, bad, err)) {
        roll_back(task, batch, bad, err);
        return -1;
    }
    return 0;
}

/* Again when somebody may have changed the table since its columns were read, since then nobody's record is bad yet,
 * and when the rows have turned out to need several COPYs. */
static int write_batch(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    for (;;) {
        bool columns_may_be_old = task->table_known;
        bool was_split = task->split;
        if (try_batch(task, batch, bad, err) == 0) {
            return 0;
        }
        bool wrong_columns = task->table_changed || err->class == ERR_SKIP || err->class == ERR_FATAL;
        bool again = (columns_may_be_old && wrong_columns) || was_split != task->split;
        if (!again) {
            return -1;
        }
    }
}

/* ---- open and close ---- */

static void close_task(struct connector_task *task)
{
    PQfinish(task->connection);
    postgres_write_free(&task->writer);
    postgres_table_free(&task->table);
    rows_free(&task->rows);
    free(task);
}

static int position(struct connector_task *task, int64_t *next, struct err *err)
{
    return postgres_position_read(&task->position, task->connection, next, err);
}

/* The only statements of a sink that appends are the same each time and look into small tables: planning them again
 * would take longer than they do. */
static int keep_plans(struct connector_task *task, struct err *err)
{
    return task->options->mode == POSTGRES_SINK_INSERT
               ? postgres_connection_run(task->connection, "SET plan_cache_mode = force_generic_plan",
                                         "settings of the connection", err)
               : 0;
}

static int other_topic(struct connector_task *task, char topic[CONNECTOR_TOPIC_SIZE], struct err *err)
{
    return postgres_position_other_topic(&task->position, task->connection, topic, err);
}

static int forget_others(struct connector_task *task, struct err *err)
{
    return postgres_position_forget_others(&task->position, task->connection, err);
}

static int open_task(const struct connector_context *context, struct connector_task **task, struct err *err)
{
    struct connector_task *made = memory_alloc(sizeof(*made));
    made->context = context;
    made->options = context->options;
    made->connection = postgres_connection_open(context, made->options->url, false, err);
    made->writer.pipeline.connection = made->connection;
    postgres_position_init(&made->position, context);
    if (!made->connection || keep_plans(made, err) || postgres_position_make_table(made->connection, err) ||
        load_table(made, err)) {
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
                                                 "SELECT to_regclass('" POSTGRES_POSITION_TABLE "') IS NOT NULL,"
                                                 " coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)",
                                                 "looking for the table " POSTGRES_POSITION_TABLE, err);
    if (result && PQgetvalue(result, 0, 0)[0] == 'f' && PQgetvalue(result, 0, 1)[0] == 'f') {
        say(check, FINDING_BAD, "The table " POSTGRES_POSITION_TABLE " is missing, and the user may not create it.");
        check->statement(check->self, POSTGRES_POSITION_DDL);
    }
    int status = result ? check_table(&task, check, err) : -1;
    PQclear(result);
    PQfinish(task.connection);
    postgres_write_free(&task.writer);
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
    .other_topic = other_topic,
    .forget_others = forget_others,
    .write = write_batch,
    .close = close_task,
    .check = check_sink,
};
