/* Foreign-key joins of tables, as Kafka Streams does them (KIP-213). Three operators:
 *
 * foreign_key           behind the left table: registers each row with the right row that it names, where that one is
 * foreign_key_response  behind the right table: keeps the registrations; answers new ones, and all of a row that
 * changes foreign_key_join      where the left table is: joins what was answered, unless the left row has changed
 * meanwhile
 */
#include "operators/all.h"
#include "operators/foreign_key_message.h"
#include "operators/joiner.h"
#include "operators/table.h"

#include <stdlib.h>

#include "base/memory.h"
#include "scripts/rec.h"

static struct node *node_option(lua_State *L, int options, const char *field)
{
    lua_getfield(L, options, field);
    struct node *node = graph_node(host_of(L)->graph, (int)lua_tointeger(L, -1));
    lua_pop(L, 1);
    return node;
}

/* ---- foreign_key ---- */

struct foreign_key {
    const char *topic;
    struct output *output;
    struct callback fn;
    const struct codec *key_codec; /* of the left table */
    const struct codec *value_codec;
    const struct codec *foreign_codec; /* of the right table's keys */
    bool left;                         /* rows without a right one have a result too */
};

/* A call of the function for one row; its values are made of bytes, because the call has a stack of its own. */
struct extraction {
    const struct foreign_key *foreign;
    struct item *item;
    struct slice key;
    struct slice value;
    struct slice foreign_key; /* the result; null: none */
};

/* [extraction] on the stack. */
static int extract_body(lua_State *L)
{
    struct extraction *extraction = lua_touserdata(L, 1);
    const struct foreign_key *foreign = extraction->foreign;
    struct datum key = datum_of_bytes(foreign->key_codec, extraction->key);
    struct datum value = datum_of_bytes(foreign->value_codec, extraction->value);
    int parameters = foreign->fn.parameters;
    call_push(L, &foreign->fn);
    int function = lua_gettop(L);
    if (parameters > 0) {
        datum_slot(L, &key);
    }
    if (parameters > 1) {
        datum_slot(L, &value);
    }
    if (parameters > 2) {
        rec_push(L, extraction->item, false);
    }
    lua_call(L, lua_gettop(L) - function, 1);
    int type = lua_type(L, -1);
    if (type != LUA_TSTRING && type != LUA_TNIL &&
        (foreign->foreign_codec == &codec_string || foreign->foreign_codec == &codec_bytes)) {
        luaL_error(L, "foreign_key gave a %s; a key is a string here (tostring it, or name another key codec)",
                   lua_typename(L, type));
    }
    struct datum result = datum_of_value(L, lua_gettop(L), foreign->foreign_codec);
    extraction->foreign_key = datum_bytes(L, &result, foreign->foreign_codec);
    return 0;
}

static void push_extraction(lua_State *L, struct extraction *extraction)
{
    extraction->foreign_key = SLICE_NULL;
    lua_pushcfunction(L, extract_body);
    lua_pushlightuserdata(L, extraction);
}

/* The key that the row had before. A row for which the function fails has none, so that one that was dropped for it
 * does not keep its successors from being joined. */
static void extract_old(lua_State *L, struct node *node, struct extraction *extraction)
{
    struct host *host = host_of(L);
    push_extraction(L, extraction);
    uint64_t before = limits_begin(&host->limits);
    int status = LUA_OK;
    if (node->policy == POLICY_FAIL && !node->policy_by_function) {
        lua_call(L, 1, 0);
    } else {
        status = lua_pcall(L, 1, 0, 0);
    }
    limits_restore(&host->limits, before);
    if (status != LUA_OK && (status != LUA_ERRRUN || host->final)) {
        lua_error(L);
    }
    if (status != LUA_OK) {
        lua_pop(L, 1);
        extraction->foreign_key = SLICE_NULL;
    }
}

/* A change of a left row. */
struct left_change {
    struct slice key;
    struct slice value;
    struct slice old_foreign_key;
    struct slice foreign_key;
};

/* False: the item was dropped. */
static bool read_change(lua_State *L, struct node *node, struct item *item, struct left_change *change)
{
    const struct foreign_key *foreign = node->state;
    struct extraction extraction = {.foreign = foreign, .item = item};
    *change = (struct left_change){SLICE_NULL, SLICE_NULL, SLICE_NULL, SLICE_NULL};
    struct slice old;
    if (!flow_encode(node, item, &item->key, foreign->key_codec, &change->key) ||
        !flow_encode(node, item, &item->value, foreign->value_codec, &change->value) ||
        !flow_encode(node, item, &item->old, foreign->value_codec, &old)) {
        return false;
    }
    extraction.key = change->key;
    if (change->value.data) {
        extraction.value = change->value;
        push_extraction(L, &extraction);
        if (!call_run(node, item, 1, 0)) {
            return false;
        }
        change->foreign_key = extraction.foreign_key;
    }
    if (old.data) {
        extraction.value = old;
        extract_old(L, node, &extraction);
        change->old_foreign_key = extraction.foreign_key;
    }
    return true;
}

static int register_row(struct node *node, struct item *item, const struct left_change *change,
                        struct slice foreign_key, enum foreign_key_instruction instruction)
{
    struct foreign_key *foreign = node->state;
    struct worker *worker = node->worker;
    struct foreign_key_registration registration = {
        .instruction = instruction,
        .version = foreign_key_version_of(change->value),
        .partition = op_partition(worker),
        .primary_key = change->key,
    };
    struct record record = {
        .key = foreign_key,
        .value = foreign_key_registration_encode(op_arena(worker), &registration),
        .headers = *item->headers,
        .timestamp = item->timestamp,
        .offset = -1,
    };
    if (!foreign->output && !(foreign->output = op_output(worker, foreign->topic))) {
        return -1;
    }
    return op_produce(worker, foreign->output, -1, &record) ? flow_fail(node, item) : 0;
}

/* Inner joins: what can't have had a result does not send a tombstone. A row that names none may have one nevertheless:
 * that of an earlier version, while the answer that ends it is stale by now. */
static int register_inner(struct node *node, struct item *item, const struct left_change *change)
{
    struct slice old = change->old_foreign_key, new = change->foreign_key;
    if (!new.data && old.data) {
        return register_row(node, item, change, old, UNSUBSCRIBE_ANSWER);
    }
    if (!new.data) {
        bool changed = change->value.data || !item->old.null;
        return changed ? register_row(node, item, change, SLICE_NULL, SUBSCRIBE_QUIETLY) : 0;
    }
    if (!old.data || slice_equal(old, new)) {
        return register_row(node, item, change, new, SUBSCRIBE_QUIETLY);
    }
    return register_row(node, item, change, old, UNSUBSCRIBE) ? -1 : register_row(node, item, change, new, SUBSCRIBE);
}

/* Left joins: every change has a result. A registration without a foreign key is answered, too. */
static int register_left(struct node *node, struct item *item, const struct left_change *change)
{
    struct slice old = change->old_foreign_key;
    if (!change->value.data && item->old.null) {
        return 0;
    }
    if (old.data && !slice_equal(old, change->foreign_key) && register_row(node, item, change, old, UNSUBSCRIBE)) {
        return -1;
    }
    return register_row(node, item, change, change->foreign_key, SUBSCRIBE);
}

static int foreign_body(lua_State *L, struct node *node, struct item *item)
{
    const struct foreign_key *foreign = node->state;
    struct left_change change;
    if (!read_change(L, node, item, &change)) {
        return 0;
    }
    return foreign->left ? register_left(node, item, &change) : register_inner(node, item, &change);
}

static int foreign_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, foreign_body);
}

static int foreign_open(struct node *node)
{
    struct foreign_key *foreign = node->state;
    foreign->output = NULL;
    return 0;
}

static void foreign_create(lua_State *L, struct node *node, int options)
{
    struct foreign_key *foreign = memory_alloc(sizeof(*foreign));
    node->state = foreign;
    foreign->topic = operator_text(L, options, "topic");
    call_bind(L, options, "foreign_key", true, &foreign->fn);
    foreign->key_codec = operator_codec(L, options, "left_key_codec", &codec_string);
    foreign->value_codec = operator_codec(L, options, "left_codec", &codec_json);
    foreign->foreign_codec = operator_codec(L, options, "key_codec", &codec_string);
    lua_getfield(L, options, "left");
    foreign->left = lua_toboolean(L, -1);
    lua_pop(L, 1);
    table_want_old(node->parents[0]);
}

static void close_state(struct node *node)
{
    free(node->state);
}

/* ---- foreign_key_response ---- */

enum { FROM_LEFT, FROM_RIGHT }; /* numbers of the parents: the registrations, the right table */

struct response {
    const char *topic;
    struct output *output;
    const char *store_name;
    struct store *store;
    const struct codec *key_codec; /* of the right table */
    const struct codec *value_codec;
};

static int respond(struct node *node, const struct item *item, const struct foreign_key_registration *to,
                   enum foreign_key_found found, struct slice value, int64_t timestamp)
{
    struct response *response = node->state;
    struct worker *worker = node->worker;
    struct foreign_key_response answer = {to->version, found, value};
    struct record record = {
        .key = to->primary_key,
        .value = foreign_key_response_encode(op_arena(worker), &answer),
        .headers = *item->headers,
        .timestamp = timestamp,
        .offset = -1,
    };
    if (!response->output && !(response->output = op_output(worker, response->topic))) {
        return -1;
    }
    return op_produce(worker, response->output, to->partition, &record);
}

/* Without the primary key, which is in the entry's key. */
static int keep_registration(struct node *node, const struct item *item, struct slice foreign_key,
                             const struct foreign_key_registration *registration)
{
    const struct response *response = node->state;
    struct worker *worker = node->worker;
    struct arena *arena = op_arena(worker);
    struct foreign_key_registration kept = *registration;
    kept.primary_key = SLICE_NULL;
    struct slice key = foreign_key_subscription_key(arena, foreign_key, registration->primary_key);
    bool ends = registration->instruction == UNSUBSCRIBE || registration->instruction == UNSUBSCRIBE_ANSWER;
    struct slice value = ends ? SLICE_NULL : foreign_key_registration_encode(arena, &kept);
    return op_store_driver(worker)->put(response->store, key, value, item->timestamp, op_error(worker));
}

static int answer_registration(struct node *node, struct item *item,
                               const struct foreign_key_registration *registration, struct table_row *row)
{
    const struct response *response = node->state;
    struct slice value;
    int64_t timestamp = row->timestamp > item->timestamp ? row->timestamp : item->timestamp; /* S27 */
    enum foreign_key_found found = row->value.null ? FOUND_NOTHING : FOUND_ROW;
    if (!flow_encode(node, item, &row->value, response->value_codec, &value)) {
        return 0;
    }
    switch (registration->instruction) {
    case UNSUBSCRIBE:
        return 0;
    case UNSUBSCRIBE_ANSWER:
        found = FOUND_NOTHING;
        value = SLICE_NULL;
        break;
    case SUBSCRIBE_QUIETLY:
        found = found == FOUND_NOTHING ? FOUND_NOTHING_QUIETLY : found;
        break;
    default:
        break;
    }
    return respond(node, item, registration, found, value, timestamp) ? flow_fail(node, item) : 0;
}

static int registration_body(lua_State *L, struct node *node, struct item *item)
{
    struct worker *worker = node->worker;
    struct foreign_key_registration registration;
    struct table_row row = {.value = datum_null(&codec_json), .timestamp = -1};
    bool dropped = false;
    if (foreign_key_registration_parse(item->value.bytes, &registration, op_error(worker))) {
        return flow_fail(node, item);
    }
    if (item->key.null) {
        return answer_registration(node, item, &registration, &row);
    }
    if (keep_registration(node, item, item->key.bytes, &registration) ||
        table_get(L, node->parents[FROM_RIGHT], item, &row, &dropped)) {
        return -1;
    }
    return dropped ? 0 : answer_registration(node, item, &registration, &row);
}

/* One entry of the store that belongs to the right row. */
static int answer_subscription(struct node *node, const struct item *item, size_t prefix,
                               const struct store_entry *entry, struct slice value)
{
    struct foreign_key_registration registration;
    if (foreign_key_registration_parse(entry->value, &registration, op_error(node->worker))) {
        return err_set(
            op_error(node->worker), ERR_FATAL, ERR_CORRUPT,
            "The store %s has an entry that is no subscription; was the name used for something else before?",
            ((const struct response *)node->state)->store_name);
    }
    registration.primary_key = slice_of(entry->key.data + prefix, entry->key.size - prefix);
    enum foreign_key_found found = value.data ? FOUND_ROW : FOUND_NOTHING;
    return respond(node, item, &registration, found, value,
                   item->timestamp); /* not the left row's, even if that is later */
}

/* No call of Lua comes while the cursor is open. Each answer leaves the arena again: a row may have a million of them.
 */
static int answer_all(struct node *node, const struct item *item, struct slice foreign_key, struct slice value)
{
    const struct response *response = node->state;
    const struct store_driver *stores = op_store_driver(node->worker);
    struct err *err = op_error(node->worker);
    struct arena *arena = op_arena(node->worker);
    struct slice prefix = foreign_key_subscription_key(arena, foreign_key, SLICE_NULL);
    struct store_cursor *cursor;
    struct store_entry entry;
    bool found;
    if (stores->prefix(response->store, prefix, &cursor, err)) {
        return -1;
    }
    int result;
    while ((result = stores->next(cursor, &found, &entry, err)) == 0 && found) {
        struct arena_mark mark = arena_mark(arena);
        result = answer_subscription(node, item, prefix.size, &entry, value);
        arena_reset(arena, mark);
        if (result) {
            break;
        }
    }
    stores->end(cursor);
    return result;
}

static int right_body(lua_State *L, struct node *node, struct item *item)
{
    (void)L;
    const struct response *response = node->state;
    struct slice key, value;
    if (!flow_encode(node, item, &item->key, response->key_codec, &key) ||
        !flow_encode(node, item, &item->value, response->value_codec, &value)) {
        return 0;
    }
    return answer_all(node, item, key, value) ? flow_fail(node, item) : 0;
}

static int response_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, parent == FROM_LEFT ? registration_body : right_body);
}

static int response_open(struct node *node)
{
    struct response *response = node->state;
    response->output = NULL;
    response->store = op_store(node, response->store_name);
    return 0;
}

static void response_create(lua_State *L, struct node *node, int options)
{
    struct response *response = memory_alloc(sizeof(*response));
    node->state = response;
    response->topic = operator_text(L, options, "topic");
    response->store_name = operator_text(L, options, "store");
    response->key_codec = operator_codec(L, options, "key_codec", &codec_string);
    response->value_codec = operator_codec(L, options, "value_codec", &codec_json);
}

/* ---- foreign_key_join ---- */

struct foreign_join {
    struct table table;
    struct joiner joiner;
    struct node *left_table;
    const struct codec *left_codec;
    const struct codec *right_codec;
    bool left;
};

/* `quiet`: only if there is a row, which it deletes. */
static int write_result(struct node *node, struct item *item, bool quiet)
{
    const struct foreign_join *join = node->state;
    struct table_row before;
    struct slice key, value;
    if (!flow_encode(node, item, &item->key, join->table.key_codec, &key) ||
        !flow_encode(node, item, &item->value, join->table.value_codec, &value)) {
        return 0;
    }
    if ((quiet || table_wants_before(&join->table)) && table_read(node, key, &before)) {
        return -1;
    }
    return quiet && !before.found ? 0 : table_change(node, item, key, value, &before);
}

static int join_response(lua_State *L, struct node *node, struct item *item, struct datum *left,
                         const struct foreign_key_response *response)
{
    const struct foreign_join *join = node->state;
    struct datum value = datum_of_bytes(join->right_codec, response->value);
    item->value = datum_null(join->joiner.value_codec);
    if (!left->null && (join->left || !value.null) &&
        !joiner_call(L, node, item, &join->joiner, left, &value, &item->value)) {
        return 0;
    }
    return write_result(node, item, response->found == FOUND_NOTHING_QUIETLY);
}

/* An answer to an earlier version of the left row is dropped: that to the present one is on its way. */
static int response_body(lua_State *L, struct node *node, struct item *item)
{
    const struct foreign_join *join = node->state;
    struct foreign_key_response response;
    struct table_row row;
    struct slice left;
    bool dropped;
    if (foreign_key_response_parse(item->value.bytes, &response, op_error(node->worker))) {
        return flow_fail(node, item);
    }
    if (table_get(L, join->left_table, item, &row, &dropped)) {
        return -1;
    }
    if (dropped || !flow_encode(node, item, &row.value, join->left_codec, &left)) {
        return 0;
    }
    struct foreign_key_version present = foreign_key_version_of(left);
    if (!foreign_key_version_equal(&present, &response.version)) {
        return 0;
    }
    return join_response(L, node, item, &row.value, &response);
}

static int join_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, response_body);
}

static void create(lua_State *L, struct node *node, int options, bool left)
{
    struct foreign_join *join = memory_alloc(sizeof(*join));
    node->state = join;
    join->left = left;
    table_bind(L, node, options, &join->table);
    joiner_bind(L, node, options, &join->joiner);
    join->joiner.fn.name = left ? "left_join" : "join";
    join->left_table = node_option(L, options, "table");
    join->left_codec = operator_codec(L, options, "left_codec", &codec_json);
    join->right_codec = operator_codec(L, options, "right_codec", &codec_json);
}

static void join_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, false);
}

static void left_join_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, true);
}

/* ---- operators ---- */

const struct operator operator_foreign_key = {
    .op = {"foreign_key", foreign_open, foreign_process, NULL, close_state},
    .usage = NULL,
    .text = "Registers the rows of the left table of a foreign-key join with those that they name.",
    .create = foreign_create,
};

const struct operator operator_foreign_key_response = {
    .op = {"foreign_key_response", response_open, response_process, NULL, close_state},
    .usage = NULL,
    .text = "Answers registrations with the rows of the right table of a foreign-key join.",
    .create = response_create,
};

const struct operator operator_foreign_key_join = {
    .op = {"foreign_key_join", table_open, join_process, table_flush, table_close},
    .usage =
        "table:join(table, function(key, left, right, rec) return value end, { foreign_key = function(key, value, rec) "
        "return right_key end, store [, value, emit, changelog, ttl, name, on_error] })",
    .text = "Joins each row with the row of the right table that it names, and follows the changes of both. Rows that "
            "name none (nil), or one that is not there, have no result. The tables need not have the same number of "
            "partitions: rows register with those that they name through the topics <app>-<store>-registration and "
            "<app>-<store>-response of the runtime. The results are kept in the store, the registrations in "
            "<store>-subscription.",
    .create = join_create,
};

const struct operator operator_foreign_key_left_join = {
    .op = {"foreign_key_left_join", table_open, join_process, table_flush, table_close},
    .usage =
        "table:left_join(table, function(key, left, right, rec) return value end, { foreign_key = function(key, value, "
        "rec) return right_key end, store [, value, emit, changelog, ttl, name, on_error] })",
    .text = "As join with a foreign key, but rows without one on the right are joined with nil.",
    .create = left_join_create,
};
