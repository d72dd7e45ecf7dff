/* What the tests of sources and of sinks in a worker share: stepping while the threads of tasks work, and every fault
 * of the transport once.
 *
 * Ownership: as in scene.h.
 */
#ifndef TIDEMILL_TESTS_TASK_SCENE_H
#define TIDEMILL_TESTS_TASK_SCENE_H

#include "tests/unit/engine/scene.h"

struct task_fault {
    enum memory_call call;
    enum memory_fault fault;
};

static const struct task_fault task_faults[] = {
    {MEMORY_PRODUCE, FAULT_ABORT},
    {MEMORY_PRODUCE, FAULT_FENCED},
    {MEMORY_PRODUCE, FAULT_RETRY},
    {MEMORY_COMMIT, FAULT_RETRY},
    {MEMORY_COMMIT, FAULT_ABORT},
    {MEMORY_COMMIT, FAULT_UNKNOWN_DONE},
    {MEMORY_COMMIT, FAULT_UNKNOWN_NOT_DONE},
    {MEMORY_COMMIT, FAULT_FENCED},
    {MEMORY_SEND_POSITIONS, FAULT_ABORT},
    {MEMORY_SEND_POSITIONS, FAULT_FENCED},
    {MEMORY_POLL, FAULT_RETRY},
    {MEMORY_POLL, FAULT_FENCED},
    {MEMORY_FETCH, FAULT_RETRY},
    {MEMORY_FETCH, FAULT_FENCED},
    {MEMORY_SEEK, FAULT_RETRY},
};

static struct {
    struct task_fault fault;
    int at;    /* nth call of that kind; 0: none */
    int every; /* afterwards, each so many calls; 0: no more */
    int hits;
} task_failing;

static inline enum memory_fault task_fail(enum memory_call call)
{
    if (call != task_failing.fault.call || task_failing.at == 0 || --task_failing.at > 0) {
        return FAULT_NONE;
    }
    task_failing.at = task_failing.every;
    task_failing.hits++;
    return task_failing.fault.fault;
}

/* Nothing fails from now on but what the test asks for. */
static inline void task_open_scene(struct graph *(*build)(void))
{
    memset(&task_failing, 0, sizeof(task_failing));
    scene_prepare(build, 1);
    scene.fault = task_fail;
    ck_assert_int_eq(option_set(&app_options, &scene.settings, "dead_letter", "letters", &scene.err), 0);
}

static inline int64_t task_end_of(const char *topic)
{
    int64_t low = 0, high = 0;
    ck_assert_int_eq(scene.original->watermarks(scene.transport, topic, 0, &low, &high, &scene.err), 0);
    return high;
}

/* The clock goes on faster than time, so that rests are short. */
static inline int task_step(void)
{
    bool worked;
    clock_advance(&scene.clock, 10);
    int result = stream_thread_step(scene.thread, 0, &worked, &scene.err);
    if (!worked) {
        clock_sleep_ms(1);
    }
    return result;
}

/* Until the thread rests; `check` after each step. check's own limit is the only one. */
static inline void task_settle(void (*check)(void))
{
    do {
        ck_assert_msg(task_step() == 0, "%s", scene.err.text);
        if (check) {
            check();
        }
    } while (!stream_thread_idle(scene.thread));
}

/* Until the thread ends, for the reason in scene.err. */
static inline void task_run_to_failure(void)
{
    while (task_step() == 0) {
    }
}

#endif
