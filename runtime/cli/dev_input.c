#include "cli/dev_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/command.h"

/* Options of `produce` that an input may have. */
static const char *const names[] = {"key", "timestamp", "at", "format", "csv"};

static bool is_option(const char *text)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t length = strlen(names[i]);
        if (strncmp(text, names[i], length) == 0 && (text[length] == '=' || text[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Options are taken off the end, so that the name of a file may hold commas. */
static void take_options(struct dev_input *input)
{
    char *comma;
    while ((comma = strrchr(input->file, ',')) != NULL && is_option(comma + 1)) {
        option_list_add(&input->options, comma + 1);
        *comma = '\0';
    }
}

/* A name behind a comma that is neither an option nor part of a file's name. */
static int check_rest(const struct dev_input *input, struct err *err)
{
    const char *comma = strrchr(input->file, ',');
    if (comma == NULL || access(input->file, F_OK) == 0) {
        return 0;
    }
    char *name = memory_format("%.*s", (int)strcspn(comma + 1, "="), comma + 1);
    const char *nearest = option_nearest(name, names, sizeof names / sizeof names[0]);
    err_set(err, ERR_FATAL, ERR_USAGE, "There is no file %.200s, and --input has no option \"%.100s\"; %s%s.",
            input->file, name, nearest != NULL ? "the nearest is " : "it has key, timestamp, at, format and csv",
            nearest != NULL ? nearest : "");
    free(name);
    return -1;
}

int dev_input_parse(const char *text, struct dev_input *input, struct err *err)
{
    const char *equals = strchr(text, '=');
    *input = (struct dev_input){0};
    if (equals == NULL || equals == text || equals[1] == '\0') {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "The option --input takes TOPIC=FILE, perhaps with ,key=FIELD and ,timestamp=FIELD behind it, "
                       "not \"%.200s\".",
                       text);
    }
    input->topic = memory_format("%.*s", (int)(equals - text), text);
    input->file = memory_copy_text(equals + 1);
    take_options(input);
    if (check_rest(input, err) != 0) {
        dev_input_free(input);
        return -1;
    }
    return 0;
}

void dev_input_free(struct dev_input *input)
{
    for (size_t i = 0; i < input->options.count; i++) {
        free(input->options.items[i]);
    }
    free(input->options.items);
    free(input->topic);
    free(input->file);
}

static int set_option(void *options, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    char *name = equals != NULL ? memory_format("%.*s", (int)(equals - text), text) : memory_copy_text(text);
    int result = option_set(cmd_produce.options, options, name, equals != NULL ? equals + 1 : NULL, err);
    free(name);
    return result;
}

static int set_options(const struct dev_input *input, const char *data, void *options, struct err *err)
{
    for (size_t i = 0; i < input->options.count; i++) {
        if (set_option(options, input->options.items[i], err) != 0) {
            return -1;
        }
    }
    /* One partition, so that records come out in the order of the file. */
    return option_set(cmd_produce.options, options, "data", data, err) != 0
               ? -1
               : option_set(cmd_produce.options, options, "partitions", "1", err);
}

int dev_input_feed(const struct dev_input *input, const char *data, struct err *err)
{
    void *options = memory_alloc(cmd_produce.options_size);
    char *arguments[] = {input->topic, input->file, NULL};
    option_defaults(cmd_produce.options, options);
    int result = set_options(input, data, options, err);
    if (result == 0) {
        result = cmd_produce.run(options, arguments, 2, err);
        fflush(stdout); /* what comes out is written past its buffer */
    }
    option_free(cmd_produce.options, options);
    free(options);
    return result == 0 ? 0 : -1;
}
