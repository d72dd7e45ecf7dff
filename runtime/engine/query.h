/* Questions to the workers of running threads, answered by the threads themselves between two rounds.
 *
 * Whoever asks waits; each thread calls the function for each of its workers, whose stores it may read and must not
 * change. Threads that are busy for longer than the asker waits are not asked any more; one that has begun is waited
 * for.
 *
 * Ownership: the desk is shared by one asker at a time and its threads. @locks one mutex, held while a thread answers;
 * threads that are not asked never take it.
 */
#ifndef TIDEMILL_ENGINE_QUERY_H
#define TIDEMILL_ENGINE_QUERY_H

#include "engine/stream_thread.h"

struct query_desk;

/* `wake` ends the sleep of a thread, from any other. */
struct query_desk *query_desk_new(int threads, void (*wake)(void *self, int thread), void *self);
void query_desk_free(struct query_desk *desk); /* NULL is allowed; the threads have ended */

/* Asks every thread that has not ended. `each` fails: no further worker of that thread is asked, and its error is the
 * result. ERR_RETRY: some thread did not come to it in time. @thread any, one at a time */
int query_ask(struct query_desk *desk, int timeout_ms, int (*each)(void *self, struct worker *worker, struct err *err),
              void *each_self, struct err *err);

void query_serve(struct query_desk *desk, int thread, struct stream_thread *workers); /* @thread that one, each round */
void query_leave(struct query_desk *desk, int thread);                                /* it ends */

#endif
