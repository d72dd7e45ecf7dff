/* The table of commands: finds the one that is named, parses its options, runs it, reports its error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/print.h"

const struct command *const command_list[] = {
    &cmd_run, &cmd_dev,   &cmd_check, &cmd_graph, &cmd_test,    &cmd_produce, &cmd_consume,    &cmd_topics,
    &cmd_lag, &cmd_state, &cmd_top,   &cmd_reset, &cmd_connect, &cmd_docs,    &cmd_completion, &cmd_version,
};
const size_t command_count = sizeof command_list / sizeof command_list[0];

/* ---- help ---- */

static void append_indented(struct bytes *out, const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        bytes_append_format(out, "  %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* Words of a paragraph on lines that fit a terminal. */
static void append_wrapped(struct bytes *out, const char *text)
{
    const size_t width = 100;
    size_t column = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        if (column > 0 && column + 1 + length > width) {
            bytes_append_byte(out, '\n');
            column = 0;
        }
        bytes_append_format(out, "%s%.*s", column > 0 ? " " : "", (int)length, text);
        column += length + (column > 0);
        text += length + (text[length] == ' ');
    }
    bytes_append_byte(out, '\n');
}

void command_help(const struct command *command, struct bytes *out)
{
    bytes_append_format(out, "Usage: tidemill %s %s\n\n", command->name, command->usage);
    append_wrapped(out, command->text);
    if (command->details != NULL) {
        bytes_append_byte(out, '\n');
        append_wrapped(out, command->details);
    }
    if (command->options->count > 0) {
        bytes_append_text(out, "\nOptions:\n");
        option_print_help(command->options, out);
    }
    bytes_append_text(out, "\nExample:\n");
    append_indented(out, command->example);
}

static void append_overview(struct bytes *out)
{
    bytes_append_text(out, "Tidemill: stream processing on Apache Kafka, or on an embedded log.\n\n"
                           "Usage: tidemill COMMAND [arguments] [options]\n\nCommands:\n");
    for (size_t i = 0; i < command_count; i++) {
        bytes_append_format(out, "  %-11s %s\n", command_list[i]->name, command_list[i]->text);
    }
    bytes_append_text(out, "\n`tidemill COMMAND --help` explains one, `tidemill docs` prints the reference.\n"
                           "\nExample:\n  tidemill produce orders orders.jsonl --key id\n"
                           "  tidemill run pipeline.lua --until-end\n  tidemill consume results\n");
}

static int print_and_free(struct bytes *out)
{
    struct err err;
    if (print_flush(out, &err) != 0) {
        bytes_free(out);
        return print_error(&err, NULL);
    }
    bytes_free(out);
    return COMMAND_DONE;
}

static int print_overview(void)
{
    struct bytes out = {0};
    append_overview(&out);
    return print_and_free(&out);
}

static int print_help(const struct command *command)
{
    struct bytes out = {0};
    command_help(command, &out);
    return print_and_free(&out);
}

/* ---- finding and running ---- */

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(command_list[i]->name, name) == 0) {
            return command_list[i];
        }
    }
    return NULL;
}

static int unknown_command(const char *name, struct err *err)
{
    const char *names[sizeof command_list / sizeof command_list[0]];
    for (size_t i = 0; i < command_count; i++) {
        names[i] = command_list[i]->name;
    }
    const char *nearest = option_nearest(name, names, command_count);
    if (nearest != NULL) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "There is no command \"%.100s\"; the nearest is \"%s\".", name,
                       nearest);
    }
    return err_set(err, ERR_FATAL, ERR_USAGE, "There is no command \"%.100s\"; `tidemill help` lists them.", name);
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

static int check_count(const struct command *command, int count, struct err *err)
{
    if (count < command->least) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "An argument is missing: tidemill %s %s.", command->name,
                       command->usage);
    }
    if (command->most >= 0 && count > command->most) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "There are too many arguments: tidemill %s %s.", command->name,
                       command->usage);
    }
    return 0;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct err err;
    err_clear(&err);
    void *options = memory_alloc(command->options_size);
    char **arguments = memory_alloc(sizeof *arguments * ((size_t)argc + 1));
    int count = 0;
    option_defaults(command->options, options);
    int status = option_parse(command->options, options, argc, argv, arguments, &count, &err);
    if (status == 0) {
        status = check_count(command, count, &err);
    }
    if (status == 0) {
        status = command->run(options, arguments, count, &err);
    }
    if (status < 0) {
        status = print_error(&err, command->name);
    }
    option_free(command->options, options);
    free(options);
    free(arguments);
    return status;
}

static int help_on(const char *name)
{
    const struct command *command = find_command(name);
    struct err err;
    if (command == NULL) {
        unknown_command(name, &err);
        return print_error(&err, NULL);
    }
    return print_help(command);
}

static bool is_any(const char *word, const char *one, const char *other, const char *third)
{
    return strcmp(word, one) == 0 || strcmp(word, other) == 0 || strcmp(word, third) == 0;
}

int main(int argc, char **argv)
{
    memory_return_large();
    log_configure(LOG_WARN, false);
    if (argc < 2) {
        struct err err;
        err_set(&err, ERR_FATAL, ERR_USAGE, "A command is missing; `tidemill help` lists them.");
        return print_error(&err, NULL);
    }
    if (is_any(argv[1], "help", "--help", "-h")) {
        return argc > 2 ? help_on(argv[2]) : print_overview();
    }
    if (is_any(argv[1], "--version", "-V", "version") && argc == 2) {
        return run_command(&cmd_version, 0, argv + 2);
    }
    const struct command *command = find_command(argv[1]);
    if (command == NULL) {
        return help_on(argv[1]);
    }
    if (wants_help(argc - 2, argv + 2)) {
        return print_help(command);
    }
    return run_command(command, argc - 2, argv + 2);
}
