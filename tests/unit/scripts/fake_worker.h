/* A worker of a few lines and operators that show what scripts/ does with them: for the tests of call.c and program.c.
 * Defines the functions of op.h, so it is included by one file of a program.
 *
 * Ownership: a fixture is closed with fixture_close; everything it points to ends there.
 */
#ifndef TIDEMILL_TESTS_SCRIPTS_FAKE_WORKER_H
#define TIDEMILL_TESTS_SCRIPTS_FAKE_WORKER_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/metric.h"
#include "engine/worker.h"
#include "scripts/program.h"

struct worker {
    void *instance;
    struct err err;
    struct arena arena;
    struct metric_set *metrics;
    int skipped;
    int dead;
    char cause[ERR_TEXT_SIZE]; /* of the last dead letter */
    bool fail_dead_letter;
};

void *op_program(struct worker *worker)
{
    return worker->instance;
}

struct err *op_error(struct worker *worker)
{
    return &worker->err;
}

struct arena *op_arena(struct worker *worker)
{
    return &worker->arena;
}

void op_drop(struct node *node, enum op_drop reason, const struct item *item)
{
    (void)item;
    ck_assert_int_eq(reason, DROP_SKIPPED);
    node->worker->skipped++;
}

int op_dead_letter(struct node *node, const struct item *item, const struct err *cause)
{
    (void)item;
    struct worker *worker = node->worker;
    snprintf(worker->cause, sizeof(worker->cause), "%s", cause->text);
    if (worker->fail_dead_letter) {
        return err_set(&worker->err, ERR_FENCED, ERR_PROTOCOL, "The dead letter can't be written.");
    }
    worker->dead++;
    return 0;
}

int op_forward(struct node *node, struct item *item)
{
    for (int i = 0; i < node->child_count; i++) {
        struct item copy = *item;
        if (node->children[i]->op->process(node->children[i], 0, &copy)) {
            return -1;
        }
    }
    return 0;
}

const char *worker_name(const struct worker *worker)
{
    (void)worker;
    return "0_0";
}

struct metric_set *worker_metrics(struct worker *worker)
{
    return worker->metrics;
}

/* ---- operators ---- */

static int closed_count;
static int arrived_count;    /* items at the sink */
static char arrived[256];    /* value of the last one */
static struct node *calling; /* whose callback runs, for forward() in Lua */
static struct item *called_with;

static int source_process(struct node *node, int parent, struct item *item)
{
    (void)parent;
    struct err err;
    item->key = datum_of_bytes(&codec_string, item->source->key);
    item->value = datum_of_bytes(&codec_json, item->source->value);
    if (item->value.bytes.data && codec_json.check(&codec_json, item->value.bytes, &err)) {
        call_fail_record(node, item, "The value is bad: %s", err.text);
        return 0;
    }
    return op_forward(node, item);
}

static int peek_process(struct node *node, int parent, struct item *item)
{
    (void)parent;
    struct host *host = op_program(node->worker);
    int top = lua_gettop(host->L);
    calling = node;
    called_with = item;
    bool done = call_item(node, item, node->state, 0);
    lua_settop(host->L, top);
    return done ? op_forward(node, item) : 0;
}

/* As `process` does: what goes on is what the callback forwards. */
static int forwarding_process(struct node *node, int parent, struct item *item)
{
    (void)parent;
    struct host *host = op_program(node->worker);
    int top = lua_gettop(host->L);
    calling = node;
    called_with = item;
    call_item(node, item, node->state, 0);
    lua_settop(host->L, top);
    return 0;
}

static int map_process(struct node *node, int parent, struct item *item)
{
    (void)parent;
    struct host *host = op_program(node->worker);
    int top = lua_gettop(host->L);
    int result = 0;
    if (call_item(node, item, node->state, 1)) {
        if (lua_type(host->L, -1) == LUA_TBOOLEAN) {
            call_fail(node, item, "map_values must not return a %s", luaL_typename(host->L, -1));
        } else {
            item->value = datum_of_value(host->L, lua_gettop(host->L), &codec_json);
            result = op_forward(node, item);
        }
    }
    lua_settop(host->L, top);
    return result;
}

static int to_process(struct node *node, int parent, struct item *item)
{
    (void)parent;
    struct host *host = op_program(node->worker);
    struct slice bytes = datum_bytes(host->L, &item->value, &codec_json);
    snprintf(arrived, sizeof(arrived), "%.*s", (int)bytes.size, (const char *)bytes.data);
    arrived_count++;
    if (strcmp(arrived, "\"fenced\"") == 0) {
        return err_set(op_error(node->worker), ERR_FENCED, ERR_PROTOCOL, "Fenced by another process.");
    }
    return 0;
}

static void bind_create(lua_State *L, struct node *node, int options)
{
    struct callback *callback = memory_alloc(sizeof(*callback));
    node->state = callback;
    call_bind(L, options, "fn", false, callback);
}

static void bind_close(struct node *node)
{
    closed_count++;
    free(node->state);
}

static const struct operator fake_source = {.op = {"source", NULL, source_process, NULL, bind_close},
                                            .create = bind_create};
static const struct operator fake_peek = {.op = {"peek", NULL, peek_process, NULL, bind_close}, .create = bind_create};
static const struct operator fake_forwarding = {.op = {"select_key", NULL, forwarding_process, NULL, bind_close},
                                                .create = bind_create};
static const struct operator fake_map = {.op = {"map_values", NULL, map_process, NULL, bind_close},
                                         .create = bind_create};
static const struct operator fake_to = {.op = {"to", NULL, to_process, NULL, bind_close}, .create = bind_create};
static const struct operator* const fake_list[] = {&fake_source, &fake_peek, &fake_forwarding, &fake_map, &fake_to};
static const struct operator_table fake_operators = {fake_list, sizeof(fake_list) / sizeof(fake_list[0])};

/* ---- the fixture ---- */

struct fixture {
    char folder[64];
    char path[128]; /* pipeline.lua in the folder */
    struct program *program;
    struct instance *instance;
    struct host *host;
    struct worker worker;
    struct err err;
};

#define HEAD "local tm = require 'tidemill'\nlocal app = tm.app 'test'\n"

static inline void fixture_write(struct fixture *fixture, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static inline void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    arrived_count = 0;
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/tidemill-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof(fixture->path), "%s/pipeline.lua", fixture->folder);
    struct err err;
    ck_assert_int_eq(program_open(fixture->path, &fake_operators, NULL, &fixture->program, &err), 0);
    /* Slow machines: what has to be limited in time is tested in test_limits.c. */
    ck_assert_int_eq(program_override(fixture->program, "callback_ms", "1h", &err), 0);
}

static int forward_from_lua(lua_State *L)
{
    struct node *node = calling;
    struct item item = *called_with;
    if (lua_gettop(L) > 0) {
        item.value = datum_of_value(L, 1, &codec_json);
    }
    call_forward(L, node, &item);
    return 0;
}

/* 0 with the instance bound to the worker, or -1 with the error in fixture->err. */
static inline int fixture_load(struct fixture *fixture)
{
    if (fixture->program->class->load(fixture->program, &fixture->instance, &fixture->err)) {
        return -1;
    }
    fixture->host = (struct host *)fixture->instance;
    fixture->worker.instance = fixture->instance;
    fixture->program->class->bind(fixture->instance, &fixture->worker);
    lua_register(fixture->host->L, "forward", forward_from_lua);
    return 0;
}

static inline void fixture_unload(struct fixture *fixture)
{
    if (fixture->instance) {
        fixture->program->class->unload(fixture->instance);
    }
    fixture->instance = NULL;
    arena_free(&fixture->worker.arena);
}

/* The script follows HEAD: its first line is line 3. */
static inline void fixture_open(struct fixture *fixture, const char *script)
{
    char text[8192];
    fixture_init(fixture);
    snprintf(text, sizeof(text), "%s%s", HEAD, script);
    fixture_write(fixture, "pipeline.lua", text);
    if (fixture_load(fixture)) {
        ck_abort_msg("%s", fixture->err.text);
    }
}

static inline void fixture_close(struct fixture *fixture)
{
    char command[128];
    fixture_unload(fixture);
    program_close(fixture->program);
    snprintf(command, sizeof(command), "rm -r '%s'", fixture->folder);
    ck_assert_int_eq(system(command), 0);
}

/* One record of topic "in", partition 2, offset 7. */
static inline int fixture_send(struct fixture *fixture, const char *value)
{
    struct record record = {
        .key = slice_text("k"), .value = slice_text(value), .timestamp = 5, .offset = 7, .topic = "in", .partition = 2};
    int result = fixture->program->class->process(fixture->instance, graph_node(fixture->host->graph, 0), &record,
                                                  &fixture->err);
    arena_clear(&fixture->worker.arena);
    return result;
}

/* The error of a record contains the part. */
static inline void fixture_fails(struct fixture *fixture, const char *value, const char *part)
{
    if (fixture_send(fixture, value) == 0) {
        ck_abort_msg("the record was processed");
    }
    if (!strstr(fixture->err.text, part)) {
        ck_abort_msg("expected \"%s\" in: %s", part, fixture->err.text);
    }
}

#endif
