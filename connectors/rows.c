#include "connectors/rows.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static int bad_record(struct err *err, const char *text)
{
    return err_set(err, ERR_SKIP, ERR_RECORD, "%s", text);
}

/* ---- fields ---- */

#define INTEGER_DIGITS 18 /* that many fit 64 bits whatever they are */

static bool is_short_integer(struct slice number)
{
    size_t at = number.size > 0 && number.data[0] == '-';
    if (number.size - at > INTEGER_DIGITS) {
        return false;
    }
    while (at < number.size && number.data[at] >= '0' && number.data[at] <= '9') {
        at++;
    }
    return at == number.size;
}

static enum rows_kind kind_of_number(struct slice text)
{
    int64_t integer;
    double real;
    return is_short_integer(text) || json_number(text, &integer, &real) ? ROWS_INTEGER : ROWS_REAL;
}

/* Of a value without white space around it. */
static enum rows_kind kind_of(struct slice text)
{
    switch (text.data[0]) {
    case 't':
    case 'f':
        return ROWS_BOOL;
    case '"':
        return ROWS_STRING;
    case '[':
    case '{':
        return ROWS_NESTED;
    case 'n':
        return ROWS_NULL;
    default:
        return kind_of_number(text);
    }
}

static struct rows_field *find_field(struct rows_field *fields, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(fields[i].name, name)) {
            return &fields[i];
        }
    }
    return NULL;
}

static void set_field(struct rows_field *field, struct slice text)
{
    field->text = json_trim(text);
    field->kind = kind_of(field->text);
}

/* Null text: not known yet. */
static void add_field(struct rows *rows, struct slice name, struct slice text)
{
    rows->fields = memory_grow(rows->fields, rows->field_count, &rows->field_capacity, sizeof(*rows->fields));
    struct rows_field *field = &rows->fields[rows->field_count++];
    *field = (struct rows_field){name, text, ROWS_NULL};
    if (!slice_is_null(text)) {
        set_field(field, text);
    }
}

/* `raw` is the text between the quotes. */
static struct slice decode_name(struct rows *rows, struct slice raw)
{
    if (!json_has_escape(raw)) {
        return raw;
    }
    bytes_clear(&rows->text);
    json_decode_string(slice_of(raw.data - 1, raw.size + 2), &rows->text);
    return arena_copy(&rows->arena, bytes_slice(&rows->text));
}

/* A member that the record before did not have at that place. */
static int read_new_member(struct rows *rows, size_t key_columns, struct slice name, struct slice value, size_t *index,
                           struct err *err)
{
    if (name.size == 0 || memchr(name.data, 0, name.size)) {
        return bad_record(err, "The value has a member whose name is empty or has a zero byte in it, which no column "
                               "can have: rename it before the sink");
    }
    struct rows_field *known = find_field(rows->fields, rows->field_count, name);
    if (known) {
        set_field(known, value);
        *index = (size_t)(known - rows->fields);
        return 0;
    }
    if (rows->field_count >= ROWS_FIELDS + key_columns) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "The value has more than %d members: take what the table needs",
                       ROWS_FIELDS);
    }
    *index = rows->field_count;
    add_field(rows, name, value);
    return 0;
}

/* The value's member number `place`. As long as the names are those of the record before, so are their fields. */
static int read_member(struct rows *rows, size_t key_columns, size_t place, struct slice name, struct slice value,
                       struct err *err)
{
    if (place < rows->member_count && slice_equal(rows->members[place].name, name)) {
        if (rows->members[place].field < rows->field_count) {
            set_field(&rows->fields[rows->members[place].field], value);
        } else {
            add_field(rows, name, value);
        }
        return 0;
    }
    rows->members = memory_grow(rows->members, place, &rows->member_capacity, sizeof(*rows->members));
    rows->members[place].name = name;
    rows->member_count = place; /* what follows is not as in the record before */
    if (read_new_member(rows, key_columns, name, value, &rows->members[place].field, err)) {
        return -1;
    }
    rows->member_count = place + 1;
    return 0;
}

/* The fields of the key columns stand first, as yet without a text. */
static void start_fields(struct rows *rows, const struct rows_form *form)
{
    rows->field_count = 0;
    for (size_t i = 0; i < form->key->count; i++) {
        add_field(rows, slice_text(form->key->items[i]), SLICE_NULL);
    }
}

/* As the check has listed them. */
static int read_members(struct rows *rows, const struct rows_form *form, struct slice value,
                        const struct json_members *members, struct err *err)
{
    for (size_t i = 0; i < members->count; i++) {
        const struct json_member *member = &members->list[i];
        struct slice text = slice_of(value.data + member->value, member->value_size);
        if (read_member(rows, form->key->count, i, slice_of(member->name, member->name_size), text, err)) {
            return -1;
        }
    }
    return 0;
}

static int walk_members(struct rows *rows, const struct rows_form *form, struct slice value, struct err *err)
{
    struct json_walk walk = json_walk(value);
    struct slice name, member;
    for (size_t i = 0; json_next_member(&walk, &name, &member); i++) {
        if (read_member(rows, form->key->count, i, decode_name(rows, name), member, err)) {
            return -1;
        }
    }
    return 0;
}

static int read_value(struct rows *rows, const struct rows_form *form, struct slice value, struct err *err)
{
    struct json_problem problem;
    struct json_members members;
    if (!json_check_members(value, &members, &problem)) {
        return err_set(err, ERR_SKIP, ERR_RECORD,
                       "The value is not JSON: %s at byte %zu. A row is made from a JSON object", problem.reason,
                       problem.at);
    }
    if (json_type(value) != JSON_OBJECT) {
        return bad_record(err, "The value is JSON but not an object: a row is made from an object with a member for "
                               "each column");
    }
    return members.count < JSON_MEMBERS ? read_members(rows, form, value, &members, err)
                                        : walk_members(rows, form, value, err);
}

/* ---- keys ---- */

/* The record's key as JSON; null data: it has none. */
static int key_as_json(struct rows *rows, const struct rows_form *form, struct slice key, struct slice *json,
                       struct err *err)
{
    *json = SLICE_NULL;
    if (slice_is_null(key)) {
        return 0;
    }
    if (form->json_keys) {
        *json = key;
        return json_check(key, NULL) ? 0
                                     : bad_record(err, "The record's key, from which key columns are taken, is not "
                                                       "JSON");
    }
    bytes_clear(&rows->text);
    struct json_writer writer = json_writer(&rows->text);
    if (!json_string_checked(&writer, key)) {
        return bad_record(err, "The record's key, from which key columns are taken, is not UTF-8");
    }
    *json = arena_copy(&rows->arena, bytes_slice(&rows->text));
    return 0;
}

static size_t count_elements(struct slice array)
{
    struct json_walk walk = json_walk(array);
    struct slice element;
    size_t count = 0;
    while (json_next_element(&walk, &element)) {
        count++;
    }
    return count;
}

static bool element_at(struct slice array, size_t index, struct slice *element)
{
    struct json_walk walk = json_walk(array);
    for (size_t i = 0; json_next_element(&walk, element); i++) {
        if (i == index) {
            return true;
        }
    }
    return false;
}

static bool column_of_key(struct slice key, const struct rows_form *form, size_t index, struct slice *text)
{
    switch (json_type(key)) {
    case JSON_OBJECT:
        return json_member(key, slice_text(form->key->items[index]), text);
    case JSON_ARRAY:
        return count_elements(key) == form->key->count && element_at(key, index, text);
    default:
        *text = key;
        return form->key->count == 1;
    }
}

static int check_key_column(const struct rows_field *field, struct err *err)
{
    const char *problem = slice_is_null(field->text)   ? "is neither in the value nor in the record's key"
                          : field->kind == ROWS_NULL   ? "is null"
                          : field->kind == ROWS_NESTED ? "is an object or array"
                                                       : NULL;
    return !problem ? 0
                    : err_set(err, ERR_SKIP, ERR_RECORD, "Key column \"%.*s\" %s: a row needs a number or text there",
                              (int)field->name.size, (const char *)field->name.data, problem);
}

static int complete_key(struct rows *rows, const struct rows_form *form, struct slice key, struct err *err)
{
    bool have_json = false;
    struct slice json = SLICE_NULL, text;
    for (size_t i = 0; i < form->key->count; i++) {
        struct rows_field *field = &rows->fields[i];
        if (slice_is_null(field->text) && !have_json) {
            have_json = true;
            if (key_as_json(rows, form, key, &json, err)) {
                return -1;
            }
        }
        if (slice_is_null(field->text) && !slice_is_null(json) && column_of_key(json, form, i, &text)) {
            set_field(field, text);
        }
        if (check_key_column(field, err)) {
            return -1;
        }
    }
    return 0;
}

/* ---- rows ---- */

static struct rows_row *add_row(struct rows *rows, size_t record, bool tombstone)
{
    rows->list = memory_grow(rows->list, rows->count, &rows->capacity, sizeof(*rows->list));
    struct rows_row *row = &rows->list[rows->count++];
    size_t size = rows->field_count * sizeof(struct rows_field);
    struct rows_field *fields = arena_alloc(&rows->arena, size + 1);
    if (size > 0) {
        memcpy(fields, rows->fields, size);
    }
    *row = (struct rows_row){.fields = fields, .count = rows->field_count, .record = record, .tombstone = tombstone};
    return row;
}

static int read_record(struct rows *rows, const struct rows_form *form, const struct record *record, size_t index,
                       struct err *err)
{
    bool tombstone = slice_is_null(record->value);
    if (tombstone && !form->tombstones) {
        return 0;
    }
    start_fields(rows, form);
    if (!tombstone && read_value(rows, form, record->value, err)) {
        return -1;
    }
    if (complete_key(rows, form, record->key, err)) {
        return -1;
    }
    if (rows->field_count == 0) {
        return bad_record(err, "The value is an object without members: there is no column to write");
    }
    add_row(rows, index, tombstone);
    return 0;
}

int rows_read(struct rows *rows, const struct rows_form *form, const struct record *records, size_t count, size_t *bad,
              struct err *err)
{
    arena_clear(&rows->arena);
    rows->count = 0;
    rows->member_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (read_record(rows, form, &records[i], i, err)) {
            *bad = i;
            return -1;
        }
    }
    return 0;
}

const struct rows_field *rows_field(const struct rows_row *row, struct slice name)
{
    for (size_t i = 0; i < row->count; i++) {
        if (slice_equal(row->fields[i].name, name)) {
            return &row->fields[i];
        }
    }
    return NULL;
}

/* ---- one change per key ---- */

/* Appends the value of a key column with its length. */
static void append_key_column(struct bytes *out, const struct rows_field *field)
{
    bool string = field->kind == ROWS_STRING;
    struct slice body = string ? slice_of(field->text.data + 1, field->text.size - 2) : field->text;
    if (!string || !json_has_escape(body)) {
        bytes_append_blob(out, body);
        return;
    }
    struct bytes decoded = {0};
    json_decode_string(field->text, &decoded);
    bytes_append_blob(out, bytes_slice(&decoded));
    bytes_free(&decoded);
}

static struct slice key_text(struct rows *rows, const struct rows_row *row, size_t key_columns)
{
    bytes_clear(&rows->text);
    for (size_t i = 0; i < key_columns; i++) {
        append_key_column(&rows->text, &row->fields[i]);
    }
    return arena_copy(&rows->arena, bytes_slice(&rows->text));
}

/* The later row with those fields of the earlier one that it does not have. */
static void merge_row(struct rows *rows, const struct rows_row *earlier, struct rows_row *later)
{
    if (later->tombstone) {
        return;
    }
    later->replaces = earlier->tombstone || earlier->replaces;
    if (earlier->tombstone) {
        return;
    }
    struct rows_field *fields = arena_alloc(&rows->arena, (earlier->count + later->count) * sizeof(*fields));
    memcpy(fields, later->fields, later->count * sizeof(*fields));
    size_t count = later->count;
    for (size_t i = 0; i < earlier->count; i++) {
        if (!rows_field(later, earlier->fields[i].name)) {
            fields[count++] = earlier->fields[i];
        }
    }
    later->fields = fields;
    later->count = count;
}

struct slot {
    struct slice key;
    size_t row; /* index + 1; 0: free */
};

static struct slot *find_slot(struct slot *slots, size_t mask, struct slice key)
{
    size_t at = hash_table64(key) & mask;
    while (slots[at].row != 0 && !slice_equal(slots[at].key, key)) {
        at = (at + 1) & mask;
    }
    return &slots[at];
}

void rows_merge(struct rows *rows, size_t key_columns)
{
    size_t size = 16;
    while (size < rows->count * 2) {
        size *= 2;
    }
    struct slot *slots = memory_alloc(size * sizeof(*slots));
    bool *gone = memory_alloc(rows->count + 1);
    for (size_t i = 0; i < rows->count; i++) {
        struct slice key = key_text(rows, &rows->list[i], key_columns);
        struct slot *slot = find_slot(slots, size - 1, key);
        if (slot->row != 0) {
            merge_row(rows, &rows->list[slot->row - 1], &rows->list[i]);
            gone[slot->row - 1] = true;
        }
        *slot = (struct slot){key, i + 1};
    }
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (!gone[i]) {
            rows->list[kept++] = rows->list[i];
        }
    }
    rows->count = kept;
    free(slots);
    free(gone);
}

void rows_free(struct rows *rows)
{
    arena_free(&rows->arena);
    free(rows->list);
    free(rows->fields);
    free(rows->members);
    bytes_free(&rows->text);
    *rows = (struct rows){0};
}
