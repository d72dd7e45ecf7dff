#include "connectors/postgres/postgres_copy.h"

#include "base/memory.h"

#include <stdlib.h>

#define PART_BYTES (16 << 10) /* sent while the next ones are made ready */

static const char what[] = "writing into the table";
static const unsigned char binary_start[19] = "PGCOPY\n\377\r\n";
static const unsigned char binary_end[2] = {0xff, 0xff};

/* Waits until the server takes rows. */
static int await_start(struct postgres_copy *copy, struct err *err)
{
    int status = postgres_pipeline_end_script(&copy->writer->pipeline, &copy->failed, err);
    copy->open = status == 0;
    return status;
}

static int send_part(struct postgres_copy *copy, struct err *err)
{
    struct bytes *data = &copy->out;
    PGconn *connection = copy->writer->pipeline.connection;
    if (await_start(copy, err)) {
        return -1;
    }
    int status = data->size == 0 || PQputCopyData(connection, (const char *)data->data, (int)data->size) == 1
                     ? 0
                     : postgres_connection_fail(connection, NULL, what, err);
    bytes_clear(data);
    return status;
}

/* "COPY orders, line 3, column amount: .." */
static void note_bad_line(const struct postgres_copy *copy, const PGresult *result, size_t *bad)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *line = context ? strstr(context, ", line ") : NULL;
    unsigned long number = line ? strtoul(line + strlen(", line "), NULL, 10) : 0;
    if (number > 0 && number <= copy->count) {
        *bad = copy->records[number - 1];
    }
}

static int receive_results(const struct postgres_copy *copy, size_t *bad, struct err *err)
{
    PGconn *connection = copy->writer->pipeline.connection;
    int status = 0;
    for (PGresult *result = PQgetResult(connection); result; result = PQgetResult(connection)) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK && status == 0) {
            status = postgres_connection_fail(connection, result, what, err);
            if (err->class == ERR_SKIP) {
                note_bad_line(copy, result, bad);
            }
        }
        PQclear(result);
    }
    return status;
}

int postgres_copy_end(struct postgres_copy *copy, size_t *bad, struct err *err)
{
    if (!copy->open) {
        return 0;
    }
    PGconn *connection = copy->writer->pipeline.connection;
    if (!copy->text) {
        bytes_append(&copy->out, binary_end, sizeof(binary_end));
    }
    if (send_part(copy, err)) {
        return -1;
    }
    copy->open = false;
    int status = PQputCopyEnd(connection, NULL) == 1 ? receive_results(copy, bad, err)
                                                     : postgres_connection_fail(connection, NULL, what, err);
    copy->committed = status == 0 && copy->commits;
    return status;
}

bool postgres_copy_may_stop(struct postgres_copy *copy, struct err *err)
{
    copy->split = copy->open && copy->commits;
    if (copy->split) {
        err_set(err, ERR_RETRY, ERR_RECORD, "The rows need several COPYs: they are tried again");
    }
    return !copy->split;
}

/* What is under way is dropped. */
void postgres_copy_free(struct postgres_copy *copy)
{
    PGconn *connection = copy->writer->pipeline.connection;
    struct err err;
    if (copy->open && await_start(copy, &err) == 0 && PQputCopyEnd(connection, "a record is refused") == 1) {
        for (PGresult *result = PQgetResult(connection); result; result = PQgetResult(connection)) {
            PQclear(result);
        }
    }
    free(copy->forms);
    free(copy->records);
    bytes_free(&copy->out);
    *copy = (struct postgres_copy){0};
}

static int begin_copy(struct postgres_copy *copy, struct err *err)
{
    struct bytes *sql = &copy->writer->sql;
    const struct postgres_cells *cells = &copy->writer->cells;
    copy->forms = memory_resize(copy->forms, cells->table->count + 1);
    memcpy(copy->forms, cells->forms, cells->table->count);
    copy->count = 0;
    copy->text = memchr(copy->forms, POSTGRES_FORM_TEXT, cells->table->count) != NULL;
    bytes_clear(sql);
    postgres_statement_copy(sql, &copy->writer->target, copy->forms);
    bytes_append_text(sql, copy->commits ? "; COMMIT" : "");
    struct postgres_pipeline *pipeline = &copy->writer->pipeline;
    if (!pipeline->gathering) {
        postgres_pipeline_begin_script(pipeline);
    }
    if (postgres_pipeline_send_script(pipeline, bytes_text(sql), what, err)) {
        return -1;
    }
    copy->open = true;
    bytes_clear(&copy->out);
    if (!copy->text) {
        bytes_append(&copy->out, binary_start, sizeof(binary_start));
    }
    return 0;
}

/* The cells of the row; as texts when one of them is. */
static int read_row(struct postgres_copy *copy, const struct rows_row *row, struct err *err)
{
    struct postgres_cells *cells = &copy->writer->cells;
    size_t count = cells->table->count;
    if (postgres_cells_read(cells, row, row->count, true, err)) {
        return -1;
    }
    if (!memchr(cells->forms, POSTGRES_FORM_TEXT, count) || !memchr(cells->forms, POSTGRES_FORM_BINARY, count)) {
        return 0;
    }
    postgres_cells_use_text(cells);
    return postgres_cells_read(cells, row, row->count, true, err);
}

static void append_binary_row(struct bytes *out, const struct postgres_cells *cells)
{
    size_t count = 0;
    for (size_t i = 0; i < cells->table->count; i++) {
        count += cells->forms[i] != POSTGRES_FORM_NONE;
    }
    bytes_append_byte(out, (unsigned char)(count >> 8));
    bytes_append_byte(out, (unsigned char)count);
    bytes_append_slice(out, bytes_slice(&cells->data));
}

static void append_text_row(struct bytes *out, const struct postgres_cells *cells)
{
    bool first = true;
    for (size_t i = 0; i < cells->table->count; i++) {
        if (cells->forms[i] != POSTGRES_FORM_NONE) {
            struct slice cell = cells->cells[i];
            postgres_value_copy(out, slice_of(cell.data + 4, cell.size - 4), postgres_cells_null(cell), first);
            first = false;
        }
    }
    bytes_append_byte(out, '\n');
}

static int copy_row(struct postgres_copy *copy, const struct rows_row *row, size_t *bad, struct err *err)
{
    const struct postgres_cells *cells = &copy->writer->cells;
    if (read_row(copy, row, err)) {
        *bad = row->record;
        return -1;
    }
    if (copy->open && memcmp(copy->forms, cells->forms, cells->table->count) != 0 &&
        (!postgres_copy_may_stop(copy, err) || postgres_copy_end(copy, bad, err))) {
        return -1;
    }
    if (!copy->open && begin_copy(copy, err)) {
        return -1;
    }
    copy->records = memory_grow(copy->records, copy->count, &copy->capacity, sizeof(*copy->records));
    copy->records[copy->count++] = row->record;
    (copy->text ? append_text_row : append_binary_row)(&copy->out, cells);
    return copy->out.size < PART_BYTES ? 0 : send_part(copy, err);
}

int postgres_copy_rows(struct postgres_copy *copy, const struct rows *rows, size_t *bad, struct err *err)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (copy_row(copy, &rows->list[i], bad, err)) {
            return -1;
        }
    }
    return 0;
}
