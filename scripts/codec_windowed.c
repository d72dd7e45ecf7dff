#include "scripts/codec_windowed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/store_form.h"
#include "scripts/codec_int.h"
#include "scripts/host.h"
#include "scripts/windowed_key.h"

/* Registry key of the table of codecs by what they are made of. */
static const char made_key;

struct windowed {
    struct codec codec;
    const struct codec *inner;
    bool sessions;
    int64_t size;
    char name[96];
};

static const struct windowed *windowed_of(const struct codec *codec)
{
    return (const struct windowed *)codec;
}

static int check(const struct codec *codec, struct slice bytes, struct err *err)
{
    const struct windowed *windowed = windowed_of(codec);
    struct store_window window;
    if (!store_form_parse_windowed(windowed->sessions, bytes, &window)) {
        return err_set(err, ERR_SKIP, ERR_RECORD,
                       "The codec %s reads keys of at least %d bytes, and this one has %zu; it is not a windowed key.",
                       codec->name, windowed->sessions ? 16 : 8, bytes.size);
    }
    return windowed->inner->check(windowed->inner, window.key, err);
}

static int64_t end_of(const struct windowed *windowed, const struct store_window *window)
{
    int64_t end;
    if (windowed->sessions) {
        return window->end;
    }
    return __builtin_add_overflow(window->start, windowed->size, &end) ? INT64_MAX : end;
}

static void decode(const struct codec *codec, lua_State *L, struct slice bytes)
{
    const struct windowed *windowed = windowed_of(codec);
    struct store_window window;
    if (!store_form_parse_windowed(windowed->sessions, bytes, &window)) {
        luaL_error(L, "the codec %s can't read a key of %d bytes", codec->name, (int)bytes.size);
    }
    windowed->inner->decode(windowed->inner, L, window.key);
    windowed_key_push(L, window.start, end_of(windowed, &window));
}

static void encode(const struct codec *codec, lua_State *L, int index, struct bytes *out)
{
    const struct windowed *windowed = windowed_of(codec);
    struct store_window window = {0};
    if (windowed_key_is(L, index)) {
        windowed_key_get(L, index, &window.start, &window.end);
    } else if (!windowed_key_of_table(L, index, &window.start, &window.end)) {
        codec_refuse(L, codec, index, "windowed keys { key, window_start, window_end }");
        return;
    }
    if (window.end != end_of(windowed, &window)) {
        luaL_error(L, "the codec %s can't write the window from %I to %I; its windows are %I ms long", codec->name,
                   (lua_Integer)window.start, (lua_Integer)window.end, (lua_Integer)windowed->size);
    }
    windowed->inner->encode(windowed->inner, L, lua_gettop(L), out);
    if (windowed->sessions) {
        bytes_append_u64(out, (uint64_t)window.end);
    }
    bytes_append_u64(out, (uint64_t)window.start);
    lua_pop(L, 1);
}

/* ---- making them ---- */

static const struct codec *make(lua_State *L, const struct codec *inner, bool sessions, int64_t size)
{
    struct windowed *windowed = arena_alloc(&host_of(L)->texts, sizeof(*windowed));
    *windowed = (struct windowed){.inner = inner, .sessions = sessions, .size = size};
    if (sessions) {
        snprintf(windowed->name, sizeof(windowed->name), "session_windowed(%.64s)", inner->name);
    } else {
        snprintf(windowed->name, sizeof(windowed->name), "windowed(%.64s, %" PRId64 ")", inner->name, size);
    }
    windowed->codec = (struct codec){
        .name = windowed->name,
        .text = "A windowed key in Kafka Streams' binary form.",
        .check = check,
        .decode = decode,
        .encode = encode,
    };
    return &windowed->codec;
}

const struct codec *codec_windowed(lua_State *L, const struct codec *inner, bool sessions, int64_t size)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &made_key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &made_key);
    }
    lua_pushfstring(L, "%p %d %I", (const void *)inner, (int)sessions, (lua_Integer)(sessions ? 0 : size));
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    const struct codec *codec = lua_touserdata(L, -1);
    if (!codec) {
        codec = make(L, inner, sessions, size);
        lua_pushvalue(L, -2);
        codec_push(L, codec); /* the table of codecs knows it from now on */
        lua_rawset(L, -5);
    }
    lua_pop(L, 3);
    return codec;
}

const struct codec *codec_windowed_inner(const struct codec *codec)
{
    return codec->decode == decode ? windowed_of(codec)->inner : NULL;
}

struct slice codec_windowed_key(const struct codec *codec, struct slice bytes)
{
    struct store_window window;
    bool windowed = codec->decode == decode && !slice_is_null(bytes) &&
                    store_form_parse_windowed(windowed_of(codec)->sessions, bytes, &window);
    return windowed ? window.key : bytes;
}

/* ---- for the DSL ---- */

/* windowed(codec, size or nil) */
static int core_windowed(lua_State *L)
{
    const struct codec *inner = codec_argument(L, 1, NULL);
    if (codec_windowed_inner(inner)) {
        return luaL_error(L, "a windowed codec can't be put around another windowed codec");
    }
    bool sessions = lua_isnoneornil(L, 2);
    codec_push(L, codec_windowed(L, inner, sessions, sessions ? 0 : luaL_checkinteger(L, 2)));
    return 1;
}

/* inner(codec) -> the codec inside a windowed one, any other one itself */
static int core_inner(lua_State *L)
{
    const struct codec *codec = codec_argument(L, 1, NULL);
    const struct codec *inner = codec_windowed_inner(codec);
    codec_push(L, inner ? inner : codec);
    return 1;
}

void codec_windowed_install(lua_State *L)
{
    lua_pushcfunction(L, core_windowed);
    lua_setfield(L, -2, "windowed");
    lua_pushcfunction(L, core_inner);
    lua_setfield(L, -2, "inner");
}
