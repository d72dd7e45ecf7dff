/* Rows of files, positions and names of files: whatever they are, they are read or refused, and what was read is
 * written as it was. */
#include "base/json.h"
#include "connectors/file/file_name.h"
#include "connectors/file/file_row.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_position(struct slice text)
{
    struct file_position position, again;
    struct bytes out = {0};
    struct err err;
    if (file_row_parse_position(text, &position, &err) == 0) {
        file_row_print_position(&position, &out);
        REQUIRE(file_row_parse_position(bytes_slice(&out), &again, &err) == 0);
        REQUIRE(again.inode == position.inode && again.offset == position.offset && again.line == position.line);
    }
    bytes_free(&out);
}

static void check_name(struct slice text)
{
    struct bytes copy = {0};
    struct file_name name;
    char again[FILE_NAME_SIZE];
    bytes_append_slice(&copy, text);
    if (file_name_parse(bytes_text(&copy), "t", 3, "csv", &name)) {
        file_name_print(&name, "t", 3, "csv", again);
        REQUIRE(strcmp(again, bytes_text(&copy)) == 0);
    }
    bytes_free(&copy);
}

static void check_row(const struct csv *csv, struct slice row)
{
    struct file_row_rules rules = {csv, "a.b", "t"};
    struct arena arena = {0};
    struct record record;
    struct err err;
    if (file_row_record(&rules, row, &arena, &record, &err) == 0) {
        REQUIRE(json_check(record.value, NULL) && json_check(record.key, NULL) && record.timestamp >= 0);
    } else {
        REQUIRE(err.code == ERR_RECORD);
    }
    arena_free(&arena);
}

/* The first line is the header, the rest a row. */
static void check_csv(struct slice text)
{
    static char *items[] = {"a=text", "b=integer", "c=real", "d=boolean"};
    struct option_list types = {items, 4, 4};
    struct csv csv = {0};
    struct err err;
    const unsigned char *end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;
    if (end != NULL && csv_header(&csv, slice_of(text.data, (size_t)(end - text.data)), &err) == 0) {
        file_row_types(&types, &csv, &err);
        check_row(&csv, slice_of(end + 1, text.size - (size_t)(end + 1 - text.data)));
    }
    csv_free(&csv);
}

/* The first byte chooses what the others are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice rest = slice_of(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        check_position(rest);
        break;
    case 1:
        check_name(rest);
        break;
    case 2:
        check_row(NULL, rest);
        break;
    default:
        check_csv(rest);
    }
    return 0;
}
