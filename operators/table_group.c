/* group_by of tables, and count, reduce and aggregate of what it groups: a row that changes is taken out of the group
 * it was in and put into the one it is in now. Both may live in other partitions, so the change goes through a topic,
 * in the form of operators/change.h. */
#include "operators/all.h"
#include "operators/change.h"
#include "operators/fold.h"
#include "operators/table.h"

#include <stdlib.h>

#include "base/memory.h"

/* ---- group_by: before the topic ---- */

struct group_by {
    struct callback fn;
    const struct codec *key_codec;
    const struct codec *value_codec;
};

/* Where a version of a row belongs. */
struct place {
    struct slice group; /* null: nowhere */
    struct slice value;
};

/* Finds the place of the row's version in `row`. One that the function or a codec fails for is in no group, whatever
 * the policy did with the item: so it never leaves a group that it has not entered. */
static void find_place(lua_State *L, struct node *node, const struct item *item, const struct datum *row,
                       struct place *place)
{
    const struct group_by *by = node->state;
    struct item version = *item;
    int top = lua_gettop(L);
    *place = (struct place){SLICE_NULL, SLICE_NULL};
    version.value = *row;
    if (row->null || !call_item(node, &version, &by->fn, 2)) {
        lua_settop(L, top);
        return;
    }
    int value = lua_gettop(L);
    struct place found;
    struct datum number = datum_of_value(L, value, by->value_codec);
    if (!lua_isnil(L, value) && !lua_isnil(L, value - 1) && flow_set_key(node, &version, value - 1, by->key_codec) &&
        flow_encode(node, &version, &version.key, by->key_codec, &found.group) &&
        flow_encode(node, &version, &number, by->value_codec, &found.value)) {
        *place = found;
    }
    lua_settop(L, top);
}

static int send_change(struct node *node, const struct item *item, struct slice group, struct change change)
{
    const struct group_by *by = node->state;
    struct item out = *item;
    out.key = datum_of_bytes(by->key_codec, group);
    out.value = datum_of_bytes(&codec_bytes, change_encode(op_arena(node->worker), &change));
    out.old = datum_null(&codec_bytes);
    out.change = false;
    return op_forward(node, &out);
}

static int group_by_body(lua_State *L, struct node *node, struct item *item)
{
    struct place before, now;
    datum_slot(L, &item->key); /* once for both versions */
    find_place(L, node, item, &item->old, &before);
    find_place(L, node, item, &item->value, &now);
    if (before.group.data && now.group.data && slice_equal(before.group, now.group)) {
        return send_change(node, item, now.group, (struct change){before.value, now.value}); /* S53 */
    }
    if (before.group.data && send_change(node, item, before.group, (struct change){before.value, SLICE_NULL})) {
        return -1;
    }
    return now.group.data ? send_change(node, item, now.group, (struct change){SLICE_NULL, now.value}) : 0;
}

static int group_by_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, group_by_body);
}

static void group_by_create(lua_State *L, struct node *node, int options)
{
    struct group_by *by = memory_alloc(sizeof(*by));
    node->state = by;
    call_bind(L, options, "fn", true, &by->fn);
    by->fn.name = "group_by";
    by->key_codec = operator_codec(L, options, "key_codec", &codec_string);
    by->value_codec = operator_codec(L, options, "value_codec", &codec_json);
    table_want_old(node->parents[0]);
}

static void close_state(struct node *node)
{
    free(node->state);
}

/* ---- aggregations: behind the topic ---- */

struct table_fold {
    struct table table;
    struct fold fold;
    const struct codec *row_codec; /* of the values that are put in and taken out */
};

/* The values come from a topic of the runtime, and are not trusted for that. */
static bool parse(struct node *node, struct item *item, struct change *change)
{
    const struct table_fold *state = node->state;
    const struct codec *codec = state->row_codec;
    struct err *err = op_error(node->worker);
    if (change_parse(item->value.bytes, change, err) ||
        (change->old_value.data && codec->check(codec, change->old_value, err)) ||
        (change->new_value.data && codec->check(codec, change->new_value, err))) {
        return call_fail_record(node, item, "the change of a group is bad: %s", err->text);
    }
    return true;
}

static bool count_change(lua_State *L, struct node *node, const struct change *change, const struct table_row *row,
                         struct slice *value)
{
    const struct table_fold *state = node->state;
    int64_t count = fold_count(L, &state->fold, row->value.bytes);
    if (change->old_value.data && row->found) {
        count--;
    }
    if (change->new_value.data) {
        count++;
    }
    *value = row->found || change->new_value.data ? fold_count_bytes(node, count) : SLICE_NULL;
    return true;
}

/* Pushes what the group has without the old value; nil: nothing. */
static bool take_out(lua_State *L, struct node *node, struct item *item, const struct change *change,
                     const struct table_row *row)
{
    const struct table_fold *state = node->state;
    if (!row->found) {
        lua_pushnil(L);
        return true;
    }
    fold_load(L, &state->fold, row->value.bytes);
    if (!change->old_value.data) {
        return true;
    }
    item->value = datum_of_bytes(state->row_codec, change->old_value);
    return fold_sub(L, node, item, &state->fold, lua_gettop(L));
}

/* Pushes what the value on top becomes with the new value. */
static bool put_in(lua_State *L, struct node *node, struct item *item, const struct change *change)
{
    const struct table_fold *state = node->state;
    if (!change->new_value.data) {
        return true;
    }
    if (lua_isnil(L, -1) && !fold_begin(L, node, item, &state->fold)) {
        return false;
    }
    item->value = datum_of_bytes(state->row_codec, change->new_value);
    return fold_add(L, node, item, &state->fold, lua_gettop(L));
}

static bool fold_change(lua_State *L, struct node *node, struct item *item, const struct change *change,
                        const struct table_row *row, struct slice *value)
{
    const struct table_fold *state = node->state;
    if (state->fold.kind == FOLD_COUNT) {
        return count_change(L, node, change, row, value);
    }
    return take_out(L, node, item, change, row) && put_in(L, node, item, change) &&
           fold_store(L, node, item, &state->fold, lua_gettop(L), value);
}

static int fold_body(lua_State *L, struct node *node, struct item *item)
{
    const struct table_fold *state = node->state;
    struct change change;
    struct slice key, value;
    struct table_row row;
    if (item->key.null || item->value.null) {
        op_drop(node, item->key.null ? DROP_NULL_KEY : DROP_NULL_VALUE, item);
        return 0;
    }
    if (!parse(node, item, &change) || !flow_encode(node, item, &item->key, state->table.key_codec, &key)) {
        return 0;
    }
    if (table_read(node, key, &row)) {
        return -1;
    }
    if (!fold_change(L, node, item, &change, &row, &value)) {
        return 0;
    }
    if (row.found && row.timestamp > item->timestamp) {
        item->timestamp = row.timestamp; /* S23 */
    }
    return table_change(node, item, key, value, &row);
}

static int fold_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, fold_body);
}

static void create_fold(lua_State *L, struct node *node, int options, enum fold_kind kind)
{
    struct table_fold *state = memory_alloc(sizeof(*state));
    node->state = state;
    table_bind(L, node, options, &state->table);
    fold_bind(L, options, kind, state->table.value_codec, state->table.store_name, &state->fold);
    state->row_codec = operator_codec(L, options, "row_codec", &codec_json);
}

static void count_create(lua_State *L, struct node *node, int options)
{
    create_fold(L, node, options, FOLD_COUNT);
}

static void reduce_create(lua_State *L, struct node *node, int options)
{
    create_fold(L, node, options, FOLD_REDUCE);
}

static void aggregate_create(lua_State *L, struct node *node, int options)
{
    create_fold(L, node, options, FOLD_AGGREGATE);
}

const struct operator operator_table_group_by = {
    .op = {"table_group_by", NULL, group_by_process, NULL, close_state},
    .usage = "table:group_by(function(key, value, rec) return group, value end [, { name, on_error, key, value }])",
    .text =
        "Groups the rows of a table by what the function returns first, and gives its second result to count, reduce "
        "or aggregate. A row for which either is nil is in no group. The function is called for a row's old version "
        "too, to take it out of its group, so it must depend on its arguments alone.",
    .create = group_by_create,
};

const struct operator operator_table_count = {
    .op = {"table_count", table_open, fold_process, table_flush, table_close},
    .usage = "grouped_table:count { store [, emit, changelog, ttl, name, on_error] }",
    .text = "A table with the number of rows in each group. A group that has lost all its rows stays, with 0.",
    .create = count_create,
};

const struct operator operator_table_reduce = {
    .op = {"table_reduce", table_open, fold_process, table_flush, table_close},
    .usage = "grouped_table:reduce { store, add = function(agg, value, rec) return agg end, "
             "sub = function(agg, value, rec) return agg end [, key, value, emit, changelog, ttl, name, on_error] }",
    .text =
        "A table with one value of each group: the first row's, then what add makes of it for each row that comes in "
        "and sub for each that goes out. A row that changes within its group is taken out and put in in one step. "
        "nil deletes the group.",
    .create = reduce_create,
};

const struct operator operator_table_aggregate = {
    .op = {"table_aggregate", table_open, fold_process, table_flush, table_close},
    .usage = "grouped_table:aggregate { store, init = function() return agg end, "
             "add = function(key, value, agg, rec) return agg end, "
             "sub = function(key, value, agg, rec) return agg end "
             "[, key, value, emit, changelog, ttl, name, on_error] }",
    .text = "A table with one aggregate of each group, begun by init; add puts a row in, sub takes one out. A row that "
            "changes within its group is taken out and put in in one step. nil deletes the group.",
    .create = aggregate_create,
};
