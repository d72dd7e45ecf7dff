#include "engine/globals.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "engine/worker_int.h"

#define BATCH 500           /* records applied in one call */
#define SAVE_RECORDS 100000 /* applied ones that are saved at the latest */
#define SAVE_MS 10000       /* after the first one that is not saved yet */
#define SAVE_PAUSE_MS 100   /* between two attempts */
#define REST_MS 1000        /* before a failed reader is opened again */
#define NS_PER_MS INT64_C(1000000)

struct global_partition {
    const char *topic; /* the plan's */
    int32_t partition;
    int64_t offset;         /* next one to apply; OFFSET_BEGINNING: the first that exists */
    int64_t target;         /* loaded when the reader has come so far */
    char id[TOPIC_ID_SIZE]; /* of the topic; "": not known */
};

struct globals {
    struct globals_config config;
    struct worker *worker;
    const struct transport_class *transport;
    struct global_partition *partitions;
    size_t count;
    struct reader *reader; /* NULL: not open, or given up until rest_until_ns */
    int64_t rest_until_ns;
    bool judged; /* where to go on from is known */
    bool loaded;
    int64_t unsaved; /* records applied since the last save */
    int64_t unsaved_since_ns;
};

static int64_t now_ns(const struct globals *globals)
{
    return clock_monotonic_ns(globals->config.worker.clock);
}

/* ---- opening ---- */

static bool is_global(const struct globals_config *config, const char *topic)
{
    const struct graph *graph = config->worker.graph;
    for (int i = 0; i < graph_topic_count(graph); i++) {
        const struct graph_topic *use = graph_topic(graph, i);
        if (use->role == TOPIC_GLOBAL && strcmp(use->name, topic) == 0) {
            return true;
        }
    }
    return false;
}

static void find_partitions(struct globals *globals)
{
    const struct topic_plan *plan = globals->config.worker.plan;
    size_t capacity = 0;
    for (int i = 0; i < topic_plan_count(plan); i++) {
        const struct planned_topic *topic = topic_plan_get(plan, i);
        for (int32_t p = 0; is_global(&globals->config, topic->name) && p < topic->partitions; p++) {
            globals->partitions =
                memory_grow(globals->partitions, globals->count, &capacity, sizeof(*globals->partitions));
            globals->partitions[globals->count++] =
                (struct global_partition){.topic = topic->name, .partition = p, .offset = OFFSET_BEGINNING};
        }
    }
}

static int open_worker(struct globals *globals, struct err *err)
{
    struct worker_config config = globals->config.worker;
    char name[256];
    char *directory = NULL;
    config.subtopology = -1;
    config.partition = globals->config.thread;
    config.session = NULL;
    worker_directory_name(config.graph, -1, globals->config.thread, name, sizeof(name));
    if (globals->config.state_directory) {
        directory = memory_format("%s/%s", globals->config.state_directory, name);
    }
    config.state_directory = directory;
    int result = worker_open(&config, &globals->worker, err);
    free(directory);
    return result ? result : worker_start(globals->worker, err);
}

int globals_open(const struct globals_config *config, struct globals **result, struct err *err)
{
    char name[256];
    *result = NULL;
    if (!worker_directory_name(config->worker.graph, -1, 0, name, sizeof(name))) {
        return 0;
    }
    struct globals *globals = memory_alloc(sizeof(*globals));
    globals->config = *config;
    globals->transport = config->transport->class;
    find_partitions(globals);
    if (open_worker(globals, err)) {
        globals_close(globals);
        return -1;
    }
    *result = globals;
    return 0;
}

struct store_set *globals_stores(const struct globals *globals)
{
    return globals ? worker_stores(globals->worker) : NULL;
}

bool globals_loaded(const struct globals *globals)
{
    return !globals || globals->loaded;
}

/* ---- local files ---- */

static int save(struct globals *globals, struct err *err)
{
    const struct worker_config *config = &globals->config.worker;
    struct store_position *positions = memory_alloc(sizeof(*positions) * (globals->count + 1));
    for (size_t i = 0; i < globals->count; i++) {
        const struct global_partition *partition = &globals->partitions[i];
        positions[i] =
            (struct store_position){partition->topic, partition->partition, partition->offset, partition->id};
    }
    struct store_meta meta = {.app = config->settings->id,
                              .worker = worker_name(globals->worker),
                              .changelogs = positions,
                              .changelog_count = globals->count,
                              .committed_ms = clock_wall_ms(config->clock)};
    int result = config->stores->commit(worker_stores(globals->worker), &meta, err);
    free(positions);
    if (result) {
        return err_wrap(err, "saving the global tables");
    }
    globals->unsaved = 0;
    return 0;
}

static int save_if_due(struct globals *globals, struct err *err)
{
    bool files = globals->config.state_directory != NULL;
    int64_t age_ms = (now_ns(globals) - globals->unsaved_since_ns) / NS_PER_MS;
    bool many = globals->unsaved >= SAVE_RECORDS && age_ms >= SAVE_PAUSE_MS;
    bool due = globals->unsaved > 0 && (!files || many || age_ms >= SAVE_MS);
    if (!due || save(globals, err) == 0) {
        return 0;
    }
    if (err->class != ERR_RETRY) {
        return -1;
    }
    globals->unsaved_since_ns = now_ns(globals); /* a full disk: what was applied stays in memory until then */
    log_event(LOG_WARN, "global tables can't be saved now", log_text("reason", err->text));
    return 0;
}

void globals_close(struct globals *globals)
{
    struct err err;
    if (!globals) {
        return;
    }
    if (globals->unsaved > 0 && globals->config.state_directory && save(globals, &err)) {
        log_event(LOG_WARN, "global tables are loaded again at the next start", log_text("reason", err.text));
    }
    if (globals->reader) {
        globals->transport->reader_close(globals->reader);
    }
    worker_close(globals->worker);
    free(globals->partitions);
    free(globals);
}

/* ---- where to go on from ---- */

static const struct store_position *find_kept(const struct store_meta *meta, const struct global_partition *partition)
{
    for (size_t i = 0; i < meta->changelog_count; i++) {
        const struct store_position *kept = &meta->changelogs[i];
        if (kept->partition == partition->partition && strcmp(kept->topic, partition->topic) == 0) {
            return kept;
        }
    }
    return NULL;
}

/* The topic as it is now; *usable: the kept state is a beginning of what it holds. */
static int look_at(struct globals *globals, struct global_partition *partition, const struct store_meta *meta,
                   bool *usable, struct err *err)
{
    struct transport *transport = globals->config.transport;
    const struct store_position *kept = find_kept(meta, partition);
    struct topic_info info = {0};
    int64_t low, high;
    if (globals->transport->describe_topic(transport, partition->topic, &info, err) ||
        globals->transport->watermarks(transport, partition->topic, partition->partition, &low, &high, err)) {
        return err_wrap(err, "looking at the topic %s of a global table", partition->topic);
    }
    const char *kept_id = kept && kept->metadata ? kept->metadata : "";
    bool known = info.id[0] != '\0';
    snprintf(partition->id, sizeof(partition->id), "%s", known ? info.id : kept_id);
    partition->target = high;
    int64_t age = clock_wall_ms(globals->config.worker.clock) - meta->committed_ms;
    bool same = kept && (!known || kept_id[0] == '\0' || strcmp(kept_id, info.id) == 0);
    bool inside = kept && kept->offset >= low && kept->offset <= high;
    bool young = info.delete_retention_ms <= 0 || age <= info.delete_retention_ms / 2;
    *usable = *usable && same && inside && young;
    partition->offset = kept ? kept->offset : OFFSET_BEGINNING;
    return 0;
}

/* A table is taken up where it was saved, or loaded from the beginning, all of its partitions alike. */
static int judge(struct globals *globals, struct err *err)
{
    bool fresh;
    const struct store_meta *meta = worker_found_meta(globals->worker, &fresh);
    bool usable = !fresh && meta->app != NULL && meta->changelog_count == globals->count;
    for (size_t i = 0; i < globals->count; i++) {
        if (look_at(globals, &globals->partitions[i], meta, &usable, err)) {
            return -1;
        }
    }
    for (size_t i = 0; i < globals->count && !usable; i++) {
        globals->partitions[i].offset = OFFSET_BEGINNING;
    }
    if (!usable && globals->config.worker.stores->wipe(worker_stores(globals->worker), err)) {
        return -1;
    }
    globals->judged = true;
    log_event(LOG_INFO, usable ? "global tables are taken up" : "global tables are loaded",
              log_text("app", globals->config.worker.settings->id), log_number("thread", globals->config.thread));
    return 0;
}

static int open_reader(struct globals *globals, struct err *err)
{
    if (!globals->judged && judge(globals, err)) {
        return -1;
    }
    struct position *positions = memory_alloc(sizeof(*positions) * (globals->count + 1));
    for (size_t i = 0; i < globals->count; i++) {
        const struct global_partition *partition = &globals->partitions[i];
        positions[i] = (struct position){partition->topic, partition->partition, partition->offset, NULL};
    }
    struct reader_config config = {positions, globals->count, false};
    int result = globals->transport->reader_open(globals->config.transport, &config, &globals->reader, err);
    free(positions);
    return result;
}

/* ---- applying ---- */

struct application {
    struct globals *globals;
    const struct record *records;
    size_t count;
    size_t done;
};

static int apply_one(struct globals *globals, const struct record *record, struct err *err)
{
    struct worker *worker = globals->worker;
    const struct worker_config *config = &globals->config.worker;
    int id;
    for (int i = 0; (id = topic_plan_source(config->plan, record->topic, i)) >= 0; i++) {
        struct node *node = graph_node(worker->graph, id);
        if (node->subtopology < 0 && config->program->class->process(worker->instance, node, record, err)) {
            return -1;
        }
    }
    arena_clear(&worker->arena);
    return 0;
}

/* Inside one protected entry (program.h). */
static int apply_all(void *data, struct err *err)
{
    struct application *application = data;
    while (application->done < application->count) {
        if (apply_one(application->globals, &application->records[application->done], err)) {
            return -1;
        }
        application->done++;
    }
    return 0;
}

static void note_positions(struct globals *globals)
{
    bool loaded = true;
    for (size_t i = 0; i < globals->count; i++) {
        int64_t position = globals->transport->reader_position(globals->reader, i);
        globals->partitions[i].offset = position >= 0 ? position : globals->partitions[i].offset;
        loaded = loaded && globals->partitions[i].offset >= globals->partitions[i].target;
    }
    if (loaded && !globals->loaded) {
        globals->loaded = true;
        log_event(LOG_INFO, "global tables are there", log_text("app", globals->config.worker.settings->id),
                  log_number("thread", globals->config.thread),
                  log_number("entries", globals->config.worker.stores->entries(worker_stores(globals->worker))));
    }
}

static int apply(struct globals *globals, const struct record *records, size_t count, struct err *err)
{
    struct worker *worker = globals->worker;
    struct application application = {globals, records, count, 0};
    if (count > 0 && globals->config.worker.program->class->round(worker->instance, apply_all, &application, err)) {
        return err_wrap(err, "filling a global table");
    }
    if (count > 0 && globals->unsaved == 0) {
        globals->unsaved_since_ns = now_ns(globals);
    }
    globals->unsaved += (int64_t)count;
    note_positions(globals);
    return save_if_due(globals, err);
}

/* Brokers that are away come back; the table stays as it is meanwhile. */
static int rest(struct globals *globals, struct err *err)
{
    if (err->class == ERR_FATAL && err->code != ERR_UNREACHABLE) {
        return -1;
    }
    log_event(LOG_WARN, "global tables can't be followed", log_text("app", globals->config.worker.settings->id),
              log_text("reason", err->text));
    if (globals->reader) {
        globals->transport->reader_close(globals->reader);
        globals->reader = NULL;
    }
    globals->rest_until_ns = now_ns(globals) + REST_MS * NS_PER_MS;
    return 0;
}

int globals_follow(struct globals *globals, int timeout_ms, size_t *applied, struct err *err)
{
    struct record records[BATCH];
    *applied = 0;
    if (!globals || now_ns(globals) < globals->rest_until_ns) {
        clock_sleep_ms(globals ? timeout_ms : 0);
        return 0;
    }
    if ((!globals->reader && open_reader(globals, err)) ||
        globals->transport->read(globals->reader, timeout_ms, records, BATCH, applied, err)) {
        *applied = 0;
        return rest(globals, err);
    }
    return apply(globals, records, *applied, err);
}
