/* The state of a stream-stream join: the records of both sides within reach, which of them wait for a match, and the
 * operator's own stream time (the largest timestamp that it has seen).
 *
 * Records are found by key without an order: time is cut into buckets as long as the window, and the records of one
 * side and key in one bucket are numbered. The first one is in an entry with their count, each further one in an entry
 * of its own:
 *
 *     bucket's start (64 bits), side (8), key                   -> count (32), value
 *     bucket's start (64 bits), side + 2 (8), number (32), key  -> value
 *     "time"                                                    -> the operator's stream time (64)
 *
 * Records of an outer side that have no match yet are in a second store, in the order in which they are due:
 *
 *     due (64), right 0 or left 1 (8), number (32), key         -> 0 (8)
 *
 * Numbers are big-endian; an entry's timestamp is the record's.
 *
 * Ownership: a join_window is part of its operator's state. What the calls give out lives in the record's arena.
 * Functions that return int: 0, or -1 with the error in op_error(node->worker).
 */
#ifndef TIDEMILL_OPERATORS_JOIN_WINDOW_H
#define TIDEMILL_OPERATORS_JOIN_WINDOW_H

#include "engine/op.h"

enum join_side { JOIN_LEFT, JOIN_RIGHT };

struct join_window {
    const char *records_name;
    const char *unmatched_name; /* NULL: no side is an outer one */
    int64_t before;             /* a right record may be so much earlier than the left one, */
    int64_t after;              /* or so much later; ms, both ends included */
    int64_t grace;

    struct store *records;
    struct store *unmatched;
    int64_t time;       /* -1: no record yet */
    int64_t noted_time; /* as the store has it */
    int64_t next_due;   /* nothing that waits for a match is due before; INT64_MAX: nothing waits */
    int64_t scanned;    /* what was due before is out */
};

struct join_record {
    struct slice key;
    struct slice value;
    int64_t time;
    enum join_side side;
    uint32_t number; /* among those of its side, key and bucket, in order of arrival */
};

/* Finds the stores and recalls the time. */
int join_window_open(struct node *node, struct join_window *window);
/* Before each commit: notes the time, forgets what nothing can join any more. */
int join_window_flush(struct node *node, struct join_window *window);

/* A record of `side` whose window is closed: it is too late for it, and final if it had no match. */
bool join_window_closed(const struct join_window *window, enum join_side side, int64_t time);
/* Moves the time on. *due gets those without a match whose windows are closed now, for the first and last time: by
 * time, right before left, key, arrival. They have no values yet (join_window_read). */
int join_window_advance(struct node *node, struct join_window *window, int64_t time, struct join_record **due,
                        size_t *count);
int join_window_read(struct node *node, const struct join_window *window, struct join_record *record);

/* The records of the other side that match: by time, then arrival. */
int join_window_find(struct node *node, const struct join_window *window, const struct join_record *record,
                     struct join_record **matches, size_t *count);
/* Keeps a record and gives it its number. */
int join_window_add(struct node *node, const struct join_window *window, struct join_record *record);
/* It has no match yet; it has one. */
int join_window_wait(struct node *node, struct join_window *window, const struct join_record *record);
int join_window_matched(struct node *node, const struct join_window *window, const struct join_record *record);

#endif
