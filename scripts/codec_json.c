#include "scripts/codec.h"

#include "base/json.h"
#include "scripts/view.h"

static int refuse(struct slice bytes, const struct json_problem *problem, struct err *err)
{
    return err_set(err, ERR_SKIP, ERR_RECORD, "This is not JSON: %s at byte %zu of %zu.", problem->reason, problem->at,
                   bytes.size);
}

static int check(const struct codec *codec, struct slice bytes, struct err *err)
{
    (void)codec;
    struct json_problem problem;
    return json_check(bytes, &problem) ? 0 : refuse(bytes, &problem, err);
}

static int check_ahead(const struct codec *codec, struct host *host, struct slice bytes, struct err *err)
{
    (void)codec;
    struct json_problem problem;
    return view_check(host, bytes, &problem) ? 0 : refuse(bytes, &problem, err);
}

static void decode(const struct codec *codec, lua_State *L, struct slice bytes)
{
    (void)codec;
    view_push(L, bytes);
}

static void encode(const struct codec *codec, lua_State *L, int index, struct bytes *out)
{
    (void)codec;
    view_encode(L, index, out);
}

const struct codec codec_json = {
    .name = "json",
    .text = "JSON (RFC 8259, UTF-8). Values are views over the bytes; what was not changed leaves byte for byte as it "
            "came.",
    .check = check,
    .check_ahead = check_ahead,
    .decode = decode,
    .encode = encode,
};
