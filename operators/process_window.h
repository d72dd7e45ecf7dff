/* Window and session stores in the hands of a processor, with the methods of Kafka Streams' WindowStore and
 * SessionStore.
 *
 * A store of the processor's own holds what is less than its retention older than the newest entry; what is older when
 * it is put is dropped and counted as late. The newest time is kept in the store itself, so that it survives a restart.
 * Ownership: as process_store.h.
 */
#ifndef TIDEMILL_OPERATORS_PROCESS_WINDOW_H
#define TIDEMILL_OPERATORS_PROCESS_WINDOW_H

#include "operators/process_int.h"

extern const luaL_Reg process_window_methods[], process_session_methods[];

/* Reads back how far the store's time had come. 0, or -1 with op_error. */
int process_window_open(struct process_store *store);

#endif
