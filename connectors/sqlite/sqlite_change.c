#include "connectors/sqlite/sqlite_change.h"

#include "base/memory.h"

#include <stdlib.h>

struct envelope_value sqlite_change_value(sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return envelope_integer(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
        return (struct envelope_value){.kind = ENVELOPE_REAL, .real = sqlite3_column_double(statement, column)};
    case SQLITE_TEXT: {
        const unsigned char *text = sqlite3_column_text(statement, column);
        return envelope_text(slice_of(text, (size_t)sqlite3_column_bytes(statement, column)));
    }
    case SQLITE_BLOB: {
        const void *data = sqlite3_column_blob(statement, column);
        size_t size = (size_t)sqlite3_column_bytes(statement, column);
        return (struct envelope_value){.kind = ENVELOPE_BYTES, .text = slice_of(data ? data : "", size)};
    }
    default:
        return (struct envelope_value){.kind = ENVELOPE_NULL};
    }
}

static int column_at(const struct sqlite_row *row, size_t index)
{
    return row->first + (row->shape->rowid ? 1 : 0) + (int)index;
}

static struct envelope_row fill_row(const struct sqlite_row *row, struct envelope_field *fields)
{
    const struct sqlite_shape *shape = row->shape;
    for (size_t i = 0; i < shape->count; i++) {
        fields[i] = (struct envelope_field){slice_text(shape->columns[i].name),
                                            sqlite_change_value(row->statement, column_at(row, i))};
    }
    return (struct envelope_row){fields, shape->count};
}

/* The primary key's columns, or else the rowid. */
static struct envelope_row fill_key(const struct sqlite_row *row, struct envelope_field *fields)
{
    const struct sqlite_shape *shape = row->shape;
    size_t count = 0;
    if (shape->keys == 0) {
        fields[count++] = (struct envelope_field){slice_text("rowid"), sqlite_change_value(row->statement, row->first)};
    }
    for (size_t i = 0; i < shape->count; i++) {
        if (shape->columns[i].key > 0) {
            fields[count++] = (struct envelope_field){slice_text(shape->columns[i].name),
                                                      sqlite_change_value(row->statement, column_at(row, i))};
        }
    }
    return (struct envelope_row){fields, count};
}

static bool same_value(struct envelope_value a, struct envelope_value b)
{
    return a.kind == b.kind && a.integer == b.integer && !(a.real < b.real) && !(a.real > b.real) &&
           slice_equal(a.text, b.text);
}

bool sqlite_change_same_key(const struct sqlite_row *a, const struct sqlite_row *b)
{
    const struct sqlite_shape *shape = a->shape;
    bool same = shape->keys > 0 ||
                same_value(sqlite_change_value(a->statement, a->first), sqlite_change_value(b->statement, b->first));
    for (size_t i = 0; same && i < shape->count; i++) {
        same = shape->columns[i].key == 0 || same_value(sqlite_change_value(a->statement, column_at(a, i)),
                                                        sqlite_change_value(b->statement, column_at(b, i)));
    }
    return same;
}

static struct envelope_field *room(struct sqlite_changes *changes, size_t count)
{
    while (changes->field_capacity < count) {
        changes->fields =
            memory_grow(changes->fields, changes->field_capacity, &changes->field_capacity, sizeof(*changes->fields));
    }
    return changes->fields;
}

void sqlite_change_add(struct sqlite_changes *changes, char op, const struct sqlite_row *before,
                       const struct sqlite_row *after, const struct sqlite_origin *origin)
{
    const struct sqlite_row *last = after ? after : before;
    size_t count = last->shape->count + 1;
    struct envelope_field *fields = room(changes, 3 * count);
    struct envelope_field source[] = {
        {slice_text("connector"), envelope_text(slice_text("sqlite"))},
        {slice_text("db"), envelope_text(slice_text(origin->path))},
        {slice_text("table"), envelope_text(slice_text(origin->topic))},
        {slice_text("seq"), envelope_integer(origin->seq)},
        {slice_text("snapshot"), {.kind = ENVELOPE_BOOLEAN, .integer = origin->snapshot}},
    };
    struct envelope event = {
        .op = op, .source = {source, sizeof(source) / sizeof(source[0])}, .ts_ms = origin->time_ms};
    event.before = before ? fill_row(before, fields) : event.before;
    event.after = after ? fill_row(after, fields + count) : event.after;
    struct bytes *text = &changes->pieces.text;
    size_t start = text->size;
    envelope_write_key(fill_key(last, fields + 2 * count), text);
    size_t key_size = text->size - start;
    envelope_write(&event, text);
    pieces_add(&changes->pieces, origin->topic, origin->time_ms, key_size, text->size - start - key_size);
    if (op == 'd' && changes->tombstones) {
        pieces_add_tombstone(&changes->pieces);
    }
}

void sqlite_change_free(struct sqlite_changes *changes)
{
    pieces_free(&changes->pieces);
    free(changes->fields);
    changes->fields = NULL;
    changes->field_capacity = 0;
}
