#include "engine/driver.h"

#include "base/memory.h"

#include <stdlib.h>

/* A pipeline that writes what it reads never comes to rest; this many rounds without rest are taken for one. */
#define ROUNDS_MAX 100000

/* A topic that records came out of. */
struct driver_topic {
    const char *name; /* the transport's: compared by address */
    bool internal;
    size_t next; /* outputs before it are taken, or of other topics */
};

struct driver_output {
    struct record record;
    bool taken;
};

struct driver {
    struct driver_config config;
    struct app_settings settings;
    struct clock clock;
    struct instance *instance;
    struct graph *graph;
    struct transport *transport;
    struct topic_plan *plan;
    struct stream_thread *thread;
    struct err failure; /* of the thread, which can't go on */
    bool failed;
    struct driver_topic *topics;
    size_t topic_count;
    size_t topic_capacity;
    struct driver_output *outputs;
    size_t output_count;
    size_t output_capacity;
    size_t next; /* outputs before it are taken */
};

/* ---- outputs ---- */

/* What a sink reads is what the pipeline gives it: the driver runs no connectors, so that is an output. */
static bool is_of_sink(const struct driver *driver, const char *name)
{
    for (int id = 0; id < graph_node_count(driver->graph); id++) {
        const struct connector_use *use = graph_node(driver->graph, id)->connector;
        if (use && use->through && strcmp(use->through, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_internal(const struct driver *driver, const char *name)
{
    const struct planned_topic *topic = topic_plan_find(driver->plan, name);
    return topic != NULL && (topic->changelog || topic->role == TOPIC_REPARTITION || topic->role == TOPIC_POSITIONS) &&
           !is_of_sink(driver, name);
}

static struct driver_topic *topic_of(struct driver *driver, const char *name)
{
    for (size_t i = 0; i < driver->topic_count; i++) {
        if (driver->topics[i].name == name) {
            return &driver->topics[i];
        }
    }
    driver->topics =
        memory_grow(driver->topics, driver->topic_count, &driver->topic_capacity, sizeof(struct driver_topic));
    struct driver_topic *topic = &driver->topics[driver->topic_count++];
    *topic = (struct driver_topic){.name = name, .internal = is_internal(driver, name), .next = driver->output_count};
    return topic;
}

/* The record's bytes live as long as the transport, hence as the driver. */
static void take_output(void *self, const struct record *record)
{
    struct driver *driver = self;
    if (topic_of(driver, record->topic)->internal) {
        return;
    }
    driver->outputs =
        memory_grow(driver->outputs, driver->output_count, &driver->output_capacity, sizeof(struct driver_output));
    driver->outputs[driver->output_count++] = (struct driver_output){*record, false};
}

const char *driver_topics(struct driver *driver, size_t index)
{
    for (size_t i = 0; i < driver->topic_count; i++) {
        if (!driver->topics[i].internal && index-- == 0) {
            return driver->topics[i].name;
        }
    }
    return NULL;
}

bool driver_take(struct driver *driver, struct record *record)
{
    while (driver->next < driver->output_count && driver->outputs[driver->next].taken) {
        driver->next++;
    }
    if (driver->next == driver->output_count) {
        return false;
    }
    driver->outputs[driver->next].taken = true;
    *record = driver->outputs[driver->next++].record;
    return true;
}

static struct driver_topic *find_topic(struct driver *driver, const char *name)
{
    for (size_t i = 0; i < driver->topic_count; i++) {
        if (strcmp(driver->topics[i].name, name) == 0) {
            return &driver->topics[i];
        }
    }
    return NULL;
}

bool driver_take_from(struct driver *driver, const char *topic, struct record *record)
{
    struct driver_topic *found = find_topic(driver, topic);
    while (found != NULL && found->next < driver->output_count) {
        struct driver_output *output = &driver->outputs[found->next++];
        if (!output->taken && output->record.topic == found->name) {
            output->taken = true;
            *record = output->record;
            return true;
        }
    }
    return false;
}

/* ---- opening and closing ---- */

/* The settings of the script, except that commits come as soon as there is nothing left to process. */
static void prepare_settings(struct driver *driver)
{
    const struct driver_config *config = &driver->config;
    driver->settings =
        *(config->settings != NULL ? config->settings : config->program->class->settings(driver->instance));
    driver->settings.commit_min_ms = 0;
    driver->settings.partitions = config->partitions > 0 ? config->partitions : 1;
    driver->settings.threads = 1;
}

static int open_transport(struct driver *driver, struct err *err)
{
    struct memory_transport_config config = {
        .default_partitions = (int32_t)driver->settings.partitions,
        .create_topics = true,
        .timeless = true,
        .committed = take_output,
        .self = driver,
        .clock = &driver->clock,
    };
    return memory_transport_open(&config, &driver->transport, err);
}

static int open_thread(struct driver *driver, struct err *err)
{
    struct stream_thread_config config = {
        .settings = &driver->settings,
        .program = driver->config.program,
        .graph = driver->graph,
        .plan = driver->plan,
        .stores = driver->config.stores,
        .transport = driver->transport,
        .clock = &driver->clock,
        .threads = 1,
        .holds_back = true,
        .no_connectors = true,
        .restore_inline = true,
    };
    return stream_thread_open(&config, &driver->thread, err);
}

/* The thread's failure is remembered: a later call must not look as if it had worked. */
static int fail(struct driver *driver, const struct err *err)
{
    driver->failure = *err;
    driver->failed = true;
    return -1;
}

static int run_until_idle(struct driver *driver, struct err *err)
{
    if (driver->failed) {
        *err = driver->failure;
        return -1;
    }
    for (int round = 0; round < ROUNDS_MAX; round++) {
        bool worked = false;
        if (stream_thread_step(driver->thread, 0, &worked, err) != 0) {
            return fail(driver, err);
        }
        if (!worked && stream_thread_waits(driver->thread)) {
            return 0;
        }
    }
    err_set(err, ERR_FATAL, ERR_FAILED,
            "The pipeline does not come to rest: after %d rounds it still reads what it writes itself.", ROUNDS_MAX);
    return fail(driver, err);
}

static int open_parts(struct driver *driver, struct err *err)
{
    const struct program_class *class = driver->config.program->class;
    if (class->load(driver->config.program, &driver->instance, err) != 0) {
        return -1;
    }
    driver->graph = class->graph(driver->instance);
    prepare_settings(driver);
    if (open_transport(driver, err) != 0 ||
        topic_plan_make(driver->graph, &driver->settings, driver->transport, true, false, NULL, &driver->plan, err) !=
            0 ||
        open_thread(driver, err) != 0) {
        return -1;
    }
    return run_until_idle(driver, err);
}

int driver_open(const struct driver_config *config, struct driver **driver, struct err *err)
{
    struct driver *opened = memory_alloc(sizeof *opened);
    opened->config = *config;
    opened->clock = (struct clock){.manual = true, .manual_ms = 0};
    if (open_parts(opened, err) != 0) {
        driver_close(opened);
        return -1;
    }
    *driver = opened;
    return 0;
}

void driver_close(struct driver *driver)
{
    struct err ignored; /* what came out has been looked at; nothing is kept beyond the driver */
    if (driver == NULL) {
        return;
    }
    if (driver->thread != NULL) {
        stream_thread_close(driver->thread, &ignored);
    }
    topic_plan_free(driver->plan);
    if (driver->transport != NULL) {
        driver->transport->class->close(driver->transport);
    }
    if (driver->instance != NULL) {
        driver->config.program->class->unload(driver->instance);
    }
    free(driver->topics);
    free(driver->outputs);
    free(driver);
}

/* ---- driving ---- */

static int report_unread(const struct driver *driver, const char *topic, struct err *err)
{
    struct bytes names = {0};
    for (int i = 0; i < graph_topic_count(driver->graph); i++) {
        const struct graph_topic *use = graph_topic(driver->graph, i);
        bool source = use->role == TOPIC_POSITIONS && use->node->connector;
        if (source || use->role == TOPIC_INPUT || use->role == TOPIC_GLOBAL) {
            bytes_append_format(&names, "%s\"%s\"", names.size > 0 ? ", " : "",
                                source ? use->node->connector->name : use->name);
        }
    }
    err_set(err, ERR_FATAL, ERR_TOPIC, "The pipeline does not read the topic \"%s\". It reads %s.", topic,
            names.size > 0 ? bytes_text(&names) : "none");
    bytes_free(&names);
    return -1;
}

static int report_unwritten(const struct driver *driver, const char *topic, struct err *err)
{
    struct bytes names = {0};
    for (int id = 0; id < graph_node_count(driver->graph); id++) {
        const struct connector_use *use = graph_node(driver->graph, id)->connector;
        if (use && use->sink) {
            bytes_append_format(&names, "%s\"%s\"", names.size > 0 ? ", " : "", use->name);
        }
    }
    for (int i = 0; i < topic_plan_count(driver->plan); i++) {
        const struct planned_topic *planned = topic_plan_get(driver->plan, i);
        if (planned->written && !is_internal(driver, planned->name) && !is_of_sink(driver, planned->name)) {
            bytes_append_format(&names, "%s\"%s\"", names.size > 0 ? ", " : "", planned->name);
        }
    }
    err_set(err, ERR_FATAL, ERR_TOPIC, "The pipeline does not write the topic \"%s\". It writes %s.", topic,
            names.size > 0 ? bytes_text(&names) : "none");
    bytes_free(&names);
    return -1;
}

int driver_check_output(const struct driver *driver, const char *topic, struct err *err)
{
    const struct planned_topic *planned = topic_plan_find(driver->plan, topic);
    bool known = planned != NULL && (planned->written || planned->changelog);
    for (size_t i = 0; i < driver->topic_count && !known; i++) {
        known = strcmp(driver->topics[i].name, topic) == 0;
    }
    return known ? 0 : report_unwritten(driver, topic, err);
}

/* Records of a source are sent to the topic of its positions, which is assigned to whoever works them off. */
static bool takes_input(const struct driver *driver, const char *name)
{
    const struct planned_topic *topic = topic_plan_find(driver->plan, name);
    return topic_plan_source(driver->plan, name, 0) >= 0 &&
           (topic == NULL || topic->role == TOPIC_POSITIONS || /* NULL: one of a pattern that came later */
            (topic->role != TOPIC_REPARTITION && !topic->changelog));
}

int driver_send_from(struct driver *driver, const struct record *record, const char *origin, struct err *err)
{
    if (!takes_input(driver, record->topic)) {
        return report_unread(driver, record->topic, err);
    }
    if (memory_transport_append_from(driver->transport, record->topic, record, origin, err) != 0) {
        return -1;
    }
    return run_until_idle(driver, err);
}

int driver_send(struct driver *driver, const struct record *record, struct err *err)
{
    return driver_send_from(driver, record, record->topic, err);
}

int driver_advance(struct driver *driver, int64_t ms, struct err *err)
{
    if (ms < 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The clock can't go back (%lld ms).", (long long)ms);
    }
    clock_advance(&driver->clock, ms);
    return run_until_idle(driver, err);
}

static int commit_once(struct driver *driver, struct err *err)
{
    for (int i = 0; i < stream_thread_worker_count(driver->thread); i++) {
        worker_release(stream_thread_worker(driver->thread, i));
    }
    if (!driver->failed && stream_thread_commit(driver->thread, err) != 0) {
        return fail(driver, err);
    }
    return run_until_idle(driver, err);
}

/* What goes out may have to wait once more behind each topic on its way. */
int driver_commit(struct driver *driver, struct err *err)
{
    int result = 0;
    for (int i = 0; i < graph_subtopology_count(driver->graph) && result == 0; i++) {
        result = commit_once(driver, err);
    }
    return result;
}

int driver_restart(struct driver *driver, struct err *err)
{
    if (driver->failed) {
        *err = driver->failure;
        return -1;
    }
    int result = stream_thread_close(driver->thread, err);
    driver->thread = NULL;
    if (result != 0 || open_thread(driver, err) != 0) {
        return fail(driver, err);
    }
    return run_until_idle(driver, err);
}

/* ---- looking inside ---- */

static struct worker *find_worker(const struct driver *driver, const struct graph_store *store, int32_t partition)
{
    for (int i = 0; i < stream_thread_worker_count(driver->thread); i++) {
        struct worker *worker = stream_thread_worker(driver->thread, i);
        if (worker_partition(worker) == partition &&
            (store == NULL || graph_store_needed(driver->graph, store, worker_subtopology(worker)))) {
            return worker;
        }
    }
    return NULL;
}

struct store *driver_store(struct driver *driver, const char *name, int32_t partition)
{
    struct err err;
    for (int i = 0; i < graph_store_count(driver->graph); i++) {
        const struct graph_store *store = graph_store(driver->graph, i);
        if (strcmp(store->spec.name, name) != 0) {
            continue;
        }
        if (store->subtopology < 0) { /* a global table's: the same for all partitions */
            struct store_set *globals = stream_thread_globals(driver->thread);
            return globals != NULL ? driver->config.stores->find(globals, name) : NULL;
        }
        struct worker *worker = find_worker(driver, store, partition);
        struct store_set *stores = worker != NULL ? worker_stores(worker) : NULL;
        if (stores != NULL && worker_settle(worker, &err) != 0) {
            fail(driver, &err);
        }
        return stores != NULL ? driver->config.stores->find(stores, name) : NULL;
    }
    return NULL;
}

const struct store_driver *driver_store_driver(const struct driver *driver)
{
    return driver->config.stores;
}

struct graph *driver_graph(struct driver *driver)
{
    return driver->graph;
}

struct instance *driver_instance(struct driver *driver, int32_t partition)
{
    struct worker *worker = find_worker(driver, NULL, partition);
    return worker != NULL ? op_program(worker) : driver->instance;
}
