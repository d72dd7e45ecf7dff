#include "local/local_wait.h"

#include <time.h>

#define NS_PER_MS INT64_C(1000000)

/* How often other processes are asked for, by the time since something happened last: a question costs a few us, most
 * of them for waking up. */
static const struct {
    int64_t quiet_ms;
    int64_t step_ms;
} steps[] = {{500, 1}, {2000, 2}, {5000, 5}, {10000, 20}, {INT64_MAX / NS_PER_MS, 50}};

#define IDLE_MS 10000

void local_wait_announce(struct local *local)
{
    pthread_mutex_lock(&local->wait_lock);
    local->changes++;
    pthread_cond_broadcast(&local->changed);
    pthread_mutex_unlock(&local->wait_lock);
}

void local_wait_wake(struct local *local, struct local_wait *wait)
{
    pthread_mutex_lock(&local->wait_lock);
    wait->woken = true;
    pthread_cond_broadcast(&local->changed);
    pthread_mutex_unlock(&local->wait_lock);
}

static int64_t now_ns(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM);
}

int local_wait_changed(struct local *local, struct local_wait *wait, struct local_db *db, struct err *err)
{
    pthread_mutex_lock(&local->wait_lock);
    wait->seen = local->changes;
    pthread_mutex_unlock(&local->wait_lock);
    sqlite3_stmt *statement = NULL;
    if (local_db_first(db, SQL_DATA_VERSION, NULL, 0, &statement, err) < 0) {
        return -1;
    }
    int64_t version = sqlite3_column_int64(statement, 0);
    local_db_done(statement);
    if (version == wait->data_version) {
        return 0;
    }
    wait->data_version = version;
    wait->active_ns = now_ns();
    return 1;
}

int64_t local_wait_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? -1 : now_ns() + timeout_ms * NS_PER_MS;
}

static int64_t step_ns(const struct local_wait *wait, int64_t now)
{
    int64_t quiet = (now - wait->active_ns) / NS_PER_MS;
    size_t i = 0;
    while (quiet >= steps[i].quiet_ms) {
        i++;
    }
    return steps[i].step_ms * NS_PER_MS;
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / (1000 * NS_PER_MS), .tv_nsec = ns % (1000 * NS_PER_MS)};
}

bool local_wait_sleep(struct local *local, struct local_wait *wait, int64_t deadline)
{
    int64_t now = now_ns();
    int64_t until = now + step_ns(wait, now);
    if (deadline >= 0 && now >= deadline) {
        return false;
    }
    struct timespec at = timespec_of(deadline >= 0 && until > deadline ? deadline : until);
    pthread_mutex_lock(&local->wait_lock);
    int code = 0;
    while (code == 0 && !wait->woken && wait->seen == local->changes) {
        code = pthread_cond_timedwait(&local->changed, &local->wait_lock, &at);
    }
    bool woken = wait->woken;
    wait->woken = false;
    pthread_mutex_unlock(&local->wait_lock);
    return !woken;
}

bool local_wait_idle(const struct local_wait *wait)
{
    return now_ns() - wait->active_ns > IDLE_MS * NS_PER_MS;
}
