#include "engine/commit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"

struct round {
    struct commit *commit;
    struct worker *const *workers;
    size_t count;
    struct err *err;
};

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

static enum err_class commit_stores(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        if (worker_dirty(round->workers[i]) && worker_commit_store(round->workers[i], round->err)) {
            round->commit->broken = round->workers[i];
            return ERR_FATAL;
        }
    }
    return ERR_NONE;
}

static enum err_class abort_transaction(struct round *round)
{
    struct commit *commit = round->commit;
    return commit->transport->abort(commit->session, round->err) ? failed(round) : ERR_NONE;
}

static enum err_class recover(struct round *round)
{
    struct commit *commit = round->commit;
    commit->recoveries++;
    log_event(LOG_WARN, "outcome of a commit is not known, recovering", log_text("reason", round->err->text));
    return commit->transport->recover(commit->session, round->err) ? failed(round) : ERR_NONE;
}

/* The metadata counts too: a transaction that only a timer wrote leaves the offset where it was. */
static bool same_place(const struct position *one, const struct position *other)
{
    return one->offset == other->offset && one->metadata && other->metadata &&
           strcmp(one->metadata, other->metadata) == 0;
}

/* Where the group stands after an unknown outcome (P6). Says so by class: NONE: at the new offsets; ABORT: at the old
 * ones; FENCED: anywhere else. */
static enum err_class compare(struct round *round)
{
    struct commit *commit = round->commit;
    collect_positions(round);
    struct position *found = memory_alloc(sizeof(*found) * (commit->count + 1));
    memcpy(found, commit->positions, commit->count * sizeof(*found));
    enum err_class outcome = ERR_NONE;
    if (commit->transport->committed(commit->session, found, commit->count, round->err)) {
        outcome = failed(round);
    }
    size_t at_new = 0, at_old = 0, position = 0;
    for (size_t w = 0; outcome == ERR_NONE && w < round->count; w++) {
        for (int i = 0; worker_dirty(round->workers[w]) && i < worker_input_count(round->workers[w]); i++) {
            struct position old;
            worker_committed(round->workers[w], i, &old);
            if (position == commit->count || strcmp(found[position].topic, old.topic) != 0 ||
                found[position].partition != old.partition) {
                continue; /* an input without a position was not part of the transaction */
            }
            bool new = same_place(&found[position], &commit->positions[position]);
            at_new += new;
            at_old += !new &&found[position].offset == old.offset;
            position++;
        }
    }
    if (outcome == ERR_NONE && at_new < commit->count) {
        outcome = at_old == commit->count ? ERR_ABORT : ERR_FENCED;
    }
    free(found);
    return outcome;
}

static enum err_class rewind_workers(struct round *round)
{
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
    [COMMIT_FLUSH] =       {TO(CHANGELOG), TO(FAILED), TO(FAILED), TO(ABORT), TO(RECOVER), TO(LOST), TO(FAILED)},
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

static bool anything_dirty(struct worker *const *workers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (worker_dirty(workers[i])) {
            return true;
        }
    }
    return false;
}

enum commit_step commit_run(struct commit *commit, struct worker *const *workers, size_t count, struct err *err)
{
    if (commit->step == COMMIT_FLUSH && !anything_dirty(workers, count)) {
        return COMMIT_DONE;
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
