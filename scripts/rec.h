/* `rec`, the last argument of callbacks: timestamp, topic, partition, offset and headers of the record (D2, D3).
 *
 * Ownership: the userdata borrows the item and is good for its epoch only.
 */
#ifndef TIDEMILL_SCRIPTS_REC_H
#define TIDEMILL_SCRIPTS_REC_H

#include "scripts/host.h"

void rec_install(lua_State *L); /* [-0, +0, e] */
/* Pushes the rec of an item; `writable`: rec.headers may be changed (inside `process`). [-0, +1, e] */
void rec_push(lua_State *L, const struct item *item, bool writable);
/* The headers as they are now, changes included; in the worker's arena. [-0, +0, -] */
const struct headers *rec_headers(lua_State *L, int index);
/* Headers that the user gives: rec.headers, or a list of { name, value }; copied into the worker's arena. [-0, +0, e]
 */
const struct headers *rec_take_headers(lua_State *L, int index);

#endif
