/* What all windowed aggregations have in common: the operator's own time, late records, final results, expiry, and rows
 * by windowed key.
 *
 * The operator's time is the largest timestamp it has taken, over all keys (S32). It is kept in the store under a key
 * of its own, so that a run with restarts closes the same windows as one without. Windows whose end is at most
 * window_closed_end(time) are closed: final results of them are out, and records for them are late.
 *
 * Ownership: a struct window_table stands first in the state of such an operator. It is made by window_table_bind and
 * freed by window_table_close.
 */
#ifndef TIDEMILL_OPERATORS_WINDOW_TABLE_H
#define TIDEMILL_OPERATORS_WINDOW_TABLE_H

#include "operators/fold.h"
#include "operators/table.h"
#include "operators/time_queue.h"
#include "operators/window.h"
#include "operators/window_key.h"

struct window_table {
    struct table table; /* its key codec is the one of windowed keys */
    struct fold fold;
    struct window window;
    const struct codec *record_codec; /* of the keys of records */
    struct callback on_late;
    /* Sessions: does what is due when the time has moved, in place of final results and expiry. */
    int (*advance)(struct node *node, const struct item *cause);
    bool final;                    /* emit = "final" */
    const struct store_spec *spec; /* of the store, while it is open */
    struct time_queue queue;       /* final results of windows that lie by key: those to come */
    bool queued;                   /* that is how they are found */
    int64_t time;                  /* -1: no record yet */
    int64_t latest;                /* largest timestamp of a record; idleness may have moved the time further */
    int64_t saved_time;            /* as the store has them */
    int64_t saved_latest;
    int64_t expired;   /* what begins before this was dropped */
    int64_t active_ms; /* when the last record came, by the wall clock; where idle_after asks for it */
};

/* Reads the options: those of table_bind and fold_bind, `window`, `record_codec`, `emit`, `on_late`. [-0, +0, e] */
void window_table_bind(lua_State *L, struct node *node, int options, enum fold_kind kind, struct window_table *windows);
/* The window of the table at `options`, as the DSL makes it. [-0, +0, e] */
void window_table_bind_window(lua_State *L, int options, struct window *window);
int window_table_open(struct node *node);
int window_table_flush(struct node *node);
void window_table_close(struct node *node);

/* Drops records that no aggregation takes (null key, null value, a time before 0); else *key gets the key's bytes.
 * False: dropped. */
bool window_table_take(struct node *node, struct item *item, struct slice *key);
/* For a record that goes into several windows: its key and value are decoded once, below what the calls of a window
 * leave on the stack, and what a callback changes in them is not seen by the next window. False: dropped. [-0, +any, e]
 */
bool window_table_share(lua_State *L, struct node *node, struct item *item);
/* Moves the operator's time to that of the record: emits final results, drops what expired. 0 or -1. */
int window_table_observe(struct node *node, const struct item *item);
static inline bool window_table_is_closed(const struct window_table *windows, int64_t end)
{
    return window_is_closed(&windows->window, end, windows->time);
}
/* Forwards the final result of a window, if it has a row. `cause` is what closed it. 0 or -1. */
int window_table_emit(struct node *node, const struct item *cause, const struct store_window *window);
/* A record that no window took: counted, or given to on_late. [-0, +any, e] */
void window_table_late(struct node *node, struct item *item);

/* The row of a window. 0 or -1. */
int window_table_read(struct node *node, const struct store_window *window, struct table_row *row);
/* Writes the row of a window (null: deletes it) and forwards the change, or holds it back; `before` is what was read.
 * The item is the record's, with the timestamp that the row is to have, and is used up. 0 or -1. */
int window_table_change(struct node *node, struct item *item, const struct store_window *window, struct slice value,
                        const struct table_row *before);

#endif
