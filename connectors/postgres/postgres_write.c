#include "connectors/postgres/postgres_write.h"

#include "base/memory.h"

#include <stdlib.h>

/* Rows with the same columns: one statement writes them. */
struct group {
    bool *present;        /* by column of the table */
    struct bytes *arrays; /* text of an array, without braces, by column */
    size_t rows;
    struct group *next;
};

struct work {
    const struct postgres_write *write;
    const struct rows_field **cells; /* of the row at hand, by column; NULL: it has none */
    struct group *groups;
    struct bytes text; /* of one value */
};

static struct work start(const struct postgres_write *write)
{
    return (struct work){.write = write,
                         .cells = memory_alloc((write->table->count + 1) * sizeof(struct rows_field *))};
}

static void free_group(struct group *group, size_t columns)
{
    for (size_t i = 0; i < columns; i++) {
        bytes_free(&group->arrays[i]);
    }
    free(group->arrays);
    free(group->present);
    free(group);
}

static void finish(struct work *work)
{
    while (work->groups) {
        struct group *next = work->groups->next;
        free_group(work->groups, work->write->table->count);
        work->groups = next;
    }
    free(work->cells);
    bytes_free(&work->text);
}

/* ---- fields to columns ---- */

static int refuse_field(const struct postgres_write *write, const struct rows_row *row, struct slice name,
                        const char *reason, struct err *err)
{
    *write->bad = row->record;
    return err_set(err, ERR_SKIP, ERR_RECORD, "Column \"%.*s\" %s table %s: %s", (int)name.size,
                   (const char *)name.data, reason, write->table_name,
                   "leave the field out before the sink, or change the table (auto_evolve adds columns)");
}

static int refuse_row(const struct postgres_write *write, const struct rows_row *row, struct err *err)
{
    *write->bad = row->record;
    return err_set(err, ERR_SKIP, ERR_RECORD, "None of the value's fields is a column of table %s and not null",
                   write->table_name);
}

/* Sets the cells of the row's first `count` fields. Rows look alike: the search begins behind the last column found. */
static int place_fields(struct work *work, const struct rows_row *row, size_t count, struct err *err)
{
    const struct postgres_table *table = work->write->table;
    memset(work->cells, 0, table->count * sizeof(*work->cells));
    size_t column = 0;
    bool placed = false;
    for (size_t i = 0; i < count; i++) {
        const struct rows_field *field = &row->fields[i];
        if (column >= table->count || !slice_equal(slice_text(table->columns[column].name), field->name)) {
            column = postgres_table_find(table, field->name);
        }
        if (column == SIZE_MAX && field->kind == ROWS_NULL && work->write->skip_null) {
            continue;
        }
        if (column == SIZE_MAX) {
            return refuse_field(work->write, row, field->name, "is not in", err);
        }
        if (table->columns[column].generated) {
            return refuse_field(work->write, row, field->name, "is computed by the server in", err);
        }
        work->cells[column++] = field;
        placed = true;
    }
    return placed ? 0 : refuse_row(work->write, row, err);
}

static int read_cell(struct work *work, const struct rows_row *row, size_t column, struct err *err)
{
    bytes_clear(&work->text);
    if (work->cells[column]->kind == ROWS_NULL) {
        return 0;
    }
    if (postgres_value_append(&work->text, &work->write->table->columns[column], work->cells[column], err)) {
        *work->write->bad = row->record;
        return -1;
    }
    return 0;
}

static bool same_columns(const struct work *work, const bool *present)
{
    for (size_t i = 0; i < work->write->table->count; i++) {
        if (present[i] != (work->cells[i] != NULL)) {
            return false;
        }
    }
    return true;
}

static struct group *find_group(struct work *work)
{
    struct group *group = work->groups;
    while (group && !same_columns(work, group->present)) {
        group = group->next;
    }
    if (group) {
        return group;
    }
    size_t count = work->write->table->count;
    group = memory_alloc(sizeof(*group));
    group->present = memory_alloc((count + 1) * sizeof(bool));
    group->arrays = memory_alloc((count + 1) * sizeof(struct bytes));
    for (size_t i = 0; i < count; i++) {
        group->present[i] = work->cells[i] != NULL;
    }
    group->next = work->groups;
    work->groups = group;
    return group;
}

static int add_to_group(struct work *work, const struct rows_row *row, struct err *err)
{
    struct group *group = find_group(work);
    for (size_t i = 0; i < work->write->table->count; i++) {
        if (work->cells[i]) {
            if (read_cell(work, row, i, err)) {
                return -1;
            }
            postgres_value_element(&group->arrays[i], bytes_slice(&work->text), work->cells[i]->kind == ROWS_NULL,
                                   group->rows == 0);
        }
    }
    group->rows++;
    return 0;
}

static int collect_rows(struct work *work, struct err *err)
{
    const struct rows *rows = work->write->rows;
    for (size_t i = 0; i < rows->count; i++) {
        const struct rows_row *row = &rows->list[i];
        if (!row->tombstone && (place_fields(work, row, row->count, err) || add_to_group(work, row, err))) {
            return -1;
        }
    }
    return 0;
}

static int collect_deleted(struct work *work, struct err *err)
{
    const struct rows *rows = work->write->rows;
    for (size_t i = 0; i < rows->count; i++) {
        const struct rows_row *row = &rows->list[i];
        if ((row->tombstone || row->replaces) &&
            (place_fields(work, row, work->write->key->count, err) || add_to_group(work, row, err))) {
            return -1;
        }
    }
    return 0;
}

/* ---- statements ---- */

/* Types whose arrays the server reads straight; the others come as text and are cast one by one. */
static bool is_native(const struct postgres_column *column)
{
    return !column->domain && (column->kind == POSTGRES_VALUE_INTEGER || column->kind == POSTGRES_VALUE_NUMBER ||
                               column->kind == POSTGRES_VALUE_BOOL || column->kind == POSTGRES_VALUE_TIME);
}

/* " unnest($1::bigint[], $2::text[]) AS v(c0, c3)", the names by the columns' places. */
static void append_unnest(struct bytes *sql, const struct postgres_table *table, const struct group *group)
{
    int parameter = 0;
    bytes_append_text(sql, " unnest(");
    for (size_t i = 0; i < table->count; i++) {
        if (group->present[i]) {
            bytes_append_format(sql, "%s$%d::%s[]", parameter ? ", " : "", parameter + 1,
                                is_native(&table->columns[i]) ? table->columns[i].cast : "text");
            parameter++;
        }
    }
    const char *before = ") AS v(";
    for (size_t i = 0; i < table->count; i++) {
        if (group->present[i]) {
            bytes_append_format(sql, "%sc%zu", before, i);
            before = ", ";
        }
    }
    bytes_append_text(sql, ")");
}

static void append_source(struct bytes *sql, const struct postgres_table *table, size_t column)
{
    bytes_append_format(sql, "v.c%zu", column);
    if (!is_native(&table->columns[column])) {
        bytes_append_format(sql, "::%s", table->columns[column].cast);
    }
}

static bool is_key(const struct postgres_write *write, size_t column)
{
    for (size_t i = 0; i < write->key->count; i++) {
        if (strcmp(write->key->items[i], write->table->columns[column].name) == 0) {
            return true;
        }
    }
    return false;
}

static void append_names(struct bytes *sql, const struct postgres_table *table, const bool *present)
{
    const char *before = "";
    for (size_t i = 0; i < table->count; i++) {
        if (present[i]) {
            bytes_append_text(sql, before);
            postgres_connection_quote(sql, slice_text(table->columns[i].name));
            before = ", ";
        }
    }
}

/* "t.key = v.c0 AND .." */
static void append_match(struct bytes *sql, const struct postgres_write *write)
{
    const char *before = " WHERE t.";
    for (size_t i = 0; i < write->table->count; i++) {
        if (is_key(write, i)) {
            bytes_append_text(sql, before);
            postgres_connection_quote(sql, slice_text(write->table->columns[i].name));
            bytes_append_text(sql, " = ");
            append_source(sql, write->table, i);
            before = " AND t.";
        }
    }
}

static void append_conflict(struct bytes *sql, const struct postgres_write *write, const struct group *group)
{
    const char *before = ") DO UPDATE SET ";
    bytes_append_text(sql, " ON CONFLICT (");
    for (size_t i = 0; i < write->key->count; i++) {
        bytes_append_text(sql, i ? ", " : "");
        postgres_connection_quote(sql, slice_text(write->key->items[i]));
    }
    for (size_t i = 0; i < write->table->count; i++) {
        if (group->present[i] && !is_key(write, i)) {
            bytes_append_text(sql, before);
            postgres_connection_quote(sql, slice_text(write->table->columns[i].name));
            bytes_append_text(sql, " = EXCLUDED.");
            postgres_connection_quote(sql, slice_text(write->table->columns[i].name));
            before = ", ";
        }
    }
    bytes_append_text(sql, before[0] == ')' ? ") DO NOTHING" : "");
}

static void form_delete(struct bytes *sql, const struct postgres_write *write, const struct group *group)
{
    bytes_append_text(sql, "DELETE FROM ");
    postgres_connection_quote_table(sql, write->table_name);
    bytes_append_text(sql, " AS t USING");
    append_unnest(sql, write->table, group);
    append_match(sql, write);
}

static void form_upsert(struct bytes *sql, const struct postgres_write *write, const struct group *group)
{
    const char *before = ") SELECT ";
    bytes_append_text(sql, "INSERT INTO ");
    postgres_connection_quote_table(sql, write->table_name);
    bytes_append_text(sql, " (");
    append_names(sql, write->table, group->present);
    for (size_t i = 0; i < write->table->count; i++) {
        if (group->present[i]) {
            bytes_append_text(sql, before);
            append_source(sql, write->table, i);
            before = ", ";
        }
    }
    bytes_append_text(sql, " FROM");
    append_unnest(sql, write->table, group);
    append_conflict(sql, write, group);
}

/* Nothing is written for rows that have key columns only. */
static void form_update(struct bytes *sql, const struct postgres_write *write, const struct group *group)
{
    struct bytes set = {0};
    for (size_t i = 0; i < write->table->count; i++) {
        if (group->present[i] && !is_key(write, i)) {
            bytes_append_text(&set, set.size ? ", " : " AS t SET ");
            postgres_connection_quote(&set, slice_text(write->table->columns[i].name));
            bytes_append_text(&set, " = ");
            append_source(&set, write->table, i);
        }
    }
    if (set.size > 0) {
        bytes_append_text(sql, "UPDATE ");
        postgres_connection_quote_table(sql, write->table_name);
        bytes_append_slice(sql, bytes_slice(&set));
        bytes_append_text(sql, " FROM");
        append_unnest(sql, write->table, group);
        append_match(sql, write);
    }
    bytes_free(&set);
}

static int run_group(const struct postgres_write *write, const char *sql, const struct group *group, struct err *err)
{
    const char **values = memory_alloc((write->table->count + 1) * sizeof(*values));
    struct bytes *texts = memory_alloc((write->table->count + 1) * sizeof(*texts));
    int count = 0;
    for (size_t i = 0; i < write->table->count; i++) {
        if (group->present[i]) {
            bytes_append_byte(&texts[count], '{');
            bytes_append_slice(&texts[count], bytes_slice(&group->arrays[i]));
            bytes_append_byte(&texts[count], '}');
            values[count] = bytes_text(&texts[count]);
            count++;
        }
    }
    PGresult *result =
        postgres_connection_query_params(write->connection, sql, count, values, "writing into the table", err);
    PQclear(result);
    for (int i = 0; i < count; i++) {
        bytes_free(&texts[i]);
    }
    free(texts);
    free(values);
    return result ? 0 : -1;
}

static int run_groups(struct work *work,
                      void (*form)(struct bytes *, const struct postgres_write *, const struct group *),
                      struct err *err)
{
    struct bytes sql = {0};
    int status = 0;
    for (const struct group *group = work->groups; group && status == 0; group = group->next) {
        bytes_clear(&sql);
        form(&sql, work->write, group);
        status = sql.size > 0 ? run_group(work->write, bytes_text(&sql), group, err) : 0;
    }
    bytes_free(&sql);
    return status;
}

int postgres_write_delete(const struct postgres_write *write, struct err *err)
{
    struct work work = start(write);
    int status = collect_deleted(&work, err) || run_groups(&work, form_delete, err) ? -1 : 0;
    finish(&work);
    return status;
}

int postgres_write_upsert(const struct postgres_write *write, struct err *err)
{
    struct work work = start(write);
    int status = collect_rows(&work, err) || run_groups(&work, form_upsert, err) ? -1 : 0;
    finish(&work);
    return status;
}

int postgres_write_update(const struct postgres_write *write, struct err *err)
{
    struct work work = start(write);
    int status = collect_rows(&work, err) || run_groups(&work, form_update, err) ? -1 : 0;
    finish(&work);
    return status;
}

/* ---- COPY ---- */

/* Rows of one COPY: those that follow each other with the same columns. */
struct copy {
    bool *present;
    size_t first; /* row of its first line */
    size_t rows;
    struct bytes text;
};

/* "COPY orders, line 3, column amount: .." */
static void note_bad_line(const struct postgres_write *write, const struct copy *copy, const PGresult *result)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *line = context ? strstr(context, ", line ") : NULL;
    unsigned long number = line ? strtoul(line + strlen(", line "), NULL, 10) : 0;
    if (number > 0 && number <= copy->rows) {
        *write->bad = write->rows->list[copy->first + number - 1].record;
    }
}

static int send_copy(const struct postgres_write *write, const struct copy *copy, struct err *err)
{
    PGconn *connection = write->connection;
    size_t sent = 0, part;
    while (sent < copy->text.size) {
        part = copy->text.size - sent < (1 << 20) ? copy->text.size - sent : 1 << 20;
        if (PQputCopyData(connection, (const char *)copy->text.data + sent, (int)part) != 1) {
            return postgres_connection_fail(connection, NULL, "writing into the table", err);
        }
        sent += part;
    }
    if (PQputCopyEnd(connection, NULL) != 1) {
        return postgres_connection_fail(connection, NULL, "writing into the table", err);
    }
    int status = 0;
    for (PGresult *result = PQgetResult(connection); result; result = PQgetResult(connection)) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
            status = postgres_connection_fail(connection, result, "writing into the table", err);
            if (err->class == ERR_SKIP) {
                note_bad_line(write, copy, result);
            }
        }
        PQclear(result);
    }
    return status;
}

static int run_copy(const struct postgres_write *write, struct copy *copy, struct err *err)
{
    if (copy->rows == 0) {
        return 0;
    }
    struct bytes sql = {0};
    bytes_append_text(&sql, "COPY ");
    postgres_connection_quote_table(&sql, write->table_name);
    bytes_append_text(&sql, " (");
    append_names(&sql, write->table, copy->present);
    bytes_append_text(&sql, ") FROM STDIN");
    int status = postgres_connection_run(write->connection, bytes_text(&sql), "writing into the table", err) ||
                         send_copy(write, copy, err)
                     ? -1
                     : 0;
    bytes_free(&sql);
    bytes_clear(&copy->text);
    copy->rows = 0;
    return status;
}

static int add_to_copy(struct work *work, struct copy *copy, size_t index, struct err *err)
{
    size_t columns = work->write->table->count;
    const struct rows_row *row = &work->write->rows->list[index];
    if (copy->rows == 0) {
        copy->first = index;
        for (size_t i = 0; i < columns; i++) {
            copy->present[i] = work->cells[i] != NULL;
        }
    }
    bool first = true;
    for (size_t i = 0; i < columns; i++) {
        if (work->cells[i]) {
            if (read_cell(work, row, i, err)) {
                return -1;
            }
            postgres_value_copy(&copy->text, bytes_slice(&work->text), work->cells[i]->kind == ROWS_NULL, first);
            first = false;
        }
    }
    bytes_append_byte(&copy->text, '\n');
    copy->rows++;
    return 0;
}

int postgres_write_copy(const struct postgres_write *write, struct err *err)
{
    struct work work = start(write);
    struct copy copy = {.present = memory_alloc(write->table->count + 1)};
    int status = 0;
    for (size_t i = 0; i < write->rows->count && status == 0; i++) {
        status = place_fields(&work, &write->rows->list[i], write->rows->list[i].count, err);
        if (status == 0 && !same_columns(&work, copy.present)) {
            status = run_copy(write, &copy, err);
        }
        status = status == 0 ? add_to_copy(&work, &copy, i, err) : status;
    }
    status = status == 0 ? run_copy(write, &copy, err) : status;
    free(copy.present);
    bytes_free(&copy.text);
    finish(&work);
    return status;
}
