#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/print.h"

#define REDRAW_NS INT64_C(200000000)
#define FIRST_LINE_NS INT64_C(500000000) /* so that short work says something too */
#define LINE_NS INT64_C(2000000000)

static int64_t interval(const struct progress *progress)
{
    return progress->redraws ? REDRAW_NS : LINE_NS;
}

void progress_begin(struct progress *progress, enum progress_when when)
{
    *progress = (struct progress){.began_ns = clock_monotonic_ns(&CLOCK_SYSTEM)};
    progress->redraws = print_is_terminal(STDERR_FILENO);
    bool wanted = when == PROGRESS_ALWAYS || (when == PROGRESS_ON_TERMINAL && progress->redraws);
    int64_t first = progress->redraws ? REDRAW_NS : FIRST_LINE_NS;
    progress->next_ns = wanted ? progress->began_ns + first : INT64_MAX;
}

bool progress_due(struct progress *progress)
{
    int64_t now = progress->next_ns != INT64_MAX ? clock_monotonic_ns(&CLOCK_SYSTEM) : 0;
    if (now < progress->next_ns) {
        return false;
    }
    progress->next_ns = now + interval(progress);
    return true;
}

double progress_seconds(const struct progress *progress)
{
    return (double)(clock_monotonic_ns(&CLOCK_SYSTEM) - progress->began_ns) / 1e9;
}

void progress_show(struct progress *progress, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs(progress->redraws ? "\r" : "", stderr);
    vfprintf(stderr, format, arguments);
    fputs(progress->redraws ? "\033[K" : "\n", stderr);
    va_end(arguments);
    fflush(stderr);
    progress->shown = progress->redraws;
}

void progress_end(struct progress *progress)
{
    if (progress->shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        progress->shown = false;
    }
    progress->next_ns = INT64_MAX;
}
