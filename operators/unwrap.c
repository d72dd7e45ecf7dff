/* unwrap: change events in Debezium's form become the rows that they leave behind. */
#include "operators/all.h"
#include "operators/flow.h"

#include "base/json.h"

/* What becomes of the event: the row after it, a tombstone (null), or nothing (false). */
static bool row_after(struct slice event, struct slice *row)
{
    struct slice op, after;
    if (!json_member(event, slice_text("op"), &op) || !json_member(event, slice_text("after"), &after)) {
        return false;
    }
    *row = json_type(after) == JSON_NULL ? SLICE_NULL : after;
    return true;
}

static bool is_event(struct slice value)
{
    return json_check(value, NULL) && json_type(value) == JSON_OBJECT;
}

static int unwrap(lua_State *L, struct node *node, struct item *item)
{
    (void)L;
    struct slice value, row;
    if (item->value.null) {
        return 0; /* the deletion before it has become the tombstone */
    }
    if (!flow_encode(node, item, &item->value, &codec_json, &value)) {
        return 0;
    }
    if (!is_event(value) || !row_after(value, &row)) {
        call_fail_record(node, item, "the value is no change event: it has no \"op\" and \"after\"");
        return 0;
    }
    if (!row.data && item->key.null) {
        return 0; /* a truncated table, or a deletion that no row can be found by */
    }
    item->value = datum_of_bytes(&codec_json, row);
    return op_forward(node, item);
}

static int unwrap_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, unwrap);
}

static void unwrap_create(lua_State *L, struct node *node, int options)
{
    (void)L, (void)node, (void)options;
}

static void unwrap_close(struct node *node)
{
    (void)node;
}

const struct operator operator_unwrap = {
    .op = {"unwrap", NULL, unwrap_process, NULL, unwrap_close},
    .usage = "stream:unwrap([{ name, on_error }])",
    .text = "Takes the row after the change out of change events (op, before, after, source) as connectors of "
            "databases make them: inserts, updates and snapshots become rows, deletions become tombstones.",
    .create = unwrap_create,
    .per_record = true,
};
