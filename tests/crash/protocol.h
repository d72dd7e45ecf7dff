/* A group of stream threads on the scripted transport, each as a process with state of its own, whose calls fail by
 * hand or by seed; with a pipeline that shows every record which is missing, comes twice or in another order.
 *
 * The pipeline: records of "in" carry a number and an amount per key. "out" gets for each what its key's count and sum
 * are, "out-groups" the same per group of keys behind a repartition topic. A timer of the wall clock counts in the same
 * store and writes "ticks", so that there are commits that move no offset.
 *
 * Ownership: one at a time, from protocol_open to protocol_close. What must hold and does not is printed, with the
 * seed, and ends the process.
 */
#ifndef TIDEMILL_TESTS_PROTOCOL_H
#define TIDEMILL_TESTS_PROTOCOL_H

#include "engine/memory_transport.h"
#include "engine/stream_thread_int.h"

#define PROTOCOL_PARTITIONS 3
#define PROTOCOL_KEYS 7
#define PROTOCOL_GROUPS 3
#define PROTOCOL_MEMBERS 3

struct protocol_member {
    struct stream_thread *thread; /* NULL: not running */
    char path[80];
    bool expelled; /* and has not heard of it: what it commits is refused, nothing else fails */
    int absent;    /* steps that it sleeps through, running or not */
};

struct protocol {
    struct app_settings settings;
    struct clock clock;
    struct transport *transport;
    struct instance *described;
    struct topic_plan *plan;
    struct protocol_member members[PROTOCOL_MEMBERS];
    int member_count;
    int acting;                        /* member whose call is under way */
    bool files;                        /* stores in SQLite files */
    const struct store_driver *stores; /* without the faults */
    char directory[64];
    int64_t sent;
    int64_t counts[PROTOCOL_KEYS]; /* of what was sent */
    /* faults by hand */
    enum memory_call fail_call;
    enum memory_fault fail_with;
    int fail_at; /* nth call of that kind from now; 0: none */
    /* faults by seed */
    unsigned long long seed; /* for the message of a failure */
    uint64_t random;         /* state of the generator */
    bool failing;            /* calls fail at random */
    bool may_end;            /* a thread that has met too many of them may give up, also a little later */
    int percent;             /* of the calls that do */
    int aside;               /* of 1,000 calls: in their middle something happens to the group */
    bool nested;             /* and is happening */
    /* what has happened */
    int64_t calls;
    int64_t faults;
    int64_t ended;     /* threads that gave up */
    int64_t overtaken; /* members put out of the group within a call, while others went on */
};

/* What may happen to which call. */
extern const enum memory_fault protocol_faults[MEMORY_CALL_COUNT][4];

/* With members running. `files`: their stores are SQLite's, in a directory of their own, instead of kept_stores. */
void protocol_open(struct protocol *protocol, int members, bool files, unsigned long long seed);
void protocol_close(struct protocol *protocol);
uint64_t protocol_draw(struct protocol *protocol, uint64_t limit);
/* What the group has committed; OFFSET_NONE: nothing. */
int64_t protocol_group_offset(const struct protocol *protocol, const char *topic, int32_t partition);

/* `count` records of keys in turn. */
void protocol_send(struct protocol *protocol, int count);
void protocol_send_key(struct protocol *protocol, int key);
/* A millisecond passes and every member has its turn; who is not running is started. */
void protocol_step(struct protocol *protocol);
/* Until everything sent is processed and committed. */
void protocol_settle(struct protocol *protocol);

/* One that a fault keeps from opening is tried again in the next step. */
void protocol_start(struct protocol *protocol, int number);
/* Puts a member out of the group; false: it is not running, or in a commit whose outcome it may not know.
 * Its successor could then make a commit that looks like its own: with equal offsets, number and stream time, and other
 * ticks in it (docs/guarantees.md, "What is not promised"). */
bool protocol_expel(struct protocol *protocol, int number);
int protocol_stop(struct protocol *protocol, int number); /* as stream_thread_close */
void protocol_kill(struct protocol *protocol, int number);
void protocol_delete_state(struct protocol *protocol, int number);

/* Every committed record of the outputs so far; `complete`: and they hold what was sent. */
void protocol_check_outputs(struct protocol *protocol, bool complete);
/* The stores, the folds of their changelogs and the input say the same, and the group's positions are the ends; when
 * everything is processed. */
void protocol_check_state(struct protocol *protocol);

_Noreturn void protocol_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
