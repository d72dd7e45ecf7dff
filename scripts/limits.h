/* Ending callbacks that run too long: one watchdog thread for all states of the process.
 *
 * A state counts the beginnings and ends of user code in `sequence` (odd: inside), which costs a store. The watchdog
 * looks at it now and then; the same odd number for longer than callback_ms means that one callback still runs. Then it
 * interrupts the thread with a signal (SIGURG, ignored by default), whose handler sets a count hook on the coroutine
 * that runs, as lua.c does for an interrupt; the hook raises an error with the next instruction and goes on doing so
 * until the state's entry is left. What runs inside a C function of Lua's libraries (a pattern that backtracks without
 * end, string.rep of nothing, table.move over a huge range) executes no instruction and can't be stopped by a hook: ten
 * times the limit after its beginning the watchdog ends the process with status 5, which the commit protocol makes
 * safe. Ownership: the struct is part of its host and is known to the watchdog from limits_open to limits_close. @locks
 * one mutex, taken by open, close and the watchdog; begin and end take none.
 */
#ifndef TIDEMILL_SCRIPTS_LIMITS_H
#define TIDEMILL_SCRIPTS_LIMITS_H

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct limits {
    _Atomic uint64_t sequence;      /* odd: user code runs */
    _Atomic uint64_t asked;         /* the sequence that the watchdog wants to end */
    _Atomic(lua_State *) running;   /* coroutine whose code runs; the main one when there is none */
    _Atomic int64_t callback_ms;    /* 0: no limit */
    _Atomic int thread;             /* kernel's id of the thread inside */
    struct limits *outer;           /* entered earlier on the same thread and not left */
    struct limits *previous, *next; /* list of the watchdog */
    uint64_t seen;                  /* by the watchdog, since seen_ns */
    int64_t seen_ns;
};

void limits_open(struct limits *limits, lua_State *L, int64_t callback_ms);
void limits_close(struct limits *limits);

/* Around everything that may run code of the state on this thread; may nest with other states', not with its own. */
void limits_enter(struct limits *limits);
void limits_leave(struct limits *limits);

/* Around one run of user code, and around an excursion from it back into the engine (`limits_pause`). Each gives what
 * limits_restore needs to return to the situation before. */
static inline uint64_t limits_begin(struct limits *limits)
{
    uint64_t before = atomic_load_explicit(&limits->sequence, memory_order_relaxed);
    atomic_store_explicit(&limits->sequence, (before + 2) | 1, memory_order_relaxed);
    return before;
}
static inline uint64_t limits_pause(struct limits *limits)
{
    uint64_t before = atomic_load_explicit(&limits->sequence, memory_order_relaxed);
    atomic_store_explicit(&limits->sequence, (before + 2) & ~(uint64_t)1, memory_order_relaxed);
    return before;
}
static inline void limits_restore(struct limits *limits, uint64_t before)
{
    uint64_t now = atomic_load_explicit(&limits->sequence, memory_order_relaxed);
    atomic_store_explicit(&limits->sequence, ((now + 2) & ~(uint64_t)1) | (before & 1), memory_order_relaxed);
}

/* Whether the watchdog has asked for the end of what runs now. */
bool limits_expired(const struct limits *limits);
/* Raises the error of that; nothing in the script catches it. [-0, +0, e] */
int limits_raise(lua_State *L);

#endif
