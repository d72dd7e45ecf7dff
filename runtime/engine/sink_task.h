/* One task of a sink: rows are gathered by the stream thread, written by the connector on a thread of its own.
 *
 * An input record gives any number of rows, which are written together: a write never ends inside an input record. What
 * has come while one write ran is the next one, so batches grow by themselves under load. The position in the
 * target decides: at open it says with which offset to begin, records below it are passed over, and what the target has
 * acknowledged is what the group's offset may follow. A record that the target refuses is looked for by halving
 * prefixes: a prefix of whole input records is always a legal write, because the position then ends within the batch.
 * The task stops at it until the stream thread has said what becomes of it (sink_task_pass), and then moves the
 * position over it.
 *
 * | died                                  | what the next owner finds and does                                       |
 * |---------------------------------------|--------------------------------------------------------------------------|
 * | before the write's commit             | the old position: writes the same records again                           |
 * | after it, before the group's offset   | the new position: passes over what the target has                         |
 * | after a dead letter, before the       | the old position: the target refuses the record again, and it is in the   |
 * | position has moved over the record    | dead letter topic twice, with the same topic, partition and offset        |
 *
 * The operators before a sink may have put something into the open transaction, such as a dead letter: sink_task_hold
 * keeps the target from passing the record that it is about before the transaction is committed.
 *
 * Ownership: a task is opened and closed by one stream thread, and all of its functions are called there, except
 * sink_task_status. Records given to sink_task_put are copied.
 */
#ifndef TIDEMILL_ENGINE_SINK_TASK_H
#define TIDEMILL_ENGINE_SINK_TASK_H

#include "engine/connector_status.h"

struct sink_task;

struct sink_task_config {
    const struct connector_use *use; /* outlives the task */
    const char *app;
    int32_t task, tasks;
    bool keeps_sources;       /* sink_task_refused gives the input record as it came; else the row */
    int64_t next;             /* offset of the next record as the group has it; CONNECTOR_NO_OFFSET: none */
    void (*wake)(void *self); /* something is acknowledged, refused or failed; called by the task's thread */
    void *self;
};

/* What the stream thread finds when it looks. */
enum sink_event { SINK_NOTHING, SINK_OPENED, SINK_REFUSED, SINK_FAILED };

int sink_task_open(const struct sink_task_config *config, struct sink_task **task, struct err *err);
void sink_task_close(struct sink_task *task);
/* SINK_OPENED once: *offset is where to begin reading, CONNECTOR_NO_OFFSET: where the group stands. SINK_REFUSED:
 * *offset is that of a record that the target refuses for the reason in `err`; nothing goes on before sink_task_pass.
 * SINK_FAILED: ERR_FENCED or ERR_FATAL in `err`, the end. */
enum sink_event sink_task_look(struct sink_task *task, int64_t *offset, struct err *err);
/* The refused record, until sink_task_pass. */
const struct record *sink_task_refused(const struct sink_task *task);
/* The refused record is dropped, or in the dead letter topic by a committed transaction. */
void sink_task_pass(struct sink_task *task);
/* Offset of the first record that neither the target had at open nor sink_task_passed has brought; CONNECTOR_NO_OFFSET:
 * not opened yet, or the target has no position and nothing was brought. */
int64_t sink_task_wanted(const struct sink_task *task);
/* Whether sink_task_put may be called: opened, and not too much under way. */
bool sink_task_room(struct sink_task *task);
/* A row of an input record. Those of a record that was passed before are dropped: they come again after a rebalance or
 * an aborted commit. */
void sink_task_put(struct sink_task *task, const struct record *source, const struct record *row);
/* The input record before that offset has given all of its rows, or had none. Without this call its rows are dropped.
 */
void sink_task_passed(struct sink_task *task, int64_t next);
/* From the first call on nothing gathered goes to the target, until the transaction is committed (release) or not
 * (rewind: what came from that offset on is dropped, and wanted again). */
void sink_task_hold(struct sink_task *task, int64_t from);
void sink_task_release(struct sink_task *task);
void sink_task_rewind(struct sink_task *task);
/* What was put so far may be written: called at the end of a round, and again when the task has woken the thread. */
void sink_task_flush(struct sink_task *task);
/* Offset after the last record that the target has for sure; CONNECTOR_NO_OFFSET: none yet. */
int64_t sink_task_acknowledged(struct sink_task *task);
void sink_task_status(struct sink_task *task, struct connector_report *report); /* @thread any */

#endif
