/* Named places where a test may end, stop, delay or fail the process: compiled in by -DTIDEMILL_FAILPOINTS=ON only.
 *
 * The environment TIDEMILL_FAILPOINTS says what happens: NAME:NTH:ACTION[,...]. NTH counts from 1; ~N is a random one
 * of the first N, by the seed in TIDEMILL_FAILPOINT_SEED. Actions: kill (SIGKILL to the process), stop (SIGSTOP),
 * sleep=MS, error (where the code can fail, see the table), and shift=MS, of the point `clock` only: the wall clock
 * goes on that much later. A list that can't be read ends the process with status 2, so that no test passes for its
 * misspelling.
 *
 * TIDEMILL_MERGE_BYTES, TIDEMILL_BACKGROUND_BYTES, TIDEMILL_MAINTENANCE_MS, TIDEMILL_CHECKPOINT_BYTES,
 * TIDEMILL_COMPACT_BYTES and TIDEMILL_PROGRESS_RECORDS lower the limits at which merges, commits of state in the
 * background, rounds of retention and compaction, checkpoints and the saving of restored state begin.
 *
 * Every name, where it stands, and what recovery does after a death there is a row of the table below; `tidemill docs
 * failpoints` prints it.
 *
 * Ownership: all is static. @thread any.
 */
#ifndef TIDEMILL_BASE_FAILPOINT_H
#define TIDEMILL_BASE_FAILPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* X(identifier, name, where it stands, what recovery does after a death there) */
#define FAILPOINT_LIST(X)                                                                                              \
    X(POLLED, "c1", "a poll has returned", "nothing was done yet")                                                     \
    X(SCRIPT, "c2", "inside a callback of the script", "the transaction is aborted, the input is processed again")     \
    X(FLUSHED, "c3", "state has changed, no changelog record was produced yet", "the same")                            \
    X(CHANGELOG, "c4", "a changelog record is about to be produced", "the same")                                       \
    X(PRODUCED, "c5", "all is produced and, on Kafka, acknowledged (there it can fail); no offsets were sent",         \
      "the same")                                                                                                      \
    X(OFFSETS, "c6", "the offsets are in the transaction, which is not ended", "the same")                             \
    X(ENDING, "c7", "Kafka: EndTxn was sent and its reply not read; embedded log: the COMMIT was done, nobody knows",  \
      "the group's offsets say whether it was committed; both are safe (P6)")                                          \
    X(ENDED, "ended", "Kafka: the end of a transaction is acknowledged; can fail, as if its outcome were not known",   \
      "the same")                                                                                                      \
    X(COMMITTED, "c8", "committed, the stores' commits still to come",                                                 \
      "the stores are behind and replay the changelog's tail; the input is not processed again")                       \
    X(STORE_COMMIT, "c9",                                                                                              \
      "in a store's commit, also of a large one behind the worker's back, before its COMMIT; can fail", "the same")    \
    X(STORE_COMMITTED, "c10", "one store's commit is done",                                                            \
      "this store is used as it is, or, if its commit was large and is not written yet, replays the tail like others") \
    X(CHECKPOINT, "c11", "a checkpoint of a write-ahead log begins", "the write-ahead log is read again")              \
    X(RESTORED, "c12", "a batch of a changelog is in the store, not yet durable; can fail",                            \
      "restoring goes on where its progress was last saved")                                                           \
    X(REVOKED, "c13", "partitions were revoked and their work committed, the group does not know yet",                 \
      "the group waits for the session's end; the next owner begins at the committed offsets")                         \
    X(INIT, "c14", "before init_transactions", "the next start initializes the same transactional id")                 \
    X(QUARANTINE, "c15", "one file of a damaged store was renamed, the others were not",                               \
      "the files that are left don't belong together: they are put aside as well, the store is rebuilt")               \
    X(ASSIGNED, "assigned", "the group has given partitions, no worker is open yet", "nothing was done yet")           \
    X(OPENED, "opened", "a worker's store was opened, its state not judged yet", "it is judged again")                 \
    X(ABORTING, "abort", "a transaction is about to be aborted", "the next start of the transactional id aborts it")   \
    X(RECOVERING, "recover", "the outcome of a commit is not known, the producer is about to be made anew",            \
      "the group's offsets say whether it was committed")                                                              \
    X(COMPARING, "compare", "the producer is new, the group's offsets were not read yet", "the same")                  \
    X(REWINDING, "rewind", "aborted; stores and inputs are about to go back", "the input is processed again")          \
    X(RESTORE_SAVE, "restore-save", "the progress of restoring is about to be saved",                                  \
      "restoring goes on where its progress was last saved")                                                           \
    X(WIPE, "wipe", "one file of a store that is rebuilt was deleted, the others were not",                            \
      "the files that are left don't belong together or are empty: the store is rebuilt")                              \
    X(MERGE, "merge", "a merge of deltas into rows begins", "the deltas are there; the next merge does it")            \
    X(MERGE_ROWS, "merge-rows", "some rows of a merge are written, in a transaction", "the same")                      \
    X(MERGE_COMMIT, "merge-commit", "all rows of a merge are written, its COMMIT is still to come", "the same")        \
    X(MERGED, "merged", "a merge was committed, the write-ahead logs are not yet moved",                               \
      "rows.db says up to which delta it merged; older deltas are skipped and deleted later")                          \
    X(LOG_BATCH, "log-batch", "embedded log: some batches of a transaction are written",                               \
      "SQLite rolls the transaction back")                                                                             \
    X(LOG_PAGES, "log-pages", "embedded log: the pages are written, the COMMIT is still to come; can fail",            \
      "the same")                                                                                                      \
    X(LOG_COMMIT, "log-commit", "embedded log: COMMIT; can fail, with an outcome that nobody knows",                   \
      "the group's positions say whether it took place (L3)")                                                          \
    X(LOG_TOPIC, "log-topic", "embedded log: a topic is being made, in a transaction", "it does not exist")            \
    X(RETENTION, "retention", "embedded log: old batches are deleted, the log start is not moved, in a transaction",   \
      "SQLite rolls the transaction back")                                                                             \
    X(COMPACTION, "compaction", "embedded log: a piece was compacted, the next one is still to come",                  \
      "the rest is compacted by the next round")                                                                       \
    X(MARKER, "marker", "an internal topic was made, its generation marker was not written",                           \
      "the next start writes it")                                                                                      \
    X(DRAIN, "drain", "SIGTERM came, the last commit is still to come", "the input is processed again")                \
    X(SOURCE_OPEN, "source-open", "a source's task is about to connect", "it reads on at its committed position")      \
    X(SOURCE_BATCH, "source-batch", "a source has read a batch, which is not handed out yet",                          \
      "the batch is read again")                                                                                       \
    X(SOURCE_TAKEN, "source-taken", "a worker has taken a source's batch", "the same")                                 \
    X(SOURCE_POSITION, "source-position", "the position behind a batch is in its store, in the open transaction",      \
      "the same")                                                                                                      \
    X(SOURCE_TELL, "source-tell", "a committed position is about to be told to the source",                            \
      "it is told again after the next commit")                                                                        \
    X(SOURCE_TOLD, "source-told", "a committed position was told to the source", "reading goes on behind it")          \
    X(SOURCE_SLOT, "source-slot", "PostgreSQL: the slot was made, no row of the snapshot was read",                    \
      "the slot is dropped, the snapshot begins anew")                                                                 \
    X(SOURCE_SNAPSHOT, "source-snapshot", "the last row of a snapshot was read",                                       \
      "the same, if its end was not committed")                                                                        \
    X(SINK_OPEN, "sink-open", "a sink's task has read the position in the target", "nothing was done yet")             \
    X(SINK_WRITE, "sink-write", "a sink's task is about to write a batch", "the batch is written")                     \
    X(SINK_ROWS, "sink-rows",                                                                                          \
      "rows and position are on their way into the target's transaction (file: written, not renamed), not committed",  \
      "the target rolls back (file: what follows the last rename is cut off); the batch is written again")             \
    X(SINK_COMMITTED, "sink-commit",                                                                                   \
      "the target has committed, the group does not know; can fail, with an outcome that nobody knows",                \
      "the target's position says so: its records are passed over")                                                    \
    X(SINK_REFUSED, "sink-refused", "a record was found that the target refuses", "it is refused again")               \
    X(SINK_PASS, "sink-pass", "what becomes of a refused record is committed, the target's position stands before it", \
      "it is refused again, and is in the dead letter topic twice")                                                    \
    X(CLOCK, "clock", "the wall clock is read", "nothing was done")

enum failpoint {
#define X(identifier, name, where, recovery) FAILPOINT_##identifier,
    FAILPOINT_LIST(X)
#undef X
        FAILPOINT_COUNT
};

struct failpoint_row {
    const char *name;
    const char *where;
    const char *recovery;
};

extern const struct failpoint_row failpoint_table[FAILPOINT_COUNT];

#ifdef TIDEMILL_FAILPOINTS

/* Counts a hit and does what the environment asks for. An action `error` is done by failpoint_fails alone. */
void failpoint_pass(enum failpoint point);
/* The same; true and `err` (ERR_RETRY / ERR_DISK_FULL, "Injected: ...") when the action is an error. */
bool failpoint_fails(enum failpoint point, struct err *err);
/* By how much the wall clock is off now. */
int64_t failpoint_shift_ms(void);

/* A limit that a test sets lower, so that what it starts happens often: the number in that environment variable. */
int64_t failpoint_number(const char *variable, int64_t otherwise);

#define FAILPOINT(identifier) failpoint_pass(FAILPOINT_##identifier)
#define FAILPOINT_FAILS(identifier, err) failpoint_fails(FAILPOINT_##identifier, err)
#define FAILPOINT_SHIFT_MS() failpoint_shift_ms()
#define FAILPOINT_NUMBER(variable, otherwise) failpoint_number(variable, otherwise)

#else

#define FAILPOINT(identifier) ((void)0)
#define FAILPOINT_FAILS(identifier, err) ((void)(err), false)
#define FAILPOINT_SHIFT_MS() 0
#define FAILPOINT_NUMBER(variable, otherwise) (otherwise)

#endif

#endif
