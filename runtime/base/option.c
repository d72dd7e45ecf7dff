#include "base/option.h"

#include "base/clock.h"
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NEAREST_MAX 64 /* longer names get no suggestion */

static void *field_of(const struct option *option, void *target)
{
    return (char *)target + option->offset;
}

static bool same_name(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b)) {
            return false;
        }
    }
    return *a == *b;
}

const struct option *option_find(const struct option_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (same_name(table->options[i].name, name)) {
            return &table->options[i];
        }
    }
    return NULL;
}

/* Values. */

struct unit {
    const char *name;
    int64_t factor;
};

/* From large to small, for printing. A name stands after the others of its factor when it is only read. */
static const struct unit duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit size_units[] = {
    {"TB", 1LL << 40},  {"GB", 1LL << 30},  {"MB", 1LL << 20},  {"kB", 1LL << 10}, {"B", 1},
    {"TiB", 1LL << 40}, {"GiB", 1LL << 30}, {"MiB", 1LL << 20}, {"KB", 1LL << 10}, {"KiB", 1LL << 10},
};

int option_parse_size(const char *text, int64_t *bytes)
{
    size_t digits = strspn(text, "0123456789");
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    if (digits == 0 || errno != 0) {
        return -1;
    }
    int64_t factor = text[digits] == '\0' ? 1 : 0;
    for (size_t i = 0; i < sizeof size_units / sizeof size_units[0]; i++) {
        if (strcmp(text + digits, size_units[i].name) == 0) {
            factor = size_units[i].factor;
        }
    }
    int64_t product;
    if (factor == 0 || __builtin_mul_overflow(number, factor, &product)) {
        return -1;
    }
    *bytes = product;
    return 0;
}

static int parse_integer(const char *text, int64_t *number)
{
    size_t digits = strspn(text + (text[0] == '-'), "0123456789");
    errno = 0;
    *number = strtoll(text, NULL, 10);
    return digits == 0 || text[digits + (text[0] == '-')] != '\0' || errno != 0 ? -1 : 0;
}

static int parse_flag(const char *text, bool *flag)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *flag = i % 2 == 1;
            return 0;
        }
    }
    return -1;
}

static int parse_choice(const char *text, const char *const *choices, int *choice)
{
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(text, choices[i]) == 0) {
            *choice = i;
            return 0;
        }
    }
    return -1;
}

static int parse_number(const struct option *option, const char *text, int64_t *number)
{
    switch (option->type) {
    case OPTION_DURATION:
        return clock_parse_duration(text, number);
    case OPTION_SIZE:
        return option_parse_size(text, number);
    default:
        return parse_integer(text, number);
    }
}

static bool in_range(const struct option *option, int64_t number)
{
    return (option->low == 0 && option->high == 0) || (number >= option->low && number <= option->high);
}

void option_list_add(struct option_list *list, const char *item)
{
    list->items = memory_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = memory_copy_text(item);
}

void option_list_free(struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct option_list){NULL, 0, 0};
}

static void set_text(char **field, const char *value)
{
    char *copy = memory_copy_text(value); /* before the free: the value may be the old text */
    free(*field);
    *field = copy;
}

/* Puts the value into the field; -1 leaves the field as it was. */
static int store_value(const struct option *option, void *target, const char *value)
{
    void *field = field_of(option, target);
    int64_t number;
    switch (option->type) {
    case OPTION_FLAG:
        return parse_flag(value, field);
    case OPTION_CHOICE:
        return parse_choice(value, option->choices, field);
    case OPTION_TEXT:
        set_text(field, value);
        return 0;
    case OPTION_LIST:
        option_list_add(field, value);
        return 0;
    case OPTION_INTEGER:
    case OPTION_DURATION:
    case OPTION_SIZE:
        if (parse_number(option, value, &number) != 0 || !in_range(option, number)) {
            return -1;
        }
        memcpy(field, &number, sizeof number);
        return 0;
    }
    return -1;
}

/* Describing what a value may be. */

static void append_number(struct bytes *out, const struct option *option, int64_t number)
{
    const struct unit *units = option->type == OPTION_DURATION ? duration_units : size_units;
    if (option->type == OPTION_INTEGER || number == 0) {
        bytes_append_format(out, "%" PRId64, number);
        return;
    }
    while (number % units->factor != 0) {
        units++;
    }
    bytes_append_format(out, "%" PRId64 "%s", number / units->factor, units->name);
}

static void append_range(struct bytes *out, const struct option *option)
{
    if (option->low == 0 && option->high == 0) {
        return;
    }
    if (option->high == INT64_MAX) {
        bytes_append_text(out, "at least ");
        append_number(out, option, option->low);
        return;
    }
    append_number(out, option, option->low);
    bytes_append_text(out, " to ");
    append_number(out, option, option->high);
}

static void append_choices(struct bytes *out, const struct option *option, const char *separator)
{
    for (int i = 0; option->choices[i] != NULL; i++) {
        bytes_append_format(out, "%s%s", i > 0 ? separator : "", option->choices[i]);
    }
}

static const struct {
    const char *name;     /* in the reference */
    const char *argument; /* in help */
    const char *rule;     /* in messages */
} types[] = {
    [OPTION_FLAG] = {"flag", "", "true or false"},
    [OPTION_INTEGER] = {"integer", "N", "a whole number"},
    [OPTION_DURATION] = {"duration", "TIME", "a duration such as 250ms, 5s, 1m, 2h or 1d, or a number of milliseconds"},
    [OPTION_SIZE] = {"size", "SIZE", "a size such as 10kB, 64MB or 1GB, or a number of bytes"},
    [OPTION_TEXT] = {"text", "TEXT", "text"},
    [OPTION_CHOICE] = {"choice", "WORD", "one of "},
    [OPTION_LIST] = {"list", "TEXT", "text"},
};

/* How the user wrote the name, or should have: --commit-ms or commit_ms. */
static void shown_name(const char *name, bool command_line, char *shown, size_t size)
{
    snprintf(shown, size, "%s%s", command_line ? "--" : "", name);
    for (char *at = shown; command_line && *at != '\0'; at++) {
        *at = *at == '_' ? '-' : *at;
    }
}

static enum err_code code_of(bool command_line)
{
    return command_line ? ERR_USAGE : ERR_CONFIG;
}

static int bad_value(const struct option *option, const char *value, bool command_line, struct err *err)
{
    char shown[128];
    struct bytes rule = {0};
    shown_name(option->name, command_line, shown, sizeof shown);
    bytes_append_text(&rule, types[option->type].rule);
    if (option->type == OPTION_CHOICE) {
        append_choices(&rule, option, ", ");
    } else if (option->low != 0 || option->high != 0) {
        bytes_append_text(&rule, ", ");
        append_range(&rule, option);
    }
    err_set(err, ERR_FATAL, code_of(command_line), "The option %s can't be \"%.200s\": it must be %s.", shown, value,
            bytes_text(&rule));
    bytes_free(&rule);
    return -1;
}

static int missing_value(const struct option *option, bool command_line, struct err *err)
{
    char shown[128];
    shown_name(option->name, command_line, shown, sizeof shown);
    return err_set(err, ERR_FATAL, code_of(command_line), "The option %s needs a value.", shown);
}

static int unknown_option(const struct option_table *table, const char *name, bool command_line, struct err *err)
{
    char shown[128];
    char near[128];
    const char **names = memory_alloc((table->count + 1) * sizeof *names);
    for (size_t i = 0; i < table->count; i++) {
        names[i] = table->options[i].name;
    }
    const char *nearest = option_nearest(name, names, table->count);
    free(names);
    shown_name(name, command_line, shown, sizeof shown);
    if (nearest == NULL) {
        return err_set(err, ERR_FATAL, code_of(command_line), "%s has no option %s.", table->name, shown);
    }
    shown_name(nearest, command_line, near, sizeof near);
    return err_set(err, ERR_FATAL, code_of(command_line), "%s has no option %s; the nearest is %s.", table->name, shown,
                   near);
}

static int set_option(const struct option *option, void *target, const char *value, bool command_line, struct err *err)
{
    if (value == NULL && option->type != OPTION_FLAG) {
        return missing_value(option, command_line, err);
    }
    if (store_value(option, target, value != NULL ? value : "true") != 0) {
        return bad_value(option, value, command_line, err);
    }
    return 0;
}

int option_set(const struct option_table *table, void *target, const char *name, const char *value, struct err *err)
{
    const struct option *option = option_find(table, name);
    return option != NULL ? set_option(option, target, value, false, err) : unknown_option(table, name, false, err);
}

static void clear_field(const struct option *option, void *field)
{
    static const size_t sizes[] = {
        [OPTION_FLAG] = sizeof(bool),
        [OPTION_INTEGER] = sizeof(int64_t),
        [OPTION_DURATION] = sizeof(int64_t),
        [OPTION_SIZE] = sizeof(int64_t),
        [OPTION_TEXT] = sizeof(char *),
        [OPTION_CHOICE] = sizeof(int),
        [OPTION_LIST] = sizeof(struct option_list),
    };
    memset(field, 0, sizes[option->type]);
}

void option_defaults(const struct option_table *table, void *target)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option *option = &table->options[i];
        clear_field(option, field_of(option, target));
        if (option->default_text != NULL) {
            int failed = store_value(option, target, option->default_text);
            assert(!failed);
            (void)failed;
        }
    }
}

void option_free(const struct option_table *table, void *target)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option *option = &table->options[i];
        if (option->type == OPTION_TEXT) {
            char **text = field_of(option, target);
            free(*text);
        } else if (option->type == OPTION_LIST) {
            option_list_free(field_of(option, target));
        }
        clear_field(option, field_of(option, target));
    }
}

/* The command line. */

struct command_line {
    const struct option_table *table;
    void *target;
    int argc;
    char **argv;
    int next; /* index of the argument to look at next */
    struct err *err;
};

/* The next argument as an option's value, or NULL when there is none. */
static const char *take_argument(struct command_line *line)
{
    return line->next < line->argc ? line->argv[line->next++] : NULL;
}

static int parse_long(struct command_line *line, const char *word)
{
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    char *name = memory_format("%.*s", (int)length, word);
    const struct option *option = option_find(line->table, name);
    int result;
    if (option == NULL) {
        result = unknown_option(line->table, name, true, line->err);
    } else {
        const char *value = equals != NULL ? equals + 1 : NULL;
        if (value == NULL && option->type != OPTION_FLAG) {
            value = take_argument(line);
        }
        result = set_option(option, line->target, value, true, line->err);
    }
    free(name);
    return result;
}

static const struct option *find_letter(const struct option_table *table, char letter)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->options[i].letter == letter) {
            return &table->options[i];
        }
    }
    return NULL;
}

/* Letters without values may stand together; the value of a letter is the rest of the word or the next one. */
static int parse_letters(struct command_line *line, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        const struct option *option = find_letter(line->table, *letters);
        if (option == NULL) {
            return err_set(line->err, ERR_FATAL, ERR_USAGE, "%s has no option -%c.", line->table->name, *letters);
        }
        if (option->type != OPTION_FLAG) {
            const char *value = letters[1] != '\0' ? letters + 1 : take_argument(line);
            return set_option(option, line->target, value, true, line->err);
        }
        if (set_option(option, line->target, NULL, true, line->err) != 0) {
            return -1;
        }
    }
    return 0;
}

int option_parse(const struct option_table *table, void *target, int argc, char **argv, char **positional,
                 int *positional_count, struct err *err)
{
    struct command_line line = {table, target, argc, argv, 0, err};
    bool options_end = false;
    *positional_count = 0;
    while (line.next < argc) {
        char *word = argv[line.next++];
        int result = 0;
        if (options_end || word[0] != '-' || word[1] == '\0') {
            positional[(*positional_count)++] = word;
        } else if (strcmp(word, "--") == 0) {
            options_end = true;
        } else if (word[1] == '-') {
            result = parse_long(&line, word + 2);
        } else {
            result = parse_letters(&line, word + 1);
        }
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

/* Help and reference. */

static void append_usage(struct bytes *out, const struct option *option)
{
    char shown[128];
    shown_name(option->name, true, shown, sizeof shown);
    if (option->letter != 0) {
        bytes_append_format(out, "  -%c, %s", option->letter, shown);
    } else {
        bytes_append_format(out, "      %s", shown);
    }
    if (option->argument != NULL) {
        bytes_append_format(out, " %s", option->argument);
    } else if (option->type == OPTION_CHOICE) {
        bytes_append_byte(out, ' ');
        append_choices(out, option, "|");
    } else if (option->type != OPTION_FLAG) {
        bytes_append_format(out, " %s", types[option->type].argument);
    }
}

static size_t usage_width(const struct option *option)
{
    struct bytes usage = {0};
    append_usage(&usage, option);
    size_t width = usage.size;
    bytes_free(&usage);
    return width;
}

void option_print_help(const struct option_table *table, struct bytes *out)
{
    const size_t widest = 34; /* longer ones get a line of their own */
    size_t column = 0;
    for (size_t i = 0; i < table->count; i++) {
        size_t width = usage_width(&table->options[i]);
        column = width > column && width <= widest ? width : column;
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct option *option = &table->options[i];
        size_t width = usage_width(option);
        append_usage(out, option);
        if (width > column) {
            bytes_append_byte(out, '\n');
            width = 0;
        }
        bytes_append_format(out, "%*s  %s", (int)(column - width), "", option->text);
        if (option->default_text != NULL && option->type != OPTION_FLAG) {
            bytes_append_format(out, " (default %s)", option->default_text);
        }
        bytes_append_byte(out, '\n');
    }
}

void option_print_markdown(const struct option_table *table, struct bytes *out)
{
    bytes_append_text(out, "| Option | Type | Default | Values | Meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < table->count; i++) {
        const struct option *option = &table->options[i];
        bytes_append_format(out, "| `%s` | %s | ", option->name, types[option->type].name);
        if (option->default_text != NULL) {
            bytes_append_format(out, "`%s`", option->default_text);
        }
        bytes_append_text(out, " | ");
        if (option->type == OPTION_CHOICE) {
            append_choices(out, option, ", ");
        } else {
            append_range(out, option);
        }
        bytes_append_format(out, " | %s |\n", option->text);
    }
}

/* Suggestions. */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static char plain(char letter)
{
    return letter == '-' ? '_' : letter;
}

/* Edit distance in which exchanging two neighbours counts once (optimal string alignment). */
static unsigned distance(const char *a, const char *b)
{
    size_t width = strlen(b);
    unsigned rows[3][NEAREST_MAX + 1];
    for (unsigned k = 0; k <= width; k++) {
        rows[0][k] = k;
    }
    for (unsigned i = 1; i <= strlen(a); i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t k = 1; k <= width; k++) {
            bool same = plain(a[i - 1]) == plain(b[k - 1]);
            row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + !same);
            if (i > 1 && k > 1 && plain(a[i - 1]) == plain(b[k - 2]) && plain(a[i - 2]) == plain(b[k - 1])) {
                row[k] = least(row[k], two_above[k - 2] + 1);
            }
        }
    }
    return rows[strlen(a) % 3][width];
}

const char *option_nearest(const char *name, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t length = strlen(name);
    unsigned best = length < 3 ? 1 : length < 6 ? 2 : 3; /* what still counts as a slip of the fingers */
    for (size_t i = 0; i < count && length <= NEAREST_MAX; i++) {
        if (strlen(names[i]) > NEAREST_MAX) {
            continue;
        }
        unsigned edits = distance(name, names[i]);
        if (edits < best + (nearest == NULL) && edits < strlen(names[i])) {
            best = edits;
            nearest = names[i];
        }
    }
    return nearest;
}
