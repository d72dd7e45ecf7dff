/* Lazy JSON values: userdata over the record's bytes that parse the field they are asked for.
 *
 * Ownership: a view borrows the bytes of the record and is good for host->epoch at its creation; used later it raises
 * an error that says so (tm.copy keeps a value). Changes live in a copy-on-write overlay (a Lua table) of the view that
 * the callback changed; what it returns carries the overlay, other branches see the original.
 */
#ifndef TIDEMILL_SCRIPTS_VIEW_H
#define TIDEMILL_SCRIPTS_VIEW_H

#include "base/json_check.h"
#include "scripts/codec.h"

/* Registers the metatables of views and of tm.null and its kin, and the global `next` that names views in its error;
 * after the libraries are open. [-0, +0, e] */
void view_install(lua_State *L);
/* Whether the bytes are JSON. The members that the check finds are there for a view that the same record's processing
 * makes of these bytes, which saves it the search. */
bool view_check(struct host *host, struct slice json, struct json_problem *problem);
/* Pushes the Lua value of checked JSON: a view for objects and arrays, plain values else (null is tm.null). [-0, +1, e]
 */
void view_push(lua_State *L, struct slice json);
/* Appends the value at `index` as JSON: views as their bytes or with their changes spliced in, tables, scalars. Raises
 * for functions, cycles, NaN, keys that are neither strings nor a list. [-0, +0, e] */
void view_encode(lua_State *L, int index, struct bytes *out);
/* The untouched bytes of a view at `index`, or a null slice. [-0, +0, -] */
struct slice view_bytes(lua_State *L, int index);
/* Pushes a plain deep copy (tables) of any value. [-0, +1, e] */
void view_copy(lua_State *L, int index);
/* Pushes a value of the same content whose changes the one at `index` does not show: a fresh view for a view, a deep
 * copy for a table, else the value itself. [-0, +1, e] */
void view_fork(lua_State *L, int index);

bool view_is(lua_State *L, int index); /* whether the value is a view [-0, +0, -] */
/* Whether the value is a view whose bytes are not its content: something was assigned to it or inside it, or it belongs
 * to a record that is done (then reading it raises). [-0, +0, -] */
bool view_touched(lua_State *L, int index);

/* tm.null and tm.tombstone are light userdata, the same in every state. [-0, +1, -] and [-0, +0, -] */
void view_push_null(lua_State *L);
void view_push_tombstone(lua_State *L);
bool view_is_null(lua_State *L, int index);
bool view_is_tombstone(lua_State *L, int index);
/* Marks the table at `index` as a list (tm.list): it is written as an array even when it is empty. [-0, +0, -] */
void view_mark_list(lua_State *L, int index);
bool view_is_list(lua_State *L, int index); /* whether it is a table marked so [-0, +0, -] */

#endif
