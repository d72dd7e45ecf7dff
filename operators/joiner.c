#include "operators/joiner.h"

#include "scripts/rec.h"

#define STACK_ROOM 8 /* rows that are made by joins call each other */

void joiner_bind(lua_State *L, const struct node *node, int options, struct joiner *joiner)
{
    call_bind(L, options, "fn", true, &joiner->fn);
    joiner->fn.name = node->op->kind;
    joiner->value_codec = operator_codec(L, options, "value_codec", &codec_json);
}

bool joiner_call(lua_State *L, struct node *node, struct item *item, const struct joiner *joiner, struct datum *left,
                 struct datum *right, struct datum *result)
{
    int parameters = joiner->fn.parameters;
    int slots[3] = {0, 0, 0};
    struct datum *data[3] = {&item->key, left, right};
    luaL_checkstack(L, STACK_ROOM, "too many joins in a row");
    for (int i = 0; i < 3 && i < parameters; i++) {
        slots[i] = datum_slot(L, data[i]);
    }
    call_push(L, &joiner->fn);
    int count = 0;
    for (; count < 3 && count < parameters; count++) {
        lua_pushvalue(L, slots[count]);
    }
    if (parameters > 3) {
        rec_push(L, item, false);
        count++;
    }
    if (!call_run(node, item, count, 1)) {
        return false;
    }
    *result = datum_of_value(L, lua_gettop(L), joiner->value_codec);
    return true;
}
