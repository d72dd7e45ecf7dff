/* The background thread of the embedded log: checkpoints, retention and compaction.
 *
 * It is started by the first session and ends with the transport. Of several processes on one log one at a time does
 * retention and compaction, under a kernel lock.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_MAINTENANCE_H
#define TIDEMILL_LOCAL_LOCAL_MAINTENANCE_H

#include "local/local_int.h"

void local_maintenance_start(struct local *local); /* @thread any; does nothing when it runs already */
void local_maintenance_stop(struct local *local);  /* waits for its end */
/* Keeps the write-ahead log short: by the thread, or at once when it has grown too long. By the owner of the writer
 * only. */
void local_maintenance_checkpoint(struct local *local);
/* One round; `all`: compacts however little there is to gain. 1: done; 0: another process is at it; -1. */
int local_maintenance_round(struct local *local, bool all, struct err *err);

#endif
