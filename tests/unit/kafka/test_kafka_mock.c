/* What a refused request becomes for the engine. The library's mock cluster refuses on demand; it keeps no
 * transactional offsets, so that promises to readers are tested on a real broker only (tests/kafka).
 */
#include <stdio.h>
#include <stdlib.h>

#include "kafka/kafka_int.h"

#include <librdkafka/rdkafka_mock.h> /* wants rdkafka.h before it */

#include "tests/support/unit.h"

enum {
    API_PRODUCE = 0,
    API_OFFSET_FETCH = 9,
    API_INIT_PRODUCER_ID = 22,
    API_ADD_PARTITIONS = 24,
    API_END_TXN = 26,
    API_TXN_OFFSET_COMMIT = 28
};

#define TOPIC "topic"
#define PATIENCE_MS 60000

static struct err err;

struct scene {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
    struct transport *transport;
    const struct transport_class *class;
    struct session *session;
    struct output *output;
    size_t inputs;
    bool stopping;
};

static void open_scene(struct scene *scene)
{
    char text[512];
    memset(scene, 0, sizeof *scene);
    scene->host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    ck_assert_ptr_nonnull(scene->host);
    scene->cluster = rd_kafka_mock_cluster_new(scene->host, 1);
    rd_kafka_mock_topic_create(scene->cluster, TOPIC, 1, 1);
    struct kafka_config config = {0};
    snprintf(text, sizeof text, "bootstrap.servers=%s", rd_kafka_mock_cluster_bootstraps(scene->cluster));
    option_list_add(&config.properties, text);
    option_list_add(&config.properties, "session.timeout.ms=6000");
    option_list_add(&config.properties, "heartbeat.interval.ms=200");
    ck_assert_msg(kafka_open(&config, &scene->transport, &err) == 0, "%s", err.text);
    for (size_t i = 0; i < config.properties.count; i++) {
        free(config.properties.items[i]);
    }
    free(config.properties.items);
    scene->class = scene->transport->class;
}

static int on_assigned(void *self, const struct assigned *list, size_t count, struct err *why)
{
    (void)list, (void)why;
    ((struct scene *)self)->inputs = count;
    return 0;
}

static int on_revoked(void *self, const struct assigned *list, size_t count, bool lost, struct err *why)
{
    (void)list, (void)count, (void)lost, (void)why;
    ((struct scene *)self)->inputs = 0;
    return 0;
}

static bool is_stopping(void *self)
{
    return ((struct scene *)self)->stopping;
}

static int open_session(struct scene *scene, const char *app)
{
    struct subscription subscription = {TOPIC, RESET_EARLIEST};
    struct session_config config = {.app = app,
                                    .threads = 1,
                                    .instance = "unit",
                                    .transactional = true,
                                    .subscriptions = &subscription,
                                    .subscription_count = app != NULL,
                                    .commit_timeout_ms = 10000,
                                    .max_poll_interval_ms = 60000,
                                    .self = scene,
                                    .assigned = on_assigned,
                                    .revoked = on_revoked,
                                    .stopping = is_stopping};
    if (scene->class->session_open(scene->transport, &config, &scene->session, &err) != 0) {
        return -1;
    }
    return scene->class->output(scene->session, TOPIC, &scene->output, NULL, &err);
}

static void close_scene(struct scene *scene)
{
    if (scene->session != NULL) {
        scene->class->session_close(scene->session);
    }
    scene->class->close(scene->transport);
    rd_kafka_mock_cluster_destroy(scene->cluster);
    rd_kafka_destroy(scene->host);
}

static int produce(struct scene *scene)
{
    struct record record = {.key = slice_text("k"), .value = slice_text("v"), .timestamp = 1};
    return scene->class->produce(scene->session, scene->output, 0, &record, &err);
}

/* A transaction of one record with that refusal waiting for it. */
static int commit_against(struct scene *scene, int16_t api, rd_kafka_resp_err_t refusal)
{
    rd_kafka_mock_push_request_errors(scene->cluster, api, 1, refusal);
    ck_assert_int_eq(produce(scene), 0);
    return scene->class->commit(scene->session, NULL, 0, &err);
}

/* As the engine does: after a record that was refused the broker may want a new epoch, which costs one abort more. */
static void commit_well(struct scene *scene)
{
    int64_t before = scene->class->acknowledged(scene->session, scene->output, 0);
    int result = -1;
    for (int tries = 0; result != 0 && tries < 3; tries++) {
        ck_assert_msg(produce(scene) == 0, "%s", err.text);
        result = scene->class->commit(scene->session, NULL, 0, &err);
        if (result != 0) {
            ck_assert_msg(err.class == ERR_ABORT, "%s", err.text);
            ck_assert_int_eq(scene->class->abort(scene->session, &err), 0);
        }
    }
    ck_assert_msg(result == 0, "%s", err.text);
    ck_assert_int_gt(scene->class->acknowledged(scene->session, scene->output, 0), before);
}

static void recover(struct scene *scene)
{
    ck_assert_msg(scene->class->recover(scene->session, &err) == 0, "%s", err.text);
}

START_TEST(an_end_that_was_sent_twice_has_an_unknown_outcome_P6)
{
    struct scene scene;
    open_scene(&scene);
    ck_assert_int_eq(open_session(&scene, NULL), 0);
    commit_well(&scene);
    ck_assert_int_eq(commit_against(&scene, API_END_TXN, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS), -1);
    ck_assert_int_eq(err.class, ERR_UNKNOWN);
    ck_assert_int_eq(produce(&scene), -1);
    ck_assert_int_eq(err.class, ERR_UNKNOWN);
    recover(&scene);
    commit_well(&scene);
    close_scene(&scene);
}
END_TEST

START_TEST(an_abort_that_was_sent_twice_has_an_unknown_outcome_P6)
{
    struct scene scene;
    open_scene(&scene);
    ck_assert_int_eq(open_session(&scene, NULL), 0);
    ck_assert_int_eq(produce(&scene), 0);
    rd_kafka_flush(scene.session->producer.rk, 10000);
    rd_kafka_mock_push_request_errors(scene.cluster, API_END_TXN, 1, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_int_eq(scene.class->abort(scene.session, &err), -1);
    ck_assert_int_eq(err.class, ERR_UNKNOWN);
    recover(&scene);
    commit_well(&scene);
    close_scene(&scene);
}
END_TEST

START_TEST(a_fatal_producer_is_recovered)
{
    static const struct {
        int16_t api;
        rd_kafka_resp_err_t refusal;
    } cases[] = {
        {API_END_TXN, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE},
        {API_END_TXN, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH},
        {API_ADD_PARTITIONS, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH},
        {API_PRODUCE, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER},
    };
    struct scene scene;
    open_scene(&scene);
    ck_assert_int_eq(open_session(&scene, NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(commit_against(&scene, cases[i].api, cases[i].refusal), -1);
        ck_assert_int_eq(err.class, ERR_UNKNOWN);
        recover(&scene);
        commit_well(&scene);
    }
    close_scene(&scene);
}
END_TEST

START_TEST(records_that_can_never_be_written_stop_the_thread_and_can_be_aborted)
{
    static const struct {
        rd_kafka_resp_err_t refusal;
        enum err_code code;
    } cases[] = {
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ERR_RECORD},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ERR_AUTH},
    };
    struct scene scene;
    open_scene(&scene);
    ck_assert_int_eq(open_session(&scene, NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(commit_against(&scene, API_PRODUCE, cases[i].refusal), -1);
        ck_assert_int_eq(err.class, ERR_FATAL);
        ck_assert_int_eq(err.code, cases[i].code);
        ck_assert_ptr_nonnull(strstr(err.text, TOPIC));
        ck_assert_msg(scene.class->abort(scene.session, &err) == 0, "%s", err.text);
        if (cases[i].code == ERR_RECORD) {
            commit_well(&scene);
        }
    }
    close_scene(&scene);
}
END_TEST

START_TEST(what_heals_by_itself_is_not_seen)
{
    struct scene scene;
    open_scene(&scene);
    ck_assert_int_eq(open_session(&scene, NULL), 0);
    ck_assert_int_eq(commit_against(&scene, API_PRODUCE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION), 0);
    ck_assert_int_eq(commit_against(&scene, API_ADD_PARTITIONS, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS), 0);
    close_scene(&scene);
}
END_TEST

START_TEST(an_id_that_may_not_be_used_is_said_at_the_start)
{
    struct scene scene;
    open_scene(&scene);
    rd_kafka_mock_push_request_errors(scene.cluster, API_INIT_PRODUCER_ID, 1,
                                      RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    ck_assert_int_eq(open_session(&scene, NULL), -1);
    ck_assert_int_eq(err.code, ERR_AUTH);
    ck_assert_ptr_nonnull(strstr(err.text, "tidemill-unit-0"));
    close_scene(&scene);
}
END_TEST

/* As often as it is asked. */
static void coordinator_is_away(struct scene *scene)
{
    for (int i = 0; i < 1000; i++) {
        rd_kafka_mock_push_request_errors(scene->cluster, API_INIT_PRODUCER_ID, 1,
                                          RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE);
    }
}

START_TEST(a_coordinator_that_is_away_is_waited_for_a_bounded_time)
{
    struct scene scene;
    open_scene(&scene);
    kafka_transport(scene.transport)->start_timeout_ms = 100;
    coordinator_is_away(&scene);
    ck_assert_int_eq(open_session(&scene, NULL), -1);
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_int_eq(err_exit_status(err.code), 4);
    ck_assert_ptr_nonnull(strstr(err.text, "its coordinator does not answer"));
    rd_kafka_mock_clear_request_errors(scene.cluster, API_INIT_PRODUCER_ID);
    kafka_transport(scene.transport)->start_timeout_ms = PATIENCE_MS;
    ck_assert_int_eq(open_session(&scene, NULL), 0);
    close_scene(&scene);
}
END_TEST

START_TEST(who_is_to_end_does_not_wait_for_a_coordinator)
{
    struct scene scene;
    open_scene(&scene);
    ck_assert_int_eq(open_session(&scene, NULL), 0);
    coordinator_is_away(&scene);
    scene.stopping = true;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(scene.class->recover(scene.session, &err), -1);
        ck_assert_int_eq(err.class, ERR_RETRY);
        ck_assert_int_eq(err.code, ERR_UNREACHABLE);
    }
    scene.stopping = false;
    rd_kafka_mock_clear_request_errors(scene.cluster, API_INIT_PRODUCER_ID);
    while (scene.class->recover(scene.session, &err) != 0) {
        ck_assert_msg(err.class == ERR_RETRY, "%s", err.text);
    }
    commit_well(&scene);
    close_scene(&scene);
}
END_TEST

START_TEST(a_member_that_was_evicted_is_fenced_and_its_transaction_aborted_P4)
{
    static const rd_kafka_resp_err_t refusals[] = {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
                                                   RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
                                                   RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID};
    struct scene scene;
    open_scene(&scene);
    ck_assert_int_eq(open_session(&scene, "app"), 0);
    int64_t until = kafka_now_ms(kafka_transport(scene.transport)) + PATIENCE_MS;
    while (scene.inputs == 0 && kafka_now_ms(kafka_transport(scene.transport)) < until) {
        ck_assert_int_eq(scene.class->poll(scene.session, 20, &err), 0);
    }
    ck_assert_uint_eq(scene.inputs, 1);
    struct position position = {TOPIC, 0, 1, "note"};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        ck_assert_int_eq(produce(&scene), 0);
        rd_kafka_mock_push_request_errors(scene.cluster, API_TXN_OFFSET_COMMIT, 1, refusals[i]);
        ck_assert_int_eq(scene.class->commit(scene.session, &position, 1, &err), -1);
        ck_assert_msg(err.class == ERR_FENCED, "%s: %s", err_class_name(err.class), err.text);
        ck_assert_int_eq(scene.session->producer.state, PRODUCER_IDLE);
        ck_assert_int_eq(scene.class->abort(scene.session, &err), 0); /* nothing is left to abort */
        ck_assert_int_eq(scene.class->acknowledged(scene.session, scene.output, 0) != OFFSET_NONE, i > 0);
        ck_assert_int_eq(produce(&scene), 0);
        ck_assert_msg(scene.class->commit(scene.session, &position, 1, &err) == 0, "%s", err.text);
    }
    close_scene(&scene);
}
END_TEST

START_TEST(a_coordinator_that_is_loading_or_has_moved_is_asked_again_for_the_positions)
{
    static const rd_kafka_resp_err_t refusals[] = {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                                   RD_KAFKA_RESP_ERR_NOT_COORDINATOR};
    struct scene scene;
    open_scene(&scene);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct group_position *positions = NULL;
        size_t count = 1;
        rd_kafka_mock_push_request_errors(scene.cluster, API_OFFSET_FETCH, 1, refusals[i]);
        ck_assert_msg(scene.class->group_positions(scene.transport, "app", &positions, &count, &err) == 0, "%s",
                      err.text);
        ck_assert_uint_eq(count, 0);
        free(positions);
    }
    close_scene(&scene);
}
END_TEST

UNIT_MAIN("kafka mock", an_end_that_was_sent_twice_has_an_unknown_outcome_P6,
          an_abort_that_was_sent_twice_has_an_unknown_outcome_P6, a_fatal_producer_is_recovered,
          records_that_can_never_be_written_stop_the_thread_and_can_be_aborted, what_heals_by_itself_is_not_seen,
          an_id_that_may_not_be_used_is_said_at_the_start, a_coordinator_that_is_away_is_waited_for_a_bounded_time,
          who_is_to_end_does_not_wait_for_a_coordinator,
          a_member_that_was_evicted_is_fenced_and_its_transaction_aborted_P4,
          a_coordinator_that_is_loading_or_has_moved_is_asked_again_for_the_positions)
