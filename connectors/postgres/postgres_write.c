#include "connectors/postgres/postgres_write.h"

#include "base/memory.h"

#include <stdlib.h>

#define STATEMENT_BYTES (4 << 20) /* of one statement, about */
#define KEPT_GROUPS 16            /* for the next batch, which looks alike */

static const char what[] = "writing into the table";

struct postgres_group {
    size_t columns;
    unsigned char *forms; /* by column of the table */
    struct bytes *arrays; /* by column: room for the header, then the cells */
    bool *nulls;          /* by column: there is one among them */
    size_t rows;
    size_t bytes;
    struct postgres_group *next;
};

/* ---- groups ---- */

static void free_groups(struct postgres_writer *writer)
{
    while (writer->groups) {
        struct postgres_group *group = writer->groups;
        writer->groups = group->next;
        for (size_t i = 0; i < group->columns; i++) {
            bytes_free(&group->arrays[i]);
        }
        free(group->arrays);
        free(group->nulls);
        free(group->forms);
        free(group);
    }
}

static void clear_group(struct postgres_group *group)
{
    for (size_t i = 0; i < group->columns; i++) {
        group->arrays[i].size = 0;
        group->nulls[i] = false;
        if (group->forms[i]) {
            bytes_reserve(&group->arrays[i], POSTGRES_BINARY_ARRAY_HEADER);
            group->arrays[i].size = POSTGRES_BINARY_ARRAY_HEADER;
        }
    }
    group->rows = 0;
    group->bytes = 0;
}

/* A batch that failed may have left rows. */
static void clear_groups(struct postgres_writer *writer)
{
    size_t count = 0;
    for (struct postgres_group *group = writer->groups; group; group = group->next) {
        clear_group(group);
        count++;
    }
    if (count > KEPT_GROUPS) {
        free_groups(writer);
    }
}

/* The one for the row in the cells. */
static struct postgres_group *find_group(struct postgres_writer *writer)
{
    size_t columns = writer->cells.table->count;
    struct postgres_group *group = writer->groups;
    while (group && memcmp(group->forms, writer->cells.forms, columns) != 0) {
        group = group->next;
    }
    if (group) {
        return group;
    }
    group = memory_alloc(sizeof(*group));
    group->columns = columns;
    group->forms = memory_alloc(columns + 1);
    group->arrays = memory_alloc((columns + 1) * sizeof(*group->arrays));
    group->nulls = memory_alloc((columns + 1) * sizeof(*group->nulls));
    memcpy(group->forms, writer->cells.forms, columns);
    clear_group(group);
    group->next = writer->groups;
    writer->groups = group;
    return group;
}

static void add_row(struct postgres_group *group, const struct postgres_cells *cells)
{
    for (size_t i = 0; i < group->columns; i++) {
        if (group->forms[i]) {
            bytes_append_slice(&group->arrays[i], cells->cells[i]);
            group->nulls[i] = group->nulls[i] || postgres_cells_null(cells->cells[i]);
        }
    }
    group->bytes += cells->data.size;
    group->rows++;
}

/* ---- statements ---- */

static int send_statement(struct postgres_writer *writer, postgres_statement_form *form,
                          const struct postgres_group *group, struct err *err)
{
    struct slice values[POSTGRES_PIPELINE_PARAMETERS];
    struct postgres_parameters parameters = {.values = values, .binary = true};
    for (size_t i = 0; i < group->columns; i++) {
        if (group->forms[i]) {
            values[parameters.count++] = bytes_slice(&group->arrays[i]);
        }
    }
    bytes_clear(&writer->sql);
    form(&writer->sql, &writer->target, group->forms);
    return writer->sql.size == 0
               ? 0
               : postgres_pipeline_send(&writer->pipeline, bytes_text(&writer->sql), &parameters, what, err);
}

static int send_group(struct postgres_writer *writer, postgres_statement_form *form, struct postgres_group *group,
                      struct err *err)
{
    if (group->rows == 0) {
        return 0;
    }
    const struct postgres_column *columns = writer->target.table->columns;
    for (size_t i = 0; i < group->columns; i++) {
        if (group->forms[i]) {
            uint32_t element =
                group->forms[i] == POSTGRES_FORM_BINARY ? columns[i].binary->element : POSTGRES_BINARY_TEXT;
            postgres_binary_array_header(group->arrays[i].data, element, group->rows, group->nulls[i]);
        }
    }
    bool update_first =
        form == postgres_statement_upsert && postgres_statement_is_partial(&writer->target, group->forms);
    if ((update_first && send_statement(writer, postgres_statement_update, group, err)) ||
        send_statement(writer, form, group, err)) {
        return -1;
    }
    clear_group(group);
    return postgres_pipeline_flush(&writer->pipeline, err);
}

static int send_groups(struct postgres_writer *writer, postgres_statement_form *form, struct err *err)
{
    for (struct postgres_group *group = writer->groups; group; group = group->next) {
        if (send_group(writer, form, group, err)) {
            return -1;
        }
    }
    return 0;
}

/* The row's first `count` fields. */
static int write_row(struct postgres_writer *writer, postgres_statement_form *form, const struct rows_row *row,
                     size_t count, size_t *bad, struct err *err)
{
    if (postgres_cells_read(&writer->cells, row, count, false, err)) {
        *bad = row->record;
        return -1;
    }
    struct postgres_group *group = find_group(writer);
    add_row(group, &writer->cells);
    return group->bytes >= STATEMENT_BYTES ? send_group(writer, form, group, err) : 0;
}

int postgres_write_delete(struct postgres_writer *writer, const struct rows *rows, size_t *bad, struct err *err)
{
    clear_groups(writer);
    for (size_t i = 0; i < rows->count; i++) {
        const struct rows_row *row = &rows->list[i];
        if ((row->tombstone || row->replaces) &&
            write_row(writer, postgres_statement_delete, row, writer->target.key->count, bad, err)) {
            return -1;
        }
    }
    return send_groups(writer, postgres_statement_delete, err);
}

static int write_rows(struct postgres_writer *writer, postgres_statement_form *form, const struct rows *rows,
                      size_t *bad, struct err *err)
{
    clear_groups(writer);
    for (size_t i = 0; i < rows->count; i++) {
        const struct rows_row *row = &rows->list[i];
        if (!row->tombstone && write_row(writer, form, row, row->count, bad, err)) {
            return -1;
        }
    }
    return send_groups(writer, form, err);
}

int postgres_write_upsert(struct postgres_writer *writer, const struct rows *rows, size_t *bad, struct err *err)
{
    return write_rows(writer, postgres_statement_upsert, rows, bad, err);
}

int postgres_write_update(struct postgres_writer *writer, const struct rows *rows, size_t *bad, struct err *err)
{
    return write_rows(writer, postgres_statement_update, rows, bad, err);
}

void postgres_write_target(struct postgres_writer *writer, const struct postgres_target *target, bool skip_null)
{
    free_groups(writer);
    writer->target = *target;
    postgres_cells_reset(&writer->cells, target->table, target->table_name, skip_null);
}

void postgres_write_free(struct postgres_writer *writer)
{
    free_groups(writer);
    postgres_cells_free(&writer->cells);
    postgres_pipeline_free(&writer->pipeline);
    bytes_free(&writer->sql);
    *writer = (struct postgres_writer){0};
}
