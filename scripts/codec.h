/* Codecs: bytes <-> the value on top of a Lua stack. One file per codec, one line in codec.c's table.
 *
 * Ownership: codecs are constant and live for ever (tm.windowed makes its own, owned by the state). Bytes that decode
 * gets must stay valid while the record is processed: views point into them.
 */
#ifndef TIDEMILL_SCRIPTS_CODEC_H
#define TIDEMILL_SCRIPTS_CODEC_H

#include <lua.h>

#include "base/err.h"
#include "engine/record.h"

struct host;

struct codec {
    const char *name; /* "json" */
    const char *text; /* one sentence for the reference page */
    /* Full check of bytes from outside, without Lua; ERR_SKIP with the byte position when they are bad. */
    int (*check)(const struct codec *codec, struct slice bytes, struct err *err);
    /* The same for bytes that the record's processing is likely to decode: what it finds helps then. NULL: check does.
     */
    int (*check_ahead)(const struct codec *codec, struct host *host, struct slice bytes, struct err *err);
    /* Pushes the value of checked bytes (never null). [-0, +1, e] */
    void (*decode)(const struct codec *codec, lua_State *L, struct slice bytes);
    /* Appends the encoded form of the value at `index` (never nil). Raises an error that names the type it can't write.
     * [-0, +0, e] */
    void (*encode)(const struct codec *codec, lua_State *L, int index, struct bytes *out);
};

extern const struct codec codec_json, codec_string, codec_bytes, codec_int64, codec_double;

const struct codec *codec_find(const char *name); /* NULL: none */
size_t codec_count(void);
const struct codec *codec_at(size_t index);

/* Codec objects in Lua (tm.json and so on): light userdata with no methods. [-0, +1, -] and [-0, +0, e] */
void codec_push(lua_State *L, const struct codec *codec);
const struct codec *codec_argument(lua_State *L, int index, const struct codec *if_nil); /* also by name: "json" */

#endif
