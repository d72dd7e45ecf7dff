#include "cli/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int print_flush(struct bytes *out, struct err *err)
{
    size_t done = 0;
    while (done < out->size) {
        ssize_t written = write(STDOUT_FILENO, out->data + done, out->size - done);
        if (written < 0 && errno != EINTR) {
            return err_set(err, ERR_FATAL, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO,
                           "Standard output can't be written: %s.", strerror(errno));
        }
        done += written > 0 ? (size_t)written : 0;
    }
    bytes_clear(out);
    return 0;
}

int print_error(const struct err *err, const char *command)
{
    bool colours = print_has_colours(STDERR_FILENO);
    fprintf(stderr, "%stidemill:%s %s\n", colours ? "\033[1;31m" : "", colours ? "\033[0m" : "", err->text);
    if (err->code == ERR_USAGE && command != NULL) {
        fprintf(stderr, "  `tidemill %s --help` shows how it is used.\n", command);
    } else if (err->code != ERR_FAILED) {
        fprintf(stderr, "  %s\n", err_code_advice(err->code));
    }
    return err_exit_status(err->code);
}

void print_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("tidemill: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

bool print_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

bool print_has_colours(int fd)
{
    const char *none = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return (none == NULL || none[0] == '\0') && (terminal == NULL || strcmp(terminal, "dumb") != 0) &&
           print_is_terminal(fd);
}

const char *print_number(int64_t number, char text[PRINT_NUMBER_SIZE])
{
    char digits[PRINT_NUMBER_SIZE];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, number < 0 ? -(uint64_t)number : (uint64_t)number);
    size_t at = 0;
    if (number < 0) {
        text[at++] = '-';
    }
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            text[at++] = ',';
        }
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

const char *print_duration(int64_t ms, char text[PRINT_NUMBER_SIZE])
{
    static const struct {
        const char *name;
        int64_t factor;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    if (ms < 0) {
        return strcpy(text, "for ever");
    }
    size_t i = 0;
    while (ms % units[i].factor != 0) {
        i++;
    }
    snprintf(text, PRINT_NUMBER_SIZE, "%" PRId64 "%s", ms / units[i].factor, units[i].name);
    return text;
}
