/* Punctuation schedules of one worker, on stream time and on wall time.
 *
 * Source: Kafka Streams' PunctuationSchedule: stream time starts on the grid at 0 and so fires with the first record;
 * wall time fires first after one interval; after a jump a timer fires once and stays on its grid; timers due at once
 * fire in order of their scheduled time, then of their creation.
 *
 * Timers made while the operators are opened are made again at the next start, in the same order, so their schedules
 * are what a commit keeps, cancelled ones included. Those made later belong to something that a restart forgets.
 * Ownership: the set owns its timers. A cancelled timer is freed by the next timers_due or timers_free; one made while
 * opening only by the latter.
 */
#ifndef TIDEMILL_ENGINE_TIMERS_H
#define TIDEMILL_ENGINE_TIMERS_H

#include "engine/op.h"

struct op_timer {
    struct node *node;
    int (*fire)(struct node *node, void *data, int64_t now);
    void *data;
    enum op_time kind;
    int64_t interval;
    int64_t next;
    bool initial; /* made while the operators were opened */
    bool cancelled;
};

struct timers {
    struct op_timer **list; /* in order of creation */
    size_t count;
    size_t capacity;
    int64_t next[2]; /* earliest `next` per enum op_time; INT64_MAX: none */
    int64_t *saved;  /* schedules found at open, given to timers in order of creation */
    size_t saved_count;
    size_t saved_used;
    bool opened; /* what is made from now on is not initial */
};

void timers_init(struct timers *timers);
void timers_free(struct timers *timers);
struct op_timer *timers_add(struct timers *timers, struct node *node, enum op_time kind, int64_t interval_ms,
                            int (*fire)(struct node *node, void *data, int64_t now), void *data, int64_t wall_ms);
/* The operators are open: schedules that were found and not taken are dropped. */
void timers_opened(struct timers *timers);
/* The next timer that is due at `now`, moved on along its grid; NULL: none. The caller fires it. */
struct op_timer *timers_due(struct timers *timers, enum op_time kind, int64_t now);
static inline bool timers_maybe_due(const struct timers *timers, enum op_time kind, int64_t now)
{
    return now >= timers->next[kind];
}

/* What a committed offset carries, as text: a number that is one higher with each commit of the worker (so that two
 * commits of the same offsets can be told apart), stream time, and the schedules of the initial stream-time timers (-1:
 * cancelled). More may be appended behind a '|'. */
void timers_describe(const struct timers *timers, int64_t commit_number, int64_t stream_time, struct bytes *out);
/* The number in such a text; 0: there is none, or it is something else. */
int64_t timers_commit_number(const char *metadata);
/* Reads such a text back, into schedules for the timers made from now on; anything else, and a text with a lower number
 * than *commit_number, leaves everything alone and returns -1. */
int timers_recall(struct timers *timers, const char *metadata, int64_t *commit_number, int64_t *stream_time);

#endif
