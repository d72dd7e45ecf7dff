/* A worker's part in a commit: positions, changelog, store, and the way back after an abort. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "engine/restore.h"
#include "engine/store_form.h"
#include "engine/worker_int.h"

/* ---- changelogs ---- */

static const struct store_position *found_changelog(const struct worker *worker, const char *topic)
{
    for (size_t i = 0; i < worker->found.changelog_count; i++) {
        if (strcmp(worker->found.changelogs[i].topic, topic) == 0) {
            return &worker->found.changelogs[i];
        }
    }
    return NULL;
}

static void add_changelog(struct worker *worker, const struct graph_store *store)
{
    const struct store_position *found = found_changelog(worker, store->changelog);
    worker->changelogs[worker->changelog_count++] = (struct worker_changelog){
        .store = worker->config.stores->find(worker->stores, store->spec.name),
        .spec = &store->spec,
        .topic = store->changelog,
        .offset = found ? found->offset : OFFSET_NONE,
        .generation = found ? memory_copy_text(found->metadata) : NULL,
    };
}

void worker_find_changelogs(struct worker *worker)
{
    const struct graph *graph = worker->config.graph;
    worker->changelogs = memory_alloc(sizeof(*worker->changelogs) * (size_t)(graph_store_count(graph) + 1));
    for (int i = 0; i < graph_store_count(graph); i++) {
        const struct graph_store *store = graph_store(graph, i);
        if (store->subtopology == worker->config.subtopology && store->changelog) {
            add_changelog(worker, store);
        }
    }
}

int worker_changelog_count(const struct worker *worker)
{
    return (int)worker->changelog_count;
}

struct store *worker_changelog(const struct worker *worker, int index, struct position *position)
{
    const struct worker_changelog *changelog = &worker->changelogs[index];
    *position = (struct position){changelog->topic, worker->config.partition, changelog->offset, NULL};
    return changelog->store;
}

const struct store_spec *worker_changelog_spec(const struct worker *worker, int index)
{
    return worker->changelogs[index].spec;
}

void worker_set_changelog_offset(struct worker *worker, int index, int64_t offset)
{
    worker->changelogs[index].offset = offset;
}

const char *worker_changelog_generation(const struct worker *worker, int index)
{
    return worker->changelogs[index].generation;
}

void worker_set_changelog_generation(struct worker *worker, int index, struct slice generation)
{
    free(worker->changelogs[index].generation);
    worker->changelogs[index].generation = memory_format("%.*s", (int)generation.size, (const char *)generation.data);
}

/* Behind the schedules the metadata of committed offsets has the generations of the changelogs, "|<topic>=<generation>"
 * each, both shortened to 8 hexadecimal digits, and then the ids of the inputs (worker_topic_id.c). Kafka keeps 4096
 * bytes, all kinds together: a worker with more changelogs leaves the rest out.
 */
#define GENERATIONS_KEPT 100
#define GENERATION_DIGITS 8

static void format_generation(const struct worker_changelog *changelog, const char *generation, char *text, size_t size)
{
    snprintf(text, size, "|%08" PRIx32 "=%.*s", bytes_crc32c(slice_text(changelog->topic)), GENERATION_DIGITS,
             generation);
}

static void append_generations(const struct worker *worker, struct bytes *metadata)
{
    for (size_t i = 0; i < worker->changelog_count && i < GENERATIONS_KEPT; i++) {
        char text[32];
        if (worker->changelogs[i].generation) {
            format_generation(&worker->changelogs[i], worker->changelogs[i].generation, text, sizeof(text));
            bytes_append_text(metadata, text);
        }
    }
}

bool worker_names_changelog(const struct worker *worker, const char *metadata)
{
    for (size_t i = 0; i < worker->changelog_count; i++) {
        char topic[32];
        format_generation(&worker->changelogs[i], "", topic, sizeof(topic));
        if (strstr(metadata, topic)) {
            return true;
        }
    }
    return false;
}

int worker_check_generations(struct worker *worker, struct err *err)
{
    const char *committed = bytes_text(&worker->committed_metadata);
    for (size_t i = 0; i < worker->changelog_count; i++) {
        const struct worker_changelog *changelog = &worker->changelogs[i];
        char topic[32], whole[32];
        format_generation(changelog, "", topic, sizeof(topic));
        format_generation(changelog, changelog->generation ? changelog->generation : "", whole, sizeof(whole));
        if (changelog->generation && strstr(committed, topic) && !strstr(committed, whole)) {
            return restore_refuse_recreated(worker->config.settings->id, worker->name, changelog->topic, err);
        }
    }
    return 0;
}

int worker_wipe_stores(struct worker *worker, struct err *err)
{
    for (size_t i = 0; i < worker->changelog_count; i++) {
        struct worker_changelog *changelog = &worker->changelogs[i];
        changelog->offset = OFFSET_NONE;
        free(changelog->generation);
        changelog->generation = NULL;
    }
    worker->found.input_count = 0;
    worker->found.changelog_count = 0;
    worker->restored_in_part = OFFSET_NONE;
    return worker->config.stores->wipe(worker->stores, err);
}

/* ---- before the transport's commit ---- */

bool worker_dirty(const struct worker *worker)
{
    return worker->dirty;
}

int64_t worker_uncommitted_records(const struct worker *worker)
{
    return worker->uncommitted_records;
}

int64_t worker_uncommitted_bytes(const struct worker *worker)
{
    return worker->uncommitted_bytes;
}

int worker_flush(struct worker *worker, struct err *err)
{
    if (worker->flushed) {
        return 0;
    }
    const struct program_class *program = worker->config.program->class;
    if (program->flush(worker->instance, worker->nodes, worker->node_count, err)) {
        return -1;
    }
    arena_clear(&worker->arena);
    if (worker_ttl_sweep(worker->ttl, worker->stream_time, err)) {
        return -1;
    }
    worker->flushed = true;
    worker->released = false;
    return 0;
}

void worker_release(struct worker *worker)
{
    worker->dirty = true;
    worker->flushed = false;
    worker->released = true;
}

int worker_settle(struct worker *worker, struct err *err)
{
    const struct program_class *program = worker->config.program->class;
    if (!program->settle) {
        return 0;
    }
    int result = program->settle(worker->instance, worker->nodes, worker->node_count, err);
    arena_clear(&worker->arena);
    return result;
}

static struct worker_changelog *changelog_of(struct worker *worker, const struct store *store)
{
    for (size_t i = 0; i < worker->changelog_count; i++) {
        if (worker->changelogs[i].store == store) {
            return &worker->changelogs[i];
        }
    }
    return NULL;
}

static int produce_change(void *self, struct store *store, const struct store_entry *entry, struct err *err)
{
    struct worker *worker = self;
    struct worker_changelog *changelog = changelog_of(worker, store);
    if (!changelog) {
        return 0;
    }
    const struct transport_class *transport = worker->config.transport;
    struct session *session = worker->config.session;
    FAILPOINT(CHANGELOG);
    if (!changelog->output && transport->output(session, changelog->topic, &changelog->output, NULL, err)) {
        return -1;
    }
    struct record record = {.key = entry->key, .value = entry->value, .timestamp = entry->timestamp, .offset = -1};
    if (store_form_converts(changelog->spec)) {
        arena_clear(&worker->arena);
        record = store_form_record(changelog->spec, entry, &worker->arena);
    }
    return transport->produce(session, changelog->output, worker->config.partition, &record, err);
}

int worker_produce_changelog(struct worker *worker, struct err *err)
{
    if (!worker->stores || worker->changelog_count == 0) {
        return 0;
    }
    return worker->config.stores->changes(worker->stores, produce_change, worker, err);
}

void worker_positions(struct worker *worker, struct position **list, size_t *count, size_t *capacity)
{
    timers_describe(&worker->timers, worker->commit_number + 1, worker->stream_time, &worker->metadata);
    append_generations(worker, &worker->metadata);
    worker_topic_id_append(worker, &worker->metadata);
    const char *metadata = bytes_text(&worker->metadata);
    for (size_t i = 0; i < worker->input_count; i++) {
        struct worker_input *input = &worker->inputs[i];
        int64_t offset = worker_next_offset(worker, input);
        if (offset < 0) {
            continue; /* nothing of this input has been read yet: the group has no position there to fence or to move */
        }
        *list = memory_grow(*list, *count, capacity, sizeof(**list));
        (*list)[(*count)++] = (struct position){input->topic, input->partition, offset, metadata};
    }
}

/* ---- after it ---- */

static void note_committed(struct worker *worker)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        int64_t offset = worker_next_offset(worker, &worker->inputs[i]);
        if (offset >= 0) {
            worker->inputs[i].committed = offset;
        }
    }
    bytes_clear(&worker->committed_metadata);
    bytes_append_slice(&worker->committed_metadata, bytes_slice(&worker->metadata));
    worker->commit_number++;
    worker->dirty = false;
    worker->uncommitted_records = 0;
    worker->uncommitted_bytes = 0;
    worker_tasks_committed(worker);
}

static void note_acknowledged(struct worker *worker)
{
    for (size_t i = 0; i < worker->changelog_count; i++) {
        struct worker_changelog *changelog = &worker->changelogs[i];
        if (!changelog->output) {
            continue;
        }
        int64_t offset =
            worker->config.transport->acknowledged(worker->config.session, changelog->output, worker->config.partition);
        if (offset > changelog->offset) {
            changelog->offset = offset;
        }
    }
}

static int write_meta(struct worker *worker, const struct store_position *inputs, size_t input_count, struct err *err)
{
    struct store_position *changelogs = memory_alloc(sizeof(*changelogs) * (worker->changelog_count + 1));
    for (size_t i = 0; i < worker->changelog_count; i++) {
        changelogs[i] = (struct store_position){worker->changelogs[i].topic, worker->config.partition,
                                                worker->changelogs[i].offset, worker->changelogs[i].generation};
    }
    struct store_meta meta = {
        .app = worker->config.settings->id,
        .worker = worker->name,
        .partitions = topic_plan_partitions(worker->config.plan, worker->config.subtopology),
        .inputs = inputs,
        .input_count = input_count,
        .changelogs = changelogs,
        .changelog_count = worker->changelog_count,
        .committed_ms = clock_wall_ms(worker->config.clock),
    };
    int result = worker->config.stores->commit(worker->stores, &meta, err);
    free(changelogs);
    metric_put(worker->metrics, METRIC_STATE_BYTES, worker->config.stores->bytes(worker->stores));
    metric_put(worker->metrics, METRIC_STATE_ENTRIES, worker->config.stores->entries(worker->stores));
    return result ? err_wrap(err, "committing the state of worker %s", worker->name) : 0;
}

/* Meta row with the inputs where the group has them. */
static int write_meta_as_committed(struct worker *worker, struct err *err)
{
    struct store_position *inputs = memory_alloc(sizeof(*inputs) * (worker->input_count + 1));
    size_t count = 0;
    for (size_t i = 0; i < worker->input_count; i++) {
        const struct worker_input *input = &worker->inputs[i];
        if (input->committed >= 0) {
            inputs[count++] = (struct store_position){input->topic, input->partition, input->committed,
                                                      bytes_text(&worker->committed_metadata)};
        }
    }
    int result = write_meta(worker, inputs, count, err);
    free(inputs);
    return result;
}

int worker_commit_store(struct worker *worker, struct err *err)
{
    note_committed(worker);
    if (!worker->stores) {
        return 0;
    }
    note_acknowledged(worker);
    return write_meta_as_committed(worker, err);
}

int worker_refresh_store(struct worker *worker, struct err *err)
{
    bool due = worker->changelog_count > 0 && !worker->dirty && !worker->suspended;
    return due ? write_meta_as_committed(worker, err) : 0;
}

static bool has_offsets(const struct worker *worker)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        if (worker->inputs[i].committed >= 0) {
            return true;
        }
    }
    return false;
}

/* What is applied belongs to offsets that only the group knows. Should it lose them, the stores are of no use. */
static int write_meta_in_part(struct worker *worker, struct err *err)
{
    struct store_position *inputs = memory_alloc(sizeof(*inputs) * (worker->found.input_count + 1));
    size_t count = 0;
    for (size_t i = 0; i < worker->found.input_count; i++) {
        if (strcmp(worker->found.inputs[i].topic, STORE_RESTORED_IN_PART) != 0) {
            inputs[count++] = worker->found.inputs[i];
        }
    }
    if (has_offsets(worker) && worker->commit_number > worker->restored_in_part) {
        worker->restored_in_part = worker->commit_number;
    }
    if (worker->restored_in_part != OFFSET_NONE) {
        inputs[count++] = (struct store_position){STORE_RESTORED_IN_PART, 0, worker->restored_in_part, NULL};
    }
    int result = write_meta(worker, inputs, count, err);
    free(inputs);
    return result;
}

int worker_commit_restored(struct worker *worker, bool complete, struct err *err)
{
    if (!complete) {
        return write_meta_in_part(worker, err);
    }
    worker->restored_in_part = OFFSET_NONE;
    return write_meta_as_committed(worker, err);
}

int64_t worker_restored_in_part(const struct worker *worker)
{
    return worker->restored_in_part;
}

/* ---- the way back ---- */

int worker_rewind(struct worker *worker, struct err *err)
{
    if (!worker->dirty) {
        return 0;
    }
    worker_unload_program(worker);
    if (worker->stores && worker->config.stores->rollback(worker->stores, err)) {
        return err_wrap(err, "rolling back the state of worker %s", worker->name);
    }
    worker_ttl_reset(worker->ttl);
    worker->stream_time = -1;
    if (worker_load_program(worker, err)) {
        return -1;
    }
    timers_recall(&worker->timers, bytes_text(&worker->committed_metadata), &worker->commit_number,
                  &worker->stream_time);
    for (size_t i = 0; i < worker->input_count; i++) {
        struct worker_input *input = &worker->inputs[i];
        worker_find_sources(worker, input);
        if (worker_seek_back(worker, input, err)) {
            return err_wrap(err, "going back to the committed offset of %s %d", input->topic, (int)input->partition);
        }
    }
    worker->dirty = false;
    worker->flushed = false;
    worker->uncommitted_records = 0;
    worker->uncommitted_bytes = 0;
    return worker_start(worker, err);
}
