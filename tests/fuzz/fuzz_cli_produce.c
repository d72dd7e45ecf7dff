/* Lines of `produce`: whatever they are, they are a record or refused, and a record survives the JSON format. */
#include "base/json.h"
#include "cli/produce_parse.h"
#include "cli/record_json.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct record *record)
{
    struct bytes line = {0};
    struct arena scratch = {0};
    struct record back;
    struct err err;
    record_print(record, &line);
    REQUIRE(json_check(bytes_slice(&line), NULL));
    REQUIRE(memchr(line.data, '\n', line.size) == NULL);
    REQUIRE(record_parse(bytes_slice(&line), &scratch, &back, &err) == 0);
    REQUIRE(slice_equal(back.key, record->key) && slice_equal(back.value, record->value));
    REQUIRE(back.timestamp == record->timestamp && back.headers.count == record->headers.count);
    for (size_t i = 0; i < back.headers.count; i++) {
        REQUIRE(slice_equal(back.headers.list[i].name, record->headers.list[i].name));
        REQUIRE(slice_equal(back.headers.list[i].value, record->headers.list[i].value));
    }
    arena_free(&scratch);
    bytes_free(&line);
}

static void check_line(enum produce_format format, const struct csv *csv, struct slice line)
{
    struct produce_rules rules = {.format = format, .csv = csv, .at = -1};
    struct record record;
    struct err err;
    if (format == PRODUCE_LINES || format == PRODUCE_CSV) {
        rules.key = "a.b";
        rules.timestamp = "t";
    }
    if (produce_parse(&rules, line, &record, &err) == 0) {
        record.topic = "t";
        REQUIRE(format != PRODUCE_CSV || json_check(record.value, NULL));
        check_round_trip(&record);
    } else {
        REQUIRE(err.class == ERR_SKIP);
    }
    produce_rules_free(&rules);
}

/* The first byte chooses the format; for CSV the first line is the header. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum produce_format format = (enum produce_format)(data[0] % (PRODUCE_CSV + 1));
    struct slice rest = slice_of(data + 1, size - 1);
    struct csv csv = {0};
    if (format == PRODUCE_CSV) {
        struct err err;
        const unsigned char *end = rest.size > 0 ? memchr(rest.data, '\n', rest.size) : NULL;
        if (end == NULL || csv_header(&csv, slice_of(rest.data, (size_t)(end - rest.data)), &err) != 0) {
            csv_free(&csv);
            return 0;
        }
        rest = slice_of(end + 1, rest.size - (size_t)(end + 1 - rest.data));
        csv_open(rest);
    }
    check_line(format, &csv, rest);
    csv_free(&csv);
    return 0;
}
