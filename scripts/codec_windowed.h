/* Codecs of windowed keys: Kafka Streams' binary form around the bytes of another codec, read as
 * { key, window_start, window_end } (D10).
 *
 * Ownership: a codec is made once per state and set of arguments, and belongs to the state.
 */
#ifndef TIDEMILL_SCRIPTS_CODEC_WINDOWED_H
#define TIDEMILL_SCRIPTS_CODEC_WINDOWED_H

#include "scripts/codec.h"

/* The codec of windows of `size` milliseconds (sessions: size is ignored) with keys in `inner`. Equal arguments give
 * the same codec, so that codecs can be compared by their address. [-0, +0, e] */
const struct codec *codec_windowed(lua_State *L, const struct codec *inner, bool sessions, int64_t size);
/* What the keys inside are in; NULL: it is no codec of windowed keys. */
const struct codec *codec_windowed_inner(const struct codec *codec);

/* The bytes of the key inside a windowed one: where it goes is decided by them, as Kafka Streams does
 * (WindowedStreamPartitioner). Other keys, and what is too short: as they are. */
struct slice codec_windowed_key(const struct codec *codec, struct slice bytes);

/* core.windowed(codec, size or nil for sessions) and core.inner(codec) for the DSL; `core` is on top of the stack. [-0,
 * +0, e] */
void codec_windowed_install(lua_State *L);

#endif
