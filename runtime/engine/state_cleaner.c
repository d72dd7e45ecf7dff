#include "engine/state_cleaner.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

#define LONGEST_PAUSE_MS INT64_C(60000) /* between two looks */
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define QUARANTINE ".quarantine-"

/* What makes a directory one of a worker's: the files of runtime/store. */
static const char *const state_files[] = {"deltas.db", "rows.db", "deltas.db-wal"};

struct state_cleaner {
    char *directory;
    int64_t delay_ms;
    const struct clock *clock;
    int64_t began_ms;
    bool threaded;
    pthread_t thread;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t stopped;
    bool stopping;
    char **claims;
    size_t claim_count;
    size_t claim_capacity;
};

/* ---- claims ---- */

static size_t find_claim(const struct state_cleaner *cleaner, const char *path)
{
    size_t i = 0;
    while (i < cleaner->claim_count && strcmp(cleaner->claims[i], path) != 0) {
        i++;
    }
    return i;
}

void state_cleaner_claim(struct state_cleaner *cleaner, const char *path)
{
    if (!cleaner) {
        return;
    }
    pthread_mutex_lock(&cleaner->lock);
    cleaner->claims =
        memory_grow(cleaner->claims, cleaner->claim_count, &cleaner->claim_capacity, sizeof(*cleaner->claims));
    cleaner->claims[cleaner->claim_count++] = memory_copy_text(path);
    pthread_mutex_unlock(&cleaner->lock);
}

void state_cleaner_release(struct state_cleaner *cleaner, const char *path)
{
    if (!cleaner) {
        return;
    }
    pthread_mutex_lock(&cleaner->lock);
    size_t i = find_claim(cleaner, path);
    if (i < cleaner->claim_count) {
        free(cleaner->claims[i]);
        cleaner->claims[i] = cleaner->claims[--cleaner->claim_count];
        utimensat(AT_FDCWD, path, NULL, 0); /* left from now on, also for the next process */
    }
    pthread_mutex_unlock(&cleaner->lock);
}

/* ---- sweeping ---- */

static int64_t changed_ms(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / NS_PER_MS : -1;
}

/* When the directory was used last; -1: it is none of a worker's. */
static int64_t last_use(const char *path)
{
    int64_t last = -1;
    for (size_t i = 0; i < sizeof(state_files) / sizeof(state_files[0]); i++) {
        char *file = memory_format("%s/%s", path, state_files[i]);
        int64_t changed = changed_ms(file);
        last = changed > last ? changed : last;
        free(file);
    }
    int64_t released = last >= 0 ? changed_ms(path) : -1;
    return released > last ? released : last;
}

static void empty(const char *path)
{
    DIR *stream = opendir(path);
    const struct dirent *entry;
    while (stream && (entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !strstr(entry->d_name, QUARANTINE)) {
            unlinkat(dirfd(stream), entry->d_name, 0);
        }
    }
    if (stream) {
        closedir(stream);
    }
    rmdir(path); /* not if something is in quarantine there */
}

/* With the lock held. */
static bool clean(struct state_cleaner *cleaner, const char *path, int64_t now_ms)
{
    int64_t used = last_use(path);
    if (used < 0 || find_claim(cleaner, path) < cleaner->claim_count || now_ms - used < cleaner->delay_ms) {
        return false;
    }
    empty(path);
    log_event(LOG_INFO, "State of a partition that is processed elsewhere is deleted.", log_text("directory", path),
              log_number("unused_ms", now_ms - used));
    return true;
}

int state_cleaner_sweep(struct state_cleaner *cleaner)
{
    int64_t now_ms = clock_wall_ms(cleaner->clock);
    if (cleaner->delay_ms == 0 || now_ms - cleaner->began_ms < cleaner->delay_ms) {
        return 0;
    }
    DIR *stream = opendir(cleaner->directory);
    const struct dirent *entry;
    int cleaned = 0;
    while (stream && (entry = readdir(stream))) {
        if (entry->d_name[0] != '.') {
            char *path = memory_format("%s/%s", cleaner->directory, entry->d_name);
            pthread_mutex_lock(&cleaner->lock);
            cleaned += clean(cleaner, path, now_ms);
            pthread_mutex_unlock(&cleaner->lock);
            free(path);
        }
    }
    if (stream) {
        closedir(stream);
    }
    return cleaned;
}

/* ---- the thread ---- */

static bool rest(struct state_cleaner *cleaner)
{
    int64_t pause = cleaner->delay_ms < LONGEST_PAUSE_MS ? cleaner->delay_ms : LONGEST_PAUSE_MS;
    int64_t until = clock_monotonic_ns(&CLOCK_SYSTEM) + pause * NS_PER_MS;
    struct timespec time = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
    pthread_mutex_lock(&cleaner->lock);
    while (!cleaner->stopping && pthread_cond_timedwait(&cleaner->stopped, &cleaner->lock, &time) == 0) {
    }
    bool go_on = !cleaner->stopping;
    pthread_mutex_unlock(&cleaner->lock);
    return go_on;
}

static void *work(void *self)
{
    struct state_cleaner *cleaner = self;
    while (rest(cleaner)) {
        state_cleaner_sweep(cleaner);
    }
    return NULL;
}

int state_cleaner_open(const char *directory, int64_t delay_ms, const struct clock *clock, bool thread,
                       struct state_cleaner **result, struct err *err)
{
    struct state_cleaner *cleaner = memory_alloc(sizeof(*cleaner));
    pthread_condattr_t attributes;
    cleaner->directory = memory_copy_text(directory);
    cleaner->delay_ms = delay_ms;
    cleaner->clock = clock;
    cleaner->began_ms = clock_wall_ms(clock);
    pthread_mutex_init(&cleaner->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cleaner->stopped, &attributes);
    pthread_condattr_destroy(&attributes);
    cleaner->threaded = thread && delay_ms > 0;
    if (cleaner->threaded && pthread_create(&cleaner->thread, NULL, work, cleaner)) {
        cleaner->threaded = false;
        state_cleaner_close(cleaner);
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "The thread that deletes unused state can't be started.");
    }
    *result = cleaner;
    return 0;
}

void state_cleaner_close(struct state_cleaner *cleaner)
{
    if (!cleaner) {
        return;
    }
    pthread_mutex_lock(&cleaner->lock);
    cleaner->stopping = true;
    pthread_cond_signal(&cleaner->stopped);
    pthread_mutex_unlock(&cleaner->lock);
    if (cleaner->threaded) {
        pthread_join(cleaner->thread, NULL);
    }
    for (size_t i = 0; i < cleaner->claim_count; i++) {
        free(cleaner->claims[i]);
    }
    pthread_cond_destroy(&cleaner->stopped);
    pthread_mutex_destroy(&cleaner->lock);
    free(cleaner->claims);
    free(cleaner->directory);
    free(cleaner);
}
