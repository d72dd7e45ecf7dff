/* What the files of runtime/kafka share.
 *
 * Ownership: a struct kafka_transport owns its administrative client, its log filter and its watchdog. A session owns
 * a consumer, a producer, its inputs and outputs; a reader owns a consumer and its inputs. An input owns the messages
 * of its last batch, until the next fetch. Topic names are kept by the transport until it closes.
 */
#ifndef TIDEMILL_KAFKA_KAFKA_INT_H
#define TIDEMILL_KAFKA_KAFKA_INT_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <regex.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/memory.h"
#include "engine/transport.h"
#include "kafka/kafka.h"

#define KAFKA_TEXT_SIZE 512
#define KAFKA_REQUEST_MS 30000 /* how long one administrative request may take */
#define KAFKA_CLOSE_MS 30000   /* how long the library may take to close a client */
#define KAFKA_NAP_MS 20        /* between two tries of a refused request */
#define KAFKA_FLUSH_MS 100     /* one round of waiting for deliveries */

/* ---- kafka_error.c: librdkafka's errors as ours ---- */

enum err_code kafka_error_code(rd_kafka_resp_err_t code);
/* Goes away by itself: leader elections, lost connections, coordinators that load. */
bool kafka_error_transient(rd_kafka_resp_err_t code);
/* The group no longer knows this member. */
bool kafka_error_left_group(rd_kafka_resp_err_t code);
/* Trying the same records again can't help. */
bool kafka_error_permanent(rd_kafka_resp_err_t code);
/* "<formatted text>: <reason>." `reason` NULL: librdkafka's text of the code. Returns -1. */
int kafka_error_set(struct err *err, enum err_class class, rd_kafka_resp_err_t code, const char *reason,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* ---- kafka_log.c: the library's log lines and events ---- */

struct kafka_log;
struct kafka_log *kafka_log_new(const struct clock *clock);
void kafka_log_free(struct kafka_log *log);
/* From now on this text is replaced wherever it would be logged. */
void kafka_log_hide(struct kafka_log *log, const char *secret);
/* @thread any. `level` is syslog's; `client` names the client. */
void kafka_log_line(struct kafka_log *log, int level, const char *client, const char *facility, const char *text);

/* ---- kafka_property.c: checked and resolved properties ---- */

struct kafka_properties {
    struct option_list names;
    struct option_list values;
    bool *consumer; /* counts for consumers */
    bool *producer; /* counts for producers */
    bool *secret;   /* the value may not be shown */
};

int kafka_properties_load(struct kafka_properties *properties, const struct option_list *given, struct err *err);
void kafka_properties_free(struct kafka_properties *properties);
const char *kafka_properties_get(const struct kafka_properties *properties, const char *name); /* NULL: not given */

/* ---- kafka_watchdog.c: the end of calls that never return ---- */

struct kafka_watchdog;
/* `reachable` is asked, on the watchdog's thread, before a call marked `network` is given up; false: wait on. */
struct kafka_watchdog *kafka_watchdog_new(const struct clock *clock, bool (*reachable)(void *self), void *self);
void kafka_watchdog_free(struct kafka_watchdog *watchdog);
/* The process ends with a message when the returned watch is not released within the limit. @thread any */
struct kafka_watch;
struct kafka_watch *kafka_watchdog_arm(struct kafka_watchdog *watchdog, const char *what, int64_t limit_ms,
                                       bool network);
void kafka_watchdog_release(struct kafka_watchdog *watchdog, struct kafka_watch *watch);

/* ---- the transport ---- */

struct kafka_transport {
    struct transport base; /* first: a struct transport * is one of these */
    struct kafka_properties properties;
    char *client_id;
    struct clock clock;
    struct kafka_log *log;
    struct kafka_watchdog *watchdog;
    int64_t start_timeout_ms; /* how long brokers and coordinators may stay silent at the start */
    rd_kafka_t *admin;        /* reads uncommitted, so that it sees high watermarks */
    struct kafka_client *admin_client;
    _Atomic int32_t answering; /* id of the broker that described topics last; -1: none has */
    pthread_mutex_t lock;      /* of names */
    struct option_list names;
};

static inline struct kafka_transport *kafka_transport(struct transport *transport)
{
    return (struct kafka_transport *)transport;
}
/* The transport's own copy of a name, valid until it closes. @thread any */
const char *kafka_name(struct kafka_transport *transport, const char *name);
int64_t kafka_now_ms(const struct kafka_transport *transport); /* monotonic */

/* ---- kafka_conf.c: making clients ---- */

enum kafka_role { KAFKA_ADMIN, KAFKA_MEMBER, KAFKA_READER, KAFKA_PRODUCER };

/* The opaque of every client. Must outlive it. */
struct kafka_client {
    struct kafka_transport *transport;
    struct session *session; /* NULL: an administrative client or a reader */
    char name[KAFKA_TEXT_SIZE];
    _Atomic int denied;           /* authentication failed: the code, else 0 */
    _Atomic int end_count;        /* EndTxn or LeaveGroup requests sent since it was set to 0 */
    pthread_mutex_t lock;         /* of reason */
    char reason[KAFKA_TEXT_SIZE]; /* the last error the library reported */
};

struct kafka_client_options {
    enum kafka_role role;
    const char *group;            /* consumers */
    const char *instance;         /* group.instance.id, or NULL */
    const char *transactional_id; /* or NULL */
    bool uncommitted;
    int64_t transaction_timeout_ms;
    int64_t max_poll_interval_ms;
    int32_t partitions; /* about as many are read at once: bounds the buffers; 0: few */
};

void kafka_client_init(struct kafka_client *client, struct kafka_transport *transport, struct session *session,
                       const char *name);
void kafka_client_free(struct kafka_client *client);
/* NULL and `err` on failure. */
rd_kafka_t *kafka_conf_client(struct kafka_client *client, const struct kafka_client_options *options, struct err *err);
/* Destroys a client under the watchdog. */
void kafka_conf_destroy(struct kafka_client *client, rd_kafka_t *rk);
/* Copies the last error the library reported. */
void kafka_client_reason(struct kafka_client *client, char text[KAFKA_TEXT_SIZE]);

/* ---- kafka_admin.c ---- */

/* Waits until a broker has answered, or gives the reason why none did. */
int kafka_admin_reach(struct kafka_transport *transport, int64_t timeout_ms, struct err *err);
bool kafka_admin_answers(void *transport); /* within two seconds */
/* Partition count; 0: no such topic. */
int kafka_admin_partitions(struct kafka_transport *transport, const char *topic, int32_t *count, struct err *err);
/* Partitions of all topics that match. */
int kafka_admin_matching(struct kafka_transport *transport, const regex_t *pattern, int32_t *count, struct err *err);
/* The topic's max.message.bytes; -1: not known. */
int64_t kafka_admin_record_limit(struct kafka_transport *transport, const char *topic);
/* Replaces the timestamps (or OFFSET_BEGINNING, OFFSET_END) in the list by offsets as that client sees them. */
int kafka_admin_offsets(struct kafka_transport *transport, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                        struct err *err);

int kafka_admin_describe_topic(struct transport *transport, const char *topic, struct topic_info *info,
                               struct err *err);
int kafka_admin_create_topic(struct transport *transport, const struct topic_spec *spec, struct err *err);
int kafka_admin_delete_topic(struct transport *transport, const char *topic, struct err *err);
int kafka_admin_add_partitions(struct transport *transport, const char *topic, int32_t total, struct err *err);
int kafka_admin_list_topics(struct transport *transport, struct option_list *names, struct err *err);
int kafka_admin_watermarks(struct transport *transport, const char *topic, int32_t partition, int64_t *low,
                           int64_t *high, struct err *err);
int kafka_admin_offset_for_time(struct transport *transport, const char *topic, int32_t partition, int64_t timestamp,
                                int64_t *offset, struct err *err);

/* ---- kafka_groups.c: positions of groups that have no member now, and deletion of records ---- */

int kafka_groups_delete_records(struct transport *transport, const char *topic, int32_t partition, int64_t before,
                                struct err *err);
int kafka_groups_positions(struct transport *transport, const char *app, struct group_position **list, size_t *count,
                           struct err *err);
int kafka_groups_set_positions(struct transport *transport, const char *app, const struct position *positions,
                               size_t count, struct err *err);

/* ---- kafka_request.c: one administrative request and its answer ---- */

struct kafka_request {
    rd_kafka_queue_t *queue;
    rd_kafka_AdminOptions_t *options;
    rd_kafka_event_t *event;
    int timeout_ms;
};

void kafka_request_begin(struct kafka_request *request, rd_kafka_t *rk, rd_kafka_admin_op_t kind, int timeout_ms);
/* Waits for the answer; a failure of the request as a whole becomes `err`. */
int kafka_request_wait(struct kafka_request *request, struct err *err, const char *what, const char *name);
void kafka_request_end(struct kafka_request *request);

/* ---- kafka_topic_id.c ---- */

struct kafka_topic_id {
    const char *topic;
    char id[TOPIC_ID_SIZE]; /* in base64; "": not known, as with librdkafka before 2.3 and brokers before 2.8 */
};

bool kafka_topic_id_offered(void); /* by the library that the program runs with */
/* Begins one request for the ids of different topics. False: nobody can be asked, and no answer follows. */
bool kafka_topic_id_ask(struct kafka_transport *transport, const struct kafka_topic_id *topics, size_t count,
                        struct kafka_request *request);
/* Waits for the answer, a bounded time, and ends the request; without an answer the ids stay unknown. */
void kafka_topic_id_answer(struct kafka_request *request, struct kafka_topic_id *topics, size_t count);

/* ---- kafka_bell.c: sleeping on many queues at once ---- */

struct kafka_bell {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool rung;
};

void kafka_bell_init(struct kafka_bell *bell);
void kafka_bell_free(struct kafka_bell *bell);
void kafka_bell_ring(struct kafka_bell *bell);                     /* @thread any */
void kafka_bell_mute(struct kafka_bell *bell);                     /* forgets a ring, before looking at the queues */
void kafka_bell_wait(struct kafka_bell *bell, int64_t timeout_ms); /* returns at once when it was rung since the mute */
/* Rings whenever the queue stops being empty. */
void kafka_bell_hang(struct kafka_bell *bell, rd_kafka_queue_t *queue);

/* ---- kafka_input.c: one partition being read ---- */

struct input {
    struct kafka_transport *transport;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    struct kafka_bell *bell;
    const char *topic;
    int32_t partition;
    char topic_id[TOPIC_ID_SIZE]; /* when it was assigned; "": not known */
    enum reset_policy reset;
    _Atomic bool ready; /* the queue may hold something */
    bool paused;
    bool started; /* assigned to the consumer */
    bool at_end;  /* the last thing read was the end of the partition */
    bool in_step; /* the library's own position counts: not after a seek, nor (in some versions) after an end */
    int64_t position;
    rd_kafka_message_t **messages; /* of the last batch */
    size_t message_count;
    size_t message_capacity;
    rd_kafka_topic_partition_list_t *place; /* this partition, for calls that want a list */
    struct arena headers;                   /* of the last batch */
    rd_kafka_resp_err_t failure;            /* stood behind the last batch's records */
    int64_t found;                          /* with OFFSET_OUT_OF_RANGE: where the library went on reading */
    char failure_text[KAFKA_TEXT_SIZE];
    int64_t half_messages;               /* half of what the library keeps ready of a partition; */
    int64_t half_bytes;                  /* INT64_MAX: it goes on by itself as soon as there is room again */
    int64_t taken_messages, taken_bytes; /* since it was last made to look whether there is */
};

/* Takes the partition's queue away from the consumer's; call before the partition is assigned. `topic` as kafka_name
 * returned it. */
struct input *kafka_input_new(struct kafka_transport *transport, rd_kafka_t *consumer, const char *topic,
                              int32_t partition, struct kafka_bell *bell);
void kafka_input_free(struct input *input);
void kafka_input_release(struct input *input); /* gives the last batch back */
bool kafka_input_ready(struct input *input);   /* not paused, and maybe something to fetch */
int kafka_input_take(struct input *input, struct record *records, size_t max, size_t *count, struct err *err);
int kafka_input_move(struct input *input, int64_t offset, struct err *err);

int kafka_input_fetch(struct session *session, struct input *input, struct record *records, size_t max, size_t *count,
                      struct err *err);
int64_t kafka_input_known_end(struct session *session, struct input *input);
int64_t kafka_input_position(struct session *session, struct input *input);
int kafka_input_seek(struct session *session, struct input *input, int64_t offset, struct err *err);
int kafka_input_pause(struct session *session, struct input *input, bool paused, struct err *err);

/* ---- kafka_producer.c and kafka_output.c ---- */

struct output {
    struct session *session;
    const char *topic;
    rd_kafka_topic_t *rkt;
    int32_t partitions;
    int64_t record_limit;  /* the topic's max.message.bytes; -1: not known */
    int32_t sticky;        /* partition of records without a key */
    size_t sticky_bytes;   /* put there so far */
    int64_t *delivered;    /* per partition, since the last commit: offset after the last record; OFFSET_NONE: none */
    int64_t *acknowledged; /* the same as of the last successful commit */
    bool touched;          /* something was delivered since the last commit */
};

enum kafka_producer_state {
    PRODUCER_IDLE,  /* no transaction is open */
    PRODUCER_OPEN,  /* records were produced, or a transaction was begun */
    PRODUCER_BROKEN /* only recover helps */
};

struct kafka_producer {
    rd_kafka_t *rk;
    struct kafka_client client;
    bool transactional;
    char *transactional_id;
    enum kafka_producer_state state;
    bool initializing; /* the coordinator has not answered yet */
    int64_t failed;    /* records since the last commit that were not delivered (P13) */
    rd_kafka_resp_err_t failed_code;
    struct output *failed_output;
    int32_t failed_partition;
    struct output **outputs;
    size_t output_count;
    size_t output_capacity;
};

int kafka_producer_open(struct session *session, struct err *err);
void kafka_producer_close(struct session *session);
int kafka_producer_begin(struct session *session, struct err *err); /* a transaction, when none is open */
int kafka_producer_commit(struct session *session, const struct position *positions, size_t count, struct err *err);
int kafka_producer_abort(struct session *session, struct err *err);
int kafka_producer_recover(struct session *session, struct err *err);

/* Opens the topic handle of an output on the present producer. */
int kafka_output_attach(struct output *output, struct err *err);
void kafka_output_settle(struct output *output, bool committed); /* the end of a transaction */
void kafka_output_free(struct output *output);
void kafka_output_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque); /* dr_msg_cb */
int kafka_output_open(struct session *session, const char *topic, struct output **output, int32_t *partitions,
                      struct err *err);
int kafka_output_produce(struct session *session, struct output *output, int32_t partition, const struct record *record,
                         struct err *err);
int64_t kafka_output_acknowledged(struct session *session, struct output *output, int32_t partition);

/* ---- kafka_session.c and kafka_group.c ---- */

struct kafka_subscription {
    char *topic;
    bool pattern;
    regex_t regex; /* of a pattern */
    enum reset_policy reset;
};

struct session {
    struct kafka_transport *transport;
    struct session_config config; /* its texts are the session's own copies */
    char *app;
    char *instance;
    struct kafka_subscription *subscriptions;
    size_t subscription_count;
    int32_t partitions; /* of all topics subscribed, when the session was opened */

    rd_kafka_t *consumer; /* NULL: a session that only produces */
    rd_kafka_queue_t *consumer_queue;
    struct kafka_client consumer_client;
    struct kafka_bell bell;
    _Atomic bool woken;
    bool closing;
    struct kafka_watch *close_watch;
    struct input **inputs;
    size_t input_count;
    size_t input_capacity;
    char *missing_topic; /* the library reported it as unknown; looked at again later */
    int64_t missing_until;
    bool failed; /* `failure` is to be returned by poll */
    struct err failure;

    struct kafka_producer producer;
    rd_kafka_topic_partition_list_t *committed; /* answer of the last call of committed */
};

int kafka_session_open(struct transport *transport, const struct session_config *config, struct session **session,
                       struct err *err);
void kafka_session_close(struct session *session);
int kafka_session_poll(struct session *session, int timeout_ms, struct err *err);
void kafka_session_wake(struct session *session);
bool kafka_session_stopping(const struct session *session); /* nothing is worth waiting for any more */

/* The rebalance callback. */
void kafka_group_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions,
                           void *opaque);
int kafka_group_subscribe(struct session *session, struct err *err);
/* Reads stable committed offsets and metadata into the list; tries again for ever while brokers don't answer. */
int kafka_group_committed_list(struct session *session, rd_kafka_topic_partition_list_t *list, struct err *err);
int kafka_group_committed(struct session *session, struct position *positions, size_t count, struct err *err);
/* A list for commits; the caller destroys it. */
rd_kafka_topic_partition_list_t *kafka_group_list(const struct position *positions, size_t count);
/* Whether the member may commit now: joined, not evicted, a generation that is not negative (P4). */
rd_kafka_consumer_group_metadata_t *kafka_group_metadata(struct session *session);

/* ---- kafka_reader.c ---- */

int kafka_reader_open(struct transport *transport, const struct reader_config *config, struct reader **reader,
                      struct err *err);
void kafka_reader_close(struct reader *reader);
int kafka_reader_read(struct reader *reader, int timeout_ms, struct record *records, size_t max, size_t *count,
                      struct err *err);
int64_t kafka_reader_position(struct reader *reader, size_t index);

#endif
