/* Options as tables: one row parses, checks and documents one option of a struct.
 *
 * Ownership: the table is static. Text options are copied into memory of the struct and released by option_free.
 */
#ifndef TIDEMILL_BASE_OPTION_H
#define TIDEMILL_BASE_OPTION_H

#include "base/bytes.h"
#include "base/err.h"

enum option_type {
    OPTION_FLAG,     /* bool; given without a value on a command line */
    OPTION_INTEGER,  /* int64_t, with range */
    OPTION_DURATION, /* int64_t milliseconds: "250ms" "5s" or a number; range in milliseconds */
    OPTION_SIZE,     /* int64_t bytes: "64MB" "1GB" "10kB" (powers of 1024) or a number; range in bytes */
    OPTION_TEXT,     /* char * */
    OPTION_CHOICE,   /* int: index into `choices` */
    OPTION_LIST      /* struct option_list: may be given several times; its default is one item */
};

struct option_list {
    char **items;
    size_t count;
    size_t capacity;
};

struct option {
    const char *name; /* as users write it in scripts and tables: commit_ms; on the command line --commit-ms */
    enum option_type type;
    size_t offset;              /* of the field in the struct */
    const char *default_text;   /* NULL: zero */
    int64_t low, high;          /* range for numbers; both 0: no check; INT64_MAX: no upper end */
    const char *const *choices; /* NULL-terminated */
    const char *argument;       /* what stands for the value in help: "HOST:PORT"; NULL: by type */
    const char *text;           /* one sentence for help and reference */
    char letter;                /* short form on the command line, or 0 */
};

struct option_table {
    const char *name; /* for messages: "run", "app" */
    const struct option *options;
    size_t count;
};

/* Fills the fields whatever they held before; the first call on a struct. */
void option_defaults(const struct option_table *table, void *target);
/* Sets one option from text; NULL means true for a flag and is refused for the rest. Unknown names get the nearest name
 * suggested. ERR_CONFIG. */
int option_set(const struct option_table *table, void *target, const char *name, const char *value, struct err *err);
/* NULL when there is none; '-' and '_' are the same. */
const struct option *option_find(const struct option_table *table, const char *name);
/* Parses argv (without the program's and the command's name): options of the table anywhere, the rest are positional.
 * "--" ends options; --name value, --name=value, -n value and -nvalue all work. `positional` must have room for argc
 * entries. ERR_USAGE. */
int option_parse(const struct option_table *table, void *target, int argc, char **argv, char **positional,
                 int *positional_count, struct err *err);
void option_free(const struct option_table *table, void *target);
void option_print_help(const struct option_table *table, struct bytes *out);     /* aligned for a terminal */
void option_print_markdown(const struct option_table *table, struct bytes *out); /* a table */

int option_parse_size(const char *text, int64_t *bytes); /* 0 or -1 */
void option_list_add(struct option_list *list, const char *item);
void option_list_free(struct option_list *list); /* and makes it empty again */

/* The entry of `names` nearest to `name` by edit distance, or NULL when none is near. */
const char *option_nearest(const char *name, const char *const *names, size_t count);

#endif
