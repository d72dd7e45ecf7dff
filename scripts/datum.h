/* A datum's two forms: bytes and a Lua value, each made from the other only when it is asked for.
 *
 * Ownership: bytes made by datum_bytes live in the worker's arena until the record is done; slots live on the Lua stack
 * until the operator that made them restores the stack's top, which every operator does before it returns.
 */
#ifndef TIDEMILL_SCRIPTS_DATUM_H
#define TIDEMILL_SCRIPTS_DATUM_H

#include "scripts/codec.h"
#include "scripts/host.h"

static inline struct datum datum_null(const struct codec *codec)
{
    return (struct datum){codec, SLICE_NULL, 0, true};
}
static inline struct datum datum_of_bytes(const struct codec *codec, struct slice bytes)
{
    return (struct datum){codec, bytes, 0, bytes.data == NULL};
}

/* Stack index of the decoded value (nil for null); decodes at most once per datum. [-0, +0 or +1, e] */
int datum_slot(lua_State *L, struct datum *datum);
/* The datum of the value at `index` (nil: null). An untouched view keeps its bytes when the codec is the same. [-0, +0,
 * -] */
struct datum datum_of_value(lua_State *L, int index, const struct codec *codec);
/* Encoded with `codec`: the bytes as they came when nothing touched them and the codec is the datum's, else encoded
 * into the arena. Null gives a null slice. [-0, +0, e] */
struct slice datum_bytes(lua_State *L, struct datum *datum, const struct codec *codec);

#endif
