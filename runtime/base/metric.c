#include "base/metric.h"

#include "base/memory.h"

#include <ck_pr.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

struct metric_row {
    const char *name;
    enum metric_kind kind;
    const char *labels; /* what each line carries beyond the labels of its set, for the reference */
    const char *help;
};

static const struct metric_row rows[METRIC_COUNT] = {
    [METRIC_RECORDS_IN] = {"tidemill_records_in_total", METRIC_COUNTER, "", "Records read from input topics."},
    [METRIC_RECORDS_OUT] = {"tidemill_records_out_total", METRIC_COUNTER, "", "Records written to output topics."},
    [METRIC_BYTES_IN] = {"tidemill_bytes_in_total", METRIC_COUNTER, "", "Bytes of keys and values read."},
    [METRIC_BYTES_OUT] = {"tidemill_bytes_out_total", METRIC_COUNTER, "", "Bytes of keys and values written."},
    [METRIC_LAG] = {"tidemill_lag_records", METRIC_GAUGE, "", "Records in the input topics not yet processed."},
    [METRIC_PROCESS_NS] = {"tidemill_process_nanoseconds_total", METRIC_COUNTER, "",
                           "Time spent on processing records, in nanoseconds."},
    [METRIC_COMMITS] = {"tidemill_commits_total", METRIC_COUNTER, "", "Commits that succeeded."},
    [METRIC_COMMIT_NS] = {"tidemill_commit_nanoseconds_total", METRIC_COUNTER, "",
                          "Time spent on commits, in nanoseconds."},
    [METRIC_ABORTS] = {"tidemill_aborts_total", METRIC_COUNTER, "", "Transactions that were aborted."},
    [METRIC_STATE_BYTES] = {"tidemill_state_bytes", METRIC_GAUGE, "", "Bytes of keys and values held in stores."},
    [METRIC_STATE_ENTRIES] = {"tidemill_state_entries", METRIC_GAUGE, "", "Entries held in stores."},
    [METRIC_DROPPED] = {"tidemill_dropped_records_total", METRIC_COUNTER, "node, reason",
                        "Records that an operator left out, by node and reason."},
    [METRIC_ERRORS] = {"tidemill_errors_total", METRIC_COUNTER, "code", "Errors, by the code of the message."},
    [METRIC_RESTORES] = {"tidemill_restores_total", METRIC_COUNTER, "", "Times that state was restored."},
    [METRIC_RESTORED_RECORDS] = {"tidemill_restored_records_total", METRIC_COUNTER, "",
                                 "Changelog records read to restore state."},
    [METRIC_RESTORE_REMAINING] = {"tidemill_restore_remaining_records", METRIC_GAUGE, "",
                                  "Changelog records still to read before processing starts."},
    [METRIC_WORKERS] = {"tidemill_workers", METRIC_GAUGE, "", "Workers that are running."},
    [METRIC_REBALANCES] = {"tidemill_rebalances_total", METRIC_COUNTER, "",
                           "Times that partitions were assigned anew."},
    [METRIC_USER] = {"tidemill_user_total", METRIC_COUNTER, "name", "Counters of the script, made with tm.metric."},
};

/* One number with labels of its own. Only the owning thread adds to the list of its set, under the registry's lock; so
 * that thread reads the list without it and the others with it. */
struct metric_value {
    uint64_t number;
    enum metric_id id;
    char *labels;
    struct metric_value *next;
};

struct metric_set {
    uint64_t numbers[METRIC_COUNT];
    uint32_t used; /* bit per metric that was ever written: sets don't print lines of metrics that are not theirs */
    char *labels;
    struct metric_value *values;
    struct metric_set *next;
};

_Static_assert(METRIC_COUNT <= 32, "metric_set.used has one bit per metric");

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric_set *registry;

struct metric_set *metric_set_new(const char *labels)
{
    struct metric_set *set = memory_alloc(sizeof *set);
    set->labels = memory_copy_text(labels != NULL ? labels : "");
    pthread_mutex_lock(&registry_lock);
    set->next = registry;
    registry = set;
    pthread_mutex_unlock(&registry_lock);
    return set;
}

static void unregister(struct metric_set *set)
{
    pthread_mutex_lock(&registry_lock);
    struct metric_set **link = &registry;
    while (*link != set) {
        link = &(*link)->next;
    }
    *link = set->next;
    pthread_mutex_unlock(&registry_lock);
}

void metric_set_free(struct metric_set *set)
{
    if (set == NULL) {
        return;
    }
    unregister(set);
    struct metric_value *value = set->values;
    while (value != NULL) {
        struct metric_value *next = value->next;
        free(value->labels);
        free(value);
        value = next;
    }
    free(set->labels);
    free(set);
}

void metric_put(struct metric_set *set, enum metric_id id, int64_t value)
{
    ck_pr_store_64(&set->numbers[id], (uint64_t)value);
    ck_pr_store_32(&set->used, set->used | (uint32_t)1 << id);
}

void metric_add(struct metric_set *set, enum metric_id id, int64_t amount)
{
    metric_put(set, id, (int64_t)(set->numbers[id] + (uint64_t)amount));
}

int64_t metric_get(const struct metric_set *set, enum metric_id id)
{
    return (int64_t)ck_pr_load_64(&set->numbers[id]);
}

struct metric_value *metric_labelled(struct metric_set *set, enum metric_id id, const char *labels)
{
    for (struct metric_value *value = set->values; value != NULL; value = value->next) {
        if (value->id == id && strcmp(value->labels, labels) == 0) {
            return value;
        }
    }
    struct metric_value *value = memory_alloc(sizeof *value);
    value->id = id;
    value->labels = memory_copy_text(labels);
    value->next = set->values;
    pthread_mutex_lock(&registry_lock);
    set->values = value;
    pthread_mutex_unlock(&registry_lock);
    return value;
}

void metric_value_add(struct metric_value *value, int64_t amount)
{
    ck_pr_store_64(&value->number, value->number + (uint64_t)amount);
}

int64_t metric_value_get(const struct metric_value *value)
{
    return (int64_t)ck_pr_load_64(&value->number);
}

static void print_line(struct bytes *out, enum metric_id id, const char *labels, const char *more, int64_t number)
{
    const char *comma = labels[0] != '\0' && more[0] != '\0' ? "," : "";
    bytes_append_text(out, rows[id].name);
    if (labels[0] != '\0' || more[0] != '\0') {
        bytes_append_format(out, "{%s%s%s}", labels, comma, more);
    }
    bytes_append_format(out, " %" PRId64 "\n", number);
}

static void print_set(struct bytes *out, const struct metric_set *set, enum metric_id id)
{
    if (ck_pr_load_32(&set->used) >> id & 1) {
        print_line(out, id, set->labels, "", metric_get(set, id));
    }
    const struct metric_value *value = set->values;
    for (; value != NULL; value = value->next) {
        if (value->id == id) {
            print_line(out, id, set->labels, value->labels, metric_value_get(value));
        }
    }
}

static const char *kind_name(enum metric_kind kind)
{
    return kind == METRIC_COUNTER ? "counter" : "gauge";
}

void metric_print(struct bytes *out)
{
    pthread_mutex_lock(&registry_lock);
    for (int id = 0; id < METRIC_COUNT; id++) {
        bytes_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", rows[id].name, rows[id].help, rows[id].name,
                            kind_name(rows[id].kind));
        for (const struct metric_set *set = registry; set != NULL; set = set->next) {
            print_set(out, set, (enum metric_id)id);
        }
    }
    pthread_mutex_unlock(&registry_lock);
}

void metric_print_markdown(struct bytes *out)
{
    bytes_append_text(out, "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n");
    for (int id = 0; id < METRIC_COUNT; id++) {
        bytes_append_format(out, "| `%s` | %s | %s | %s |\n", rows[id].name, kind_name(rows[id].kind), rows[id].labels,
                            rows[id].help);
    }
}

int64_t metric_total(enum metric_id id)
{
    uint64_t total = 0;
    pthread_mutex_lock(&registry_lock);
    for (const struct metric_set *set = registry; set != NULL; set = set->next) {
        total += (uint64_t)metric_get(set, id);
        for (const struct metric_value *value = set->values; value != NULL; value = value->next) {
            total += value->id == id ? (uint64_t)metric_value_get(value) : 0;
        }
    }
    pthread_mutex_unlock(&registry_lock);
    return (int64_t)total;
}
