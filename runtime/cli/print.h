/* What commands print: results on standard output, errors and notes on standard error.
 *
 * Ownership: nothing is kept; bytes given to print_flush stay the caller's and are emptied.
 */
#ifndef TIDEMILL_CLI_PRINT_H
#define TIDEMILL_CLI_PRINT_H

#include "base/bytes.h"
#include "base/err.h"

/* Writes everything to standard output and empties `out`. ERR_IO, ERR_DISK_FULL. */
int print_flush(struct bytes *out, struct err *err);

/* "tidemill: <sentence>" and the advice, on standard error; gives the exit status. `command` names whose --help a usage
 * error points to; NULL: none. */
int print_error(const struct err *err, const char *command);

/* A line for people on standard error; `quiet` ones go through here too, so that there is one form. */
void print_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool print_is_terminal(int fd);
bool print_has_colours(int fd); /* a terminal, and neither NO_COLOR nor TERM=dumb */

/* "1,234,567" */
#define PRINT_NUMBER_SIZE 32
const char *print_number(int64_t number, char text[PRINT_NUMBER_SIZE]);
/* "7d", "90s", "for ever" of a retention in milliseconds. */
const char *print_duration(int64_t ms, char text[PRINT_NUMBER_SIZE]);

#endif
