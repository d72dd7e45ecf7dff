#include "engine/connector_status.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"

void connector_status_init(struct connector_status *status, const struct connector_use *use, int32_t task)
{
    *status = (struct connector_status){.seed = hash_table64(slice_text(use->name)) + (uint64_t)task};
    pthread_mutex_init(&status->lock, NULL);
}

void connector_status_free(struct connector_status *status)
{
    pthread_mutex_destroy(&status->lock);
}

void connector_status_connecting(struct connector_status *status)
{
    pthread_mutex_lock(&status->lock);
    status->report.state = CONNECTOR_CONNECTING;
    pthread_mutex_unlock(&status->lock);
}

/* With the lock held. */
static void note_progress(struct connector_status *status, const struct source_progress *progress)
{
    struct connector_report *report = &status->report;
    const char *phase = progress->phase ? progress->phase : "";
    int64_t now_ns = clock_monotonic_ns(&CLOCK_SYSTEM);
    if (strncmp(report->phase, phase, sizeof(report->phase) - 1) != 0 || progress->done < report->done) {
        snprintf(report->phase, sizeof(report->phase), "%s", phase);
        status->phase_since_ns = now_ns;
        status->phase_from = progress->done;
    }
    report->done = progress->done;
    report->total = progress->total;
    double seconds = (double)(now_ns - status->phase_since_ns) / 1e9;
    bool known = phase[0] != '\0' && seconds > 0;
    report->rows_per_s = known ? (int64_t)((double)(progress->done - status->phase_from) / seconds) : 0;
}

void connector_status_running(struct connector_status *status, size_t records, const struct source_progress *progress)
{
    struct connector_report *report = &status->report;
    pthread_mutex_lock(&status->lock);
    report->state = CONNECTOR_RUNNING;
    report->failures = 0;
    report->reason[0] = '\0';
    report->records += (int64_t)records;
    if (progress) {
        note_progress(status, progress);
    }
    pthread_mutex_unlock(&status->lock);
}

static void note_failure(struct connector_status *status, enum connector_state state, const struct err *err)
{
    pthread_mutex_lock(&status->lock);
    status->report.state = state;
    status->report.failures++;
    snprintf(status->report.reason, sizeof(status->report.reason), "%s", err->text);
    pthread_mutex_unlock(&status->lock);
}

/* xorshift64: spreads the attempts, nothing more. */
static uint64_t next_random(struct connector_status *status)
{
    uint64_t seed = status->seed | 1;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return status->seed = seed;
}

int64_t connector_status_failed(struct connector_status *status, const struct connector_runner_options *options,
                                const struct err *err)
{
    note_failure(status, CONNECTOR_WAITING, err);
    int64_t wait_ms = options->retry_ms;
    for (int64_t i = 1; i < status->report.failures && wait_ms < options->retry_max_ms; i++) {
        wait_ms *= 2;
    }
    wait_ms = wait_ms < options->retry_max_ms ? wait_ms : options->retry_max_ms;
    return wait_ms - (int64_t)(next_random(status) % ((uint64_t)wait_ms / 2 + 1));
}

void connector_status_ended(struct connector_status *status, const struct err *err)
{
    note_failure(status, CONNECTOR_FAILED, err);
}

void connector_status_copy(struct connector_status *status, struct connector_report *report)
{
    pthread_mutex_lock(&status->lock);
    *report = status->report;
    pthread_mutex_unlock(&status->lock);
}

const char *connector_state_name(enum connector_state state)
{
    static const char *const names[] = {[CONNECTOR_CONNECTING] = "connecting",
                                        [CONNECTOR_RUNNING] = "running",
                                        [CONNECTOR_WAITING] = "waiting",
                                        [CONNECTOR_FAILED] = "failed"};
    return names[state];
}
