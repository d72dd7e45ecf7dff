/* Groups of the embedded log: the lock of an app, its committed positions, and which partitions a thread gets.
 *
 * An app runs in one process at a time; its threads share the partitions by number, so that partition n of every topic
 * belongs to the same thread.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_GROUP_H
#define TIDEMILL_LOCAL_LOCAL_GROUP_H

#include "local/local_topic.h"

#include <regex.h>

/* Takes the app's lock for one more session of this process; ERR_LOCKED names the process that has it. */
int local_group_enter(struct local *local, const char *app, struct err *err);
void local_group_leave(struct local *local, const char *app);

/* 1: found, `offset` and `metadata` (a copy to free(), or NULL) are filled; 0: nothing committed; -1. */
int local_group_position(struct local_db *db, const char *app, int64_t partition_id, int64_t *offset, char **metadata,
                         struct err *err);

int local_group_positions(struct transport *transport, const char *app, struct group_position **list, size_t *count,
                          struct err *err);
int local_group_set_positions(struct transport *transport, const char *app, const struct position *positions,
                              size_t count, struct err *err);

/* What a session subscribes to. */
struct local_interest {
    char *topic;
    bool pattern;
    regex_t regex;
    enum reset_policy reset;
};

int local_group_interests(const struct subscription *subscriptions, size_t count, struct local_interest **list,
                          struct err *err);
void local_group_interests_free(struct local_interest *list, size_t count);

/* A partition that a thread should have. */
struct local_claim {
    char *topic;
    char topic_id[TOPIC_ID_SIZE];
    int32_t partition;
    int64_t partition_id;
    enum reset_policy reset;
};

struct local_claims {
    struct local_claim *list;
    size_t count;
    size_t capacity;
};

/* Every partition of the topics of interest whose number belongs to the thread, in order of topic and number. */
int local_group_claims(struct local_db *db, const struct local_interest *interests, size_t count, int thread,
                       int threads, struct local_claims *claims, struct err *err);
void local_group_claims_free(struct local_claims *claims);

#endif
