/* The body of a processor, shared by process.c (the operator), process_context.c (ctx), process_store.c and
 * process_window.c (its stores).
 *
 * Ownership: all of it lives as long as the host, because what the script holds (ctx, stores, timers) points to it.
 */
#ifndef TIDEMILL_OPERATORS_PROCESS_INT_H
#define TIDEMILL_OPERATORS_PROCESS_INT_H

#include "operators/flow.h"

/* Which of the processor's callbacks runs. */
enum process_phase { PROCESS_OUTSIDE, PROCESS_INIT, PROCESS_RECORD, PROCESS_TIMER, PROCESS_CLOSE };

struct process_store {
    struct process *process;
    const char *name;
    enum store_kind kind;
    const struct codec *key_codec;
    const struct codec *inner_codec; /* of the key without its window, where there is one */
    const struct codec *value_codec;
    bool read_only;       /* a table's */
    int64_t size_ms;      /* window stores: length of a window */
    int64_t retention_ms; /* window and session stores: entries older than this behind the newest are not seen */
    int64_t ttl_ms;       /* key-value stores; 0: entries stay */
    struct store *store;  /* since the operator was opened, as the spec */
    const struct store_spec *spec;
    int64_t newest;  /* window and session stores: largest time put so far; -1: none */
    int64_t expired; /* what lies before it is gone already */
};

struct process {
    struct node *node;
    struct callback init, process, close;
    const struct codec *key_codec; /* of what is forwarded */
    const struct codec *value_codec;
    struct process_store *stores;
    int store_count;
    int context; /* registry reference of ctx; LUA_NOREF before the operator is opened */
    bool initialized;
    enum process_phase phase;
    struct item *item; /* PROCESS_RECORD: the record */
    int64_t now;       /* PROCESS_TIMER: the time that fire was called with */
};

#endif
