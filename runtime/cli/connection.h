/* Which log a command works on: Kafka (--brokers) or the embedded log (--data), with the properties from everywhere.
 *
 * Ownership: connection_open's result is released with connection_close, after the sessions and readers on it. Secrets
 * go from their file or variable to the client and are never printed.
 */
#ifndef TIDEMILL_CLI_CONNECTION_H
#define TIDEMILL_CLI_CONNECTION_H

#include <stddef.h>

#include "engine/app.h"

struct connection_options {
    char *brokers;
    char *data;
    char *config;
    struct option_list set; /* "kafka.property=value", and for commands with a script "option=value" */
    int64_t connect_timeout_ms;
};

#define CONNECTION_SET_KAFKA "Sets a Kafka property (kafka.PROPERTY=VALUE); may be given several times."
#define CONNECTION_SET_APP                                                                                             \
    "Sets an option of the app or a Kafka property (kafka.PROPERTY=VALUE), stronger than the script; several times."

/* Rows of a command's option table; `options_type` has a struct connection_options named `connection`. */
#define CONNECTION_OPTIONS(options_type, set_text)                                                                     \
    {.name = "brokers",                                                                                                \
     .type = OPTION_TEXT,                                                                                              \
     .offset = offsetof(options_type, connection.brokers),                                                             \
     .argument = "HOST:PORT",                                                                                          \
     .letter = 'b',                                                                                                    \
     .text = "Kafka brokers, separated by commas; also TIDEMILL_BROKERS."},                                            \
        {.name = "data",                                                                                               \
         .type = OPTION_TEXT,                                                                                          \
         .offset = offsetof(options_type, connection.data),                                                            \
         .argument = "DIR",                                                                                            \
         .letter = 'd',                                                                                                \
         .text = "Data directory with the embedded log, used without brokers; ./tidemill-data when not given."},       \
        {.name = "config",                                                                                             \
         .type = OPTION_TEXT,                                                                                          \
         .offset = offsetof(options_type, connection.config),                                                          \
         .argument = "FILE",                                                                                           \
         .text = "File of Kafka properties, a line each: key = value; also TIDEMILL_CONFIG."},                         \
        {.name = "set",                                                                                                \
         .type = OPTION_LIST,                                                                                          \
         .offset = offsetof(options_type, connection.set),                                                             \
         .argument = "NAME=VALUE",                                                                                     \
         .letter = 's',                                                                                                \
         .text = set_text},                                                                                            \
    {                                                                                                                  \
        .name = "connect_timeout", .type = OPTION_DURATION,                                                            \
        .offset = offsetof(options_type, connection.connect_timeout_ms), .default_text = "30s", .low = 1,              \
        .high = 86400000, .text = "How long brokers may stay silent at the start."                                     \
    }

/* How a command uses the log. */
enum connection_use {
    CONNECTION_READS,       /* a log that is not there is an error */
    CONNECTION_READS_STATE, /* the same; --data beside --brokers is the directory of the state */
    CONNECTION_WRITES,      /* the embedded log is made when it is missing */
    CONNECTION_STATE        /* both */
};

struct connection {
    struct transport *transport;
    bool embedded;
    const char *data; /* borrowed from the options, or the default */
};

/* `settings` (may be NULL): of the script, whose kafka properties count less than the environment's and the options'.
 */
int connection_open(const struct connection_options *options, const struct app_settings *settings,
                    enum connection_use use, struct connection *connection, struct err *err);
void connection_close(struct connection *connection);

/* The data directory that the options mean. */
const char *connection_data(const struct connection_options *options);
/* Whether the options, the environment or the script's properties name brokers. */
int connection_is_kafka(const struct connection_options *options, const struct app_settings *settings, bool *kafka,
                        struct err *err);
/* ERR_USAGE unless every --set is a kafka property: for commands without a script. */
int connection_check_set(const struct connection_options *options, struct err *err);

/* Creates a missing topic on the embedded log, or, when `partitions` is given, on Kafka. 0 partitions: not given. */
int connection_ensure_topic(const struct connection *connection, const char *topic, int64_t partitions,
                            struct err *err);
/* ERR_TOPIC with the nearest name when there is no such topic. */
int connection_find_topic(const struct connection *connection, const char *topic, struct topic_info *info,
                          struct err *err);

#endif
