/* The transport to Apache Kafka, on librdkafka.
 *
 * Ownership: kafka_open copies everything it is given; the transport is closed with transport->class->close, after its
 * sessions and readers. No secret is ever printed, logged or put into an error's text.
 */
#ifndef TIDEMILL_KAFKA_KAFKA_H
#define TIDEMILL_KAFKA_KAFKA_H

#include "engine/transport.h"

struct kafka_config {
    /* librdkafka's properties as "name=value", merged already: of equal names the last one counts. The prefixes
     * "consumer." and "producer." aim at one side. A value "file:PATH" or "env:NAME" stands for what is found there.
     * bootstrap.servers is one of them and has to be given. */
    struct option_list properties;
    const char *client_id;     /* NULL: "tidemill" */
    const struct clock *clock; /* NULL: the system's */
    int64_t start_timeout_ms;  /* how long brokers and coordinators may stay silent at the start; 0: 30 s */
};

/* Connects. ERR_CONFIG: a property is refused or has a bad value; ERR_UNREACHABLE: no broker answered in time;
 * ERR_AUTH: a broker answered and denied. */
int kafka_open(const struct kafka_config *config, struct transport **transport, struct err *err);

/* Whether users may set the property (a prefix is allowed). Refused by name, with the reason: what the exactly-once
 * protocol or an option of the app owns, and what loads code or runs commands. */
int kafka_check_property(const char *name, struct err *err);

/* Whether a property's value is a secret, so that who prints properties leaves it out. */
bool kafka_property_is_secret(const char *name);

/* Appends the "key = value" lines of a file's text as "key=value"; blank lines and lines that begin with # are
 * skipped. Pure. ERR_CONFIG names the line. */
int kafka_config_file(struct slice text, struct option_list *properties, struct err *err);

#endif
