/* Topic ids. librdkafka has them from 2.3 on; the headers of an older one don't declare the calls, and the program that
 * was built with them may run with a newer library: therefore the calls are looked up when they are first needed. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "kafka/kafka_int.h"

#define ID_MS 2000                     /* ids are good to know, not needed */
#define NO_ID "AAAAAAAAAAAAAAAAAAAAAA" /* what brokers without ids answer: all bits zero */

/* As rdkafka.h of 2.3 declares them. Its struct tags, since older headers lack the types. */
struct rd_kafka_TopicCollection_s;
struct rd_kafka_TopicDescription_s;
struct rd_kafka_Uuid_s;

static struct {
    struct rd_kafka_TopicCollection_s *(*collection)(const char **topics, size_t count);
    void (*collection_destroy)(struct rd_kafka_TopicCollection_s *topics);
    void (*describe)(rd_kafka_t *rk, const struct rd_kafka_TopicCollection_s *topics,
                     const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue);
    const rd_kafka_event_t *(*result)(rd_kafka_event_t *event);
    const struct rd_kafka_TopicDescription_s **(*topics)(const rd_kafka_event_t *result, size_t *count);
    const char *(*name)(const struct rd_kafka_TopicDescription_s *topic);
    const struct rd_kafka_Uuid_s *(*id)(const struct rd_kafka_TopicDescription_s *topic);
    const char *(*text)(const struct rd_kafka_Uuid_s *id);
} library;
static bool library_knows; /* every one of them was found */
static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void find_calls(void)
{
    static const struct {
        const char *name;
        void *call;
    } calls[] = {
        {"rd_kafka_TopicCollection_of_topic_names", &library.collection},
        {"rd_kafka_TopicCollection_destroy", &library.collection_destroy},
        {"rd_kafka_DescribeTopics", &library.describe},
        {"rd_kafka_event_DescribeTopics_result", &library.result},
        {"rd_kafka_DescribeTopics_result_topics", &library.topics},
        {"rd_kafka_TopicDescription_name", &library.name},
        {"rd_kafka_TopicDescription_topic_id", &library.id},
        {"rd_kafka_Uuid_base64str", &library.text},
    };
    library_knows = true;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        void *found = dlsym(RTLD_DEFAULT, calls[i].name);
        library_knows = library_knows && found != NULL;
        memcpy(calls[i].call, &found, sizeof found);
    }
}

bool kafka_topic_id_offered(void)
{
    pthread_once(&library_once, find_calls);
    return library_knows;
}

bool kafka_topic_id_ask(struct kafka_transport *transport, const struct kafka_topic_id *topics, size_t count,
                        struct kafka_request *request)
{
    if (!kafka_topic_id_offered() || count == 0) {
        return false;
    }
    const char **names = memory_alloc(count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = topics[i].topic;
    }
    struct rd_kafka_TopicCollection_s *collection = library.collection(names, count);
    kafka_request_begin(request, transport->admin, RD_KAFKA_ADMIN_OP_ANY, ID_MS);
    /* Not the controller, which the library would wait for: nothing else here depends on it. */
    char text[KAFKA_TEXT_SIZE];
    rd_kafka_AdminOptions_set_broker(request->options, atomic_load(&transport->answering), text, sizeof text);
    library.describe(transport->admin, collection, request->options, request->queue);
    library.collection_destroy(collection);
    free(names);
    return true;
}

static void keep_id(struct kafka_topic_id *topics, size_t count, const struct rd_kafka_TopicDescription_s *found)
{
    const char *text = found != NULL ? library.text(library.id(found)) : NULL;
    if (text == NULL || strcmp(text, NO_ID) == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(topics[i].topic, library.name(found)) == 0) {
            snprintf(topics[i].id, sizeof topics[i].id, "%s", text);
        }
    }
}

void kafka_topic_id_answer(struct kafka_request *request, struct kafka_topic_id *topics, size_t count)
{
    struct err err;
    bool answered = kafka_request_wait(request, &err, "Asking for the id of the topic", topics[0].topic) == 0;
    const rd_kafka_event_t *result = answered ? library.result(request->event) : NULL;
    size_t found = 0;
    const struct rd_kafka_TopicDescription_s **list = result != NULL ? library.topics(result, &found) : NULL;
    for (size_t i = 0; i < found; i++) {
        keep_id(topics, count, list[i]);
    }
    if (!answered) {
        log_event(LOG_WARN, "Topic ids are not known now.", log_text("reason", err.text));
    }
    kafka_request_end(request);
}
