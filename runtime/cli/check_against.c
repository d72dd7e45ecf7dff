#include "cli/check_against.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/check_state.h"
#include "cli/internal_topic.h"
#include "cli/reset_state.h"
#include "store/state_reader.h"

/* A store as a worker on this machine has it. */
struct found_store {
    char *name;
    enum store_kind kind;
    uint64_t hash;
    int32_t partitions; /* of the worker's sub-topology; 0: not known */
};

struct found {
    struct found_store *list;
    size_t count;
    size_t capacity;
};

static const char *const fate_names[] = {[FATE_CREATED] = "created",
                                         [FATE_REUSED] = "reused",
                                         [FATE_ORPHANED] = "orphaned",
                                         [FATE_INCOMPATIBLE] = "incompatible"};

const char *check_fate_name(enum check_fate fate)
{
    return fate_names[fate];
}

/* Takes `why`. */
static void add_row(struct check_against *against, bool topic, const char *name, enum check_fate fate, char *why)
{
    against->rows = memory_grow(against->rows, against->count, &against->capacity, sizeof *against->rows);
    against->rows[against->count++] = (struct check_row){topic, memory_copy_text(name), fate, why};
}

void check_against_free(struct check_against *against)
{
    for (size_t i = 0; i < against->count; i++) {
        free(against->rows[i].name);
        free(against->rows[i].why);
    }
    free(against->rows);
    *against = (struct check_against){0};
}

/* ---- what is on this machine ---- */

static int note_worker(const char *directory, struct found *found, struct err *err)
{
    struct state_reader *reader;
    if (state_reader_open(directory, &reader, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < state_reader_count(reader); i++) {
        const struct store_spec *spec = state_reader_spec(reader, i);
        found->list = memory_grow(found->list, found->count, &found->capacity, sizeof *found->list);
        found->list[found->count++] = (struct found_store){memory_copy_text(spec->name), spec->kind, spec->hash,
                                                           state_reader_meta(reader)->partitions};
    }
    state_reader_close(reader);
    return 0;
}

static int find_state(const struct check_request *request, struct found *found, struct err *err)
{
    glob_t paths = {0};
    char *pattern = check_state_pattern(request->state_directory, request->app, "/*/*/rows.db");
    int result = 0;
    if (glob(pattern, 0, NULL, &paths) == 0) {
        for (size_t i = 0; i < paths.gl_pathc && result == 0; i++) {
            *strrchr(paths.gl_pathv[i], '/') = '\0';
            result = note_worker(paths.gl_pathv[i], found, err);
        }
    }
    globfree(&paths);
    free(pattern);
    return result;
}

static void free_found(struct found *found)
{
    for (size_t i = 0; i < found->count; i++) {
        free(found->list[i].name);
    }
    free(found->list);
}

/* ---- stores ---- */

/* Why state of the worker can't be used; NULL: it can. */
static char *misfit(const struct check_request *request, int index, const struct found_store *found)
{
    static const char *const kinds[] = {
        [STORE_KEY_VALUE] = "key-value", [STORE_WINDOW] = "window", [STORE_SESSION] = "session"};
    const struct graph_store *store = graph_store(request->graph, index);
    int32_t partitions = store->subtopology >= 0 ? topic_plan_partitions(request->plan, store->subtopology) : 0;
    if (found->kind != store->spec.kind) {
        return memory_format("it was a %s store and is a %s store now", kinds[found->kind], kinds[store->spec.kind]);
    }
    if (found->hash != graph_store_hash(request->graph, index)) {
        return memory_format("it was written with another operator, codec or window");
    }
    if (found->partitions > 0 && partitions > 0 && found->partitions != partitions) {
        return memory_format("it was made for %d partitions, its topics have %d now", (int)found->partitions,
                             (int)partitions);
    }
    return NULL;
}

static void judge_store(const struct check_request *request, int index, const struct found *found,
                        struct check_against *against)
{
    const struct graph_store *store = graph_store(request->graph, index);
    const struct planned_topic *changelog =
        store->changelog != NULL ? topic_plan_find(request->plan, store->changelog) : NULL;
    int workers = 0;
    char *why = NULL;
    for (size_t i = 0; i < found->count && why == NULL; i++) {
        if (strcmp(found->list[i].name, store->spec.name) == 0) {
            workers++;
            why = misfit(request, index, &found->list[i]);
        }
    }
    if (why != NULL) {
        add_row(against, false, store->spec.name, FATE_INCOMPATIBLE, why);
    } else if (workers > 0) {
        add_row(against, false, store->spec.name, FATE_REUSED, memory_format("state of %d workers is here", workers));
    } else if (changelog != NULL && changelog->exists) {
        add_row(against, false, store->spec.name, FATE_REUSED,
                memory_copy_text("no state is here: it is restored from its changelog, whose form is not known"));
    } else {
        add_row(against, false, store->spec.name, FATE_CREATED, memory_copy_text(""));
    }
}

static bool has_store(const struct graph *graph, const char *name)
{
    for (int i = 0; i < graph_store_count(graph); i++) {
        if (strcmp(graph_store(graph, i)->spec.name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_row(const struct check_against *against, bool topic, const char *name)
{
    for (size_t i = 0; i < against->count; i++) {
        if (against->rows[i].topic == topic && strcmp(against->rows[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int judge_stores(const struct check_request *request, struct check_against *against, struct err *err)
{
    struct found found = {0};
    int result = find_state(request, &found, err);
    for (int i = 0; result == 0 && i < graph_store_count(request->graph); i++) {
        judge_store(request, i, &found, against);
    }
    for (size_t i = 0; result == 0 && i < found.count; i++) {
        const char *name = found.list[i].name;
        if (!has_store(request->graph, name) && !has_row(against, false, name)) {
            add_row(against, false, name, FATE_ORPHANED,
                    memory_copy_text("the script has no such store; what is here of it is used no more"));
        }
    }
    free_found(&found);
    return result;
}

/* ---- topics ---- */

static void judge_topic(const struct check_request *request, int index, struct check_against *against)
{
    struct err why;
    const struct planned_topic *topic = topic_plan_get(request->plan, index);
    if (!topic->internal) {
        return;
    }
    if (!topic->exists) {
        add_row(against, true, topic->name, FATE_CREATED, memory_copy_text(""));
    } else if (topic_plan_fits(request->plan, index, request->app, &why) != 0) {
        add_row(against, true, topic->name, FATE_INCOMPATIBLE, memory_copy_text(why.text));
    } else {
        add_row(against, true, topic->name, FATE_REUSED, memory_copy_text(""));
    }
}

static void find_orphans(const struct check_request *request, const struct option_list *topics,
                         struct check_against *against)
{
    struct option_list apps = {0};
    reset_state_apps(request->state_directory, &apps);
    for (size_t i = 0; i < topics->count; i++) {
        const char *name = topics->items[i];
        if (internal_topic_is_of(name, request->app, &apps) && topic_plan_find(request->plan, name) == NULL) {
            add_row(against, true, name, FATE_ORPHANED,
                    memory_format("the script does not use it any more; `tidemill topics delete %s` when its records "
                                  "are not wanted back",
                                  name));
        }
    }
    for (size_t i = 0; i < apps.count; i++) {
        free(apps.items[i]);
    }
    free(apps.items);
}

static int judge_topics(const struct check_request *request, struct check_against *against, struct err *err)
{
    struct option_list topics = {0};
    for (int i = 0; i < topic_plan_count(request->plan); i++) {
        judge_topic(request, i, against);
    }
    int result = request->transport->class->list_topics(request->transport, &topics, err);
    if (result == 0) {
        find_orphans(request, &topics, against);
    }
    for (size_t i = 0; i < topics.count; i++) {
        free(topics.items[i]);
    }
    free(topics.items);
    return result;
}

int check_against(const struct check_request *request, struct check_against *against, struct err *err)
{
    return judge_stores(request, against, err) != 0 || judge_topics(request, against, err) != 0 ? -1 : 0;
}
