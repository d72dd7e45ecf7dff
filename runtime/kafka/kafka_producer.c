/* The transactional producer of a session and the order of a commit:
 *   flush -> every delivery report is good (P13) -> send offsets with fresh group metadata (P3, P4) -> end the
 * transaction
 *   -> one EndTxn request went out, no more (P6)
 */
#include "kafka/kafka_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"

#define INIT_ROUND_MS 500  /* between two looks whether the session is to be closed */
#define INIT_AGAIN_MS 5000 /* of a session that is open: the next call goes on where this one gave up */
#define ABORT_AT_CLOSE_MS 5000
#define COMMIT_LIMIT_MS 300000 /* without a max.poll.interval.ms */
#define FLUSH_EXTRA_MS 10000   /* deliveries are reported at the latest so long after their own timeout */

static int64_t call_limit(const struct session *session)
{
    return session->config.max_poll_interval_ms > 0 ? session->config.max_poll_interval_ms : COMMIT_LIMIT_MS;
}

/* A call on the coordinator that may block without bound. */
static rd_kafka_error_t *guarded(struct session *session, rd_kafka_error_t *(*call)(rd_kafka_t *rk, int timeout_ms),
                                 const char *what)
{
    struct kafka_watchdog *watchdog = session->transport->watchdog;
    struct kafka_watch *watch = kafka_watchdog_arm(watchdog, what, call_limit(session), true);
    rd_kafka_error_t *error = call(session->producer.rk, -1);
    kafka_watchdog_release(watchdog, watch);
    return error;
}

static int broken(struct kafka_producer *producer, rd_kafka_resp_err_t code, const char *reason, const char *what,
                  struct err *err)
{
    producer->state = PRODUCER_BROKEN;
    return kafka_error_set(err, ERR_UNKNOWN, code, reason, "%s, and the producer has to be made anew", what);
}

/* ---- opening ---- */

/* Whether the coordinator is to be asked again; else the error is told. */
static bool ask_again(struct session *session, rd_kafka_error_t *error, int64_t until, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    bool transient =
        rd_kafka_error_is_retriable(error) || (kafka_error_transient(code) && !rd_kafka_error_is_fatal(error));
    if (transient && kafka_now_ms(session->transport) < until && !kafka_session_stopping(session)) {
        return true;
    }
    producer->initializing = transient;
    kafka_error_set(err, transient ? ERR_RETRY : ERR_FATAL, code, rd_kafka_error_string(error),
                    "The transactional producer %s can't be initialized%s", producer->transactional_id,
                    transient ? ", its coordinator does not answer" : "");
    return false;
}

/* Fences whoever used the id before, and ends what they left open. A coordinator that is away is waited for. */
static int init_transactions(struct session *session, int64_t limit_ms, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    int64_t until = kafka_now_ms(session->transport) + limit_ms;
    FAILPOINT(INIT);
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(producer->rk, INIT_ROUND_MS);
        if (error == NULL) {
            producer->initializing = false;
            return 0;
        }
        bool again = ask_again(session, error, until, err);
        rd_kafka_error_destroy(error);
        if (!again) {
            return -1;
        }
    }
}

static int make_client(struct session *session, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    struct kafka_client_options options = {.role = KAFKA_PRODUCER,
                                           .transactional_id = producer->transactional_id,
                                           .transaction_timeout_ms = session->config.commit_timeout_ms};
    producer->rk = kafka_conf_client(&producer->client, &options, err);
    return producer->rk != NULL ? 0 : -1;
}

static int start(struct session *session, int64_t limit_ms, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    if (producer->rk == NULL && make_client(session, err) != 0) {
        return -1;
    }
    if (producer->transactional && init_transactions(session, limit_ms, err) != 0) {
        return -1;
    }
    producer->state = PRODUCER_IDLE;
    return 0;
}

static void stop(struct kafka_producer *producer)
{
    if (producer->rk == NULL) {
        return;
    }
    rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    for (size_t i = 0; i < producer->output_count; i++) {
        if (producer->outputs[i]->rkt != NULL) {
            rd_kafka_topic_destroy(producer->outputs[i]->rkt);
            producer->outputs[i]->rkt = NULL;
        }
    }
    kafka_conf_destroy(&producer->client, producer->rk);
    producer->rk = NULL;
}

/* P2; a session without an instance gets an id that nobody uses again. */
static char *make_id(const struct session *session)
{
    const char *name = session->app != NULL ? session->app : session->transport->client_id;
    if (session->instance != NULL) {
        return memory_format("%s-%s-%d", name, session->instance, session->config.thread);
    }
    return memory_format("%s-once-%llx-%d", name, (unsigned long long)clock_monotonic_ns(&session->transport->clock),
                         session->config.thread);
}

int kafka_producer_open(struct session *session, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    char name[KAFKA_TEXT_SIZE];
    snprintf(name, sizeof name, "%s-%d-producer", session->transport->client_id, session->config.thread);
    kafka_client_init(&producer->client, session->transport, session, name);
    producer->transactional = session->config.transactional;
    producer->transactional_id = producer->transactional ? make_id(session) : NULL;
    return start(session, session->transport->start_timeout_ms, err);
}

/* The records of the transaction are given up; nothing waits for the next one. */
static void forget_records(struct kafka_producer *producer, bool committed)
{
    for (size_t i = 0; i < producer->output_count; i++) {
        kafka_output_settle(producer->outputs[i], committed);
    }
    producer->failed = 0;
    producer->state = PRODUCER_IDLE;
}

void kafka_producer_close(struct session *session)
{
    struct kafka_producer *producer = &session->producer;
    if (producer->rk != NULL && producer->transactional && producer->state == PRODUCER_OPEN) {
        rd_kafka_error_destroy(rd_kafka_abort_transaction(producer->rk, ABORT_AT_CLOSE_MS));
    }
    stop(producer);
    for (size_t i = 0; i < producer->output_count; i++) {
        kafka_output_free(producer->outputs[i]);
    }
    free(producer->outputs);
    free(producer->transactional_id);
    kafka_client_free(&producer->client);
}

/* ---- a transaction ---- */

int kafka_producer_begin(struct session *session, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    if (producer->state == PRODUCER_OPEN) {
        return 0;
    }
    if (producer->state == PRODUCER_BROKEN) {
        return err_set(err, ERR_UNKNOWN, ERR_PROTOCOL, "The producer has failed before and has to be recovered.");
    }
    if (producer->transactional) {
        rd_kafka_error_t *error = rd_kafka_begin_transaction(producer->rk);
        if (error != NULL) {
            broken(producer, rd_kafka_error_code(error), rd_kafka_error_string(error), "No transaction can be begun",
                   err);
            rd_kafka_error_destroy(error);
            return -1;
        }
    }
    atomic_store(&producer->client.end_count, 0);
    producer->state = PRODUCER_OPEN;
    return 0;
}

/* Waits until every record has its report. The library reports each at the latest when its timeout has passed. */
static int flush(struct session *session, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    int64_t until = kafka_now_ms(session->transport) + call_limit(session) + FLUSH_EXTRA_MS;
    while (rd_kafka_flush(producer->rk, KAFKA_FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (kafka_now_ms(session->transport) >= until) {
            return broken(producer, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, "Records got no delivery report", err);
        }
    }
    return 0;
}

/* P13 */
static int check_deliveries(struct kafka_producer *producer, struct err *err)
{
    char reason[KAFKA_TEXT_SIZE];
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(producer->rk, reason, sizeof reason);
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return broken(producer, fatal, reason, "The transaction failed", err);
    }
    if (producer->failed == 0) {
        return 0;
    }
    rd_kafka_resp_err_t code = producer->failed_code;
    const char *missing = code == RD_KAFKA_RESP_ERR__NO_OFFSET ? "reported without an offset" : NULL;
    return kafka_error_set(err, kafka_error_permanent(code) ? ERR_FATAL : ERR_ABORT, code, missing,
                           "%lld records were not delivered, the first of them to %s [%d]", (long long)producer->failed,
                           producer->failed_output->topic, producer->failed_partition);
}

/* What the caller does next, from the flags that the library sets. Takes the error. */
static int classify(struct session *session, rd_kafka_error_t *error, const char *what, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    const char *reason = rd_kafka_error_string(error);
    if (kafka_error_left_group(code)) {
        kafka_error_set(err, ERR_FENCED, code, reason, "%s", what);
    } else if (rd_kafka_error_txn_requires_abort(error)) {
        kafka_error_set(err, kafka_error_permanent(code) ? ERR_FATAL : ERR_ABORT, code, reason, "%s", what);
    } else {
        broken(producer, code, reason, what, err);
    }
    rd_kafka_error_destroy(error);
    return -1;
}

/* A transaction that nobody may commit any more is aborted at once, so that its records block no reader. */
static int fenced(struct session *session, struct err *err)
{
    struct err ignored;
    if (session->producer.state == PRODUCER_OPEN) {
        kafka_producer_abort(session, &ignored);
    }
    err->class = ERR_FENCED;
    return -1;
}

static int send_offsets(struct session *session, const struct position *positions, size_t count, struct err *err)
{
    rd_kafka_consumer_group_metadata_t *metadata = kafka_group_metadata(session);
    if (metadata == NULL) {
        return err_set(
            err, ERR_FENCED, ERR_PROTOCOL,
            "This process is no longer a member of the group %s, so that its transaction can't be committed.",
            session->app);
    }
    rd_kafka_topic_partition_list_t *list = kafka_group_list(positions, count);
    int64_t until = kafka_now_ms(session->transport) + call_limit(session);
    rd_kafka_error_t *error;
    for (;;) {
        error = rd_kafka_send_offsets_to_transaction(session->producer.rk, list, metadata, -1);
        if (error == NULL || !rd_kafka_error_is_retriable(error) || rd_kafka_error_txn_requires_abort(error) ||
            kafka_now_ms(session->transport) >= until) {
            break;
        }
        rd_kafka_error_destroy(error);
        clock_sleep_ms(KAFKA_NAP_MS);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_group_metadata_destroy(metadata);
    return error == NULL ? 0 : classify(session, error, "The offsets can't be put into the transaction", err);
}

/* P6: plain success and a single EndTxn, or the outcome is unknown. */
static int end_transaction(struct session *session, rd_kafka_error_t *(*call)(rd_kafka_t *rk, int timeout_ms),
                           const char *what, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    rd_kafka_error_t *error = guarded(session, call, what);
    int requests = atomic_load(&producer->client.end_count);
    if (error == NULL && requests <= 1 && !FAILPOINT_FAILS(ENDED, err)) {
        return 0;
    }
    if (error == NULL) {
        return broken(producer, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, "its end was asked for more than once",
                      "The outcome of a transaction is not known", err);
    }
    if (requests == 0 && call == rd_kafka_commit_transaction) {
        return classify(session, error, "The transaction can't be committed", err);
    }
    broken(producer, rd_kafka_error_code(error), rd_kafka_error_string(error),
           "The outcome of a transaction is not known", err);
    rd_kafka_error_destroy(error);
    return -1;
}

static int commit_transaction(struct session *session, const struct position *positions, size_t count, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    if (kafka_producer_begin(session, err) != 0 || flush(session, err) != 0 || check_deliveries(producer, err) != 0) {
        return -1;
    }
    if (FAILPOINT_FAILS(PRODUCED, err)) {
        err->class = ERR_ABORT; /* as when a record was not delivered */
        return -1;
    }
    if (count > 0 && send_offsets(session, positions, count, err) != 0) {
        return err->class == ERR_FENCED ? fenced(session, err) : -1;
    }
    FAILPOINT(OFFSETS);
    if (end_transaction(session, rd_kafka_commit_transaction, "Committing a Kafka transaction", err) != 0) {
        return err->class == ERR_FENCED ? fenced(session, err) : -1;
    }
    forget_records(producer, true);
    return 0;
}

/* At least once: records first, then positions. */
static int commit_positions(struct session *session, const struct position *positions, size_t count, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    if (flush(session, err) != 0 || check_deliveries(producer, err) != 0) {
        return -1;
    }
    forget_records(producer, true);
    if (count == 0) {
        return 0;
    }
    rd_kafka_topic_partition_list_t *list = kafka_group_list(positions, count);
    struct kafka_watchdog *watchdog = session->transport->watchdog;
    struct kafka_watch *watch = kafka_watchdog_arm(watchdog, "Committing offsets", call_limit(session), true);
    rd_kafka_resp_err_t code;
    while (kafka_error_transient(code = rd_kafka_commit(session->consumer, list, 0)) &&
           !rd_kafka_assignment_lost(session->consumer)) {
        clock_sleep_ms(KAFKA_NAP_MS);
    }
    kafka_watchdog_release(watchdog, watch);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    bool left = kafka_error_left_group(code) || rd_kafka_assignment_lost(session->consumer);
    return kafka_error_set(err, left ? ERR_FENCED : ERR_FATAL, code, NULL, "The offsets of %s can't be committed",
                           session->app);
}

int kafka_producer_commit(struct session *session, const struct position *positions, size_t count, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    if (count > 0 && session->consumer == NULL) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "A session without a group can't commit positions.");
    }
    if (count == 0 && producer->state == PRODUCER_IDLE) {
        return 0;
    }
    return producer->transactional ? commit_transaction(session, positions, count, err)
                                   : commit_positions(session, positions, count, err);
}

int kafka_producer_abort(struct session *session, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    if (producer->state == PRODUCER_IDLE) {
        return 0;
    }
    if (producer->state == PRODUCER_BROKEN) {
        return err_set(err, ERR_UNKNOWN, ERR_PROTOCOL, "The producer has failed and has to be recovered, not aborted.");
    }
    if (producer->transactional) {
        /* A transaction whose partitions the coordinator has not heard of yet can't be aborted: the library fails for
         * good over INVALID_TXN_STATE. So its records are given a moment to leave. */
        rd_kafka_flush(producer->rk, KAFKA_FLUSH_MS);
        atomic_store(&producer->client.end_count, 0);
        if (end_transaction(session, rd_kafka_abort_transaction, "Aborting a Kafka transaction", err) != 0) {
            return -1;
        }
    } else {
        rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    }
    if (flush(session, err) != 0) { /* reports of purged records must not count for the next transaction */
        return -1;
    }
    forget_records(producer, false);
    return 0;
}

int kafka_producer_recover(struct session *session, struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    char reason[KAFKA_TEXT_SIZE];
    rd_kafka_resp_err_t fatal = session->consumer != NULL
                                    ? rd_kafka_fatal_error(session->consumer, reason, sizeof reason)
                                    : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error_set(err, ERR_FENCED, fatal, reason, "Another process has taken the place of this one");
    }
    if (!producer->initializing) {
        log_event(LOG_WARN, "The producer is made anew.", log_text("client", producer->client.name));
        stop(producer);
    }
    producer->state = PRODUCER_BROKEN;
    if (start(session, INIT_AGAIN_MS, err) != 0) {
        return -1;
    }
    forget_records(producer, false);
    for (size_t i = 0; i < producer->output_count; i++) {
        if (kafka_output_attach(producer->outputs[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}
