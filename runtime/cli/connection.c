#include "cli/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kafka/kafka.h"
#include "local/local.h"

#define DATA_DEFAULT "tidemill-data"
#define PARTITIONS_DEFAULT 4
#define SERVERS "bootstrap.servers="

static void free_list(struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct option_list){0};
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

const char *connection_data(const struct connection_options *options)
{
    return options->data != NULL ? options->data : DATA_DEFAULT;
}

/* ---- properties ---- */

static int read_config(const char *path, struct option_list *properties, struct err *err)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The file of properties %s can't be opened: %s.", path,
                       strerror(errno));
    }
    struct bytes text = {0};
    size_t got;
    do {
        bytes_reserve(&text, 4096);
        got = fread(text.data + text.size, 1, 4096, file);
        text.size += got;
    } while (got > 0);
    int result = 0;
    if (ferror(file)) {
        result =
            err_set(err, ERR_FATAL, ERR_CONFIG, "The file of properties %s can't be read: %s.", path, strerror(errno));
    } else if (kafka_config_file(bytes_slice(&text), properties, err) != 0) {
        result = err_wrap(err, "reading the file of properties %s", path);
    }
    fclose(file);
    bytes_free(&text);
    return result;
}

static void add_pair(struct option_list *list, const char *name, const char *value)
{
    char *text = memory_format("%s%s", name, value);
    option_list_add(list, text);
    free(text);
}

static void add_set(struct option_list *list, const struct option_list *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strncmp(set->items[i], "kafka.", 6) == 0) {
            option_list_add(list, set->items[i] + 6);
        }
    }
}

/* The value that counts, or NULL. */
static const char *servers_of(const struct option_list *properties)
{
    const char *value = NULL;
    for (size_t i = 0; i < properties->count; i++) {
        if (strncmp(properties->items[i], SERVERS, sizeof SERVERS - 1) == 0) {
            value = properties->items[i] + sizeof SERVERS - 1;
        }
    }
    return value;
}

/* A variable that is not set leaves an option without a value, which nobody means as a broker. */
static int check_servers(const struct connection_options *options, const struct option_list *properties,
                         struct err *err)
{
    const char *value = servers_of(properties);
    if (value == NULL || value[strspn(value, ", \t")] != '\0') {
        return 0;
    }
    if (options->brokers != NULL) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "The option --brokers names no broker, \"%.100s\": give HOST:PORT, or leave it out for the "
                       "embedded log.",
                       value);
    }
    return err_set(err, ERR_FATAL, ERR_CONFIG,
                   "The Kafka property bootstrap.servers names no broker, \"%.100s\": give HOST:PORT, or leave it out "
                   "for the embedded log.",
                   value);
}

/* From weak to strong: the script, the file, the environment, --set, --brokers; the last one of a name counts. */
static int gather(const struct connection_options *options, const struct app_settings *settings,
                  struct option_list *properties, struct err *err)
{
    for (size_t i = 0; settings != NULL && i < settings->kafka.count; i++) {
        option_list_add(properties, settings->kafka.items[i]);
    }
    const char *config = options->config != NULL ? options->config : from_environment("TIDEMILL_CONFIG");
    if (config != NULL && read_config(config, properties, err) != 0) {
        return -1;
    }
    const char *brokers = from_environment("TIDEMILL_BROKERS");
    if (brokers != NULL) {
        add_pair(properties, SERVERS, brokers);
    }
    add_set(properties, &options->set);
    if (options->brokers != NULL) {
        add_pair(properties, SERVERS, options->brokers);
    }
    return check_servers(options, properties, err);
}

/* --data alone means the embedded log whatever the environment names: an option is stronger. */
static bool wants_embedded(const struct connection_options *options)
{
    return options->data != NULL && options->brokers == NULL;
}

int connection_is_kafka(const struct connection_options *options, const struct app_settings *settings, bool *kafka,
                        struct err *err)
{
    *kafka = false;
    if (wants_embedded(options)) {
        return 0;
    }
    struct option_list properties = {0};
    int result = gather(options, settings, &properties, err);
    *kafka = result == 0 && servers_of(&properties) != NULL;
    free_list(&properties);
    return result;
}

int connection_check_set(const struct connection_options *options, struct err *err)
{
    for (size_t i = 0; i < options->set.count; i++) {
        const char *item = options->set.items[i];
        if (strncmp(item, "kafka.", 6) != 0 || strchr(item, '=') == NULL) {
            return err_set(err, ERR_FATAL, ERR_USAGE,
                           "The option --set takes kafka.PROPERTY=VALUE here, not \"%.100s\".", item);
        }
    }
    return 0;
}

/* ---- opening ---- */

static int open_kafka(const struct connection_options *options, struct option_list *properties,
                      struct connection *connection, struct err *err)
{
    struct kafka_config config = {.properties = *properties, .start_timeout_ms = options->connect_timeout_ms};
    for (size_t i = 0; i < properties->count; i++) {
        if (strchr(properties->items[i], '=') == NULL) {
            return err_set(err, ERR_FATAL, ERR_USAGE, "A Kafka property is set with NAME=VALUE, not \"%.100s\".",
                           properties->items[i]);
        }
    }
    return kafka_open(&config, &connection->transport, err);
}

/* A property on the command line that nothing would read. A script's are for when it runs on Kafka. */
static int refuse_properties(const struct connection_options *options, struct err *err)
{
    for (size_t i = 0; i < options->set.count; i++) {
        const char *item = options->set.items[i];
        if (strncmp(item, "kafka.", 6) == 0) {
            return err_set(err, ERR_FATAL, ERR_USAGE,
                           "The option --set %.*s needs Kafka, and this is the embedded log: leave it out, or name "
                           "--brokers.",
                           (int)strcspn(item, "="), item);
        }
    }
    return 0;
}

static int open_local(const struct connection_options *options, enum connection_use use, struct connection *connection,
                      struct err *err)
{
    if (refuse_properties(options, err) != 0) {
        return -1;
    }
    struct local_config config = {.data = connection->data,
                                  .create = use == CONNECTION_WRITES || use == CONNECTION_STATE};
    return local_open(&config, &connection->transport, err);
}

int connection_open(const struct connection_options *options, const struct app_settings *settings,
                    enum connection_use use, struct connection *connection, struct err *err)
{
    *connection = (struct connection){.data = connection_data(options), .embedded = true};
    if (options->data != NULL && options->brokers != NULL && (use == CONNECTION_READS || use == CONNECTION_WRITES)) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "Name either --brokers or --data: the command works on one log.");
    }
    if (wants_embedded(options)) {
        return open_local(options, use, connection, err);
    }
    struct option_list properties = {0};
    int result = gather(options, settings, &properties, err);
    if (result == 0) {
        connection->embedded = servers_of(&properties) == NULL;
        result = connection->embedded ? open_local(options, use, connection, err)
                                      : open_kafka(options, &properties, connection, err);
    }
    free_list(&properties);
    return result;
}

void connection_close(struct connection *connection)
{
    if (connection->transport != NULL) {
        connection->transport->class->close(connection->transport);
        connection->transport = NULL;
    }
}

/* ---- topics ---- */

static int missing_topic(const struct connection *connection, const char *topic, struct err *err)
{
    struct option_list names = {0};
    if (connection->transport->class->list_topics(connection->transport, &names, err) != 0) {
        return -1;
    }
    const char *nearest = option_nearest(topic, (const char *const *)names.items, names.count);
    char hint[400] = "";
    if (nearest != NULL) {
        snprintf(hint, sizeof hint, "; the nearest is \"%s\"", nearest);
    }
    err_set(err, ERR_FATAL, ERR_TOPIC,
            "There is no topic \"%.249s\"%s. `tidemill topics` lists them, `tidemill topics create` makes one.", topic,
            hint);
    free_list(&names);
    return -1;
}

int connection_find_topic(const struct connection *connection, const char *topic, struct topic_info *info,
                          struct err *err)
{
    struct transport *transport = connection->transport;
    *info = (struct topic_info){0};
    if (transport->class->describe_topic(transport, topic, info, err) != 0) {
        return -1;
    }
    return info->exists ? 0 : missing_topic(connection, topic, err);
}

int connection_ensure_topic(const struct connection *connection, const char *topic, int64_t partitions, struct err *err)
{
    struct transport *transport = connection->transport;
    struct topic_info info = {0};
    if (transport->class->describe_topic(transport, topic, &info, err) != 0) {
        return -1;
    }
    if (info.exists) {
        return 0;
    }
    if (!connection->embedded && partitions == 0) {
        return err_set(err, ERR_FATAL, ERR_TOPIC,
                       "There is no topic \"%.249s\" on these brokers. Create it with `tidemill topics create`, or let "
                       "--partitions N say that it be made.",
                       topic);
    }
    struct topic_spec spec = {.name = topic, .partitions = partitions > 0 ? (int32_t)partitions : PARTITIONS_DEFAULT};
    return transport->class->create_topic(transport, &spec, err);
}
