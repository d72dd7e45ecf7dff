#include "local/local_group.h"

#include "base/memory.h"
#include "local/local_commit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the app's lock ---- */

#define LOCK_NAME_MAX 160

/* Any text may be an app's name; in the file name other characters than letters, digits, '-', '_' and '.' are encoded.
 */
static char *lock_path(const struct local *local, const char *app)
{
    struct bytes name = {0};
    for (const char *at = app; *at != '\0' && name.size < LOCK_NAME_MAX; at++) {
        bool plain = isalnum((unsigned char)*at) || *at == '-' || *at == '_' || *at == '.';
        bytes_append_format(&name, plain ? "%c" : "%%%02x", (unsigned char)*at);
    }
    if (name.size >= LOCK_NAME_MAX) {
        bytes_append_format(&name, "+%08x", bytes_crc32c(slice_text(app)));
    }
    char *path = memory_format("%s/app-%s.lock", local->directory, bytes_text(&name));
    bytes_free(&name);
    return path;
}

static struct local_app **find_app(struct local *local, const char *app)
{
    struct local_app **at = &local->apps;
    while (*at != NULL && strcmp((*at)->name, app) != 0) {
        at = &(*at)->next;
    }
    return at;
}

static int lock_app(struct local *local, const char *app, struct local_lock *lock, struct err *err)
{
    char *path = lock_path(local, app);
    int taken = local_lock_take(lock, path, false, err);
    if (taken == 0) {
        char owner[256];
        local_lock_owner(path, owner, sizeof owner);
        err_set(err, ERR_FATAL, ERR_LOCKED,
                "The app %s runs already on the embedded log in %s: %s. Stop that process, or choose another app id or "
                "data directory; several processes of one app need Kafka (--brokers).",
                app, local->directory, owner);
    }
    free(path);
    return taken == 1 ? 0 : -1;
}

static int add_app(struct local *local, const char *app, struct err *err)
{
    struct local_lock lock = LOCAL_LOCK_NONE;
    if (lock_app(local, app, &lock, err) != 0) {
        return -1;
    }
    struct local_app *made = memory_alloc(sizeof *made);
    *made = (struct local_app){local->apps, memory_copy_text(app), lock, 1};
    local->apps = made;
    return 0;
}

int local_group_enter(struct local *local, const char *app, struct err *err)
{
    pthread_mutex_lock(&local->registry_lock);
    struct local_app *found = *find_app(local, app);
    int result = 0;
    if (found != NULL) {
        found->sessions++;
    } else {
        result = add_app(local, app, err);
    }
    pthread_mutex_unlock(&local->registry_lock);
    return result;
}

void local_group_leave(struct local *local, const char *app)
{
    pthread_mutex_lock(&local->registry_lock);
    struct local_app **at = find_app(local, app);
    struct local_app *found = *at;
    if (--found->sessions == 0) {
        *at = found->next;
        local_lock_release(&found->lock);
        free(found->name);
        free(found);
    }
    pthread_mutex_unlock(&local->registry_lock);
}

/* ---- positions ---- */

int local_group_position(struct local_db *db, const char *app, int64_t partition_id, int64_t *offset, char **metadata,
                         struct err *err)
{
    sqlite3_stmt *statement = local_db_statement(db, SQL_POSITION_GET, err);
    if (statement == NULL) {
        return -1;
    }
    sqlite3_bind_text(statement, 1, app, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 2, partition_id);
    int found = local_db_step(db, statement, err);
    if (found == 1) {
        *offset = sqlite3_column_int64(statement, 0);
        *metadata = memory_copy_text((const char *)sqlite3_column_text(statement, 1));
        local_db_done(statement);
    }
    return found;
}

static int list_positions(struct local_db *db, const char *app, struct group_position **list, size_t *count,
                          struct err *err)
{
    size_t capacity = 0;
    sqlite3_stmt *statement = local_db_statement(db, SQL_POSITION_LIST, err);
    if (statement == NULL) {
        return -1;
    }
    sqlite3_bind_text(statement, 1, app, -1, SQLITE_TRANSIENT);
    int found = local_db_step(db, statement, err);
    while (found == 1) {
        *list = memory_grow(*list, *count, &capacity, sizeof **list);
        (*list)[(*count)++] = (struct group_position){
            .topic = memory_copy_text(local_db_text(statement, 2)),
            .partition = (int32_t)sqlite3_column_int64(statement, 0),
            .committed = sqlite3_column_int64(statement, 1),
            .metadata = memory_copy_text((const char *)sqlite3_column_text(statement, 3)),
        };
        found = local_db_step(db, statement, err);
    }
    return found;
}

static void free_positions(struct group_position **list, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        free((*list)[i].topic);
        free((*list)[i].metadata);
    }
    free(*list);
    *list = NULL;
    *count = 0;
}

int local_group_positions(struct transport *transport, const char *app, struct group_position **list, size_t *count,
                          struct err *err)
{
    struct local *local = local_of(transport);
    *list = NULL;
    *count = 0;
    struct local_db db;
    if (local_db_open(&db, local->directory, LOCAL_DB_READ, err) != 0) {
        return -1;
    }
    int result = list_positions(&db, app, list, count, err);
    if (result != 0) {
        free_positions(list, count);
    }
    local_db_close(&db);
    return result;
}

static int write_positions(struct local *local, const char *app, const struct position *positions, size_t count,
                           struct err *err)
{
    struct local_db db;
    if (local_db_open(&db, local->directory, LOCAL_DB_READ, err) != 0) {
        return -1;
    }
    struct local_position *list = memory_alloc(count * sizeof *list);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        list[i].offset = positions[i].offset;
        list[i].metadata = positions[i].metadata;
        result =
            local_topic_partition(&db, positions[i].topic, positions[i].partition, &list[i].partition_id, NULL, err);
    }
    local_db_close(&db);
    if (result == 0) {
        struct local_request request = {.app = app, .positions = list, .position_count = count};
        result = local_commit(local, &request, err);
    }
    free(list);
    return result;
}

int local_group_set_positions(struct transport *transport, const char *app, const struct position *positions,
                              size_t count, struct err *err)
{
    struct local *local = local_of(transport);
    struct local_lock lock = LOCAL_LOCK_NONE;
    if (lock_app(local, app, &lock, err) != 0) {
        return -1;
    }
    int result = write_positions(local, app, positions, count, err);
    local_lock_release(&lock);
    return result;
}

/* ---- subscriptions ---- */

static int add_interest(struct local_interest *interest, const struct subscription *subscription, struct err *err)
{
    int code = 0;
    bool pattern = subscription->topic[0] == '^';
    if (pattern && (code = regcomp(&interest->regex, subscription->topic, REG_EXTENDED | REG_NOSUB)) != 0) {
        char reason[128];
        regerror(code, &interest->regex, reason, sizeof reason);
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The topic pattern %s is not a POSIX extended regular expression: %s. Correct it in the script.",
                       subscription->topic, reason);
    }
    interest->topic = memory_copy_text(subscription->topic);
    interest->pattern = pattern;
    interest->reset = subscription->reset;
    return 0;
}

int local_group_interests(const struct subscription *subscriptions, size_t count, struct local_interest **list,
                          struct err *err)
{
    *list = memory_alloc(count * sizeof **list);
    for (size_t i = 0; i < count; i++) {
        if (add_interest(&(*list)[i], &subscriptions[i], err) != 0) {
            local_group_interests_free(*list, i);
            *list = NULL;
            return -1;
        }
    }
    return 0;
}

void local_group_interests_free(struct local_interest *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].pattern) {
            regfree(&list[i].regex);
        }
        free(list[i].topic);
    }
    free(list);
}

static const struct local_interest *match(const struct local_interest *interests, size_t count, const char *topic)
{
    for (size_t i = 0; i < count; i++) {
        if (interests[i].pattern ? regexec(&interests[i].regex, topic, 0, NULL, 0) == 0
                                 : strcmp(interests[i].topic, topic) == 0) {
            return &interests[i];
        }
    }
    return NULL;
}

/* `like` says what all claims of the topic have in common. */
static int claim_topic(struct local_db *db, const struct local_topic *topic, const struct local_claim *like, int thread,
                       int threads, struct local_claims *claims, struct err *err)
{
    int64_t *ids = memory_alloc((size_t)topic->partitions * sizeof *ids);
    int result = local_topic_partition_ids(db, topic, ids, err);
    for (int32_t i = thread; i < topic->partitions && result == 0; i += threads) {
        claims->list = memory_grow(claims->list, claims->count, &claims->capacity, sizeof *claims->list);
        struct local_claim *claim = &claims->list[claims->count++];
        *claim = *like;
        claim->topic = memory_copy_text(like->topic);
        claim->partition = i;
        claim->partition_id = ids[i];
    }
    free(ids);
    return result;
}

int local_group_claims(struct local_db *db, const struct local_interest *interests, size_t count, int thread,
                       int threads, struct local_claims *claims, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int row = local_db_first(db, SQL_TOPIC_LIST, NULL, 0, &statement, err);
    while (row == 1) {
        struct local_topic topic = {sqlite3_column_int64(statement, 0), (int32_t)sqlite3_column_int64(statement, 1)};
        struct local_claim like = {.topic = (char *)local_db_text(statement, 2)};
        const struct local_interest *interest = match(interests, count, like.topic);
        if (interest != NULL) {
            like.reset = interest->reset;
            snprintf(like.topic_id, sizeof like.topic_id, "%s", local_db_text(statement, 3));
        }
        if (interest != NULL && claim_topic(db, &topic, &like, thread, threads, claims, err) != 0) {
            local_db_done(statement);
            return -1;
        }
        row = local_db_step(db, statement, err);
    }
    return row;
}

void local_group_claims_free(struct local_claims *claims)
{
    for (size_t i = 0; i < claims->count; i++) {
        free(claims->list[i].topic);
    }
    free(claims->list);
    *claims = (struct local_claims){0};
}
