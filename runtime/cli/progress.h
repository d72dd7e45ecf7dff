/* How far a long command is: one line redrawn on a terminal, plain lines otherwise, on standard error.
 *
 * Ownership: a struct progress is the caller's and owns nothing.
 */
#ifndef TIDEMILL_CLI_PROGRESS_H
#define TIDEMILL_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool redraws; /* on a terminal */
    bool shown;   /* a line is on the terminal */
    int64_t began_ns;
    int64_t next_ns; /* when the next line is due; INT64_MAX: never */
};

enum progress_when { PROGRESS_NEVER, PROGRESS_ON_TERMINAL, PROGRESS_ALWAYS };

void progress_begin(struct progress *progress, enum progress_when when);
bool progress_due(struct progress *progress); /* once per interval; costs one look at the clock */
double progress_seconds(const struct progress *progress);
/* Shows one line, without its end. */
void progress_show(struct progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
void progress_end(struct progress *progress); /* clears the terminal's line */

#endif
