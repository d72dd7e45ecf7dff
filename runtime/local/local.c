#include "local/local.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "local/local_batch.h"
#include "local/local_int.h"
#include "local/local_maintenance.h"
#include "local/local_topic.h"

#include <stdlib.h>

#define READ_AHEAD_DEFAULT ((size_t)1024 * 1024)
#define BATCH_DEFAULT ((size_t)256 * 1024)
#define MAINTENANCE_DEFAULT_MS FAILPOINT_NUMBER("TIDEMILL_MAINTENANCE_MS", 30000)

static const struct clock system_clock = {false, 0};

/* ---- opening and closing ---- */

static char *log_directory(const char *data)
{
    return memory_format("%s/log", data);
}

bool local_exists(const char *data)
{
    char *directory = log_directory(data);
    bool exists = local_db_exists(directory);
    free(directory);
    return exists;
}

static int open_file(struct local *local, const struct local_config *config, struct err *err)
{
    if (!local_db_exists(local->directory) && !config->create) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "There is no embedded log in %s. Name the data directory with --data, or create a topic there "
                       "first.",
                       config->data);
    }
    int result =
        local_db_exists(local->directory) ? local_db_open(&local->admin, local->directory, LOCAL_DB_READ, err) : 1;
    if (result == 1 && config->create) {
        result = local_db_create(local->directory, config->page_size, err);
        result = result == 0 ? local_db_open(&local->admin, local->directory, LOCAL_DB_READ, err) : result;
    }
    return result == 0 ? 0 : -1;
}

static int read_page_size(struct local *local, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (local_db_first(&local->admin, SQL_PAGE_SIZE, NULL, 0, &statement, err) != 1) {
        return -1;
    }
    local->page_size = sqlite3_column_int64(statement, 0);
    local_db_done(statement);
    return 0;
}

static void init_locks(struct local *local)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&local->commit_lock, NULL);
    pthread_cond_init(&local->commit_done, NULL);
    pthread_mutex_init(&local->admin_lock, NULL);
    pthread_mutex_init(&local->registry_lock, NULL);
    pthread_mutex_init(&local->wait_lock, NULL);
    pthread_cond_init(&local->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void local_close(struct transport *transport)
{
    struct local *local = local_of(transport);
    local_maintenance_stop(local);
    local_db_close(&local->writer);
    local_turn_close(&local->turn);
    local_db_close(&local->admin);
    for (size_t i = 0; i < local->name_count; i++) {
        free(local->names[i]);
    }
    free(local->names);
    pthread_cond_destroy(&local->changed);
    pthread_mutex_destroy(&local->wait_lock);
    pthread_mutex_destroy(&local->registry_lock);
    pthread_mutex_destroy(&local->admin_lock);
    pthread_cond_destroy(&local->commit_done);
    pthread_mutex_destroy(&local->commit_lock);
    free(local->directory);
    free(local);
}

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

int local_open(const struct local_config *config, struct transport **transport, struct err *err)
{
    struct local *local = memory_alloc(sizeof *local);
    local->base.class = &local_class;
    local->turn = LOCAL_TURN_NONE;
    local->directory = log_directory(config->data);
    local->clock = config->clock != NULL ? config->clock : &system_clock;
    local->read_ahead = (size_t)or_default(config->read_ahead_bytes, READ_AHEAD_DEFAULT);
    local->batch_size = (size_t)or_default(config->batch_bytes, BATCH_DEFAULT);
    local->maintenance_ms = or_default(config->maintenance_ms, MAINTENANCE_DEFAULT_MS);
    init_locks(local);
    if (open_file(local, config, err) != 0 || read_page_size(local, err) != 0) {
        local_close(&local->base);
        return -1;
    }
    *transport = &local->base;
    return 0;
}

const char *local_name(struct local *local, const char *name)
{
    pthread_mutex_lock(&local->registry_lock);
    size_t i = 0;
    while (i < local->name_count && strcmp(local->names[i], name) != 0) {
        i++;
    }
    if (i == local->name_count) {
        local->names = memory_grow(local->names, local->name_count, &local->name_capacity, sizeof *local->names);
        local->names[local->name_count++] = memory_copy_text(name);
    }
    const char *copy = local->names[i];
    pthread_mutex_unlock(&local->registry_lock);
    return copy;
}

int local_maintain(struct transport *transport, struct err *err)
{
    int done = local_maintenance_round(local_of(transport), true, err);
    if (done == 0) {
        return err_set(err, ERR_RETRY, ERR_LOCKED,
                       "Another process does retention and compaction of this log right now. Try again later.");
    }
    return done == 1 ? 0 : -1;
}
