/* Topics of the embedded log: looking them up, making and deleting them.
 *
 * The functions that take a struct local_db read on the caller's connection; the others are those of the transport
 * class and may be called by any thread.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_TOPIC_H
#define TIDEMILL_LOCAL_LOCAL_TOPIC_H

#include "local/local_int.h"

struct local_topic {
    int64_t id;
    int32_t partitions;
};

struct local_marks {
    int64_t low;
    int64_t high;
};

/* 1: found; 0: there is no such topic; -1. */
int local_topic_find(struct local_db *db, const char *name, struct local_topic *topic, struct err *err);
/* Ids of the partitions 0 .. n-1 in `ids`, which has room for `partitions`. */
int local_topic_partition_ids(struct local_db *db, const struct local_topic *topic, int64_t *ids, struct err *err);
/* The partition's id and watermarks (may be NULL); ERR_TOPIC when topic or partition is missing. */
int local_topic_partition(struct local_db *db, const char *name, int32_t partition, int64_t *id,
                          struct local_marks *marks, struct err *err);
/* 1: filled; 0: the partition is gone; -1. */
int local_topic_marks(struct local_db *db, int64_t partition_id, struct local_marks *marks, struct err *err);
int local_topic_version(struct local_db *db, int64_t *version, struct err *err);
int local_topic_missing(const char *name, struct err *err); /* fills the usual error and returns -1 */

int local_topic_describe(struct transport *transport, const char *topic, struct topic_info *info, struct err *err);
int local_topic_create(struct transport *transport, const struct topic_spec *spec, struct err *err);
int local_topic_delete(struct transport *transport, const char *topic, struct err *err);
int local_topic_add_partitions(struct transport *transport, const char *topic, int32_t total, struct err *err);
int local_topic_list(struct transport *transport, struct option_list *names, struct err *err);
int local_topic_watermarks(struct transport *transport, const char *topic, int32_t partition, int64_t *low,
                           int64_t *high, struct err *err);
int local_topic_offset_for_time(struct transport *transport, const char *topic, int32_t partition, int64_t timestamp,
                                int64_t *offset, struct err *err);
int local_topic_delete_records(struct transport *transport, const char *topic, int32_t partition, int64_t before,
                               struct err *err);

#endif
