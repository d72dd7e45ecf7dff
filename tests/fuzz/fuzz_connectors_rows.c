/* Records as rows: a batch gives the rows that its records give one by one, and every field has a form for every type
 * of PostgreSQL, or is refused. Records are the lines of the input. */
#include "base/json.h"
#include "connectors/postgres/postgres_value.h"

#include <stdlib.h>

#define RECORDS 64

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *key_names[] = {"id", "a"};
static const struct option_list key = {key_names, 2, 2};
static const struct rows_form forms[] = {{&key, true, true}, {&(const struct option_list){0}, true, false}};

/* The key of each record is the value of the one before. */
static size_t split(struct slice text, struct record *records)
{
    size_t count = 0;
    const unsigned char *at = text.data, *end = text.data + text.size;
    while (at < end && count < RECORDS) {
        const unsigned char *line = memchr(at, '\n', (size_t)(end - at));
        line = line ? line : end;
        records[count].key = count > 0 ? records[count - 1].value : SLICE_NULL;
        records[count++].value = line > at ? slice_of(at, (size_t)(line - at)) : SLICE_NULL;
        at = line + 1;
    }
    return count;
}

static void compare_rows(const struct rows_row *one, const struct rows_row *other)
{
    REQUIRE(one->count == other->count && one->tombstone == other->tombstone);
    for (size_t i = 0; i < one->count; i++) {
        REQUIRE(slice_equal(one->fields[i].name, other->fields[i].name));
        REQUIRE(one->fields[i].text.data == other->fields[i].text.data ||
                slice_equal(one->fields[i].text, other->fields[i].text));
        REQUIRE(one->fields[i].kind == other->fields[i].kind);
        REQUIRE(rows_field(one, one->fields[i].name) == &one->fields[i]); /* no name twice */
    }
}

static void form_field(const struct rows_field *field)
{
    static const struct {
        const char *type;
        enum postgres_value_kind kind;
        uint32_t size; /* of its binary form; 0: any */
    } types[] = {
        {"int2", POSTGRES_VALUE_INTEGER, 2},     {"int4", POSTGRES_VALUE_INTEGER, 4},
        {"int8", POSTGRES_VALUE_INTEGER, 8},     {"float4", POSTGRES_VALUE_NUMBER, 4},
        {"float8", POSTGRES_VALUE_NUMBER, 8},    {"numeric", POSTGRES_VALUE_NUMBER, 0},
        {"bool", POSTGRES_VALUE_BOOL, 1},        {"text", POSTGRES_VALUE_TEXT, 0},
        {"timestamptz", POSTGRES_VALUE_TIME, 8}, {"date", POSTGRES_VALUE_OTHER, 4},
        {"uuid", POSTGRES_VALUE_OTHER, 16},      {"jsonb", POSTGRES_VALUE_JSON, 0},
        {"json", POSTGRES_VALUE_JSON, 0},        {"bytea", POSTGRES_VALUE_BYTES, 0},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct postgres_column column = {
            .name = "c", .type = "t", .kind = types[i].kind, .size = types[i].size ? (int)types[i].size : 8};
        struct bytes binary = {0}, text = {0};
        struct err err;
        bool has_binary = postgres_binary_append(&binary, postgres_binary_find(types[i].type), field);
        struct bytes_reader reader = bytes_reader_of(bytes_slice(&binary));
        REQUIRE(has_binary ? bytes_take_u32(&reader) == binary.size - 4 : binary.size == 0);
        REQUIRE(!has_binary || types[i].size == 0 || binary.size == 4 + types[i].size);
        /* What has a binary form has a text as well. */
        bool has_text = postgres_value_append(&text, &column, field, &err) == 0;
        REQUIRE(has_text ? true : err.class == ERR_SKIP);
        REQUIRE(!has_binary || has_text);
        bytes_free(&binary);
        bytes_free(&text);
    }
}

static void check_row(const struct rows_form *form, const struct record *record, const struct rows_row *row)
{
    struct rows alone = {0};
    struct err err;
    size_t bad;
    REQUIRE(rows_read(&alone, form, record, 1, &bad, &err) == 0 && alone.count == 1);
    compare_rows(row, &alone.list[0]);
    for (size_t i = 0; i < row->count; i++) {
        if (row->fields[i].kind != ROWS_NULL) {
            form_field(&row->fields[i]);
        }
    }
    rows_free(&alone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record records[RECORDS] = {0};
    size_t count = split(slice_of(data, size), records);
    for (size_t i = 0; i < 2; i++) {
        struct rows rows = {0};
        struct err err;
        size_t bad = 0;
        if (rows_read(&rows, &forms[i], records, count, &bad, &err)) {
            REQUIRE(err.class == ERR_SKIP && bad < count);
            count = bad; /* the records before it are good */
            REQUIRE(rows_read(&rows, &forms[i], records, count, &bad, &err) == 0);
        }
        for (size_t j = 0; j < rows.count; j++) {
            check_row(&forms[i], &records[rows.list[j].record], &rows.list[j]);
        }
        if (forms[i].key->count > 0) {
            rows_merge(&rows, forms[i].key->count);
        }
        rows_free(&rows);
    }
    return 0;
}
