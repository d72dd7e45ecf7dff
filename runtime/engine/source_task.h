/* One task of a source: its connector's calls on a thread of its own, batches through a mailbox.
 *
 * The thread reads ahead, at most SOURCE_TASK_AHEAD batches. After ERR_RETRY it opens the connector again where the
 * last batch ended. After ERR_FATAL it hands out the error and ends.
 *
 *   CONNECTING -> RUNNING -> WAITING -> CONNECTING ...        (connector_status.h)
 *
 * Ownership: a task is opened and closed by one stream thread, and all of its functions are called there, except
 * source_task_status. A batch belongs to the stream thread from source_task_take to source_task_release.
 */
#ifndef TIDEMILL_ENGINE_SOURCE_TASK_H
#define TIDEMILL_ENGINE_SOURCE_TASK_H

#include "base/bytes.h"
#include "engine/connector_status.h"

#define SOURCE_TASK_AHEAD 4

struct source_task;

struct source_task_config {
    const struct connector_use *use; /* outlives the task */
    const char *app;
    int32_t task, tasks;
    void (*wake)(void *self); /* a batch has come; called by the task's thread */
    void *self;
};

struct source_task_batch {
    struct record *records;
    size_t count;
    struct slice position; /* null: as before */
    bool at_end;
    int result; /* -1: `err` says why there is nothing more to come */
    struct err err;
    struct arena arena; /* of what the records point to; the task's own */
};

/* `position` null: from the very beginning. */
int source_task_open(const struct source_task_config *config, struct slice position, struct source_task **task,
                     struct err *err);
/* Waits until the connector has come back from its call and is closed. Batches not released are gone. */
void source_task_close(struct source_task *task);
/* NULL: nothing has come. */
struct source_task_batch *source_task_take(struct source_task *task);
void source_task_release(struct source_task *task, struct source_task_batch *batch);
/* Everything up to the position is committed. Copied; of several at once the last one counts. */
void source_task_acknowledge(struct source_task *task, struct slice position);
/* Whether batches are waiting to be taken. */
bool source_task_ready(struct source_task *task);
/* Whether the last batch taken was the end of what there was. */
bool source_task_at_end(const struct source_task *task);
void source_task_status(struct source_task *task, struct connector_report *report); /* @thread any */

#endif
