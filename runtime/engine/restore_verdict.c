/* The verdicts at open: pure functions over what was found. */
#include <inttypes.h>
#include <string.h>

#include "engine/restore.h"
#include "engine/timers.h"

static const char *const verdict_names[] = {
    [VERDICT_REUSE] = "reuse",     [VERDICT_REPLAY] = "replay", [VERDICT_RESUME] = "resume",
    [VERDICT_REBUILD] = "rebuild", [VERDICT_REFUSE] = "refuse",
};

const char *restore_verdict_name(enum restore_verdict verdict)
{
    return verdict_names[verdict];
}

static enum restore_verdict refuse(struct err *why)
{
    why->class = ERR_FATAL;
    why->code = ERR_TOPIC;
    return VERDICT_REFUSE;
}

static bool partitions_changed(const struct restore_facts *facts, struct err *why)
{
    if (facts->meta->partitions == 0 || facts->partitions == 0 || facts->meta->partitions == facts->partitions) {
        return false;
    }
    err_set(why, ERR_FATAL, ERR_TOPIC,
            "The state of worker %s was made for %" PRId32 " partitions, its topics have %" PRId32
            " now, so keys no longer belong to the workers that hold them. Start over with: tidemill reset --app %s "
            "--to-earliest --execute",
            facts->worker, facts->meta->partitions, facts->partitions, facts->app);
    return true;
}

static int refuse_gone(const char *app, const char *worker, const char *topic, const char *how, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_TOPIC,
                   "The changelog topic %s was deleted%s while worker %s has state from it. Start over with: tidemill "
                   "reset --app %s --to-earliest --execute",
                   topic, how, worker, app);
}

int restore_refuse_recreated(const char *app, const char *worker, const char *topic, struct err *err)
{
    return refuse_gone(app, worker, topic, " and made again", err);
}

int restore_refuse_input(const char *app, const char *topic, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_TOPIC,
                   "The topic %s was deleted and made again since the app %s read it: the app's positions are those of "
                   "the old topic. Start over with: tidemill reset --app %s --to-earliest --execute",
                   topic, app, app);
}

int restore_refuse_lost(const char *app, const char *worker, const char *topic, struct err *err)
{
    return err_set(
        err, ERR_FATAL, ERR_TOPIC,
        "The group %s has no committed offset for the inputs of worker %s any more, but its changelog %s has "
        "state. Reading from the start would count records twice. Start over with: tidemill reset --app %s "
        "--to-earliest --execute",
        app, worker, topic, app);
}

static bool lacks_offsets(const struct restore_facts *facts)
{
    for (size_t i = 0; i < facts->committed_count; i++) {
        if (facts->committed[i].offset != OFFSET_NONE) {
            return false;
        }
    }
    return true;
}

/* Entries of commits that the group knew when the restoration began are in the stores: without them, where the input
 * goes on can't be said. Offsets that somebody has set by hand carry no number, and are what was wanted. */
static bool part_lost(const struct restore_facts *facts, struct err *why)
{
    bool forgotten = facts->commit_number > 0 && facts->commit_number < facts->restored_in_part;
    if (facts->restored_in_part == OFFSET_NONE || (!lacks_offsets(facts) && !forgotten)) {
        return false;
    }
    err_set(why, ERR_FATAL, ERR_TOPIC,
            "The state of worker %s is restored in part only, and the group %s has lost the committed offsets that it "
            "belongs to. Reading on would count records twice. Start over with: tidemill reset --app %s --to-earliest "
            "--execute",
            facts->worker, facts->app, facts->app);
    return true;
}

static bool changelog_gone(const struct restore_facts *facts, struct err *why)
{
    for (size_t i = 0; i < facts->changelog_count; i++) {
        const struct restore_changelog *changelog = &facts->changelogs[i];
        if (changelog->kept != OFFSET_NONE && (!changelog->exists || changelog->recreated)) {
            refuse_gone(facts->app, facts->worker, changelog->topic, changelog->recreated ? " and made again" : "",
                        why);
            return true;
        }
    }
    return false;
}

static bool offsets_expired(const struct restore_facts *facts, struct err *why)
{
    for (size_t i = 0; i < facts->committed_count; i++) {
        const struct position *input = &facts->committed[i];
        const struct store_position *kept = store_meta_input(facts->meta, input->topic, input->partition);
        bool expired = input->offset == OFFSET_NONE && kept && kept->offset > 0;
        if (expired && facts->recreated && strcmp(facts->recreated, input->topic) == 0) {
            restore_refuse_input(facts->app, input->topic, why);
            return true;
        }
        if (expired) {
            err_set(why, ERR_FATAL, ERR_TOPIC,
                    "The group %s has no committed offset for %s partition %" PRId32
                    " any more, but worker %s holds state up to offset %" PRId64
                    ". Reading from the start would count records twice. Start over with: tidemill reset --app %s "
                    "--to-earliest --execute",
                    facts->app, input->topic, input->partition, facts->worker, kept->offset, facts->app);
            return true;
        }
    }
    return false;
}

/* A commit that moved no offset, of a timer's work or of a source's position, moves the number in the metadata. */
static int64_t kept_number(const struct restore_facts *facts)
{
    int64_t kept = 0;
    for (size_t i = 0; i < facts->meta->input_count; i++) {
        int64_t number = timers_commit_number(facts->meta->inputs[i].metadata);
        kept = number > kept ? number : kept;
    }
    return kept;
}

/* -1: the store is behind the group somewhere, 1: ahead somewhere, 0: equal everywhere. */
static int compare_inputs(const struct restore_facts *facts)
{
    int result = 0;
    for (size_t i = 0; i < facts->committed_count; i++) {
        const struct position *input = &facts->committed[i];
        const struct store_position *kept = store_meta_input(facts->meta, input->topic, input->partition);
        int64_t offset = kept ? kept->offset : OFFSET_NONE;
        if (offset > input->offset) {
            return 1;
        }
        result = offset < input->offset ? -1 : result;
    }
    return result == 0 && kept_number(facts) < facts->commit_number ? -1 : result;
}

/* Without committed offsets nothing says that a rebuild was finished: then the end must have been reached. */
static bool knows_all_changelogs(const struct restore_facts *facts)
{
    bool committed = !lacks_offsets(facts);
    for (size_t i = 0; i < facts->changelog_count; i++) {
        const struct restore_changelog *changelog = &facts->changelogs[i];
        bool empty = changelog->kept == OFFSET_NONE && changelog->high == 0;
        bool known = changelog->kept != OFFSET_NONE && (committed || changelog->kept == changelog->high);
        if (!empty && !known) {
            return false;
        }
    }
    return true;
}

static bool outside_changelog(const struct restore_facts *facts, struct err *why)
{
    for (size_t i = 0; i < facts->changelog_count; i++) {
        const struct restore_changelog *changelog = &facts->changelogs[i];
        if (changelog->kept != OFFSET_NONE && (changelog->kept < changelog->low || changelog->kept > changelog->high)) {
            err_set(why, ERR_SKIP, ERR_TOPIC,
                    "the state stands at offset %" PRId64 " of %s, which holds offsets %" PRId64 " to %" PRId64,
                    changelog->kept, changelog->topic, changelog->low, changelog->high);
            return true;
        }
    }
    return false;
}

static bool too_old(const struct restore_facts *facts)
{
    return facts->delete_retention_ms > 0 && facts->now_ms - facts->meta->committed_ms > facts->delete_retention_ms / 2;
}

/* Offsets that somebody has set by hand carry no number. */
static bool has_forgotten(const struct restore_facts *facts)
{
    bool known = facts->changelog_count > 0 && facts->restored_in_part == OFFSET_NONE;
    for (size_t i = 0; i < facts->changelog_count; i++) {
        known = known && facts->changelogs[i].kept != OFFSET_NONE;
    }
    return known && facts->commit_number > 0 && facts->commit_number < kept_number(facts);
}

static enum restore_verdict judge_ahead(const struct restore_facts *facts, struct err *why)
{
    if (facts->resumable && has_forgotten(facts) && !outside_changelog(facts, why)) {
        err_set(why, ERR_SKIP, ERR_TOPIC,
                "the group knows this worker's commits up to %" PRId64 " and the state those up to %" PRId64
                ": the brokers have forgotten what they acknowledged",
                facts->commit_number, kept_number(facts));
        return VERDICT_RESUME;
    }
    err_set(why, ERR_SKIP, ERR_INTERNAL, "the state is ahead of the committed offsets, which must be impossible");
    return VERDICT_REBUILD;
}

enum restore_verdict restore_judge(const struct restore_facts *facts, struct err *why)
{
    if (facts->fresh || !facts->meta->app) {
        err_set(why, ERR_SKIP, ERR_OK, "there is no state on this machine");
        return VERDICT_REBUILD;
    }
    if (partitions_changed(facts, why) || changelog_gone(facts, why) || offsets_expired(facts, why) ||
        part_lost(facts, why)) {
        return refuse(why);
    }
    int order = compare_inputs(facts);
    if (order > 0) {
        return judge_ahead(facts, why);
    }
    if (order == 0 && facts->restored_in_part == OFFSET_NONE && knows_all_changelogs(facts)) {
        err_set(why, ERR_SKIP, ERR_OK, "the state stands at the committed offsets");
        return VERDICT_REUSE;
    }
    if (outside_changelog(facts, why)) {
        return VERDICT_REBUILD;
    }
    if (too_old(facts)) {
        err_set(why, ERR_SKIP, ERR_OK, "the state is older than half of delete.retention.ms: deletions may be missed");
        return VERDICT_REBUILD;
    }
    err_set(why, ERR_SKIP, ERR_OK, "the state is behind the committed offsets");
    return VERDICT_REPLAY;
}
