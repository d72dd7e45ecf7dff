#include "cli/columns.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli/print.h"

void columns_add(struct columns *columns, struct slice cell)
{
    columns->cells = memory_grow(columns->cells, columns->cell_count, &columns->capacity, sizeof *columns->cells);
    char *copy = memory_alloc(cell.size + 1);
    for (size_t i = 0; i < cell.size; i++) {
        bool control = cell.data[i] < ' ' || cell.data[i] == 0x7f;
        copy[i] = control ? ' ' : (char)cell.data[i];
    }
    columns->cells[columns->cell_count++] = copy;
}

void columns_text(struct columns *columns, const char *text)
{
    columns_add(columns, slice_text(text));
}

void columns_integer(struct columns *columns, int64_t number)
{
    char text[PRINT_NUMBER_SIZE];
    columns_text(columns, print_number(number, text));
}

void columns_begin(struct columns *columns, const char *names)
{
    *columns = (struct columns){0};
    while (*names != '\0') {
        size_t length = strcspn(names, " ");
        columns_add(columns, slice_of(names, length));
        columns->count++;
        names += length + (names[length] == ' ');
    }
}

/* Characters, not bytes: whatever continues a UTF-8 sequence takes no room. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static bool is_number(const char *text)
{
    if (text[0] == '\0' || strcmp(text, "-") == 0) {
        return true;
    }
    text += *text == '-';
    return isdigit((unsigned char)*text) && text[strspn(text, "0123456789.,eE+-")] == '\0';
}

struct layout {
    size_t width;
    bool right;
};

static struct layout lay_out(const struct columns *columns, size_t column)
{
    struct layout layout = {0, columns->cell_count > columns->count};
    for (size_t i = column; i < columns->cell_count; i += columns->count) {
        size_t width = width_of(columns->cells[i]);
        layout.width = width > layout.width ? width : layout.width;
        layout.right = layout.right && (i < columns->count || is_number(columns->cells[i]));
    }
    return layout;
}

static void append_cell(struct bytes *out, const char *cell, const struct layout *layout, bool last)
{
    size_t gap = layout->width - width_of(cell);
    if (layout->right) {
        bytes_append_format(out, "%*s%s", (int)gap, "", cell);
    } else {
        bytes_append_format(out, "%s%*s", cell, last ? 0 : (int)gap, "");
    }
    bytes_append_text(out, last ? "\n" : "  ");
}

void columns_print(const struct columns *columns, struct bytes *out)
{
    struct layout *layouts = memory_alloc(columns->count * sizeof *layouts);
    for (size_t i = 0; i < columns->count; i++) {
        layouts[i] = lay_out(columns, i);
    }
    for (size_t i = 0; i < columns->cell_count; i++) {
        size_t column = i % columns->count;
        append_cell(out, columns->cells[i], &layouts[column], column + 1 == columns->count);
    }
    free(layouts);
}

void columns_free(struct columns *columns)
{
    for (size_t i = 0; i < columns->cell_count; i++) {
        free(columns->cells[i]);
    }
    free(columns->cells);
    *columns = (struct columns){0};
}
