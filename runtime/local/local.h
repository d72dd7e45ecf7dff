/* The embedded log: topics, groups and commits in one SQLite file, for pipelines without Kafka.
 *
 * local_open gives a transport (engine/transport.h). Any number of processes may use one data directory at once; an app
 * runs in one process at a time. A commit is one SQLite transaction with synchronous=FULL: what it acknowledged
 * survives a power cut.
 * Ownership: the transport belongs to the caller, who closes its sessions and readers first and then calls its class's
 * close. The clock is borrowed for as long.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_H
#define TIDEMILL_LOCAL_LOCAL_H

#include "engine/transport.h"

struct local_config {
    const char *data;          /* data directory; the log is <data>/log/log.db */
    bool create;               /* make directory and log when missing */
    const struct clock *clock; /* for the time of appending and for retention; NULL: the system's */
    int64_t read_ahead_bytes;  /* buffered per input, at least one batch; 0: 1 MB */
    int64_t batch_bytes;       /* a batch is closed at this size; 0: 256 kB */
    int64_t maintenance_ms;    /* between two rounds of retention and compaction; 0: 30 s; -1: only local_maintain */
    int64_t page_size;         /* of a log that is made now; 0: default */
};

/* ERR_CONFIG: there is no log and `create` is not set; ERR_CORRUPT: damaged, foreign or newer, left untouched; ERR_IO.
 */
int local_open(const struct local_config *config, struct transport **transport, struct err *err);

/* One round of retention and compaction now, however little there is to gain. ERR_LOCKED: another process is at it. */
int local_maintain(struct transport *transport, struct err *err);

/* Reads the whole log: SQLite's quick_check, then every batch's checksum and offsets. ERR_CORRUPT names the first
 * damage. */
int local_check(const char *data, struct err *err);

/* Copies the log as it is now to <target>/log.db, which is not there yet, onto its disk; processes go on meanwhile, and
 * its write-ahead log grows with what they commit. `advance` (may be NULL) is told now and then how many bytes were
 * copied since it was called last. ERR_CORRUPT, ERR_DISK_FULL, ERR_IO. */
int local_copy(const char *data, const char *target, void (*advance)(void *self, int64_t bytes), void *self,
               struct err *err);

/* Whether <data>/log/log.db is there. */
bool local_exists(const char *data);

#endif
