/* Codecs: bytes that the check of a codec accepts can be decoded, and what that gives encodes to the same value again.
 * The first byte chooses the codec. */
#include "tests/support/script_host.h"

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct trip {
    const struct codec *codec;
    struct slice bytes;
};

/* [trip] as light userdata. */
static int round_trip(lua_State *L)
{
    const struct trip *trip = lua_touserdata(L, 1);
    struct datum datum = datum_of_bytes(trip->codec, trip->bytes);
    int slot = datum_slot(L, &datum);
    struct datum value = datum_of_value(L, slot, trip->codec);
    struct slice encoded = datum_bytes(L, &value, trip->codec);
    struct err err;
    REQUIRE(trip->codec->check(trip->codec, encoded, &err) == 0);
    REQUIRE(trip->codec == &codec_json || slice_equal(encoded, trip->bytes));

    view_copy(L, slot);
    struct datum copy = datum_of_value(L, -1, trip->codec);
    REQUIRE(trip->codec->check(trip->codec, datum_bytes(L, &copy, trip->codec), &err) == 0);
    for (size_t i = 0; i < codec_count(); i++) { /* may raise, must not do worse */
        datum_bytes(L, &datum, codec_at(i));
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct host *host;
    if (host == NULL) {
        host = script_host_open();
    }
    if (size == 0) {
        return 0;
    }
    struct err err;
    struct trip trip = {codec_at(data[0] % codec_count()), arena_copy(host->arena, slice_of(data + 1, size - 1))};
    if (trip.codec->check(trip.codec, trip.bytes, &err) == 0) {
        lua_pushcfunction(host->L, round_trip);
        lua_pushlightuserdata(host->L, &trip);
        lua_pcall(host->L, 1, 0, 0);
    }
    lua_settop(host->L, 0);
    script_host_next(host);
    return 0;
}
