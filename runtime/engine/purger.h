/* Deletes the records of repartition topics that every worker is done with: nobody else reads these topics, and they
 * are kept without a limit of time, so that nothing goes before it is processed (Kafka Streams'
 * repartition.purge.interval.ms).
 *
 * Ownership: a purger borrows the transport; names of topics are copied. @locks one mutex, never during a deletion.
 */
#ifndef TIDEMILL_ENGINE_PURGER_H
#define TIDEMILL_ENGINE_PURGER_H

#include "engine/transport.h"

struct purger;

/* Deletes on a thread of its own, every `interval_ms`; 0: never, and nothing is started. */
int purger_open(struct transport *transport, int64_t interval_ms, struct purger **purger, struct err *err);
void purger_close(struct purger *purger); /* waits for the deletion under way; NULL is allowed */
/* The group has committed that offset. @thread any */
void purger_note(struct purger *purger, const struct position *committed);
/* Deletes now what has been noted; what fails is tried again the next time. Returns how many partitions were cut. */
int purger_sweep(struct purger *purger);

#endif
