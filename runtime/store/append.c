#include "store/append.h"

#include "base/memory.h"

#include <stdlib.h>

#define CHECKPOINT_NOW_PAGES 8192 /* of the WAL: the merge, which does it otherwise, can't keep up */

/* Nobody is ahead of the only writer, as commits in quick succession are of a checkpoint beside them. */
static void bound_wal(struct append *append)
{
    if (append->log->wal_pages >= CHECKPOINT_NOW_PAGES) {
        database_checkpoint(&append->log->database, &append->checkpoint_err);
    }
}

static int write_deltas(struct append *append, struct err *err)
{
    struct delta_log_row *rows = memory_alloc((append->count + 1) * sizeof *rows);
    for (size_t i = 0; i < append->count; i++) {
        bool last = i + 1 == append->count;
        delta_finish(&append->deltas[i]);
        rows[i] = (struct delta_log_row){append->seq + 1 + (int64_t)i, last ? bytes_slice(&append->meta) : SLICE_NULL,
                                         bytes_slice(&append->deltas[i].blob)};
    }
    int failed = append->count > 0 ? delta_log_append(append->log, rows, append->count, append->merged, err) : 0;
    free(rows);
    return failed;
}

static int run(void *self, struct err *err)
{
    struct append *append = self;
    int failed = write_deltas(append, err);
    if (failed == 0) {
        bound_wal(append);
    }
    return failed;
}

void append_init(struct append *append, struct delta_log *log)
{
    *append = (struct append){.log = log, .job = {.run = run, .self = append, .thread = BACKGROUND_COMMITS}};
}

void append_free(struct append *append)
{
    if (append->joined) {
        background_leave(BACKGROUND_COMMITS);
    }
    for (size_t i = 0; i < append->capacity; i++) {
        bytes_free(&append->deltas[i].blob);
    }
    free(append->deltas);
    bytes_free(&append->meta);
}

void append_clear(struct append *append)
{
    append->count = 0;
    bytes_clear(&append->meta);
}

struct delta_writer *append_add(struct append *append)
{
    size_t before = append->capacity;
    append->deltas = memory_grow(append->deltas, append->count, &append->capacity, sizeof *append->deltas);
    memset(append->deltas + before, 0, (append->capacity - before) * sizeof *append->deltas);
    struct delta_writer *delta = &append->deltas[append->count++];
    delta_begin(delta);
    return delta;
}

int64_t append_bytes(const struct append *append)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < append->count; i++) {
        bytes += (int64_t)append->deltas[i].blob.size;
    }
    return bytes;
}

int64_t append_capacity(const struct append *append)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < append->capacity; i++) {
        bytes += (int64_t)append->deltas[i].blob.capacity;
    }
    return bytes;
}

void append_trim(struct append *append, size_t most)
{
    for (size_t i = 0; i < append->capacity; i++) {
        if (i > 0 || append->deltas[i].blob.capacity > most) {
            bytes_free(&append->deltas[i].blob);
        }
    }
}

int append_write(struct append *append, int64_t seq, int64_t merged, struct err *err)
{
    append->seq = seq;
    append->merged = merged;
    return write_deltas(append, err);
}

static void start(struct append *append)
{
    if (!append->joined) {
        background_join(BACKGROUND_COMMITS);
        append->joined = true;
    }
    err_clear(&append->checkpoint_err);
    append->state = APPEND_RUNNING;
    background_start(BACKGROUND_COMMITS, &append->job);
}

void append_start(struct append *append, int64_t seq, int64_t merged)
{
    append->seq = seq;
    append->merged = merged;
    start(append);
}

void append_bound_wal(struct append *append)
{
    if (append->state == APPEND_DONE && append->log->wal_pages >= CHECKPOINT_NOW_PAGES) {
        append_clear(append);
        start(append);
    }
}

int append_take(struct append *append, bool wait, struct err *err)
{
    if (append->state != APPEND_RUNNING) {
        return 0;
    }
    if (wait && background_withdraw(&append->job)) {
        append->state = run(append, err) != 0 ? APPEND_FAILED : APPEND_DONE;
        return append->state == APPEND_FAILED ? -1 : 0;
    }
    enum background_state state = wait ? background_wait(&append->job, err) : background_poll(&append->job, err);
    if (state == BACKGROUND_DONE) {
        append->state = APPEND_DONE;
    } else if (state == BACKGROUND_FAILED) {
        append->state = APPEND_FAILED;
    }
    return state == BACKGROUND_FAILED ? -1 : 0;
}

int append_again(struct append *append, struct err *err)
{
    if (append->state == APPEND_FAILED && write_deltas(append, err) != 0) {
        return -1;
    }
    append->state = APPEND_DONE;
    return 0;
}

void append_drop(struct append *append)
{
    struct err ignored;
    if (append->state == APPEND_RUNNING && !background_withdraw(&append->job)) {
        background_wait(&append->job, &ignored);
    }
    append->state = APPEND_DONE;
    append_clear(append);
}
