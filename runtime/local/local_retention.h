/* Retention by age and size: whole batches are removed from the start of a partition, in transactions of their own.
 *
 * Age counts from the time of appending. Groups that have not read what is removed get the verdict "log start passed".
 */
#ifndef TIDEMILL_LOCAL_LOCAL_RETENTION_H
#define TIDEMILL_LOCAL_LOCAL_RETENTION_H

#include "local/local_int.h"

/* Applies the retention of every topic; `db` is a reading connection of the caller. */
int local_retention_run(struct local *local, struct local_db *db, struct err *err);

#endif
