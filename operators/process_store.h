/* Stores in the hands of a processor: key-value stores, and what all kinds have in common (D22, D25).
 *
 * Ownership: a store's object is userdata of the script's state and fails by name outside of the callbacks of its
 * processor. An iterator ends with the record or timer in which it was made, at the end of its loop, or when the loop
 * is left.
 */
#ifndef TIDEMILL_OPERATORS_PROCESS_STORE_H
#define TIDEMILL_OPERATORS_PROCESS_STORE_H

#include "operators/process_int.h"

/* Reads options.stores, a list of tables that the DSL has made. [-0, +0, e] */
void process_store_bind(lua_State *L, struct process *process, int options);
/* Finds the worker's stores. 0, or -1 with op_error. */
int process_store_open_all(struct process *process);
/* Pushes ctx.stores: an object for each store by its name. [-0, +1, e] */
void process_store_push_all(lua_State *L, struct process *process);

/* ---- for process_window.c ---- */

#define PROCESS_STORE_KEY_VALUE "key-value store"
#define PROCESS_STORE_WINDOW "window store"
#define PROCESS_STORE_SESSION "session store"

/* The store of argument 1, whose class is `type`; raises when it can't be used now, or not changed. [-0, +0, e] */
struct process_store *process_store_argument(lua_State *L, const char *type, const char *method, bool changes);
/* The key at `index` in the store's codec; good until the next call into Lua or of this function. [-0, +0, e] */
struct slice process_store_key(lua_State *L, const struct process_store *store, int index, const char *method);
/* The value likewise; nil: null. The key may lie anywhere but in the host's scratch. [-0, +0, e] */
struct slice process_store_value(lua_State *L, const struct process_store *store, int index);
/* Pushes the value of an entry; nil for null. [-0, +1, e] */
void process_store_push_value(lua_State *L, const struct process_store *store, struct slice value);
/* Raises what a call of the driver reported. [-0, +0, e] */
int process_store_raise(lua_State *L, const struct process_store *store);

/* Turns the entry of a cursor into what the iterator returns: pushes one or more values and returns how many; 0: the
 * entry is left out. */
typedef int process_store_entry(lua_State *L, const struct process_store *store, const struct store_entry *entry,
                                const void *data);
/* Pushes what a method returns for a loop over the cursors, one after the other, at most PROCESS_CURSORS: the iterator
 * and, fourth, what ends it. `data` is copied. Owns the cursors. [-0, +4, e] */
#define PROCESS_CURSORS 8
int process_store_iterate(lua_State *L, struct process_store *store, struct store_cursor *const *cursors, int count,
                          process_store_entry *entry, const void *data, size_t size);

#endif
