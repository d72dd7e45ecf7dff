#include "scripts/program.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

struct script_program {
    struct program base;
    char *script;
    const struct operator_table *operators;
    const struct connector_table *connectors;
    struct option_list overrides; /* "name=value" each */
    struct coverage *coverage;    /* NULL: none */
};

static struct host *host_of_instance(struct instance *instance)
{
    return (struct host *)instance;
}

/* ---- loading ---- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int run_script(struct host *host, void *data)
{
    (void)data;
    lua_State *L = host->L;
    struct err err;
    if (host_load_file(L, host->script, file_name(host->script), &err)) {
        host->failure = err;
        host->final = true;
        lua_pushstring(L, err.text);
        return lua_error(L);
    }
    uint64_t before = limits_begin(&host->limits);
    lua_call(L, 0, 0);
    if (host->graph && host->at_end) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, host->at_end);
        lua_call(L, 0, 0);
    }
    limits_restore(&host->limits, before);
    return 0;
}

static int check_built(const struct host *host, struct err *err)
{
    if (!host->graph) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "The script %s builds no app; begin with local app = require \"tidemill\".app \"NAME\".",
                       host->script);
    }
    if (graph_node_count(host->graph) == 0) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "The script %s builds an app without a single stream or table; add app:stream(\"TOPIC\").",
                       host->script);
    }
    return 0;
}

static int build(struct host *host, struct err *err)
{
    if (call_building(host, run_script, NULL, err) || check_built(host, err) || graph_finish(host->graph, err)) {
        return -1;
    }
    host->phase = HOST_READY;
    host_set_limits(host, (size_t)host->settings->lua_memory, host->settings->callback_ms);
    return 0;
}

static void free_settings(struct app_settings *settings)
{
    option_free(&app_options, settings);
    free(settings);
}

static int set_override(struct app_settings *settings, const char *text, struct err *err)
{
    if (strncmp(text, "kafka.", 6) == 0) {
        return option_set(&app_options, settings, "kafka", text + 6, err);
    }
    const char *equals = strchr(text, '=');
    char name[128];
    snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
    return option_set(&app_options, settings, name, equals + 1, err);
}

/* The defaults and what the command line says, which are in force while the script runs. */
static struct app_settings *make_settings(const struct option_list *overrides)
{
    struct app_settings *settings = memory_alloc(sizeof(*settings));
    struct err ignored; /* program_override has tried each */
    option_defaults(&app_options, settings);
    for (size_t i = 0; i < overrides->count; i++) {
        set_override(settings, overrides->items[i], &ignored);
    }
    return settings;
}

static void unload(struct instance *instance);

static int load(struct program *base, struct instance **instance, struct err *err)
{
    struct script_program *program = (struct script_program *)base;
    struct app_settings *settings = make_settings(&program->overrides);
    struct host_config config = {.script = program->script,
                                 .operators = program->operators,
                                 .connectors = program->connectors,
                                 .memory_limit = (size_t)settings->lua_memory,
                                 .callback_ms = settings->callback_ms,
                                 .coverage = program->coverage};
    option_free(&app_options, settings);
    option_defaults(&app_options, settings);
    struct host *host;
    if (host_open(&config, &host, err)) {
        free_settings(settings);
        return -1;
    }
    host->program = base;
    host->settings = settings;
    host->overrides = &program->overrides;
    if (build(host, err)) {
        unload((struct instance *)host);
        return -1;
    }
    *instance = (struct instance *)host;
    return 0;
}

/* ---- unloading ---- */

static int close_node(struct host *host, void *data)
{
    struct node *node = data;
    host->node = node;
    node->op->close(node);
    return 0;
}

static void close_nodes(struct host *host)
{
    for (int id = 0; host->graph && id < graph_node_count(host->graph); id++) {
        struct node *node = graph_node(host->graph, id);
        struct err err;
        if (node->state && node->op->close && call_protected(host, close_node, node, &err)) {
            log_event(LOG_WARN, "closing an operator failed", log_text("node", node->name),
                      log_text("cause", err.text));
        }
    }
}

static void unload(struct instance *instance)
{
    struct host *host = host_of_instance(instance);
    struct graph *graph = host->graph;
    struct app_settings *settings = host->settings;
    close_nodes(host);
    host_close(host);
    graph_free(graph);
    free_settings(settings);
}

/* ---- the instance ---- */

static struct graph *get_graph(struct instance *instance)
{
    return host_of_instance(instance)->graph;
}

static const struct app_settings *get_settings(struct instance *instance)
{
    return host_of_instance(instance)->settings;
}

static void bind(struct instance *instance, struct worker *worker)
{
    struct host *host = host_of_instance(instance);
    host->worker = worker;
    host->arena = op_arena(worker);
    for (int id = 0; id < graph_node_count(host->graph); id++) {
        graph_node(host->graph, id)->worker = worker;
    }
}

struct node_list {
    struct node *const *nodes;
    int count;
};

static int open_body(struct host *host, void *data)
{
    const struct node_list *list = data;
    for (int i = 0; i < list->count; i++) {
        host->node = list->nodes[i];
        if (host->node->op->open && host->node->op->open(host->node)) {
            return -1;
        }
    }
    return 0;
}

static int open_nodes(struct instance *instance, struct node *const *nodes, int count, struct err *err)
{
    struct node_list list = {nodes, count};
    if (call_protected(host_of_instance(instance), open_body, &list, err)) {
        return err->class == ERR_FATAL ? err_wrap(err, "opening the operators") : -1;
    }
    return 0;
}

static int flush_body(struct host *host, void *data)
{
    const struct node_list *list = data;
    for (int i = 0; i < list->count; i++) {
        host->node = list->nodes[i];
        if (host->node->op->flush && host->node->op->flush(host->node)) {
            return -1;
        }
    }
    return 0;
}

static int flush_nodes(struct instance *instance, struct node *const *nodes, int count, struct err *err)
{
    struct node_list list = {nodes, count};
    if (call_protected(host_of_instance(instance), flush_body, &list, err)) {
        return err->class == ERR_FATAL ? err_wrap(err, "emitting what was held back for the commit") : -1;
    }
    return 0;
}

static int settle_body(struct host *host, void *data)
{
    const struct node_list *list = data;
    for (int i = 0; i < list->count; i++) {
        host->node = list->nodes[i];
        if (operator_settle(host->node)) {
            return -1;
        }
    }
    return 0;
}

static int settle_nodes(struct instance *instance, struct node *const *nodes, int count, struct err *err)
{
    struct node_list list = {nodes, count};
    return call_protected(host_of_instance(instance), settle_body, &list, err);
}

/* ---- records and timers ---- */

struct source_call {
    struct node *source;
    const struct record *record;
};

/* The source names the codecs of key and value; here they are bytes. */
static int process_body(struct host *host, void *data)
{
    const struct source_call *call = data;
    const struct record *record = call->record;
    struct item item = {.key = datum_of_bytes(&codec_bytes, record->key),
                        .value = datum_of_bytes(&codec_bytes, record->value),
                        .old = datum_null(&codec_bytes),
                        .timestamp = record->timestamp,
                        .headers = &record->headers,
                        .source = record};
    host->node = call->source;
    return call->source->op->process(call->source, 0, &item);
}

static int name_record(const struct record *record, struct err *err)
{
    if (err->class == ERR_SKIP) {
        err->class = ERR_FATAL; /* an operator left it untreated */
    }
    if (err->class == ERR_FATAL) {
        err_wrap(err, "processing topic %s partition %" PRId32 " offset %" PRId64, record->topic, record->partition,
                 record->offset);
    }
    return -1;
}

/* What an entry of its own does for a record besides protecting it. */
static int process_in_round(struct host *host, const struct source_call *call, struct err *err)
{
    host->record = call->record;
    int result = process_body(host, (void *)call);
    host->record = NULL;
    host->node = NULL;
    host->epoch++;
    if (result) {
        *err = *op_error(host->worker);
    }
    return result;
}

static int process(struct instance *instance, struct node *source, const struct record *record, struct err *err)
{
    struct host *host = host_of_instance(instance);
    struct source_call call = {source, record};
    int result = host->in_round ? process_in_round(host, &call, err) : call_protected(host, process_body, &call, err);
    return result ? name_record(record, err) : 0;
}

struct round_call {
    int (*body)(void *data, struct err *err);
    void *data;
    struct err *err;
    int result;
};

static int round_body(struct host *host, void *data)
{
    struct round_call *call = data;
    host->in_round = true;
    call->result = call->body(call->data, call->err);
    return 0;
}

static int run_round(struct instance *instance, int (*body)(void *data, struct err *err), void *data, struct err *err)
{
    struct host *host = host_of_instance(instance);
    struct round_call call = {body, data, err, 0};
    int result = call_protected(host, round_body, &call, err);
    const struct record *record = host->record;
    host->in_round = false;
    host->record = NULL;
    if (result) {
        return record ? name_record(record, err) : -1;
    }
    return call.result;
}

struct timer_call {
    struct node *node;
    int (*fire)(struct node *, void *, int64_t);
    void *data;
    int64_t now;
};

static int punctuate_body(struct host *host, void *data)
{
    const struct timer_call *call = data;
    host->node = call->node;
    return call->fire(call->node, call->data, call->now);
}

static int punctuate(struct instance *instance, struct node *node, int (*fire)(struct node *, void *, int64_t),
                     void *data, int64_t now, struct err *err)
{
    struct host *host = host_of_instance(instance);
    struct timer_call call = {node, fire, data, now};
    int result = call_protected(host, punctuate_body, &call, err);
    host->epoch += host->in_round; /* else the entry has done it */
    if (result == 0) {
        return 0;
    }
    if (err->class == ERR_SKIP) {
        err->class = ERR_FATAL;
    }
    return err->class == ERR_FATAL ? err_wrap(err, "firing a timer at %" PRId64 " ms", now) : -1;
}

/* ---- the program ---- */

static const struct program_class script_class = {
    .load = load,
    .graph = get_graph,
    .settings = get_settings,
    .bind = bind,
    .open = open_nodes,
    .round = run_round,
    .process = process,
    .punctuate = punctuate,
    .flush = flush_nodes,
    .settle = settle_nodes,
    .unload = unload,
};

int program_open(const char *script, const struct operator_table *operators, const struct connector_table *connectors,
                 struct program **result, struct err *err)
{
    if (script[0] == '\0') {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The name of the script is empty; name a file.");
    }
    struct script_program *program = memory_alloc(sizeof(*program));
    program->base.class = &script_class;
    program->script = memory_copy_text(script);
    program->operators = operators;
    program->connectors = connectors;
    *result = &program->base;
    return 0;
}

void program_close(struct program *base)
{
    struct script_program *program = (struct script_program *)base;
    for (size_t i = 0; i < program->overrides.count; i++) {
        free(program->overrides.items[i]);
    }
    free(program->overrides.items);
    free(program->script);
    free(program);
}

void program_cover(struct program *base, struct coverage *coverage)
{
    ((struct script_program *)base)->coverage = coverage;
}

int program_override(struct program *base, const char *name, const char *value, struct err *err)
{
    struct script_program *program = (struct script_program *)base;
    char *text = memory_format("%s=%s", name, value);
    struct app_settings trial;
    option_defaults(&app_options, &trial);
    int result = set_override(&trial, text, err);
    option_free(&app_options, &trial);
    if (result == 0) {
        option_list_add(&program->overrides, text);
    }
    free(text);
    return result;
}

void program_codecs(struct instance *instance, const struct node *node, const char **key, const char **value)
{
    const struct host *host = host_of_instance(instance);
    const struct host_node *known = (size_t)node->id < host->node_count ? &host->nodes[node->id] : NULL;
    *key = known != NULL && known->key_codec != NULL ? known->key_codec->name : codec_string.name;
    *value = known != NULL && known->value_codec != NULL ? known->value_codec->name : codec_json.name;
}
