/* Lazy JSON values: userdata over the record's bytes that parse the field they are asked for.
 *
 * Ownership: a view borrows the bytes of the record and is good for host->epoch at its creation; used later it raises
 * an error that says so (tm.copy keeps a value). Changes live in a copy-on-write overlay (a Lua table) of the view that
 * the callback changed; what it returns carries the overlay, other branches see the original.
 */
#ifndef TIDEMILL_SCRIPTS_VIEW_H
#define TIDEMILL_SCRIPTS_VIEW_H

#include "scripts/codec.h"

/* Registers the metatable, tm.null, tm.tombstone, tm.list's marker. [-0, +0, e] */
void view_install(lua_State *L);
/* Pushes the Lua value of checked JSON: a view for objects and arrays, plain values else (null is tm.null). [-0, +1, e] */
void view_push(lua_State *L, struct slice json);
/* Appends the value at `index` as JSON: views as their bytes or with their changes spliced in, tables, scalars. Raises for
 * functions, cycles, NaN, keys that are neither strings nor a list. [-0, +0, e] */
void view_encode(lua_State *L, int index, struct bytes *out);
/* The untouched bytes of a view at `index`, or a null slice. [-0, +0, -] */
struct slice view_bytes(lua_State *L, int index);
/* Pushes a plain deep copy (tables) of any value. [-0, +1, e] */
void view_copy(lua_State *L, int index);
/* Pushes a fresh view over the same bytes when the value at `index` is a view (so that changes are not seen by others), else the value. [-0, +1, e] */
void view_fork(lua_State *L, int index);
void view_push_null(lua_State *L); /* tm.null [-0, +1, -] */

#endif
