#include "operators/fold.h"

#include "scripts/rec.h"
#include "scripts/view.h"

void fold_bind(lua_State *L, int options, enum fold_kind kind, const struct codec *codec, const char *store,
               struct fold *fold)
{
    fold->kind = kind;
    fold->codec = codec;
    fold->store = store;
    call_bind(L, options, "init", kind == FOLD_AGGREGATE, &fold->init);
    call_bind(L, options, "add", kind != FOLD_COUNT, &fold->add);
    call_bind(L, options, "sub", false, &fold->sub);
    call_bind(L, options, "merge", false, &fold->merge);
}

/* ---- counts ---- */

int64_t fold_count(lua_State *L, const struct fold *fold, struct slice value)
{
    if (slice_is_null(value)) {
        return 0;
    }
    if (value.size != sizeof(uint64_t)) {
        luaL_error(L, "the store %s has a count of %d bytes where 8 belong; was it an aggregate before?", fold->store,
                   (int)value.size);
    }
    struct bytes_reader reader = bytes_reader_of(value);
    return (int64_t)bytes_take_u64(&reader);
}

struct slice fold_count_bytes(struct node *node, int64_t count)
{
    unsigned char *bytes = arena_alloc(op_arena(node->worker), sizeof(count));
    for (size_t i = 0; i < sizeof(count); i++) {
        bytes[i] = (unsigned char)((uint64_t)count >> (8 * (sizeof(count) - 1 - i)));
    }
    return slice_of(bytes, sizeof(count));
}

/* ---- reduce and aggregate ---- */

bool fold_begin(lua_State *L, struct node *node, struct item *item, const struct fold *fold)
{
    if (fold->kind == FOLD_REDUCE) {
        lua_pushnil(L);
        return true;
    }
    call_push(L, &fold->init);
    if (!call_run(node, item, 0, 1)) {
        return false;
    }
    view_fork(L, lua_gettop(L)); /* init may return the same table each time */
    return true;
}

/* An aggregate is a plain table for JSON, because most of its fields are read and written. */
void fold_load(lua_State *L, const struct fold *fold, struct slice value)
{
    fold->codec->decode(fold->codec, L, value);
    if (fold->kind == FOLD_AGGREGATE && view_is(L, -1)) {
        view_copy(L, lua_gettop(L));
        lua_remove(L, -2);
    }
}

/* fn(key, value, agg, rec) of aggregate, fn(agg, value, rec) of reduce (D1); decodes only what the function looks at.
 */
static bool apply(lua_State *L, struct node *node, struct item *item, const struct fold *fold,
                  const struct callback *fn, int agg)
{
    int slots[3] = {agg, 0, agg};
    int shown = fold->kind == FOLD_REDUCE ? 2 : 3;
    if (fold->kind == FOLD_AGGREGATE && fn->parameters > 0) {
        slots[0] = datum_slot(L, &item->key);
    }
    if (fn->parameters > 1) {
        slots[1] = datum_slot(L, &item->value);
    }
    call_push(L, fn);
    int count = 0;
    for (; count < shown && count < fn->parameters; count++) {
        lua_pushvalue(L, slots[count]);
    }
    if (fn->parameters > shown) {
        rec_push(L, item, false);
        count++;
    }
    return call_run(node, item, count, 1);
}

bool fold_add(lua_State *L, struct node *node, struct item *item, const struct fold *fold, int agg)
{
    if (fold->kind == FOLD_REDUCE && lua_isnil(L, agg)) { /* add is not called for the first value (D16) */
        lua_pushvalue(L, datum_slot(L, &item->value));
        return true;
    }
    return apply(L, node, item, fold, &fold->add, agg);
}

bool fold_sub(lua_State *L, struct node *node, struct item *item, const struct fold *fold, int agg)
{
    return apply(L, node, item, fold, &fold->sub, agg);
}

/* merge(key, agg_one, agg_two), or add(agg_one, agg_two, rec) of reduce, pushed with the arguments; gives their count.
 */
static int push_merge(lua_State *L, const struct item *item, const struct fold *fold, int one, int two)
{
    bool reduce = fold->kind == FOLD_REDUCE;
    call_push(L, reduce ? &fold->add : &fold->merge);
    if (!reduce) {
        lua_pushvalue(L, item->key.slot);
    }
    lua_pushvalue(L, one);
    lua_pushvalue(L, two);
    if (!reduce || fold->add.parameters < 3) {
        return reduce ? 2 : 3;
    }
    rec_push(L, item, false);
    return 3;
}

bool fold_merge(lua_State *L, struct node *node, struct item *item, const struct fold *fold, int agg)
{
    if (fold->kind == FOLD_AGGREGATE || !lua_isnil(L, agg)) {
        int arguments = push_merge(L, item, fold, agg, lua_gettop(L));
        if (!call_run(node, item, arguments, 1)) {
            return false;
        }
    }
    lua_replace(L, agg);
    lua_settop(L, agg);
    return true;
}

bool fold_store(lua_State *L, struct node *node, struct item *item, const struct fold *fold, int agg,
                struct slice *value)
{
    struct datum result = datum_of_value(L, agg, fold->codec);
    return flow_encode(node, item, &result, fold->codec, value);
}

/* ---- one record more ---- */

bool fold_next(lua_State *L, struct node *node, struct item *item, const struct fold *fold, struct slice before,
               struct slice *value)
{
    if (fold->kind == FOLD_COUNT) {
        *value = fold_count_bytes(node, fold_count(L, fold, before) + 1);
        return true;
    }
    if (fold->kind == FOLD_REDUCE && slice_is_null(before)) {
        return flow_encode(node, item, &item->value, fold->codec, value);
    }
    if (slice_is_null(before)) {
        if (!fold_begin(L, node, item, fold)) {
            return false;
        }
    } else {
        fold_load(L, fold, before);
    }
    return fold_add(L, node, item, fold, lua_gettop(L)) && fold_store(L, node, item, fold, lua_gettop(L), value);
}
