/* branch: the first predicate that holds decides where a record goes on. */
#include "operators/all.h"
#include "operators/flow.h"

#include <stdlib.h>

#include "base/memory.h"

#define NO_WAY (-1)

struct branch {
    int count;
    int chosen; /* way of the record that is being forwarded */
    struct callback predicates[];
};

struct branch_way {
    int index;
};

static int branch_body(lua_State *L, struct node *node, struct item *item)
{
    struct branch *branch = node->state;
    branch->chosen = NO_WAY;
    for (int i = 0; i < branch->count && branch->chosen == NO_WAY; i++) {
        if (!call_item(node, item, &branch->predicates[i], 1)) {
            return 0;
        }
        if (lua_toboolean(L, -1)) {
            branch->chosen = i;
        }
        lua_pop(L, 1);
    }
    return branch->chosen == NO_WAY ? 0 : op_forward(node, item);
}

static int branch_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, branch_body);
}

static int branch_way_process(struct node *node, int parent, struct item *item)
{
    const struct branch *branch = node->parents[parent]->state;
    const struct branch_way *way = node->state;
    return branch->chosen == way->index ? op_forward(node, item) : 0;
}

static void branch_create(lua_State *L, struct node *node, int options)
{
    lua_getfield(L, options, "predicates");
    int list = lua_gettop(L);
    int count = (int)luaL_len(L, list);
    struct branch *branch = memory_alloc(sizeof(*branch) + (size_t)count * sizeof(branch->predicates[0]));
    node->state = branch;
    branch->count = count;
    lua_createtable(L, 0, 1);
    for (int i = 0; i < count; i++) {
        lua_geti(L, list, i + 1);
        lua_setfield(L, list + 1, "fn");
        call_bind(L, list + 1, "fn", true, &branch->predicates[i]);
        branch->predicates[i].name = "branch";
    }
    lua_settop(L, list - 1);
}

static void branch_way_create(lua_State *L, struct node *node, int options)
{
    struct branch_way *way = memory_alloc(sizeof(*way));
    node->state = way;
    lua_getfield(L, options, "index");
    way->index = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
}

static void branch_close(struct node *node)
{
    free(node->state);
}

const struct operator operator_branch = {
    .op = {"branch", NULL, branch_process, NULL, branch_close},
    .usage = "stream:branch(function(key, value, rec) return boolean end, ... [, { name, on_error }])",
    .text = "Returns one stream for each function; a record goes to the first whose function holds, or is dropped.",
    .create = branch_create,
    .per_record = true,
};

const struct operator operator_branch_way = {
    .op = {"branch_way", NULL, branch_way_process, NULL, branch_close},
    .usage = NULL,
    .text = "One of the streams that branch returned.",
    .create = branch_way_create,
    .per_record = true,
};
