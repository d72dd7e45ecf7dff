#include "operators/table.h"

#include <stdlib.h>

#include "base/memory.h"
#include "engine/store_form.h"
#include "operators/all.h"
#include "operators/source.h"

void table_bind(lua_State *L, struct node *node, int options, struct table *table)
{
    (void)node;
    const char *emit = operator_text(L, options, "emit");
    table->emits_commits = emit && strcmp(emit, "commit") == 0;
    table->store_name = operator_text(L, options, "store");
    table->key_codec = operator_codec(L, options, "key_codec", &codec_string);
    table->value_codec = operator_codec(L, options, "value_codec", &codec_json);
}

int table_open(struct node *node)
{
    struct table *table = node->state;
    if (table->store_name) {
        table->store = op_store(node, table->store_name);
        table->ttl_ms = op_store_spec(node, table->store_name)->ttl_ms;
        op_look_ahead(node, table->store);
    }
    if (table->emits_commits) {
        table->held = held_new(((struct host *)op_program(node->worker))->settings->held_bytes);
    }
    return 0;
}

void table_close(struct node *node)
{
    struct table *table = node->state;
    held_free(table->held);
    free(table);
}

void table_look_ahead(struct node *node, const struct node *table)
{
    const struct table *state = table->state;
    while (!state->store_name && table->parent_count == 1) {
        table = table->parents[0];
        state = table->state;
    }
    if (state->store_name) {
        op_look_ahead(node, op_store(node, state->store_name));
    }
}

void table_want_old(struct node *node)
{
    struct table *table = node->state;
    if (table->old_wanted) {
        return;
    }
    table->old_wanted = true;
    for (int i = 0; !table->store_name && i < node->parent_count; i++) {
        table_want_old(node->parents[i]);
    }
}

/* Bytes that are not what the store was written with were restored from something else; they are shown as they are. */
static struct slice plain_value(const struct table *table, const struct store_entry *entry)
{
    struct slice value = entry->value;
    return table->headers && store_form_parse_value(entry->value, NULL, &value, NULL) ? value : entry->value;
}

int table_read(struct node *node, struct slice key, struct table_row *row)
{
    const struct table *table = node->state;
    struct store_entry entry;
    row->value = datum_null(table->value_codec);
    row->timestamp = -1;
    struct slice place = table->place ? table->place(node, key) : key;
    if (op_store_driver(node->worker)->get(table->store, place, &row->found, &entry, op_error(node->worker))) {
        return -1;
    }
    row->found = row->found && !op_expired(node->worker, table->ttl_ms, entry.timestamp);
    if (row->found) {
        row->value = datum_of_bytes(table->value_codec, arena_copy(op_arena(node->worker), plain_value(table, &entry)));
        row->timestamp = entry.timestamp;
    }
    return 0;
}

static int get_stored(struct node *node, struct item *item, struct table_row *row, bool *dropped)
{
    const struct table *table = node->state;
    struct slice key;
    *dropped = !flow_encode(node, item, &item->key, table->key_codec, &key);
    return *dropped ? 0 : table_read(node, key, row);
}

/* The parent's row, brought down to the table of `node`. */
static int get_derived(lua_State *L, struct node *node, struct item *item, struct table_row *row, bool *dropped)
{
    const struct table *table = node->state;
    if (table_get(L, node->parents[0], item, row, dropped)) {
        return -1;
    }
    if (!*dropped) {
        struct item derived = *item;
        derived.value = row->value;
        *dropped = !table->derive(L, node, &derived);
        row->value = derived.value;
        row->found = !derived.value.null;
    }
    return 0;
}

int table_get(lua_State *L, struct node *node, struct item *item, struct table_row *row, bool *dropped)
{
    const struct table *table = node->state;
    *dropped = false;
    if (table->get) {
        return table->get(L, node, item, row, dropped);
    }
    return table->store_name ? get_stored(node, item, row, dropped) : get_derived(L, node, item, row, dropped);
}

/* ---- changes ---- */

struct held_entry *table_hold(struct node *node, const struct item *item, struct slice key,
                              const struct table_row *before)
{
    const struct table *table = node->state;
    struct slice old = table->old_wanted ? before->value.bytes : SLICE_NULL;
    return held_note(table->held, key, before->found, old, item);
}

int table_relieve(struct node *node)
{
    const struct table *table = node->state;
    return held_full(table->held) ? node->op->flush(node) : 0;
}

/* A row that came and went since the last time is nothing to tell. */
static int emit_row(struct node *node, const struct held_entry *entry)
{
    const struct table *table = node->state;
    struct table_row row;
    if (table_read(node, entry->key, &row)) {
        return -1;
    }
    if (!row.found && !entry->existed) {
        return 0;
    }
    struct item item = {.key = datum_of_bytes(table->key_codec, entry->key),
                        .value = row.value,
                        .old = datum_of_bytes(table->value_codec, entry->before),
                        .change = true,
                        .timestamp = entry->timestamp,
                        .headers = &entry->headers};
    return op_forward(node, &item);
}

bool table_waits(const struct node *node)
{
    const struct table *table = node->state;
    return !table->held || (op_holds_back(node->worker) && !held_full(table->held));
}

int table_flush_now(struct node *node)
{
    const struct table *table = node->state;
    return table->held ? held_flush(table->held, node, emit_row) : 0;
}

int table_flush(struct node *node)
{
    return table_waits(node) ? 0 : table_flush_now(node);
}

int table_change(struct node *node, struct item *item, struct slice key, struct slice value,
                 const struct table_row *before)
{
    const struct table *table = node->state;
    struct worker *worker = node->worker;
    struct slice place = table->place ? table->place(node, key) : key;
    if (op_store_driver(worker)->put(table->store, place, value, item->timestamp, op_error(worker))) {
        return -1;
    }
    if (table->held) {
        table_hold(node, item, key, before);
        return table_relieve(node);
    }
    item->change = true;
    item->value = datum_of_bytes(table->value_codec, value);
    item->old = table->old_wanted ? before->value : datum_null(table->value_codec);
    return op_forward(node, item);
}

/* ---- table_source ---- */

struct table_source {
    struct table table;
    struct source source;
};

/* Writes what came as the row of its key: tombstones delete, the last one to arrive wins (S7, S28). */
static int replace_row(struct node *node, struct item *item, struct slice key, struct slice value)
{
    const struct table *table = node->state;
    struct table_row before;
    if (table_wants_before(table) && table_read(node, key, &before)) {
        return -1;
    }
    return table_change(node, item, key, value, &before);
}

static int table_source_body(lua_State *L, struct node *node, struct item *item)
{
    const struct table_source *source = node->state;
    if (!source_take(L, node, &source->source, item)) {
        return 0;
    }
    if (item->key.null) {
        op_drop(node, DROP_NULL_KEY, item);
        return 0;
    }
    return replace_row(node, item, item->key.bytes, item->value.bytes);
}

static int table_source_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, table_source_body);
}

static void table_source_create(lua_State *L, struct node *node, int options)
{
    struct table_source *source = memory_alloc(sizeof(*source));
    node->state = source;
    table_bind(L, node, options, &source->table);
    source_bind(L, node, options, &source->source);
}

/* ---- to_table ---- */

static int to_table_body(lua_State *L, struct node *node, struct item *item)
{
    (void)L;
    const struct table *table = node->state;
    struct slice key, value;
    if (item->key.null) {
        op_drop(node, DROP_NULL_KEY, item);
        return 0;
    }
    if (!flow_encode(node, item, &item->key, table->key_codec, &key) ||
        !flow_encode(node, item, &item->value, table->value_codec, &value)) {
        return 0;
    }
    return replace_row(node, item, key, value);
}

static int to_table_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, to_table_body);
}

static void to_table_create(lua_State *L, struct node *node, int options)
{
    struct table *table = memory_alloc(sizeof(*table));
    node->state = table;
    table_bind(L, node, options, table);
}

const struct operator operator_table_source = {
    .op = {"table_source", table_open, table_source_process, table_flush, table_close},
    .usage = "app:table(topic, { store [, key, value, timestamp, reset, emit, changelog, ttl, name, on_error] })",
    .text =
        "A table of the last value of each key in the topic. A null value deletes the row; records without a key are "
        "dropped and counted.",
    .create = table_source_create,
};

const struct operator operator_to_table = {
    .op = {"to_table", table_open, to_table_process, table_flush, table_close},
    .usage = "stream:to_table { store [, key, value, emit, changelog, ttl, name, on_error] }",
    .text = "A table of the last value of each key of the stream. A null value deletes the row.",
    .create = to_table_create,
};
