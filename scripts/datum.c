#include "scripts/datum.h"

#include "base/arena.h"
#include "scripts/view.h"

/* The value at `slot` in `codec`, in the arena. [-0, +0, e] */
static struct slice encode(lua_State *L, int slot, const struct codec *codec)
{
    struct host *host = host_of(L);
    bytes_clear(&host->scratch);
    codec->encode(codec, L, slot, &host->scratch);
    return arena_copy(host->arena, bytes_slice(&host->scratch));
}

/* A view that somebody wrote to is not shown to the next reader: what counts is what the writer returned, and that is
 * `bytes` where there are some, else the view as it is at this moment. The slot stays, so that a datum that several
 * holders share keeps a valid one. */
static int pristine(lua_State *L, struct datum *datum)
{
    if (slice_is_null(datum->bytes)) {
        datum->bytes = encode(L, datum->slot, datum->codec);
    }
    datum->codec->decode(datum->codec, L, datum->bytes);
    return lua_gettop(L);
}

int datum_slot(lua_State *L, struct datum *datum)
{
    if (datum->null) {
        lua_pushnil(L);
        return lua_gettop(L);
    }
    if (datum->slot == 0) {
        datum->codec->decode(datum->codec, L, datum->bytes);
        datum->slot = lua_gettop(L);
    } else if (view_touched(L, datum->slot)) {
        return pristine(L, datum);
    }
    return datum->slot;
}

struct datum datum_of_value(lua_State *L, int index, const struct codec *codec)
{
    if (lua_isnil(L, index)) {
        return datum_null(codec);
    }
    struct slice bytes = codec == &codec_json ? view_bytes(L, index) : SLICE_NULL;
    return (struct datum){codec, bytes, lua_absindex(L, index), false};
}

struct slice datum_bytes(lua_State *L, struct datum *datum, const struct codec *codec)
{
    if (datum->null) {
        return SLICE_NULL;
    }
    if (codec == datum->codec && !slice_is_null(datum->bytes)) {
        return datum->bytes;
    }
    if (codec == datum->codec) { /* there are no bytes, so there is a value */
        datum->bytes = encode(L, datum->slot, codec);
        return datum->bytes;
    }
    int top = lua_gettop(L);
    int slot = datum->slot;
    struct slice bytes = encode(L, datum_slot(L, datum), codec);
    datum->slot = slot;
    lua_settop(L, top);
    return bytes;
}
