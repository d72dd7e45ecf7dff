#include "local/local_session.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "local/local_commit.h"
#include "local/local_cursor.h"
#include "local/local_group.h"
#include "local/local_maintenance.h"
#include "local/local_output.h"
#include "local/local_wait.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>

struct input {
    struct local_cursor cursor;
    bool paused;
    bool claimed; /* used while claims are compared with what is assigned */
};

struct session {
    struct local *local;
    struct local_db db;
    struct local_wait wait;
    char *app; /* NULL: only produces */
    int thread;
    int threads;
    void *self;
    int (*assigned)(void *self, const struct assigned *list, size_t count, struct err *err);
    int (*revoked)(void *self, const struct assigned *list, size_t count, bool lost, struct err *err);
    struct local_interest *interests;
    size_t interest_count;
    int64_t topics_version; /* that the assignment was made from; 0: none yet */
    struct input **inputs;
    size_t input_count;
    size_t input_capacity;
    struct output *outputs;
    struct local_append *appends; /* scratch of commit */
    size_t append_capacity;
    struct local_position *positions; /* scratch of commit */
    size_t position_capacity;
    struct arena texts; /* metadata that `committed` handed out */
    bool shrunk;        /* buffers were given back since the last change */
    bool declined;      /* nothing was fetched since a poll ended because there was something */
};

/* ---- opening and closing ---- */

static int check_subscriptions(struct session *session, struct err *err)
{
    for (size_t i = 0; i < session->interest_count; i++) {
        struct local_topic topic;
        const struct local_interest *interest = &session->interests[i];
        int found = interest->pattern ? 1 : local_topic_find(&session->db, interest->topic, &topic, err);
        if (found <= 0) {
            return found < 0 ? -1 : local_topic_missing(interest->topic, err);
        }
    }
    return 0;
}

static int join_group(struct session *session, const struct session_config *config, struct err *err)
{
    if (config->app == NULL) {
        return 0;
    }
    if (local_group_enter(session->local, config->app, err) != 0) {
        return -1;
    }
    session->app = memory_copy_text(config->app);
    if (local_group_interests(config->subscriptions, config->subscription_count, &session->interests, err) != 0) {
        return -1;
    }
    session->interest_count = config->subscription_count;
    return check_subscriptions(session, err);
}

int local_session_open(struct transport *transport, const struct session_config *config, struct session **session,
                       struct err *err)
{
    struct session *made = memory_alloc(sizeof *made);
    made->local = local_of(transport);
    made->thread = config->thread;
    made->threads = config->threads > 0 ? config->threads : 1;
    made->self = config->self;
    made->assigned = config->assigned;
    made->revoked = config->revoked;
    if (local_db_open(&made->db, made->local->directory, LOCAL_DB_READ, err) != 0 ||
        join_group(made, config, err) != 0) {
        local_session_close(made);
        return -1;
    }
    local_maintenance_start(made->local);
    *session = made;
    return 0;
}

static void free_input(struct input *input)
{
    local_cursor_free(&input->cursor);
    free(input);
}

static struct assigned *describe_inputs(struct input *const *inputs, size_t count)
{
    struct assigned *list = memory_alloc(count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const struct local_cursor *cursor = &inputs[i]->cursor;
        list[i] = (struct assigned){
            .topic = cursor->topic, .partition = cursor->partition, .committed = OFFSET_NONE, .input = inputs[i]};
    }
    return list;
}

/* Tells the thread that inputs end, and ends them. */
static int revoke(struct session *session, struct input **inputs, size_t count, bool lost, struct err *err)
{
    int result = 0;
    if (count > 0 && session->revoked != NULL) {
        struct assigned *list = describe_inputs(inputs, count);
        result = session->revoked(session->self, list, count, lost, err);
        free(list);
    }
    for (size_t i = 0; i < count; i++) {
        free_input(inputs[i]);
    }
    return result;
}

void local_session_close(struct session *session)
{
    struct err ignored = {0};
    revoke(session, session->inputs, session->input_count, false, &ignored);
    while (session->outputs != NULL) {
        struct output *next = session->outputs->next;
        local_output_free(session->outputs);
        session->outputs = next;
    }
    if (session->app != NULL) {
        local_group_leave(session->local, session->app);
    }
    local_group_interests_free(session->interests, session->interest_count);
    local_db_close(&session->db);
    arena_free(&session->texts);
    free(session->inputs);
    free(session->appends);
    free(session->positions);
    free(session->app);
    free(session);
}

/* ---- assignment ---- */

static struct input *find_input(const struct session *session, int64_t partition_id)
{
    for (size_t i = 0; i < session->input_count; i++) {
        if (session->inputs[i]->cursor.partition_id == partition_id) {
            return session->inputs[i];
        }
    }
    return NULL;
}

/* Ends the inputs whose partitions are gone: their topic was deleted. */
static int drop_unclaimed(struct session *session, const struct local_claims *claims, struct err *err)
{
    struct input **gone = memory_alloc(session->input_count * sizeof *gone);
    size_t gone_count = 0;
    size_t kept = 0;
    for (size_t i = 0; i < session->input_count; i++) {
        session->inputs[i]->claimed = false;
    }
    for (size_t i = 0; i < claims->count; i++) {
        struct input *input = find_input(session, claims->list[i].partition_id);
        if (input != NULL) {
            input->claimed = true;
        }
    }
    for (size_t i = 0; i < session->input_count; i++) {
        if (session->inputs[i]->claimed) {
            session->inputs[kept++] = session->inputs[i];
        } else {
            gone[gone_count++] = session->inputs[i];
        }
    }
    session->input_count = kept;
    int result = revoke(session, gone, gone_count, true, err);
    free(gone);
    return result;
}

/* Where an input without a committed position begins. What appears while the session runs is read from its start, so
 * that "latest" skips only what was there when the session joined. */
static int64_t start_without_position(const struct session *session, const struct local_claim *claim, struct err *err)
{
    if (claim->reset == RESET_ERROR) {
        err_set(err, ERR_FATAL, ERR_TOPIC,
                "The app %s has no committed position in topic %s partition %d and its reset policy is error. Set one "
                "with: tidemill reset --app %s.",
                session->app, claim->topic, (int)claim->partition, session->app);
        return OFFSET_NONE;
    }
    return claim->reset == RESET_LATEST && session->topics_version == 0 ? OFFSET_END : OFFSET_BEGINNING;
}

static struct input *make_input(struct session *session, const struct local_claim *claim, struct assigned *assigned,
                                struct err *err)
{
    char *metadata = NULL;
    int64_t committed = OFFSET_NONE;
    int found = local_group_position(&session->db, session->app, claim->partition_id, &committed, &metadata, err);
    int64_t start = found == 0 ? start_without_position(session, claim, err) : committed;
    struct input *input = memory_alloc(sizeof *input);
    input->cursor.topic = local_name(session->local, claim->topic);
    input->cursor.partition = claim->partition;
    input->cursor.partition_id = claim->partition_id;
    input->cursor.limit = session->local->read_ahead;
    if (found < 0 || start == OFFSET_NONE || local_cursor_open(&input->cursor, &session->db, start, err) != 0) {
        free_input(input);
        free(metadata);
        return NULL;
    }
    *assigned = (struct assigned){input->cursor.topic, claim->partition, committed, metadata, claim->topic_id, input};
    return input;
}

static void add_input(struct session *session, struct input *input)
{
    session->inputs =
        memory_grow(session->inputs, session->input_count, &session->input_capacity, sizeof *session->inputs);
    session->inputs[session->input_count++] = input;
}

/* Opens the claimed partitions that are not inputs yet and hands them to the thread. */
static int take_claims(struct session *session, const struct local_claims *claims, struct err *err)
{
    struct assigned *list = memory_alloc(claims->count * sizeof *list);
    size_t before = session->input_count;
    size_t count = 0;
    int result = 0;
    for (size_t i = 0; i < claims->count && result == 0; i++) {
        if (find_input(session, claims->list[i].partition_id) == NULL) {
            struct input *input = make_input(session, &claims->list[i], &list[count], err);
            result = input != NULL ? 0 : -1;
            if (input != NULL) {
                count++;
                add_input(session, input);
            }
        }
    }
    /* The first assignment is told even when it is empty: the thread then knows that it has nothing to do. */
    if (result == 0 && (count > 0 || session->topics_version == 0) && session->assigned != NULL) {
        result = session->assigned(session->self, list, count, err);
    }
    while (result != 0 && session->input_count > before) {
        free_input(session->inputs[--session->input_count]);
    }
    for (size_t i = 0; i < count; i++) {
        free((char *)list[i].metadata);
    }
    free(list);
    return result;
}

static int assign(struct session *session, int64_t version, struct err *err)
{
    struct local_claims claims = {0};
    int result = local_group_claims(&session->db, session->interests, session->interest_count, session->thread,
                                    session->threads, &claims, err);
    if (result == 0) {
        result = drop_unclaimed(session, &claims, err);
    }
    if (result == 0) {
        result = take_claims(session, &claims, err);
    }
    if (result == 0) {
        session->topics_version = version;
    }
    local_group_claims_free(&claims);
    return result;
}

/* ---- waiting ---- */

/* The ends of all inputs at one moment. */
static int refresh_inputs(struct session *session, struct err *err)
{
    if (session->input_count == 0) {
        return 0;
    }
    int result = local_db_exec(&session->db, SQL_BEGIN_READ, err);
    for (size_t i = 0; i < session->input_count && result >= 0; i++) {
        result = local_cursor_refresh(&session->inputs[i]->cursor, &session->db, err);
    }
    local_db_rollback(&session->db);
    return result < 0 ? -1 : 0;
}

/* Notices what was committed since the last time; `event`: the assignment has changed. */
static int look(struct session *session, bool *event, struct err *err)
{
    int changed = local_wait_changed(session->local, &session->wait, &session->db, err);
    if (changed <= 0) {
        return changed;
    }
    session->shrunk = false;
    session->declined = false;
    int64_t version = 0;
    if (session->app == NULL) {
        return 0;
    }
    if (local_topic_version(&session->db, &version, err) != 0) {
        return -1;
    }
    if (version != session->topics_version) {
        *event = true;
        if (assign(session, version, err) != 0) {
            session->wait.data_version = 0; /* the next poll tries again */
            return -1;
        }
    }
    return refresh_inputs(session, err);
}

/* What the thread has left alone does not end its next wait, too: it has no room for it now (back-pressure), and would
 * only go round and round. */
static bool something_to_fetch(struct session *session)
{
    for (size_t i = 0; i < session->input_count; i++) {
        if (!session->declined && !session->inputs[i]->paused && local_cursor_ready(&session->inputs[i]->cursor)) {
            session->declined = true;
            return true;
        }
    }
    return false;
}

/* Gives back memory that a quiet session does not need. */
static void shrink(struct session *session)
{
    if (session->shrunk || !local_wait_idle(&session->wait)) {
        return;
    }
    for (size_t i = 0; i < session->input_count; i++) {
        local_cursor_shrink(&session->inputs[i]->cursor);
    }
    for (struct output *output = session->outputs; output != NULL; output = output->next) {
        local_output_shrink(output);
    }
    sqlite3_db_release_memory(session->db.handle);
#ifdef __GLIBC__
    malloc_trim(0); /* the buffers of a busy time would stay in the heap else */
#endif
    session->shrunk = true;
}

int local_session_poll(struct session *session, int timeout_ms, struct err *err)
{
    int64_t deadline = local_wait_deadline(timeout_ms);
    bool event = false;
    do {
        if (look(session, &event, err) != 0) {
            return -1;
        }
        if (event || something_to_fetch(session)) {
            return 0;
        }
        shrink(session);
    } while (timeout_ms != 0 && local_wait_sleep(session->local, &session->wait, deadline));
    return 0;
}

void local_session_wake(struct session *session)
{
    local_wait_wake(session->local, &session->wait);
}

/* ---- reading ---- */

int local_session_fetch(struct session *session, struct input *input, struct record *records, size_t max, size_t *count,
                        struct err *err)
{
    *count = 0;
    session->declined = false;
    if (input->paused) {
        return 0;
    }
    return local_cursor_take(&input->cursor, &session->db, records, max, count, err);
}

int64_t local_session_known_end(struct session *session, struct input *input)
{
    (void)session;
    const struct local_cursor *cursor = &input->cursor;
    return cursor->high > cursor->position ? cursor->high : cursor->position;
}

int64_t local_session_position(struct session *session, struct input *input)
{
    (void)session;
    return input->cursor.position;
}

int local_session_seek(struct session *session, struct input *input, int64_t offset, struct err *err)
{
    session->declined = false;
    if (offset < 0 && offset != OFFSET_BEGINNING && offset != OFFSET_END) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "Offset %lld of topic %s partition %d can't be sought.",
                       (long long)offset, input->cursor.topic, (int)input->cursor.partition);
    }
    local_cursor_seek(&input->cursor, offset);
    return 0;
}

int local_session_pause(struct session *session, struct input *input, bool paused, struct err *err)
{
    (void)err;
    session->declined = false;
    input->paused = paused;
    return 0;
}

/* ---- writing ---- */

int local_session_output(struct session *session, const char *topic, struct output **output, int32_t *partitions,
                         struct err *err)
{
    struct output *found = session->outputs;
    while (found != NULL && strcmp(found->topic, topic) != 0) {
        found = found->next;
    }
    if (found == NULL) {
        if (local_output_open(session->local, &session->db, topic, &found, err) != 0) {
            return -1;
        }
        found->next = session->outputs;
        session->outputs = found;
    }
    *output = found;
    if (partitions != NULL) {
        *partitions = found->partitions;
    }
    return 0;
}

static int refuse_partition(const struct output *output, int32_t partition, struct err *err)
{
    return err_set(err, ERR_SKIP, ERR_TOPIC,
                   "The topic %s has no partition %d: its partitions are 0 to %d. Choose one of these.", output->topic,
                   (int)partition, (int)output->partitions - 1);
}

int local_session_produce(struct session *session, struct output *output, int32_t partition,
                          const struct record *record, struct err *err)
{
    if (partition >= output->partitions && local_output_refresh(output, &session->db, err) != 0) {
        return -1;
    }
    if (partition < -1 || partition >= output->partitions) {
        return refuse_partition(output, partition, err);
    }
    return local_output_put(output, partition, record, session->local->batch_size, err);
}

static int partition_id_of(struct session *session, const struct position *position, int64_t *id, struct err *err)
{
    for (size_t i = 0; i < session->input_count; i++) {
        const struct local_cursor *cursor = &session->inputs[i]->cursor;
        if (cursor->partition == position->partition &&
            (cursor->topic == position->topic || strcmp(cursor->topic, position->topic) == 0)) {
            *id = cursor->partition_id;
            return 0;
        }
    }
    return local_topic_partition(&session->db, position->topic, position->partition, id, NULL, err);
}

static int resolve_positions(struct session *session, const struct position *positions, size_t count, struct err *err)
{
    if (count > session->position_capacity) {
        session->positions = memory_resize(session->positions, count * sizeof *session->positions);
        session->position_capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        struct local_position *resolved = &session->positions[i];
        *resolved = (struct local_position){0, positions[i].offset, positions[i].metadata};
        if (partition_id_of(session, &positions[i], &resolved->partition_id, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int local_session_commit(struct session *session, const struct position *positions, size_t count, struct err *err)
{
    if (count > 0 && session->app == NULL) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "A session without an app can't commit positions.");
    }
    if (resolve_positions(session, positions, count, err) != 0) {
        return -1;
    }
    struct local_request request = {.app = session->app, .positions = session->positions, .position_count = count};
    for (struct output *output = session->outputs; output != NULL; output = output->next) {
        local_output_collect(output, &session->appends, &request.append_count, &session->append_capacity);
    }
    request.appends = session->appends;
    if (request.append_count == 0 && count == 0) {
        return 0;
    }
    FAILPOINT(PRODUCED);
    if (local_commit(session->local, &request, err) != 0) {
        return -1;
    }
    size_t done = 0;
    for (struct output *output = session->outputs; output != NULL; output = output->next) {
        done += local_output_committed(output, session->appends + done);
    }
    return 0;
}

int local_session_abort(struct session *session, struct err *err)
{
    (void)err;
    for (struct output *output = session->outputs; output != NULL; output = output->next) {
        local_output_abort(output);
    }
    return 0;
}

int local_session_recover(struct session *session, struct err *err)
{
    local_session_abort(session, err);
    return local_commit_recover(session->local, err);
}

int local_session_committed(struct session *session, struct position *positions, size_t count, struct err *err)
{
    arena_clear(&session->texts);
    for (size_t i = 0; i < count; i++) {
        int64_t id = 0;
        char *metadata = NULL;
        positions[i].offset = OFFSET_NONE;
        positions[i].metadata = NULL;
        if (partition_id_of(session, &positions[i], &id, err) != 0 ||
            local_group_position(&session->db, session->app, id, &positions[i].offset, &metadata, err) < 0) {
            return -1;
        }
        if (metadata != NULL) {
            struct slice copy = arena_copy(&session->texts, slice_of(metadata, strlen(metadata) + 1));
            positions[i].metadata = (const char *)copy.data;
            free(metadata);
        }
    }
    return 0;
}

int64_t local_session_acknowledged(struct session *session, struct output *output, int32_t partition)
{
    (void)session;
    return partition >= 0 && partition < output->partitions ? output->slots[partition].acknowledged : OFFSET_NONE;
}
