/* Table-table joins: a table of what the function makes of the rows that two tables have for a key, with and without a
 * store of its own. */
#include "operators/all.h"
#include "operators/joiner.h"
#include "operators/table.h"

#include "base/memory.h"

enum side { LEFT, RIGHT };

struct join_tables {
    struct table table;
    struct joiner joiner;
    bool needs[2]; /* by side: there is no result without its row */
};

/* Whether there is a result; at least one of the rows is needed. */
static bool has_result(const struct join_tables *join, const struct datum *left, const struct datum *right)
{
    return !(left->null && (join->needs[LEFT] || right->null)) && !(right->null && join->needs[RIGHT]);
}

/* What the join makes of two values; null when there is no result. False: the item was dropped. */
static bool join_values(lua_State *L, struct node *node, struct item *item, const struct datum *left,
                        const struct datum *right, struct datum *result)
{
    const struct join_tables *join = node->state;
    struct datum one = *left, other = *right;
    *result = datum_null(join->joiner.value_codec);
    return !has_result(join, left, right) || joiner_call(L, node, item, &join->joiner, &one, &other, result);
}

/* ---- asked for a row ---- */

static int get_joined(lua_State *L, struct node *node, struct item *item, struct table_row *row, bool *dropped)
{
    struct table_row rows[2];
    for (int side = LEFT; side <= RIGHT; side++) {
        if (table_get(L, node->parents[side], item, &rows[side], dropped)) {
            return -1;
        }
        if (*dropped) {
            return 0;
        }
    }
    *dropped = !join_values(L, node, item, &rows[LEFT].value, &rows[RIGHT].value, &row->value);
    row->found = !row->value.null;
    row->timestamp = rows[LEFT].timestamp > rows[RIGHT].timestamp ? rows[LEFT].timestamp : rows[RIGHT].timestamp;
    return 0;
}

/* ---- changes ---- */

static int write_result(struct node *node, struct item *item, struct datum *result)
{
    const struct join_tables *join = node->state;
    struct table_row before;
    struct slice key, value;
    item->value = *result;
    if (!flow_encode(node, item, &item->key, join->table.key_codec, &key) ||
        !flow_encode(node, item, &item->value, join->table.value_codec, &value)) {
        return 0;
    }
    if (table_wants_before(&join->table) && table_read(node, key, &before)) {
        return -1;
    }
    return table_change(node, item, key, value, &before);
}

/* `other` is the row of the side that did not change. */
static int change_result(lua_State *L, struct node *node, struct item *item, enum side side, const struct datum *other)
{
    const struct join_tables *join = node->state;
    struct datum result, old = datum_null(join->joiner.value_codec);
    const struct datum *left = side == LEFT ? &item->value : other;
    const struct datum *right = side == LEFT ? other : &item->value;
    if (!join_values(L, node, item, left, right, &result)) {
        return 0;
    }
    if (join->table.store_name) {
        return write_result(node, item, &result);
    }
    left = side == LEFT ? &item->old : other;
    right = side == LEFT ? other : &item->old;
    if (join->table.old_wanted && !join_values(L, node, item, left, right, &old)) {
        return 0;
    }
    item->value = result;
    item->old = old;
    return op_forward(node, item);
}

/* An update is forwarded as soon as the other side has what the result needs, also when it is a tombstone for a result
 * that never was (S54 to S56). */
static int change_side(lua_State *L, struct node *node, struct item *item, enum side side)
{
    const struct join_tables *join = node->state;
    enum side other = side == LEFT ? RIGHT : LEFT;
    struct table_row row;
    bool dropped;
    if (table_get(L, node->parents[other], item, &row, &dropped)) {
        return -1;
    }
    if (dropped || (row.value.null && (join->needs[other] || (item->value.null && item->old.null)))) {
        return 0;
    }
    if (!row.value.null && row.timestamp > item->timestamp) {
        item->timestamp = row.timestamp; /* S26 */
    }
    return change_result(L, node, item, side, &row.value);
}

static int left_body(lua_State *L, struct node *node, struct item *item)
{
    return change_side(L, node, item, LEFT);
}

static int right_body(lua_State *L, struct node *node, struct item *item)
{
    return change_side(L, node, item, RIGHT);
}

static int join_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, parent == LEFT ? left_body : right_body);
}

/* ---- operators ---- */

/* Of an outer side the old value says whether its deletion has an effect. */
static void create(lua_State *L, struct node *node, int options, bool needs_left, bool needs_right)
{
    struct join_tables *join = memory_alloc(sizeof(*join));
    node->state = join;
    table_bind(L, node, options, &join->table);
    joiner_bind(L, node, options, &join->joiner);
    join->table.get = join->table.store_name ? NULL : get_joined;
    join->needs[LEFT] = needs_left;
    join->needs[RIGHT] = needs_right;
    if (!needs_right) {
        table_want_old(node->parents[LEFT]);
    }
    if (!needs_left) {
        table_want_old(node->parents[RIGHT]);
    }
}

static void join_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, true, true);
}

static void left_join_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, true, false);
}

static void outer_join_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, false, false);
}

const struct operator operator_table_join = {
    .op = {"table_join", table_open, join_process, table_flush, table_close},
    .usage = "table:join(table, function(key, left, right, rec) return value end "
             "[, { store, value, emit, changelog, ttl, name, on_error }])",
    .text =
        "A table with a row for each key that both tables have; it follows the changes of both. Without a store the "
        "rows are made when somebody asks for them. Both topics need the same number of partitions.",
    .create = join_create,
};

const struct operator operator_table_left_join = {
    .op = {"table_left_join", table_open, join_process, table_flush, table_close},
    .usage = "table:left_join(table, function(key, left, right, rec) return value end "
             "[, { store, value, emit, changelog, ttl, name, on_error }])",
    .text = "As join, but rows of the left table without one on the right are joined with nil.",
    .create = left_join_create,
};

const struct operator operator_table_outer_join = {
    .op = {"table_outer_join", table_open, join_process, table_flush, table_close},
    .usage = "table:outer_join(table, function(key, left, right, rec) return value end "
             "[, { store, value, emit, changelog, ttl, name, on_error }])",
    .text = "As left_join, and rows of the right table without one on the left are joined with nil, too.",
    .create = outer_join_create,
};
