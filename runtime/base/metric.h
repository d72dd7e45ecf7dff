/* Metrics: one static table, values that one thread writes and any thread reads without a lock.
 *
 * Ownership: a struct metric_set belongs to whoever created it and is known to the registry until metric_set_free.
 * Values are written by the owning thread only (ck_pr stores) and read by the HTTP thread; registering and freeing take
 * a lock, writing does not.
 */
#ifndef TIDEMILL_BASE_METRIC_H
#define TIDEMILL_BASE_METRIC_H

#include "base/bytes.h"

enum metric_id {
    METRIC_RECORDS_IN,
    METRIC_RECORDS_OUT,
    METRIC_BYTES_IN,
    METRIC_BYTES_OUT,
    METRIC_LAG,
    METRIC_PROCESS_NS,
    METRIC_COMMITS,
    METRIC_COMMIT_NS,
    METRIC_ABORTS,
    METRIC_STATE_BYTES,
    METRIC_STATE_ENTRIES,
    METRIC_DROPPED, /* labels: node, reason */
    METRIC_ERRORS,  /* labels: code */
    METRIC_RESTORES,
    METRIC_RESTORED_RECORDS,
    METRIC_RESTORE_REMAINING,
    METRIC_WORKERS,
    METRIC_REBALANCES,
    METRIC_USER, /* labels: name; from tm.metric */
    METRIC_COUNT
};

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

/* The values of one thread or worker; `labels` is Prometheus text such as app="shop",worker="0_3", copied. */
struct metric_set;
struct metric_set *metric_set_new(const char *labels);
void metric_set_free(struct metric_set *set);

void metric_add(struct metric_set *set, enum metric_id id, int64_t amount);
void metric_put(struct metric_set *set, enum metric_id id, int64_t value);
int64_t metric_get(const struct metric_set *set, enum metric_id id);

/* A counter with labels of its own, such as node="filter@pipeline.lua:17",reason="null_key"; made once, kept by the
 * set. */
struct metric_value;
struct metric_value *metric_labelled(struct metric_set *set, enum metric_id id, const char *labels);
void metric_value_add(struct metric_value *value, int64_t amount);
int64_t metric_value_get(const struct metric_value *value);

/* Prometheus text format 0.0.4 of all sets; and the table as markdown for the reference page. Any thread. */
void metric_print(struct bytes *out);
void metric_print_markdown(struct bytes *out);

/* Sum over all sets, for progress lines. Any thread. */
int64_t metric_total(enum metric_id id);

#endif
