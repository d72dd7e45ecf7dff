/* What a suppress behind a table of sessions has to settle with it.
 *
 * Kafka Streams' suppress lets a session go when stream time = end + gap + grace, one millisecond before records for it
 * are late, and so may send two "final" results of it. Here the table takes no records any more for a session that a
 * suppress behind it has let go.
 *
 * Ownership: nothing is kept.
 */
#ifndef TIDEMILL_OPERATORS_SESSION_AGGREGATE_H
#define TIDEMILL_OPERATORS_SESSION_AGGREGATE_H

#include "engine/graph.h"

#define SESSION_AGGREGATE_EARLY 1 /* ms */

bool session_aggregate_is(const struct node *node);
/* Called while building. */
void session_aggregate_close_early(struct node *node);

#endif
