#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_row {
    const char *name;
    int exit_status;
    const char *advice;
};

static const struct code_row code_rows[ERR_CODE_COUNT] = {
    [ERR_OK] = {"ok", 0, "Nothing went wrong."},
    [ERR_FAILED] = {"failed", 1, "Read the lines above: a check or a test did not hold."},
    [ERR_USAGE] = {"usage", 2, "Compare the command line with the command's --help."},
    [ERR_CONFIG] = {"config", 3, "Correct the option, file or property that the message names."},
    [ERR_TOPOLOGY] = {"topology", 3, "Correct the script at the line that the message names; nothing was started."},
    [ERR_TOPIC] = {"topic", 3, "Create or change the topic, or reset the app, as the message says."},
    [ERR_LOCKED] = {"locked", 3, "Stop the other process, or give this one a data directory of its own."},
    [ERR_UNREACHABLE] = {"unreachable", 4, "Check the address, the network and whether the server is running."},
    [ERR_AUTH] = {"auth", 4, "Check the user, the secret and the permissions that the server grants."},
    [ERR_SCRIPT] = {"script", 5, "Correct the callback at the line that the message names, then start again."},
    [ERR_CONNECTOR] = {"connector", 5, "Do what the connector's message asks for, then start again."},
    [ERR_RECORD] = {"record", 5,
                    "Correct what made the record, its producer or a callback, or skip such records by on_error."},
    [ERR_IO] = {"io", 5, "Check the file, the device and the permissions that the message names."},
    [ERR_DISK_FULL] = {"disk_full", 5, "Make room on the device; processing goes on from the last commit."},
    [ERR_CORRUPT] = {"corrupt", 5,
                     "Do what the message says; what is damaged was left as it was, so that a copy can be kept."},
    [ERR_MEMORY] = {"memory", 5, "Raise the memory limit, or keep less in one callback or one record."},
    [ERR_PROTOCOL] = {"protocol", 5, "Check that the versions of both sides fit, then start again."},
    [ERR_INTERNAL] = {"internal", 5, "This is a bug in Tidemill: please report it with the message and the log."},
};

static const char *const class_names[] = {
    [ERR_NONE] = "none",       [ERR_SKIP] = "skip",     [ERR_RETRY] = "retry", [ERR_ABORT] = "abort",
    [ERR_UNKNOWN] = "unknown", [ERR_FENCED] = "fenced", [ERR_FATAL] = "fatal",
};

int err_set(struct err *err, enum err_class class, enum err_code code, const char *format, ...)
{
    char text[ERR_TEXT_SIZE]; /* the arguments may contain the old text of the same `err` */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    err->class = class;
    err->code = code;
    memcpy(err->text, text, strlen(text) + 1);
    return -1;
}

int err_wrap(struct err *err, const char *format, ...)
{
    char context[ERR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);

    /* The full stop moves behind the context, so that the text stays one sentence. */
    size_t length = strlen(err->text);
    size_t context_length = strlen(context);
    if (length > 0 && err->text[length - 1] == '.') {
        length--;
    }
    if (context_length > 0 && context[context_length - 1] == '.') {
        context[context_length - 1] = '\0';
    }
    snprintf(err->text + length, ERR_TEXT_SIZE - length, ", while %s.", context);
    return -1;
}

void err_clear(struct err *err)
{
    err->class = ERR_NONE;
    err->code = ERR_OK;
    err->text[0] = '\0';
}

static const struct code_row *row_of(enum err_code code)
{
    return (unsigned)code < ERR_CODE_COUNT ? &code_rows[code] : &code_rows[ERR_INTERNAL];
}

int err_exit_status(enum err_code code)
{
    return row_of(code)->exit_status;
}

const char *err_code_name(enum err_code code)
{
    return row_of(code)->name;
}

const char *err_code_advice(enum err_code code)
{
    return row_of(code)->advice;
}

const char *err_class_name(enum err_class class)
{
    return (unsigned)class <= ERR_FATAL ? class_names[class] : "fatal";
}
