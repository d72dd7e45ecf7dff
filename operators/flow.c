#include "operators/flow.h"

#include "scripts/codec_windowed.h"
#include "scripts/view.h"
#include "scripts/windowed_key.h"

/* Whether another child of the same parent gets the item after this node. */
static bool shared(const struct node *node, int parent)
{
    if (parent == FLOW_READS_ONLY || parent >= node->parent_count) {
        return false;
    }
    const struct node *from = node->parents[parent];
    int last = from->child_count - 1;
    return last > 0 && (from->children[last] != node || from->child_parents[last] != parent);
}

/* Views look after themselves (datum_slot never shows one that somebody wrote to); a table that a callback made is what
 * siblings would see changing. */
static void isolate(lua_State *L, struct datum *datum)
{
    if (datum->slot == 0 || !lua_istable(L, datum->slot)) {
        return;
    }
    if (datum->bytes.data) {
        datum->slot = 0;
        return;
    }
    view_fork(L, datum->slot);
    datum->slot = lua_gettop(L);
}

void flow_take(lua_State *L, const struct node *node, int parent, struct item *item)
{
    if (shared(node, parent)) {
        isolate(L, &item->key);
        isolate(L, &item->value);
        isolate(L, &item->old);
    }
}

struct encoding {
    const struct codec *codec;
    struct slice bytes;
};

/* [value, encoding] on the stack. */
static int encode_body(lua_State *L)
{
    struct encoding *encoding = lua_touserdata(L, 2);
    struct datum datum = {encoding->codec, SLICE_NULL, 1, false};
    encoding->bytes = datum_bytes(L, &datum, encoding->codec);
    return 0;
}

bool flow_encode_value(struct node *node, struct item *item, struct datum *datum, const struct codec *codec,
                       struct slice *bytes)
{
    lua_State *L = flow_lua(node);
    struct encoding encoding = {codec, SLICE_NULL};
    int slot = datum_slot(L, datum);
    lua_pushcfunction(L, encode_body);
    lua_pushvalue(L, slot);
    lua_pushlightuserdata(L, &encoding);
    int status = lua_pcall(L, 2, 0, 0);
    if (status == LUA_OK) {
        *bytes = encoding.bytes;
        if (datum->codec == codec) {
            datum->bytes = *bytes;
        }
        return true;
    }
    if (status != LUA_ERRRUN) {
        lua_error(L);
    }
    bool kept = call_fail_record(node, item, "the %s can't be written: %s", datum == &item->key ? "key" : "value",
                                 lua_tostring(L, -1));
    lua_pop(L, 1);
    return kept;
}

bool flow_set_key(struct node *node, struct item *item, int index, const struct codec *codec)
{
    lua_State *L = flow_lua(node);
    int type = lua_type(L, index);
    if (windowed_key_is(L, index) && !codec_windowed_inner(codec) && codec != &codec_json) {
        return call_fail(node, item,
                         "%s gave a windowed key, and keys are written as %s here; give its key, or name a codec for "
                         "it: { key = tm.windowed(codec, size) }",
                         node->op->kind, codec->name);
    }
    if (type != LUA_TSTRING && type != LUA_TNIL && (codec == &codec_string || codec == &codec_bytes)) {
        return call_fail(node, item,
                         "%s gave a %s as a key; a key is a string here (tostring it, or name another key codec)",
                         node->op->kind, lua_typename(L, type));
    }
    item->key = datum_of_value(L, index, codec);
    return true;
}

int flow_fail(struct node *node, struct item *item)
{
    const struct err *err = op_error(node->worker);
    if (err->class != ERR_SKIP) {
        return -1;
    }
    call_fail_record(node, item, "%s", err->text);
    return 0;
}

int flow_run(struct node *node, int parent, struct item *item, flow_body *body)
{
    lua_State *L = flow_lua(node);
    int top = lua_gettop(L);
    flow_take(L, node, parent, item);
    int result = body(L, node, item);
    if (lua_gettop(L) != top) { /* much cheaper than to set it */
        lua_settop(L, top);
    }
    return result;
}
