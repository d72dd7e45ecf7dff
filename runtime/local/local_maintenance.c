#include "local/local_maintenance.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "base/memory.h"
#include "local/local_compact.h"
#include "local/local_retention.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* The write-ahead log is copied into the file in the background from the first limit on, and by the committing thread
 * itself from the second: a background copy never catches up with a thread that writes without pause. */
#define CHECKPOINT_BYTES FAILPOINT_NUMBER("TIDEMILL_CHECKPOINT_BYTES", INT64_C(8) * 1024 * 1024)
#define CHECKPOINT_NOW_BYTES (INT64_C(48) * 1024 * 1024)

struct local_maintenance {
    struct local *local;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;
    bool checkpoint;    /* asked for */
    struct local_db db; /* the thread's own, open while it is needed */
};

/* ---- checkpoints ---- */

static void ask_for_checkpoint(struct local_maintenance *maintenance)
{
    pthread_mutex_lock(&maintenance->lock);
    maintenance->checkpoint = true;
    pthread_cond_signal(&maintenance->changed);
    pthread_mutex_unlock(&maintenance->lock);
}

void local_maintenance_checkpoint(struct local *local)
{
    if (local->wal_pages < local->wal_checkpointed) {
        local->wal_checkpointed = 0; /* the log has begun anew */
    }
    int64_t bytes = (int64_t)(local->wal_pages - local->wal_checkpointed) * local->page_size;
    struct local_maintenance *maintenance = local->maintenance;
    if (local->writer.handle == NULL || bytes < CHECKPOINT_BYTES) {
        return;
    }
    if (bytes >= CHECKPOINT_NOW_BYTES || maintenance == NULL) {
        local_db_checkpoint(&local->writer, true);
        local->wal_checkpointed = local->wal_pages;
    } else {
        ask_for_checkpoint(maintenance);
    }
}

static int open_own(struct local_maintenance *maintenance, struct err *err)
{
    if (maintenance->db.handle != NULL) {
        return 0;
    }
    return local_db_open(&maintenance->db, maintenance->local->directory, LOCAL_DB_WRITE, err) == 0 ? 0 : -1;
}

static void run_checkpoint(struct local_maintenance *maintenance)
{
    struct err err = {0};
    if (open_own(maintenance, &err) == 0) {
        local_db_checkpoint(&maintenance->db, false);
    }
}

/* ---- rounds ---- */

int local_maintenance_round(struct local *local, bool all, struct err *err)
{
    struct local_lock lock = LOCAL_LOCK_NONE;
    char *path = memory_format("%s/maintenance.lock", local->directory);
    int taken = local_lock_take(&lock, path, false, err);
    free(path);
    if (taken <= 0) {
        return taken;
    }
    struct local_db db;
    int result = local_db_open(&db, local->directory, LOCAL_DB_READ, err) == 0 ? 0 : -1;
    if (result == 0) {
        result = local_retention_run(local, &db, err);
        result = result == 0 ? local_compact_run(local, &db, all, err) : result;
        local_db_close(&db);
    }
    local_lock_release(&lock);
    return result == 0 ? 1 : -1;
}

static void run_round(struct local *local)
{
    struct err err = {0};
    if (local_maintenance_round(local, false, &err) < 0) {
        log_event(LOG_WARN, "Retention or compaction of the embedded log failed and is tried again later.",
                  log_text("error", err.text));
    }
}

/* ---- the thread ---- */

/* Sleeps until there is something to do; false: the end. `round`: it is time for one. */
static bool wait_for_work(struct local_maintenance *maintenance, int64_t due_ns, bool *round, bool *checkpoint)
{
    struct timespec at = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
    int code = 0;
    pthread_mutex_lock(&maintenance->lock);
    while (code == 0 && !maintenance->stop && !maintenance->checkpoint) {
        code = maintenance->local->maintenance_ms < 0
                   ? pthread_cond_wait(&maintenance->changed, &maintenance->lock)
                   : pthread_cond_timedwait(&maintenance->changed, &maintenance->lock, &at);
    }
    bool go_on = !maintenance->stop;
    *checkpoint = maintenance->checkpoint;
    *round = code == ETIMEDOUT;
    maintenance->checkpoint = false;
    pthread_mutex_unlock(&maintenance->lock);
    return go_on;
}

static void *run(void *self)
{
    struct local_maintenance *maintenance = self;
    struct local *local = maintenance->local;
    bool round = false;
    bool checkpoint = false;
    int64_t interval_ns = local->maintenance_ms * 1000000;
    int64_t due_ns = clock_monotonic_ns(&CLOCK_SYSTEM) + interval_ns;
    while (wait_for_work(maintenance, due_ns, &round, &checkpoint)) {
        if (checkpoint) {
            run_checkpoint(maintenance);
        }
        if (round) {
            local_db_close(&maintenance->db); /* a quiet log needs no connection for checkpoints */
            run_round(local);
            due_ns = clock_monotonic_ns(&CLOCK_SYSTEM) + interval_ns;
        }
    }
    local_db_close(&maintenance->db);
    return NULL;
}

static void init_changed(pthread_cond_t *changed)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Signals are for the threads of the program that expect them. */
static int start_thread(struct local_maintenance *maintenance)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&maintenance->thread, NULL, run, maintenance);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

void local_maintenance_start(struct local *local)
{
    pthread_mutex_lock(&local->registry_lock);
    if (local->maintenance == NULL) {
        struct local_maintenance *made = memory_alloc(sizeof *made);
        made->local = local;
        pthread_mutex_init(&made->lock, NULL);
        init_changed(&made->changed);
        if (start_thread(made) == 0) {
            local->maintenance = made;
        } else {
            pthread_cond_destroy(&made->changed);
            pthread_mutex_destroy(&made->lock);
            free(made);
        }
    }
    pthread_mutex_unlock(&local->registry_lock);
}

void local_maintenance_stop(struct local *local)
{
    struct local_maintenance *maintenance = local->maintenance;
    if (maintenance == NULL) {
        return;
    }
    pthread_mutex_lock(&maintenance->lock);
    maintenance->stop = true;
    pthread_cond_signal(&maintenance->changed);
    pthread_mutex_unlock(&maintenance->lock);
    pthread_join(maintenance->thread, NULL);
    pthread_cond_destroy(&maintenance->changed);
    pthread_mutex_destroy(&maintenance->lock);
    free(maintenance);
    local->maintenance = NULL;
}
