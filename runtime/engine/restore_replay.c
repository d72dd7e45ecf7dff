/* Replaying changelogs into stores: what the restoring thread does. */
#include <ck_pr.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/restore_int.h"
#include "engine/store_form.h"

#define BATCH 512 /* records read at once */
#define READ_TIMEOUT_MS 50
#define RETRY_MS 50
#define MARKER_READS 40 /* so often at most, READ_TIMEOUT_MS each, the start of a changelog is asked for */
#define PROGRESS_RECORDS                                                                                               \
    FAILPOINT_NUMBER("TIDEMILL_PROGRESS_RECORDS", 50000) /* make restored entries durable after so many */
#define PROGRESS_BYTES (INT64_C(4) << 20)
#define PROGRESS_LOG_NS INT64_C(5000000000)
#define LARGE_RECORDS 100000 /* a restoration of so many says how it went */
#define NS_PER_MS INT64_C(1000000)

struct restoration restore_stop_order;

int64_t restore_remaining(const struct restoration *restoration)
{
    int64_t remaining = 0;
    for (size_t i = 0; i < restoration->count; i++) {
        const struct restore_replay *replay = &restoration->replays[i];
        remaining += replay->target > replay->position ? replay->target - replay->position : 0;
    }
    return remaining;
}

/* A store that fails here is closed and opened again, as after a commit that it could not follow. */
static int fail_store(struct restoration *restoration)
{
    restoration->err.class = ERR_FENCED;
    return -1;
}

int restore_save(struct restoration *restoration, bool complete)
{
    if (!complete && restoration->tail == TAIL_FORGOTTEN) {
        return 0; /* nothing was applied, and the stores are not to be taken for restored in part */
    }
    for (size_t i = 0; i < restoration->count; i++) {
        worker_set_changelog_offset(restoration->worker, (int)i, restoration->replays[i].position);
    }
    restoration->unsaved_records = 0;
    restoration->unsaved_bytes = 0;
    FAILPOINT(RESTORE_SAVE);
    if (worker_commit_restored(restoration->worker, complete, &restoration->err)) {
        return fail_store(restoration);
    }
    return complete ? worker_check_generations(restoration->worker, &restoration->err) : 0;
}

/* ---- reading ---- */

void restore_close_reader(struct restorer *restorer)
{
    if (restorer->reader) {
        restorer->config.transport->class->reader_close(restorer->reader);
        restorer->reader = NULL;
    }
}

/* One reader over every changelog of every active restoration. */
static int open_reader(struct restorer *restorer, struct err *err)
{
    struct position *positions = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < restorer->active_count; i++) {
        struct restoration *restoration = restorer->active[i];
        for (size_t r = 0; r < restoration->count; r++) {
            struct restore_replay *replay = &restoration->replays[r];
            positions = memory_grow(positions, count, &capacity, sizeof(*positions));
            positions[count++] = (struct position){replay->from.topic, replay->from.partition, replay->position, NULL};
        }
    }
    struct reader_config config = {positions, count, false};
    struct transport *transport = restorer->config.transport;
    int result = transport->class->reader_open(transport, &config, &restorer->reader, err);
    free(positions);
    return result;
}

static struct restoration *find_replay(const struct restorer *restorer, const struct record *record, int *index)
{
    for (size_t i = 0; i < restorer->active_count; i++) {
        struct restoration *restoration = restorer->active[i];
        for (size_t r = 0; r < restoration->count; r++) {
            const struct position *from = &restoration->replays[r].from;
            if (from->partition == record->partition && strcmp(from->topic, record->topic) == 0) {
                *index = (int)r;
                return restoration;
            }
        }
    }
    return NULL;
}

/* ---- generations ---- */

static bool must_check(const struct restoration *restoration, size_t replay)
{
    return restoration->replays[replay].low == 0 && worker_changelog_generation(restoration->worker, (int)replay);
}

/* The start of every changelog whose generation the store knows. */
static struct position *list_starts(const struct restorer *restorer, size_t *count)
{
    struct position *starts = NULL;
    size_t capacity = 0;
    *count = 0;
    for (size_t i = 0; i < restorer->active_count; i++) {
        const struct restoration *restoration = restorer->active[i];
        for (size_t r = 0; r < restoration->count && !restoration->checked; r++) {
            if (must_check(restoration, r)) {
                const struct position *from = &restoration->replays[r].from;
                starts = memory_grow(starts, *count, &capacity, sizeof(*starts));
                starts[(*count)++] = (struct position){from->topic, from->partition, OFFSET_BEGINNING, NULL};
            }
        }
    }
    return starts;
}

static void look_at_starts(struct restorer *restorer, const struct record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int index;
        struct restoration *restoration = find_replay(restorer, &records[i], &index);
        if (restoration && !restoration->checked) {
            struct restore_replay *replay = &restoration->replays[index];
            const char *known = worker_changelog_generation(restoration->worker, index);
            replay->marker = restore_compare_marker(replay->marker, &records[i], known);
        }
    }
}

static bool starts_answered(const struct restorer *restorer)
{
    for (size_t i = 0; i < restorer->active_count; i++) {
        const struct restoration *restoration = restorer->active[i];
        for (size_t r = 0; r < restoration->count && !restoration->checked; r++) {
            enum restore_marker marker = restoration->replays[r].marker;
            if (must_check(restoration, r) && (marker == MARKER_OPEN || marker == MARKER_OTHER)) {
                return false;
            }
        }
    }
    return true;
}

static int read_starts(struct restorer *restorer, const struct position *starts, size_t count, struct err *err)
{
    const struct transport_class *class = restorer->config.transport->class;
    struct reader_config config = {starts, count, false};
    struct reader *reader;
    if (class->reader_open(restorer->config.transport, &config, &reader, err)) {
        return -1;
    }
    struct record records[BATCH];
    int result = 0;
    for (int i = 0; i < MARKER_READS && result == 0 && !starts_answered(restorer); i++) {
        size_t read = 0;
        result = class->read(reader, READ_TIMEOUT_MS, records, BATCH, &read, err);
        if (result == 0) {
            look_at_starts(restorer, records, read);
        }
    }
    class->reader_close(reader);
    return result;
}

static void refuse_recreated(struct restoration *restoration)
{
    for (size_t r = 0; r < restoration->count; r++) {
        const struct restore_replay *replay = &restoration->replays[r];
        if (must_check(restoration, r) && (replay->marker == MARKER_OTHER || replay->marker == MARKER_GONE)) {
            restoration->result =
                restore_refuse_recreated(worker_configuration(restoration->worker)->settings->id,
                                         worker_name(restoration->worker), replay->from.topic, &restoration->err);
            return;
        }
    }
}

/* State may only be replayed onto with the changelog that it came from. One look at the start of all that are new. */
static int check_generations(struct restorer *restorer, struct err *err)
{
    size_t count;
    struct position *starts = list_starts(restorer, &count);
    int result = count > 0 ? read_starts(restorer, starts, count, err) : 0;
    free(starts);
    for (size_t i = 0; i < restorer->active_count && result == 0; i++) {
        struct restoration *restoration = restorer->active[i];
        if (!restoration->checked) {
            restoration->checked = true;
            refuse_recreated(restoration);
        }
    }
    return result;
}

/* ---- applying ---- */

/* The entry of a record, in the form of the store (windows: converted into the arena). */
static int convert(struct restoration *restoration, int index, const struct record *record, struct store_entry *entry)
{
    const struct store_spec *spec = worker_changelog_spec(restoration->worker, index);
    if (store_form_converts(spec)) {
        return store_form_entry(spec, record, entry, &restoration->converted, &restoration->err);
    }
    *entry = (struct store_entry){record->key, record->value, record->timestamp};
    return 0;
}

/* The changelog has windows that the operator has long forgotten: those that it can't ask for any more are dropped
 * on the way, so that memory does not hold all that ever was. What an operator keeps begins within twice the
 * retention. */
static int drop_expired(struct restorer *restorer, struct restoration *restoration, int index, struct store *store,
                        const struct store_entry *entries, size_t count)
{
    const struct store_spec *spec = worker_changelog_spec(restoration->worker, index);
    int64_t *latest = &restoration->replays[index].latest;
    if (spec->kind == STORE_KEY_VALUE || spec->retention_ms <= 0) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct bytes_reader reader = bytes_reader_of(entries[i].key);
        int64_t time = (int64_t)bytes_take_u64(&reader); /* 0 for a short key, which has none */
        *latest = time > *latest ? time : *latest;
    }
    int64_t boundary = *latest - spec->retention_ms - spec->retention_ms;
    boundary = boundary > 0 ? store_form_segment(spec, boundary) : 0;
    return boundary > 0 ? restorer->config.stores->expire(store, boundary, &restoration->err) : 0;
}

/* Of several markers the first one counts. */
static void note_generation(struct worker *worker, int index, struct slice generation)
{
    if (!worker_changelog_generation(worker, index)) {
        worker_set_changelog_generation(worker, index, generation);
    }
}

/* Where that commit's input ends only the group knows: once it remembers, or never again. */
static int fail_tail(struct restoration *restoration, int index)
{
    if (restoration->tail == TAIL_LOST) {
        return restore_refuse_lost(worker_configuration(restoration->worker)->settings->id,
                                   worker_name(restoration->worker), restoration->replays[index].from.topic,
                                   &restoration->err);
    }
    return err_set(&restoration->err, ERR_FENCED, ERR_TOPIC,
                   "The state of worker %s is ahead of the group, and %s has commits behind the state's: the brokers "
                   "have forgotten commits. Asking the group again",
                   worker_name(restoration->worker), restoration->replays[index].from.topic);
}

/* Positions of sources are written without the group, too, when somebody sets them. */
static bool is_commit(const struct restoration *restoration, int index)
{
    return !worker_changelog_spec(restoration->worker, index)->positions;
}

static int apply(struct restorer *restorer, struct restoration *restoration, int index, const struct record *records,
                 size_t count)
{
    struct store_entry entries[BATCH];
    size_t filled = 0;
    arena_clear(&restoration->converted);
    for (size_t i = 0; i < count; i++) {
        if (restore_is_marker(records[i].key)) {
            note_generation(restoration->worker, index, records[i].value);
        } else if (restoration->tail != TAIL_APPLIED && is_commit(restoration, index)) {
            return fail_tail(restoration, index);
        } else if (!slice_is_null(records[i].key)) {
            if (convert(restoration, index, &records[i], &entries[filled++])) {
                return -1;
            }
            restoration->unsaved_bytes += (int64_t)(records[i].key.size + records[i].value.size);
        }
    }
    struct position unused;
    struct store *store = worker_changelog(restoration->worker, index, &unused);
    restoration->restored += (int64_t)count;
    restoration->unsaved_records += (int64_t)count;
    restoration->replays[index].position = records[count - 1].offset + 1;
    metric_add(worker_metrics(restoration->worker), METRIC_RESTORED_RECORDS, (int64_t)count);
    bool failed = restorer->config.stores->restore(store, entries, filled, &restoration->err) ||
                  drop_expired(restorer, restoration, index, store, entries, filled) ||
                  FAILPOINT_FAILS(RESTORED, &restoration->err);
    return failed ? fail_store(restoration) : 0;
}

/* Records of one partition come in runs; each run goes into its store at once. */
static void apply_all(struct restorer *restorer, const struct record *records, size_t count)
{
    for (size_t from = 0; from < count;) {
        size_t to = from + 1;
        while (to < count && records[to].partition == records[from].partition &&
               records[to].topic == records[from].topic) {
            to++;
        }
        int index;
        struct restoration *restoration = find_replay(restorer, &records[from], &index);
        if (restoration && restoration->result == 0) {
            restoration->result = apply(restorer, restoration, index, &records[from], to - from);
        }
        from = to;
    }
}

/* Positions also move over control and aborted records, which are never handed out (P8). */
static void follow_positions(struct restorer *restorer)
{
    size_t number = 0;
    for (size_t i = 0; i < restorer->active_count; i++) {
        struct restoration *restoration = restorer->active[i];
        for (size_t r = 0; r < restoration->count; r++, number++) {
            int64_t position = restorer->config.transport->class->reader_position(restorer->reader, number);
            if (position > restoration->replays[r].position) {
                restoration->replays[r].position = position;
            }
        }
    }
}

/* ---- a step ---- */

/* By offsets, which compaction may have thinned out: what is left takes the time that as many have taken. */
static void log_progress(struct restoration *restoration, int64_t remaining, int64_t now)
{
    int64_t passed = restoration->whole - remaining;
    int64_t taken_ms = (now - restoration->began_ns) / NS_PER_MS;
    int64_t rate = taken_ms > 0 ? restoration->restored * 1000 / taken_ms : 0;
    int64_t left_s = passed > 0 ? remaining * taken_ms / passed / 1000 : -1;
    log_event(LOG_INFO, "restoring state", log_text("worker", worker_name(restoration->worker)),
              log_number("restored", restoration->restored), log_number("remaining", remaining),
              log_number("percent", restoration->whole > 0 ? 100 * passed / restoration->whole : 100),
              log_number("records_per_s", rate), log_number("seconds_left", left_s));
}

static void show_progress(const struct restorer *restorer, struct restoration *restoration)
{
    int64_t remaining = restore_remaining(restoration);
    metric_put(worker_metrics(restoration->worker), METRIC_RESTORE_REMAINING, remaining);
    int64_t now = clock_monotonic_ns(restorer->config.clock);
    bool ends = remaining == 0 && restoration->restored >= LARGE_RECORDS;
    if (ends || now - restoration->logged_ns >= PROGRESS_LOG_NS) {
        restoration->logged_ns = now;
        log_progress(restoration, remaining, now);
    }
}

/* Whether nothing more is to be done for it: complete, failed or cancelled. Saves what it reached. */
static bool settle(const struct restorer *restorer, struct restoration *restoration)
{
    show_progress(restorer, restoration);
    bool complete = restore_remaining(restoration) == 0;
    if (restoration->result == 0 && (complete || ck_pr_load_32(&restoration->cancelled))) {
        restoration->result = restore_save(restoration, complete);
        return true;
    }
    if (restoration->result == 0 &&
        (restoration->unsaved_records >= PROGRESS_RECORDS || restoration->unsaved_bytes >= PROGRESS_BYTES)) {
        restoration->result = restore_save(restoration, false);
    }
    return restoration->result != 0;
}

static void answer(struct restorer *restorer, struct restoration *restoration)
{
    while (!mailbox_send(restorer->answers, restoration)) {
        clock_sleep_ms(1); /* the stream thread takes answers also while it gives orders, so this ends */
    }
    if (restorer->config.wake) {
        restorer->config.wake(restorer->config.self);
    }
}

static int read_some(struct restorer *restorer, struct err *err)
{
    struct record records[BATCH];
    size_t count = 0;
    if (check_generations(restorer, err) || (!restorer->reader && open_reader(restorer, err)) ||
        restorer->config.transport->class->read(restorer->reader, READ_TIMEOUT_MS, records, BATCH, &count, err)) {
        return -1;
    }
    apply_all(restorer, records, count);
    follow_positions(restorer);
    return 0;
}

void restore_step(struct restorer *restorer)
{
    struct err err;
    err_clear(&err);
    int result = read_some(restorer, &err);
    bool again = result && err.class == ERR_RETRY;
    bool left = false;
    for (size_t i = restorer->active_count; i-- > 0;) {
        struct restoration *restoration = restorer->active[i];
        if (result && !again && restoration->result == 0) {
            restoration->result = -1;
            restoration->err = err;
        }
        if (settle(restorer, restoration)) {
            restorer->active[i] = restorer->active[--restorer->active_count];
            answer(restorer, restoration);
            left = true;
        }
    }
    if (left || result) {
        restore_close_reader(restorer); /* its partitions are another set now */
    }
    if (again) {
        log_event(LOG_DEBUG, "changelogs can't be read now", log_text("reason", err.text));
        clock_sleep_ms(restorer->config.thread ? RETRY_MS : 0);
    }
}

void restore_add(struct restorer *restorer, struct restoration *restoration)
{
    restoration->began_ns = clock_monotonic_ns(restorer->config.clock);
    restoration->logged_ns = restoration->began_ns; /* what is done within seconds needs no line */
    restoration->whole = restore_remaining(restoration);
    restorer->active =
        memory_grow(restorer->active, restorer->active_count, &restorer->active_capacity, sizeof(*restorer->active));
    restorer->active[restorer->active_count++] = restoration;
    restore_close_reader(restorer);
}

void *restore_run(void *self)
{
    struct restorer *restorer = self;
    for (;;) {
        struct restoration *order = mailbox_receive(restorer->orders, restorer->active_count > 0 ? 0 : -1);
        if (order == &restore_stop_order) {
            break;
        }
        if (order) {
            restore_add(restorer, order);
        } else if (restorer->active_count > 0) {
            restore_step(restorer);
        }
    }
    return NULL;
}
