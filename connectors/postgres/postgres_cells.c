#include "connectors/postgres/postgres_cells.h"

#include "base/memory.h"

#include <stdlib.h>

void postgres_cells_free(struct postgres_cells *cells)
{
    free(cells->forms);
    free(cells->cells);
    free(cells->as_text);
    free(cells->seen);
    free(cells->fields);
    bytes_free(&cells->data);
    bytes_free(&cells->text);
    *cells = (struct postgres_cells){0};
}

void postgres_cells_reset(struct postgres_cells *cells, const struct postgres_table *table, const char *table_name,
                          bool skip_null)
{
    postgres_cells_free(cells);
    size_t count = table->count + 1;
    *cells = (struct postgres_cells){
        .table = table,
        .table_name = table_name,
        .skip_null = skip_null,
        .forms = memory_alloc(count),
        .cells = memory_alloc(count * sizeof(*cells->cells)),
        .as_text = memory_alloc(count * sizeof(*cells->as_text)),
        .seen = memory_alloc(count * sizeof(*cells->seen)),
        .fields = memory_alloc(count * sizeof(*cells->fields)),
    };
    for (size_t i = 0; i < table->count; i++) {
        cells->as_text[i] = !table->columns[i].binary;
    }
}

void postgres_cells_use_text(struct postgres_cells *cells)
{
    for (size_t i = 0; i < cells->table->count; i++) {
        cells->as_text[i] = true;
    }
}

/* ---- fields to columns ---- */

static int refuse_field(const struct postgres_cells *cells, struct slice name, const char *reason, struct err *err)
{
    return err_set(err, ERR_SKIP, ERR_RECORD, "Column \"%.*s\" %s table %s: %s", (int)name.size,
                   (const char *)name.data, reason, cells->table_name,
                   "leave the field out before the sink, or change the table (auto_evolve adds columns)");
}

/* Rows look alike: the search begins behind the last column found. */
static int place_fields(struct postgres_cells *cells, const struct rows_row *row, size_t count, struct err *err)
{
    const struct postgres_table *table = cells->table;
    memset(cells->fields, 0, table->count * sizeof(*cells->fields));
    size_t column = 0;
    bool placed = false;
    for (size_t i = 0; i < count; i++) {
        const struct rows_field *field = &row->fields[i];
        size_t found = postgres_table_find_from(table, column, field->name);
        if (found == SIZE_MAX && field->kind == ROWS_NULL && cells->skip_null) {
            continue;
        }
        if (found == SIZE_MAX) {
            return refuse_field(cells, field->name, "is not in", err);
        }
        if (table->columns[found].generated) {
            return refuse_field(cells, field->name, "is computed by the server in", err);
        }
        cells->fields[found] = field;
        cells->seen[found] = true;
        column = found + 1;
        placed = true;
    }
    return placed ? 0
                  : err_set(err, ERR_SKIP, ERR_RECORD,
                            "None of the value's fields is a column of table %s and not null", cells->table_name);
}

/* ---- cells ---- */

/* JSON can't tell its own null from the database's. Where the latter is not allowed, the former is meant. */
static const struct rows_field json_null = {.kind = ROWS_NESTED,
                                            .text = {.data = (const unsigned char *)"null", .size = 4}};

static int append_cell(struct postgres_cells *cells, size_t column, struct err *err)
{
    const struct rows_field *field = cells->fields[column];
    const struct postgres_column *type = &cells->table->columns[column];
    if (field && field->kind == ROWS_NULL && type->json_null) {
        field = &json_null;
    }
    if (!field || field->kind == ROWS_NULL) {
        postgres_binary_null(&cells->data);
        return 0;
    }
    if (!cells->as_text[column] && postgres_binary_append(&cells->data, type->binary, field)) {
        return 0;
    }
    cells->as_text[column] = true;
    bytes_clear(&cells->text);
    if (postgres_value_append(&cells->text, type, field, err)) {
        return -1;
    }
    postgres_binary_text(&cells->data, bytes_slice(&cells->text));
    return 0;
}

int postgres_cells_read(struct postgres_cells *cells, const struct rows_row *row, size_t count, bool whole,
                        struct err *err)
{
    if (place_fields(cells, row, count, err)) {
        return -1;
    }
    size_t columns = cells->table->count;
    bytes_clear(&cells->data);
    for (size_t i = 0; i < columns; i++) {
        cells->forms[i] = POSTGRES_FORM_NONE;
        if (cells->fields[i] || (whole && cells->seen[i] && !cells->table->columns[i].defaulted)) {
            size_t start = cells->data.size;
            if (append_cell(cells, i, err)) {
                return -1;
            }
            cells->forms[i] = cells->as_text[i] ? POSTGRES_FORM_TEXT : POSTGRES_FORM_BINARY;
            cells->cells[i] = slice_of(NULL, cells->data.size - start);
        }
    }
    size_t at = 0; /* the bytes may have moved until now */
    for (size_t i = 0; i < columns; i++) {
        if (cells->forms[i] != POSTGRES_FORM_NONE) {
            cells->cells[i].data = cells->data.data + at;
            at += cells->cells[i].size;
        }
    }
    return 0;
}
