#include "connectors/postgres/postgres_copy.h"

#include "base/memory.h"

#include <stdlib.h>

#define PART_BYTES (64 << 10) /* sent while the next ones are made ready */

static const char what[] = "writing into the table";
static const unsigned char binary_start[19] = "PGCOPY\n\377\r\n";
static const unsigned char binary_end[2] = {0xff, 0xff};

/* One COPY: rows that follow each other with the same columns. */
struct copy {
    struct postgres_writer *writer;
    const struct rows *rows;
    unsigned char *forms; /* by column, of the COPY that is under way */
    bool open;
    bool text;
    size_t first; /* row of its first line */
    size_t *bad;
};

static int send_part(struct copy *copy, struct err *err)
{
    struct bytes *data = &copy->writer->copy;
    PGconn *connection = copy->writer->pipeline.connection;
    int status = data->size == 0 || PQputCopyData(connection, (const char *)data->data, (int)data->size) == 1
                     ? 0
                     : postgres_connection_fail(connection, NULL, what, err);
    bytes_clear(data);
    return status;
}

/* "COPY orders, line 3, column amount: .." */
static void note_bad_line(const struct copy *copy, const PGresult *result)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *line = context ? strstr(context, ", line ") : NULL;
    unsigned long number = line ? strtoul(line + strlen(", line "), NULL, 10) : 0;
    if (number > 0 && copy->first + number <= copy->rows->count) {
        *copy->bad = copy->rows->list[copy->first + number - 1].record;
    }
}

static int receive_results(struct copy *copy, struct err *err)
{
    PGconn *connection = copy->writer->pipeline.connection;
    int status = 0;
    for (PGresult *result = PQgetResult(connection); result; result = PQgetResult(connection)) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK && status == 0) {
            status = postgres_connection_fail(connection, result, what, err);
            if (err->class == ERR_SKIP) {
                note_bad_line(copy, result);
            }
        }
        PQclear(result);
    }
    return status;
}

static int end_copy(struct copy *copy, struct err *err)
{
    if (!copy->open) {
        return 0;
    }
    copy->open = false;
    if (!copy->text) {
        bytes_append(&copy->writer->copy, binary_end, sizeof(binary_end));
    }
    PGconn *connection = copy->writer->pipeline.connection;
    if (send_part(copy, err)) {
        return -1;
    }
    return PQputCopyEnd(connection, NULL) == 1 ? receive_results(copy, err)
                                               : postgres_connection_fail(connection, NULL, what, err);
}

/* A row is bad before the server has seen it: what it has seen is dropped, unless it found something worse. */
static void give_up(struct copy *copy)
{
    PGconn *connection = copy->writer->pipeline.connection;
    if (copy->open && PQputCopyEnd(connection, "a record is refused") == 1) {
        for (PGresult *result = PQgetResult(connection); result; result = PQgetResult(connection)) {
            PQclear(result);
        }
    }
}

static int begin_copy(struct copy *copy, size_t first, struct err *err)
{
    struct bytes *sql = &copy->writer->sql;
    const struct postgres_cells *cells = &copy->writer->cells;
    memcpy(copy->forms, cells->forms, cells->table->count);
    copy->first = first;
    copy->text = memchr(copy->forms, POSTGRES_FORM_TEXT, cells->table->count) != NULL;
    bytes_clear(sql);
    postgres_statement_copy(sql, &copy->writer->target, copy->forms);
    if (postgres_connection_run(copy->writer->pipeline.connection, bytes_text(sql), what, err)) {
        return -1;
    }
    copy->open = true;
    bytes_clear(&copy->writer->copy);
    if (!copy->text) {
        bytes_append(&copy->writer->copy, binary_start, sizeof(binary_start));
    }
    return 0;
}

/* The cells of the row; as texts when one of them is. */
static int read_row(struct copy *copy, const struct rows_row *row, struct err *err)
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

static int copy_row(struct copy *copy, size_t index, struct err *err)
{
    const struct postgres_cells *cells = &copy->writer->cells;
    struct bytes *out = &copy->writer->copy;
    if (read_row(copy, &copy->rows->list[index], err)) {
        *copy->bad = copy->rows->list[index].record;
        return -1;
    }
    if (copy->open && memcmp(copy->forms, cells->forms, cells->table->count) != 0 && end_copy(copy, err)) {
        return -1;
    }
    if (!copy->open && begin_copy(copy, index, err)) {
        return -1;
    }
    (copy->text ? append_text_row : append_binary_row)(out, cells);
    return out->size < PART_BYTES ? 0 : send_part(copy, err);
}

int postgres_copy_rows(struct postgres_writer *writer, const struct rows *rows, size_t *bad, struct err *err)
{
    struct copy copy = {
        .writer = writer, .rows = rows, .forms = memory_alloc(writer->cells.table->count + 1), .bad = bad};
    int status = 0;
    for (size_t i = 0; i < rows->count && status == 0; i++) {
        status = copy_row(&copy, i, err);
    }
    if (status == 0) {
        status = end_copy(&copy, err);
    } else {
        give_up(&copy);
    }
    free(copy.forms);
    return status;
}
