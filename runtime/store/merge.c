#include "store/merge.h"

#include "base/memory.h"
#include "store/merge_pass.h"

#include <stdatomic.h>
#include <stdlib.h>

struct merge {
    struct merge_pass_config config;
    char *directory;
    char *app;
    char *worker;
    atomic_bool cancelled;
    struct background_job job;
};

static bool is_cancelled(void *self)
{
    struct merge *merge = self;
    return atomic_load_explicit(&merge->cancelled, memory_order_relaxed);
}

static int run(void *self, struct err *err)
{
    struct merge *merge = self;
    return merge_pass(&merge->config, err);
}

struct merge *merge_new(const char *directory, const char *app, const char *worker, int64_t pair)
{
    struct merge *merge = memory_alloc(sizeof *merge);
    merge->directory = memory_copy_text(directory);
    merge->app = memory_copy_text(app);
    merge->worker = memory_copy_text(worker);
    merge->config =
        (struct merge_pass_config){merge->directory, merge->app, merge->worker, pair, 0, 0, is_cancelled, merge};
    atomic_init(&merge->cancelled, false);
    merge->job = (struct background_job){.run = run, .self = merge};
    background_join(BACKGROUND_MERGES);
    return merge;
}

void merge_free(struct merge *merge)
{
    struct err ignored;
    if (merge == NULL) {
        return;
    }
    atomic_store_explicit(&merge->cancelled, true, memory_order_relaxed);
    if (!background_withdraw(&merge->job)) {
        background_wait(&merge->job, &ignored);
    }
    background_leave(BACKGROUND_MERGES);
    free(merge->directory);
    free(merge->app);
    free(merge->worker);
    free(merge);
}

void merge_request(struct merge *merge, int64_t through, int64_t batch_bytes)
{
    merge->config.through = through;
    merge->config.batch_bytes = batch_bytes;
    background_start(BACKGROUND_MERGES, &merge->job);
}

enum background_state merge_poll(struct merge *merge, struct err *err)
{
    return background_poll(&merge->job, err);
}

enum background_state merge_wait(struct merge *merge, struct err *err)
{
    return background_wait(&merge->job, err);
}
