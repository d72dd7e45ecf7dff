/* tidemill completion: a script that completes commands and options in a shell, made from the tables. */
#include "cli/command.h"
#include "cli/print.h"

static void append_option(struct bytes *out, const struct option *option)
{
    bytes_append_text(out, " --");
    for (const char *at = option->name; *at != '\0'; at++) {
        bytes_append_byte(out, *at == '_' ? '-' : (unsigned char)*at);
    }
}

static void append_words(struct bytes *out, const char *const *words)
{
    for (const char *const *word = words; word != NULL && *word != NULL; word++) {
        bytes_append_format(out, "%s ", *word);
    }
    bytes_append_text(out, "' ;;\n");
}

static void append_command(struct bytes *out, const struct command *command)
{
    bytes_append_format(out, "    %s) options='", command->name);
    for (size_t i = 0; i < command->options->count; i++) {
        append_option(out, &command->options->options[i]);
    }
    bytes_append_text(out, " --help'; words='");
    append_words(out, command->words);
}

/* What stands behind a word: choices of an option behind its name. */
static void append_choices(struct bytes *out, const struct command *command)
{
    if (command->verb_words != NULL) {
        bytes_append_format(out, "    '%s %s') choices='", command->name, command->verb);
        append_words(out, command->verb_words);
    }
    for (size_t i = 0; i < command->options->count; i++) {
        const struct option *option = &command->options->options[i];
        if (option->type != OPTION_CHOICE) {
            continue;
        }
        bytes_append_format(out, "    '%s", command->name);
        append_option(out, option);
        bytes_append_text(out, "') choices='");
        append_words(out, option->choices);
    }
}

static void append_bash(struct bytes *out)
{
    bytes_append_text(out,
                      "# Completion of tidemill for bash: source this file, or put it where bash-completion looks.\n"
                      "_tidemill() {\n"
                      "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
                      "    local command=${COMP_WORDS[1]} options='' words='' choices=''\n"
                      "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                      "        COMPREPLY=($(compgen -W 'help");
    for (size_t i = 0; i < command_count; i++) {
        bytes_append_format(out, " %s", command_list[i]->name);
    }
    bytes_append_text(out, "' -- \"$current\"))\n        return\n    fi\n    case \"$command $previous\" in\n");
    for (size_t i = 0; i < command_count; i++) {
        append_choices(out, command_list[i]);
    }
    bytes_append_text(out, "    esac\n    if [ -n \"$choices\" ]; then\n"
                           "        COMPREPLY=($(compgen -W \"$choices\" -- \"$current\"))\n        return\n    fi\n"
                           "    case $command in\n");
    for (size_t i = 0; i < command_count; i++) {
        append_command(out, command_list[i]);
    }
    bytes_append_text(out, "    esac\n"
                           "    case $current in\n"
                           "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$current\")) ;;\n"
                           "    *) COMPREPLY=($([ \"$COMP_CWORD\" -eq 2 ] && compgen -W \"$words\" -- \"$current\"; "
                           "compgen -f -- \"$current\")) ;;\n"
                           "    esac\n"
                           "}\n"
                           "complete -o filenames -F _tidemill tidemill\n");
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    (void)data;
    (void)count;
    struct bytes out = {0};
    if (strcmp(arguments[0], "bash") != 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "There is a completion for bash, not for \"%.100s\".", arguments[0]);
    }
    append_bash(&out);
    int result = print_flush(&out, err);
    bytes_free(&out);
    return result;
}

static const char *const words[] = {"bash", NULL};
static const struct option_table table = {"tidemill completion", NULL, 0};

const struct command cmd_completion = {
    .name = "completion",
    .usage = "bash",
    .text = "Prints a script that completes commands and options in bash.",
    .example = "source <(tidemill completion bash)",
    .words = words,
    .options = &table,
    .options_size = 0,
    .least = 1,
    .most = 1,
    .run = run,
};
