#include "connectors/postgres/postgres_change.h"

#include "base/memory.h"

#include <stdlib.h>

/* ---- tables ---- */

static char *copy_text(struct slice text)
{
    return memory_format("%.*s", (int)text.size, (const char *)text.data);
}

static void empty_table(struct postgres_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->columns[i].name);
    }
    table->count = 0;
    free(table->schema);
    free(table->name);
}

/* Records that were handed out keep the name, so it stays. */
static char *keep_name(struct postgres_changes *changes, char *name)
{
    for (size_t i = 0; i < changes->name_count; i++) {
        if (strcmp(changes->names[i], name) == 0) {
            free(name);
            return changes->names[i];
        }
    }
    changes->names = memory_grow(changes->names, changes->name_count, &changes->name_capacity, sizeof(*changes->names));
    return changes->names[changes->name_count++] = name;
}

struct postgres_table *postgres_change_table(const struct postgres_changes *changes, uint32_t oid)
{
    for (size_t i = 0; i < changes->table_count; i++) {
        if (changes->tables[i]->oid == oid) {
            return changes->tables[i];
        }
    }
    return NULL;
}

struct postgres_table *postgres_change_define(struct postgres_changes *changes, uint32_t oid, struct slice schema,
                                              struct slice name, char identity)
{
    struct postgres_table *table = postgres_change_table(changes, oid);
    if (!table) {
        table = memory_alloc(sizeof(*table));
        changes->tables =
            memory_grow(changes->tables, changes->table_count, &changes->table_capacity, sizeof(*changes->tables));
        changes->tables[changes->table_count++] = table;
    }
    empty_table(table);
    table->oid = oid;
    table->identity = identity;
    table->schema = schema.size > 0 ? copy_text(schema) : memory_copy_text("pg_catalog");
    table->name = copy_text(name);
    table->topic = keep_name(changes, memory_format("%s.%s", table->schema, table->name));
    for (size_t i = 0; !table->wanted && i < changes->table_count; i++) {
        table->wanted = changes->tables[i]->wanted && strcmp(changes->tables[i]->topic, table->topic) == 0;
        table->place = changes->tables[i]->place;
    }
    return table;
}

void postgres_change_add_column(struct postgres_table *table, struct slice name, uint32_t type, bool key)
{
    table->columns = memory_grow(table->columns, table->count, &table->capacity, sizeof(*table->columns));
    table->columns[table->count++] = (struct postgres_column){copy_text(name), type, postgres_type_element(type), key};
}

/* ---- rows ---- */

enum part { PART_ROW, PART_KEY };

/* Fields of a row in changes->fields from `from`; decoded values lie in `arena`. */
static struct envelope_row fill(struct envelope_field *fields, const struct postgres_table *table,
                                const struct pgoutput_row *row, enum part part, struct arena *arena,
                                struct bytes *scratch)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct pgoutput_value *value = &row->values[i];
        fields[i].name = slice_text(table->columns[i].name);
        if (part == PART_KEY && !table->columns[i].key) {
            fields[i].value = (struct envelope_value){.kind = ENVELOPE_ABSENT};
        } else if (value->kind == PGOUTPUT_NULL) {
            fields[i].value = (struct envelope_value){.kind = ENVELOPE_NULL};
        } else if (value->kind == PGOUTPUT_UNCHANGED) {
            fields[i].value = (struct envelope_value){.kind = ENVELOPE_UNAVAILABLE};
        } else {
            fields[i].value =
                postgres_type_value(table->columns[i].type, table->columns[i].element, value->data, scratch);
            if (fields[i].value.text.data == scratch->data && scratch->data) {
                fields[i].value.text = arena_copy(arena, fields[i].value.text);
            }
        }
    }
    return (struct envelope_row){fields, table->count};
}

static struct postgres_piece *add_piece(struct postgres_changes *changes, const struct postgres_table *table,
                                        int64_t time_ms)
{
    changes->pieces =
        memory_grow(changes->pieces, changes->piece_count, &changes->piece_capacity, sizeof(*changes->pieces));
    struct postgres_piece *piece = &changes->pieces[changes->piece_count++];
    *piece = (struct postgres_piece){.time_ms = time_ms, .topic = table->topic};
    return piece;
}

static void write_key(struct postgres_changes *changes, struct postgres_piece *piece, struct envelope_row key)
{
    piece->key = changes->text.size;
    envelope_write_key(key, &changes->text);
    piece->key_size = changes->text.size - piece->key;
}

static void write_event(struct postgres_changes *changes, const struct postgres_table *table,
                        const struct postgres_origin *origin, struct envelope *event, struct envelope_row key)
{
    char lsn[PGOUTPUT_LSN_SIZE];
    pgoutput_format_lsn(origin->lsn, lsn);
    const struct envelope_field source[] = {
        {slice_text("connector"), envelope_text(slice_text("postgresql"))},
        {slice_text("db"), envelope_text(slice_text(origin->database))},
        {slice_text("schema"), envelope_text(slice_text(table->schema))},
        {slice_text("table"), envelope_text(slice_text(table->name))},
        {slice_text("lsn"), envelope_text(slice_text(lsn))},
        {slice_text("snapshot"), {.kind = ENVELOPE_BOOLEAN, .integer = origin->snapshot}},
        {slice_text("txId"),
         origin->xid > 0 ? envelope_integer(origin->xid) : (struct envelope_value){.kind = ENVELOPE_ABSENT}},
    };
    event->source = (struct envelope_row){source, sizeof(source) / sizeof(source[0])};
    event->ts_ms = origin->time_ms;
    struct postgres_piece *piece = add_piece(changes, table, origin->time_ms);
    write_key(changes, piece, key);
    piece->value = changes->text.size;
    envelope_write(event, &changes->text);
    piece->value_size = changes->text.size - piece->value;
    size_t start = piece->key, size = piece->key_size;
    if (event->op == 'd' && changes->tombstones && size > 0) {
        piece = add_piece(changes, table, origin->time_ms);
        piece->key = start;
        piece->key_size = size;
    }
}

/* The key's columns that an update sent anew; the old row has others only when the key was changed. */
bool postgres_change_moves_key(const struct postgres_table *table, const struct pgoutput *message)
{
    for (size_t i = 0; message->old_kind != PGOUTPUT_NO_OLD && i < table->count; i++) {
        const struct pgoutput_value *old = &message->old.values[i], *new = &message->row.values[i];
        if (table->columns[i].key && new->kind != PGOUTPUT_UNCHANGED &&
            (old->kind != new->kind || !slice_equal(old->data, new->data))) {
            return true;
        }
    }
    return false;
}

struct rows_pair {
    struct envelope_row old, row, old_key, key;
};

/* The deletion of the old key (and its tombstone) names the new one, the creation, which is the last, the old one. */
static void name_other_keys(struct postgres_piece *pieces, size_t count)
{
    struct postgres_piece *creation = &pieces[count - 1];
    for (size_t i = 0; i < count; i++) {
        const struct postgres_piece *other = i + 1 < count ? creation : &pieces[0];
        pieces[i].header = i + 1 < count ? "__debezium.newkey" : "__debezium.oldkey";
        pieces[i].other = other->key;
        pieces[i].other_size = other->key_size;
    }
}

static void write_change(struct postgres_changes *changes, const struct postgres_table *table, char op,
                         const struct postgres_origin *origin, const struct rows_pair *pair, bool moved)
{
    size_t first = changes->piece_count;
    if (op == 'd' || moved) {
        struct envelope event = {.op = 'd', .before = pair->old};
        write_event(changes, table, origin, &event, pair->old_key);
    }
    if (op != 'd') {
        struct envelope event = {.op = moved ? 'c' : op, .after = pair->row};
        if (op == 'u' && !moved) {
            event.before = pair->old;
        }
        write_event(changes, table, origin, &event, pair->key);
    }
    if (moved) {
        name_other_keys(&changes->pieces[first], changes->piece_count - first);
    }
}

static int misfit(const struct postgres_table *table, size_t count, struct err *err)
{
    return err_set(
        err, ERR_FATAL, ERR_PROTOCOL,
        "PostgreSQL sent a row of %s with %zu columns, and the table has %zu; start again, and report it when "
        "it comes back.",
        table->topic, count, table->count);
}

int postgres_change_add(struct postgres_changes *changes, const struct postgres_table *table, char op,
                        const struct postgres_origin *origin, const struct pgoutput *message, struct err *err)
{
    struct rows_pair pair = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    bool has_old = op != 'c' && op != 'r' && op != 't' && message->old_kind != PGOUTPUT_NO_OLD;
    bool has_new = op != 'd' && op != 't';
    if ((has_old && message->old.count != table->count) || (has_new && message->row.count != table->count)) {
        return misfit(table, has_new ? message->row.count : message->old.count, err);
    }
    while (changes->field_capacity < table->count * 4) {
        changes->fields =
            memory_grow(changes->fields, changes->field_capacity, &changes->field_capacity, sizeof(*changes->fields));
    }
    struct arena arena = {0};
    struct bytes scratch = {0};
    struct envelope_field *fields = changes->fields;
    if (has_old) {
        enum part part = message->old_kind == PGOUTPUT_OLD_KEY ? PART_KEY : PART_ROW;
        pair.old = fill(fields, table, &message->old, part, &arena, &scratch);
        pair.old_key = fill(fields + table->count, table, &message->old, PART_KEY, &arena, &scratch);
    }
    if (has_new) {
        pair.row = fill(fields + 2 * table->count, table, &message->row, PART_ROW, &arena, &scratch);
        pair.key = fill(fields + 3 * table->count, table, &message->row, PART_KEY, &arena, &scratch);
    }
    write_change(changes, table, op, origin, &pair, op == 'u' && has_old && postgres_change_moves_key(table, message));
    bytes_free(&scratch);
    arena_free(&arena);
    return 0;
}

/* ---- COPY ---- */

static unsigned char unescape(unsigned char c)
{
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    const char *at = memchr(from, c, sizeof(from) - 1);
    return at ? (unsigned char)to[at - from] : c;
}

/* Decodes the value that begins at `at` behind the others in `decoded`; returns where it ended. */
static size_t copied_value(struct slice line, size_t at, struct bytes *decoded, bool *null)
{
    *null = line.size - at >= 2 && line.data[at] == '\\' && line.data[at + 1] == 'N';
    for (; at < line.size && line.data[at] != '\t'; at++) {
        if (line.data[at] == '\\' && at + 1 < line.size) {
            at++;
            bytes_append_byte(decoded, unescape(line.data[at]));
        } else {
            bytes_append_byte(decoded, line.data[at]);
        }
    }
    return at;
}

int postgres_change_add_copied(struct postgres_changes *changes, const struct postgres_table *table,
                               const struct postgres_origin *origin, struct slice line, struct pgoutput *scratch,
                               struct bytes *decoded, struct err *err)
{
    struct pgoutput_row *row = &scratch->row;
    bytes_clear(decoded);
    bytes_reserve(decoded, line.size + 1); /* so that it does not move */
    size_t at = 0;
    row->count = 0;
    while (table->count > 0) {
        size_t start = decoded->size;
        bool null;
        at = copied_value(line, at, decoded, &null);
        row->values = memory_grow(row->values, row->count, &row->capacity, sizeof(*row->values));
        row->values[row->count++] =
            null ? (struct pgoutput_value){PGOUTPUT_NULL, SLICE_NULL}
                 : (struct pgoutput_value){PGOUTPUT_TEXT, slice_of(decoded->data + start, decoded->size - start)};
        if (at++ >= line.size) {
            break;
        }
    }
    return postgres_change_add(changes, table, 'r', origin, scratch, err);
}

/* ---- records ---- */

void postgres_change_clear(struct postgres_changes *changes)
{
    bytes_clear(&changes->text);
    changes->piece_count = 0;
}

const struct record *postgres_change_list(struct postgres_changes *changes)
{
    while (changes->record_capacity < changes->piece_count) {
        changes->records = memory_grow(changes->records, changes->record_capacity, &changes->record_capacity,
                                       sizeof(*changes->records));
    }
    while (changes->header_capacity < changes->piece_count) {
        changes->headers = memory_grow(changes->headers, changes->header_capacity, &changes->header_capacity,
                                       sizeof(*changes->headers));
    }
    for (size_t i = 0; i < changes->piece_count; i++) {
        const struct postgres_piece *piece = &changes->pieces[i];
        const unsigned char *text = changes->text.data;
        changes->records[i] = (struct record){
            .key = piece->key_size > 0 ? slice_of(text + piece->key, piece->key_size) : SLICE_NULL,
            .value = piece->value_size > 0 ? slice_of(text + piece->value, piece->value_size) : SLICE_NULL,
            .timestamp = piece->time_ms,
            .offset = -1,
            .topic = piece->topic,
        };
        if (piece->header) {
            changes->headers[i] =
                (struct header){slice_text(piece->header), slice_of(text + piece->other, piece->other_size)};
            changes->records[i].headers = (struct headers){&changes->headers[i], 1};
        }
    }
    return changes->records;
}

void postgres_change_free(struct postgres_changes *changes)
{
    for (size_t i = 0; i < changes->table_count; i++) {
        empty_table(changes->tables[i]);
        free(changes->tables[i]->columns);
        free(changes->tables[i]);
    }
    for (size_t i = 0; i < changes->name_count; i++) {
        free(changes->names[i]);
    }
    free(changes->tables);
    free(changes->names);
    free(changes->pieces);
    free(changes->records);
    free(changes->headers);
    free(changes->fields);
    bytes_free(&changes->text);
    *changes = (struct postgres_changes){0};
}
