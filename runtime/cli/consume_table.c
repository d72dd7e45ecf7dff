#include "cli/consume_table.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/columns.h"
#include "cli/print.h"

struct table_row {
    struct slice *cells; /* JSON, one per column; null: missing */
    struct slice order;  /* JSON of what it is sorted by; null: missing */
    size_t number;       /* as it came */
};

static const char *const own_names[] = {"key", "value", "timestamp", "partition", "offset"};

static void add_name(struct option_list *list, struct slice name)
{
    char *text = memory_format("%.*s", (int)name.size, (const char *)name.data);
    option_list_add(list, text);
    free(text);
}

static const char *sort_name(const struct consume_table *table)
{
    return table->sort + (table->sort[0] == '-');
}

void consume_table_begin(struct consume_table *table, const char *columns, const char *sort)
{
    table->sort = sort;
    while (columns != NULL && *columns != '\0') {
        size_t length = strcspn(columns, ",");
        add_name(&table->columns, slice_of(columns, length));
        columns += length + (columns[length] == ',');
    }
}

/* ---- cells ---- */

static struct slice string_cell(struct consume_table *table, enum consume_codec codec, struct slice data)
{
    struct bytes text = {0};
    struct bytes json = {0};
    struct json_writer writer = json_writer(&json);
    consume_show(codec, data, &text);
    if (json_utf8_valid(bytes_slice(&text))) {
        json_string(&writer, bytes_slice(&text));
    } else {
        struct bytes base64 = {0};
        json_base64_encode(bytes_slice(&text), &base64);
        json_string(&writer, bytes_slice(&base64));
        bytes_free(&base64);
    }
    struct slice cell = arena_copy(&table->arena, bytes_slice(&json));
    bytes_free(&text);
    bytes_free(&json);
    return cell;
}

static struct slice integer_cell(struct consume_table *table, int64_t number)
{
    struct bytes json = {0};
    bytes_append_format(&json, "%lld", (long long)number);
    struct slice cell = arena_copy(&table->arena, bytes_slice(&json));
    bytes_free(&json);
    return cell;
}

static struct slice time_cell(struct consume_table *table, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format_time(ms, text);
    return string_cell(table, CONSUME_STRING, slice_text(text));
}

static bool is_object(struct slice value)
{
    return !slice_is_null(value) && json_check(value, NULL) && json_type(value) == JSON_OBJECT;
}

static struct slice value_cell(struct consume_table *table, struct slice value)
{
    if (slice_is_null(value)) {
        return SLICE_NULL;
    }
    bool json = table->value_codec == CONSUME_STRING || table->value_codec == CONSUME_JSON;
    return json && json_check(value, NULL) ? arena_copy(&table->arena, value)
                                           : string_cell(table, table->value_codec, value);
}

/* A field of the value is stronger than what the record has under the same name. */
static struct slice find_cell(struct consume_table *table, const struct record *record, bool object, const char *name)
{
    struct slice field;
    if (object && json_member(record->value, slice_text(name), &field)) {
        return arena_copy(&table->arena, field);
    }
    if (strcmp(name, "key") == 0) {
        return slice_is_null(record->key) ? SLICE_NULL : string_cell(table, table->key_codec, record->key);
    }
    if (strcmp(name, "value") == 0) {
        return value_cell(table, record->value);
    }
    if (strcmp(name, "timestamp") == 0) {
        return time_cell(table, record->timestamp);
    }
    if (strcmp(name, "partition") == 0) {
        return integer_cell(table, record->partition);
    }
    return strcmp(name, "offset") == 0 ? integer_cell(table, record->offset) : SLICE_NULL;
}

static void choose_columns(struct consume_table *table, bool object)
{
    add_name(&table->columns, slice_text("key"));
    if (!object) {
        add_name(&table->columns, slice_text("value"));
        return;
    }
    for (size_t i = 0; i < table->fields.count; i++) {
        option_list_add(&table->columns, table->fields.items[i]);
    }
}

static void note_fields(struct consume_table *table, struct slice object)
{
    struct slice name;
    struct slice value;
    for (struct json_walk walk = json_walk(object); json_next_member(&walk, &name, &value);) {
        add_name(&table->fields, name);
    }
}

void consume_table_add(struct consume_table *table, const struct record *record)
{
    bool object = is_object(record->value);
    if (object && table->fields.count == 0) {
        note_fields(table, record->value);
    }
    if (table->columns.count == 0) {
        choose_columns(table, object);
    }
    if (table->found == NULL) {
        table->found = memory_alloc((table->columns.count + 1) * sizeof *table->found);
    }
    table->rows = memory_grow(table->rows, table->count, &table->capacity, sizeof *table->rows);
    struct table_row *row = &table->rows[table->count];
    *row = (struct table_row){.number = table->count++, .order = SLICE_NULL};
    row->cells = arena_alloc(&table->arena, table->columns.count * sizeof *row->cells);
    for (size_t i = 0; i < table->columns.count; i++) {
        row->cells[i] = find_cell(table, record, object, table->columns.items[i]);
        table->found[i] |= !slice_is_null(row->cells[i]);
    }
    if (table->sort != NULL) {
        row->order = find_cell(table, record, object, sort_name(table));
        table->found[table->columns.count] |= !slice_is_null(row->order);
    }
}

/* ---- order ---- */

static double number_of(struct slice json)
{
    int64_t integer;
    double real;
    return json_number(json, &integer, &real) ? (double)integer : real;
}

/* Numbers before texts. */
static int compare_json(struct slice a, struct slice b)
{
    bool a_number = json_type(a) == JSON_NUMBER;
    bool b_number = json_type(b) == JSON_NUMBER;
    if (a_number != b_number) {
        return a_number ? -1 : 1;
    }
    if (!a_number) {
        return slice_compare(a, b);
    }
    double x = number_of(a);
    double y = number_of(b);
    return (x > y) - (x < y);
}

static bool is_missing(struct slice cell)
{
    return slice_is_null(cell) || json_type(cell) == JSON_NULL;
}

/* What has no value to be sorted by comes last, whatever the direction. */
static int compare_rows(const void *one, const void *other, void *data)
{
    const struct table_row *a = one;
    const struct table_row *b = other;
    bool descending = *(const bool *)data;
    int order = (int)is_missing(a->order) - (int)is_missing(b->order);
    if (order == 0 && !is_missing(a->order)) {
        order = compare_json(a->order, b->order);
        order = descending ? -order : order;
    }
    return order != 0 ? order : (a->number > b->number) - (a->number < b->number);
}

/* ---- printing ---- */

static void print_cell(struct columns *columns, struct slice json)
{
    struct bytes text = {0};
    if (is_missing(json)) {
        bytes_append_text(&text, "-");
    } else if (json_type(json) == JSON_STRING) {
        json_decode_string(json, &text);
    } else if (json_type(json) == JSON_NUMBER) {
        int64_t integer;
        double real;
        if (json_number(json, &integer, &real)) {
            bytes_append_slice(&text, json);
        } else {
            bytes_append_format(&text, "%.6g", real); /* what people can compare; --format json has all digits */
        }
    } else {
        bytes_append_slice(&text, json);
    }
    columns_add(columns, bytes_slice(&text));
    bytes_free(&text);
}

void consume_table_print(struct consume_table *table, struct bytes *out)
{
    struct columns columns;
    bool descending = table->sort != NULL && table->sort[0] == '-';
    if (table->columns.count == 0) {
        return;
    }
    if (table->sort != NULL) {
        qsort_r(table->rows, table->count, sizeof *table->rows, compare_rows, &descending);
    }
    columns_begin(&columns, "");
    for (size_t i = 0; i < table->columns.count; i++) {
        columns_text(&columns, table->columns.items[i]);
    }
    columns.count = table->columns.count;
    for (size_t i = 0; i < table->count; i++) {
        for (size_t k = 0; k < table->columns.count; k++) {
            print_cell(&columns, table->rows[i].cells[k]);
        }
    }
    columns_print(&columns, out);
    columns_free(&columns);
}

static void note_missing(const struct consume_table *table, const char *option, const char *name)
{
    const size_t own = sizeof own_names / sizeof own_names[0];
    const char **names = memory_alloc((own + table->fields.count) * sizeof *names);
    bool known = false;
    for (size_t i = 0; i < own + table->fields.count; i++) {
        names[i] = i < own ? own_names[i] : table->fields.items[i - own];
        known |= i < own && strcmp(name, names[i]) == 0;
    }
    const char *nearest = option_nearest(name, names, own + table->fields.count);
    if (!known) {
        print_note("no record has the field \"%.100s\" of %s%s%s%s.", name, option,
                   nearest != NULL ? "; the nearest is \"" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "\"" : "");
    }
    free(names);
}

void consume_table_note_missing(const struct consume_table *table)
{
    for (size_t i = 0; i < table->columns.count && table->count > 0; i++) {
        if (!table->found[i]) {
            note_missing(table, "--columns", table->columns.items[i]);
        }
    }
    if (table->sort != NULL && table->count > 0 && !table->found[table->columns.count]) {
        note_missing(table, "--sort", sort_name(table));
    }
}

void consume_table_free(struct consume_table *table)
{
    option_list_free(&table->columns);
    option_list_free(&table->fields);
    free(table->found);
    free(table->rows);
    arena_free(&table->arena);
    *table = (struct consume_table){0};
}
