/* Compaction of compacted topics: of every key the last record stays, with its offset.
 *
 * A round reads what was appended since the last one, notes the last offset of each key, and rewrites the batches
 * before that point piece by piece, each piece in a transaction of its own; small batches are joined. Nothing at or
 * beyond the committed position of a group on that partition is touched (L6). A tombstone goes once records were
 * appended to its partition delete_retention_ms after it: time stands still for a changelog that nobody writes to.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_COMPACT_H
#define TIDEMILL_LOCAL_LOCAL_COMPACT_H

#include "local/local_int.h"

/* Compacts every partition that has enough to gain; `all`: every one that has anything new. `db`: a reading connection.
 */
int local_compact_run(struct local *local, struct local_db *db, bool all, struct err *err);

#endif
