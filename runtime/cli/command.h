/* A command of the program: what main.c's table, help, the reference page and the completion know about it.
 *
 * Ownership: commands are constant; the options struct that `run` gets belongs to main.c and is released by it.
 */
#ifndef TIDEMILL_CLI_COMMAND_H
#define TIDEMILL_CLI_COMMAND_H

#include "base/option.h"

/* Exit statuses that are no error of the program itself; the rest come from err_exit_status. */
enum { COMMAND_DONE = 0, COMMAND_FAILED = 1 };

struct command {
    const char *name;
    const char *usage;             /* what follows the name: "TOPIC [FILE] [options]" */
    const char *text;              /* one sentence */
    const char *details;           /* further sentences for --help and the reference, one paragraph; may be NULL */
    const char *example;           /* command lines, one a line */
    const char *const *words;      /* first arguments that mean something ("create"), NULL-terminated; or NULL */
    const char *verb;              /* the one of them behind which another word follows, one of: */
    const char *const *verb_words; /* NULL-terminated; or NULL */
    const struct option_table *options;
    size_t options_size;
    int least, most; /* number of arguments that are no options; most -1: any */
    /* Exit status, or -1 with `err`. */
    int (*run)(void *options, char **arguments, int count, struct err *err);
};

extern const struct command cmd_run, cmd_dev, cmd_check, cmd_graph, cmd_test, cmd_produce, cmd_consume, cmd_topics,
    cmd_lag, cmd_state, cmd_top, cmd_reset, cmd_connect, cmd_docs, cmd_completion, cmd_version;

/* All of them, in the order of help. */
extern const struct command *const command_list[];
extern const size_t command_count;

/* The --help text of one command, for a terminal. */
void command_help(const struct command *command, struct bytes *out);

#endif
