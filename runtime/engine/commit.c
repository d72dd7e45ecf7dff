#include "engine/commit.h"

#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/memory.h"

struct round {
    struct commit *commit;
    struct worker *const *workers;
    size_t count;
    struct err *err;
};

static bool anything_dirty(struct worker *const *workers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (worker_dirty(workers[i])) {
            return true;
        }
    }
    return false;
}

/* ---- the steps; each returns what happened as an error class ---- */

static enum err_class failed(const struct round *round)
{
    return round->err->class == ERR_NONE ? ERR_FATAL : round->err->class;
}

static enum err_class flush(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        if (worker_dirty(round->workers[i]) && worker_flush(round->workers[i], round->err)) {
            return failed(round);
        }
    }
    return ERR_NONE;
}

static enum err_class produce_changelogs(struct round *round)
{
    FAILPOINT(FLUSHED);
    for (size_t i = 0; i < round->count; i++) {
        if (worker_dirty(round->workers[i]) && worker_produce_changelog(round->workers[i], round->err)) {
            return failed(round);
        }
    }
    return ERR_NONE;
}

static void collect_positions(struct round *round)
{
    struct commit *commit = round->commit;
    commit->count = 0;
    for (size_t i = 0; i < round->count; i++) {
        if (worker_dirty(round->workers[i])) {
            worker_positions(round->workers[i], &commit->positions, &commit->count, &commit->capacity);
        }
    }
}

static enum err_class transaction(struct round *round)
{
    struct commit *commit = round->commit;
    collect_positions(round);
    if (commit->transport->commit(commit->session, commit->positions, commit->count, round->err)) {
        return failed(round);
    }
    return ERR_NONE;
}

/* One that fails keeps the others from nothing: what they can take now they need not replay. */
static enum err_class commit_stores(struct round *round)
{
    struct err later;
    struct err *err = round->err;
    struct worker *broken = NULL;
    FAILPOINT(COMMITTED);
    for (size_t i = 0; i < round->count; i++) {
        if (worker_dirty(round->workers[i]) && worker_commit_store(round->workers[i], err)) {
            broken = broken ? broken : round->workers[i];
            err = &later;
        }
        FAILPOINT(STORE_COMMITTED);
    }
    round->commit->broken = broken;
    return broken ? ERR_FATAL : ERR_NONE;
}

static enum err_class abort_transaction(struct round *round)
{
    struct commit *commit = round->commit;
    FAILPOINT(ABORTING);
    return commit->transport->abort(commit->session, round->err) ? failed(round) : ERR_NONE;
}

static enum err_class recover(struct round *round)
{
    struct commit *commit = round->commit;
    commit->recoveries++;
    FAILPOINT(RECOVERING);
    log_event(LOG_WARN, "outcome of a commit is not known, recovering", log_text("reason", round->err->text));
    return commit->transport->recover(commit->session, round->err) ? failed(round) : ERR_NONE;
}

/* The metadata counts too: a transaction that only a timer wrote leaves the offset where it was. */
static bool same_place(const struct position *one, const struct position *other)
{
    return one->offset == other->offset && one->metadata && other->metadata &&
           strcmp(one->metadata, other->metadata) == 0;
}

struct standing {
    size_t at_new;
    size_t at_old;
};

/* Counts how many positions of the transaction are found at its offsets, and how many at those before it. `positions`
 * and `found` are in the order of the dirty workers' inputs; an input without a position was not part of the
 * transaction. */
static struct standing count_found(const struct round *round, const struct position *found)
{
    const struct position *positions = round->commit->positions;
    struct standing standing = {0, 0};
    size_t next = 0;
    for (size_t w = 0; w < round->count; w++) {
        for (int i = 0; worker_dirty(round->workers[w]) && i < worker_input_count(round->workers[w]); i++) {
            struct position old;
            worker_committed(round->workers[w], i, &old);
            if (next == round->commit->count || found[next].partition != old.partition ||
                strcmp(found[next].topic, old.topic) != 0) {
                continue;
            }
            bool new = same_place(&found[next], &positions[next]);
            standing.at_new += new;
            standing.at_old += !new &&found[next].offset == old.offset;
            next++;
        }
    }
    return standing;
}

/* Where the group stands after an unknown outcome (P6). Says so by class: NONE: at the new offsets; ABORT: at the old
 * ones; FENCED: anywhere else, or nobody can say because there is no offset; RETRY: not known yet. */
static enum err_class compare(struct round *round)
{
    struct commit *commit = round->commit;
    FAILPOINT(COMPARING);
    collect_positions(round);
    if (commit->count == 0) {
        return anything_dirty(round->workers, round->count) ? ERR_FENCED : ERR_ABORT;
    }
    struct position *found = memory_alloc(sizeof(*found) * commit->count);
    memcpy(found, commit->positions, commit->count * sizeof(*found));
    enum err_class outcome = ERR_NONE;
    if (commit->transport->committed(commit->session, found, commit->count, round->err)) {
        outcome = failed(round) == ERR_FENCED || failed(round) == ERR_FATAL ? failed(round) : ERR_RETRY;
    } else {
        struct standing standing = count_found(round, found);
        bool done = standing.at_new == commit->count;
        outcome = done ? ERR_NONE : standing.at_old == commit->count ? ERR_ABORT : ERR_FENCED;
    }
    free(found);
    return outcome;
}

static enum err_class rewind_workers(struct round *round)
{
    FAILPOINT(REWINDING);
    for (size_t i = 0; i < round->count; i++) {
        if (worker_rewind(round->workers[i], round->err)) {
            return failed(round);
        }
    }
    return ERR_NONE;
}

/* ---- the machine ---- */

static enum err_class (*const actions[])(struct round *round) = {
    [COMMIT_FLUSH] = flush,          [COMMIT_CHANGELOG] = produce_changelogs, [COMMIT_TRANSACTION] = transaction,
    [COMMIT_STORES] = commit_stores, [COMMIT_ABORT] = abort_transaction,      [COMMIT_RECOVER] = recover,
    [COMMIT_COMPARE] = compare,      [COMMIT_REWIND] = rewind_workers,
};

#define TO(step) COMMIT_##step
/* clang-format off */
/* What a step came to (columns in the order of enum err_class) and where it leads. */
static const enum commit_step transitions[COMMIT_DONE][ERR_FATAL + 1] = {
    /*                      NONE             SKIP        RETRY        ABORT        UNKNOWN      FENCED      FATAL */
    [COMMIT_FLUSH] =       {TO(CHANGELOG), TO(FAILED), TO(ABORT), TO(ABORT), TO(RECOVER), TO(LOST), TO(FAILED)},
    [COMMIT_CHANGELOG] =   {TO(TRANSACTION), TO(FAILED), TO(ABORT), TO(ABORT), TO(RECOVER), TO(LOST), TO(FAILED)},
    [COMMIT_TRANSACTION] = {TO(STORES), TO(FAILED), TO(WAITING), TO(ABORT), TO(RECOVER), TO(LOST), TO(FAILED)},
    [COMMIT_STORES] =      {TO(DONE), TO(BROKEN), TO(BROKEN), TO(BROKEN), TO(BROKEN), TO(BROKEN), TO(BROKEN)},
    [COMMIT_ABORT] =       {TO(REWIND), TO(RECOVER), TO(RECOVER), TO(RECOVER), TO(RECOVER), TO(LOST), TO(FAILED)},
    [COMMIT_RECOVER] =     {TO(COMPARE), TO(FAILED), TO(WAITING), TO(WAITING), TO(WAITING), TO(LOST), TO(FAILED)},
    [COMMIT_COMPARE] =     {TO(STORES), TO(FAILED), TO(WAITING), TO(REWIND), TO(WAITING), TO(LOST), TO(FAILED)},
    [COMMIT_REWIND] =      {TO(REWOUND), TO(FAILED), TO(WAITING), TO(FAILED), TO(FAILED), TO(LOST), TO(FAILED)},
};
/* clang-format on */
#undef TO

static enum commit_step run(struct commit *commit, struct worker *const *workers, size_t count, struct err *err)
{
    struct round round = {commit, workers, count, err};
    while (commit->step < COMMIT_DONE) {
        enum commit_step step = commit->step;
        commit->step = transitions[step][actions[step](&round)];
        if (commit->step == COMMIT_WAITING) {
            commit->step = step;
            commit->reason = *err;
            return COMMIT_WAITING;
        }
    }
    enum commit_step end = commit->step;
    commit->step = COMMIT_FLUSH;
    return end;
}

void commit_init(struct commit *commit, const struct transport_class *transport, struct session *session,
                 const struct clock *clock)
{
    *commit = (struct commit){.transport = transport, .session = session, .clock = clock, .step = COMMIT_FLUSH};
}

void commit_free(struct commit *commit)
{
    free(commit->positions);
    commit->positions = NULL;
}

void commit_reset(struct commit *commit)
{
    commit->step = COMMIT_FLUSH;
}

enum commit_step commit_run(struct commit *commit, struct worker *const *workers, size_t count, struct err *err)
{
    if (commit->step == COMMIT_FLUSH && !anything_dirty(workers, count)) {
        return COMMIT_DONE;
    }
    if (commit_waiting(commit)) { /* steps that follow without a failure of their own end because of the old one */
        *err = commit->reason;
    }
    return run(commit, workers, count, err);
}

enum commit_step commit_abort(struct commit *commit, struct worker *const *workers, size_t count, struct err *err)
{
    commit->step = COMMIT_ABORT;
    return run(commit, workers, count, err);
}

bool commit_waiting(const struct commit *commit)
{
    return commit->step != COMMIT_FLUSH;
}
