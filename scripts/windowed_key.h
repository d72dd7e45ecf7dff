/* The value of a windowed key in Lua: read-only { key, window_start, window_end }, equal in content.
 *
 * Ownership: a userdata with the decoded key as its user value; it can be kept as long as that can.
 */
#ifndef TIDEMILL_SCRIPTS_WINDOWED_KEY_H
#define TIDEMILL_SCRIPTS_WINDOWED_KEY_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

void windowed_key_install(lua_State *L); /* [-0, +0, e] */

/* Makes one of the key on top of the stack. [-1, +1, e] */
void windowed_key_push(lua_State *L, int64_t start, int64_t end);
bool windowed_key_is(lua_State *L, int index); /* [-0, +0, -] */
/* Pushes the key of the windowed key at `index` (which is one) and gives its window. [-0, +1, -] */
void windowed_key_get(lua_State *L, int index, int64_t *start, int64_t *end);
/* Pushes a plain table of the same content. [-0, +1, e] */
void windowed_key_copy(lua_State *L, int index);
/* Takes a table { key, window_start, window_end } apart likewise; false: it is none, and nothing is pushed. [-0, +0 or
 * 1, e] */
bool windowed_key_of_table(lua_State *L, int index, int64_t *start, int64_t *end);

#endif
