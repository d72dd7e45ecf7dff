#include "kafka/kafka_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUE_SIZE_MAX (1024 * 1024) /* of a file that holds a value; certificates chains are far smaller */

struct refusal {
    const char *name;
    const char *reason;
};

#define PROTOCOL "the exactly-once protocol sets it"
#define RUNS_CODE "it loads code or runs commands"

static const struct refusal refusals[] = {
    {"isolation.level", PROTOCOL},
    {"transactional.id", PROTOCOL},
    {"group.id", "it is the id of the app"},
    {"group.instance.id", "it is made from the instance and the thread; see the option member"},
    {"group.protocol", PROTOCOL},
    {"group.remote.assignor", PROTOCOL},
    {"partition.assignment.strategy", "joins need the assignor range"},
    {"acks", PROTOCOL},
    {"request.required.acks", PROTOCOL},
    {"enable.idempotence", PROTOCOL},
    {"enable.auto.commit", PROTOCOL},
    {"auto.commit.enable", PROTOCOL},
    {"auto.commit.interval.ms", PROTOCOL},
    {"enable.auto.offset.store", PROTOCOL},
    {"offset.store.method", PROTOCOL},
    {"enable.partition.eof", PROTOCOL},
    {"delivery.report.only.error", "every delivery report is looked at"},
    {"auto.offset.reset", "use the option reset"},
    {"transaction.timeout.ms", "use the option transaction_timeout_ms"},
    {"max.poll.interval.ms", "use the option max_poll_interval_ms"},
    {"allow.auto.create.topics", "a mistyped name would become a topic; use the option create_topics"},
    {"partitioner", "records are placed as Kafka's Java client places them"},
    {"test.mock.num.brokers", "a mock cluster keeps no transactional offsets; leave the brokers away instead"},
    {"test.mock.broker.rtt", "it belongs to a mock cluster"},
    {"plugin.library.paths", RUNS_CODE},
    {"sasl.kerberos.kinit.cmd", RUNS_CODE},
    {"ssl.engine.location", RUNS_CODE},
    {"ssl.engine.id", RUNS_CODE},
    {"ssl.providers", RUNS_CODE},
};

static const char *const secrets[] = {
    "sasl.password", "ssl.key.password", "ssl.keystore.password",          "ssl.key.pem",
    "ssl_key",       "ssl_keystore",     "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config",
};

static const char *without_prefix(const char *name, bool *consumer, bool *producer)
{
    *consumer = *producer = true;
    if (strncmp(name, "consumer.", 9) == 0) {
        *producer = false;
        return name + 9;
    }
    if (strncmp(name, "producer.", 9) == 0) {
        *consumer = false;
        return name + 9;
    }
    return name;
}

int kafka_check_property(const char *name, struct err *err)
{
    bool consumer, producer;
    const char *bare = without_prefix(name, &consumer, &producer);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (strcmp(bare, refusals[i].name) == 0) {
            return err_set(err, ERR_FATAL, ERR_CONFIG, "The Kafka property %s can't be set: %s.", name,
                           refusals[i].reason);
        }
    }
    return 0;
}

bool kafka_property_is_secret(const char *name)
{
    bool consumer, producer;
    const char *bare = without_prefix(name, &consumer, &producer);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        if (strcmp(bare, secrets[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The file's content without the line end that editors leave. NULL and `err` on failure. */
static char *value_of_file(const char *name, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        err_set(err, ERR_FATAL, ERR_CONFIG, "The file %s of the Kafka property %s can't be opened: %s.", path, name,
                strerror(errno));
        return NULL;
    }
    char *text = memory_alloc(VALUE_SIZE_MAX + 1);
    size_t size = fread(text, 1, VALUE_SIZE_MAX, file);
    bool bad = ferror(file) || !feof(file) || memchr(text, '\0', size) != NULL;
    fclose(file);
    if (bad) {
        free(text);
        err_set(err, ERR_FATAL, ERR_CONFIG,
                "The file %s of the Kafka property %s can't be used: it is unreadable, too large or not text.", path,
                name);
        return NULL;
    }
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r')) {
        size--;
    }
    text[size] = '\0';
    char *value = memory_copy_text(text);
    free(text);
    return value;
}

/* What a given value stands for. NULL and `err` on failure; `hidden` is set when it came from elsewhere. */
static char *resolve(const char *name, const char *given, bool *hidden, struct err *err)
{
    *hidden = kafka_property_is_secret(name);
    if (strncmp(given, "file:", 5) == 0) {
        *hidden = true;
        return value_of_file(name, given + 5, err);
    }
    if (strncmp(given, "env:", 4) == 0) {
        *hidden = true;
        const char *value = getenv(given + 4);
        if (value == NULL) {
            err_set(err, ERR_FATAL, ERR_CONFIG,
                    "The environment has no variable %s, which the Kafka property %s refers to.", given + 4, name);
            return NULL;
        }
        return memory_copy_text(value);
    }
    return memory_copy_text(given);
}

static int load_one(struct kafka_properties *properties, size_t index, const char *item, struct err *err)
{
    const char *equals = strchr(item, '=');
    if (equals == NULL || equals == item) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "A Kafka property is written name=value, and \"%.*s\" is not.",
                       (int)strcspn(item, "="), item);
    }
    char *name = memory_format("%.*s", (int)(equals - item), item);
    bool hidden = false;
    char *value = kafka_check_property(name, err) == 0 ? resolve(name, equals + 1, &hidden, err) : NULL;
    if (value != NULL) {
        const char *bare = without_prefix(name, &properties->consumer[index], &properties->producer[index]);
        option_list_add(&properties->names, bare);
        option_list_add(&properties->values, value);
        properties->secret[index] = hidden;
    }
    free(name);
    free(value);
    return value != NULL ? 0 : -1;
}

int kafka_properties_load(struct kafka_properties *properties, const struct option_list *given, struct err *err)
{
    properties->consumer = memory_alloc(given->count);
    properties->producer = memory_alloc(given->count);
    properties->secret = memory_alloc(given->count);
    for (size_t i = 0; i < given->count; i++) {
        if (load_one(properties, i, given->items[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void free_list(struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct option_list){0};
}

void kafka_properties_free(struct kafka_properties *properties)
{
    for (size_t i = 0; i < properties->values.count; i++) {
        explicit_bzero(properties->values.items[i], strlen(properties->values.items[i]));
    }
    free_list(&properties->names);
    free_list(&properties->values);
    free(properties->consumer);
    free(properties->producer);
    free(properties->secret);
}

const char *kafka_properties_get(const struct kafka_properties *properties, const char *name)
{
    for (size_t i = properties->names.count; i > 0; i--) {
        if (strcmp(properties->names.items[i - 1], name) == 0) {
            return properties->values.items[i - 1];
        }
    }
    return NULL;
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && strchr(" \t\r", text.data[0]) != NULL) {
        text = slice_of(text.data + 1, text.size - 1);
    }
    while (text.size > 0 && strchr(" \t\r", text.data[text.size - 1]) != NULL) {
        text.size--;
    }
    return text;
}

static int parse_line(struct slice line, int number, struct option_list *properties, struct err *err)
{
    line = trim(line);
    if (line.size == 0 || line.data[0] == '#') {
        return 0;
    }
    if (memchr(line.data, '\0', line.size) != NULL) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "Line %d of the configuration file holds a zero byte.", number);
    }
    const unsigned char *equals = memchr(line.data, '=', line.size);
    struct slice name = equals != NULL ? trim(slice_of(line.data, (size_t)(equals - line.data))) : SLICE_NULL;
    if (name.size == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "Line %d of the configuration file is not of the form key = value.",
                       number);
    }
    struct slice value = trim(slice_of(equals + 1, (size_t)(line.data + line.size - equals - 1)));
    char *item =
        memory_format("%.*s=%.*s", (int)name.size, (const char *)name.data, (int)value.size, (const char *)value.data);
    option_list_add(properties, item);
    free(item);
    return 0;
}

int kafka_config_file(struct slice text, struct option_list *properties, struct err *err)
{
    const unsigned char *at = text.data;
    const unsigned char *end = text.size > 0 ? text.data + text.size : text.data;
    for (int number = 1; at < end; number++) {
        const unsigned char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((line_end != NULL ? line_end : end) - at);
        if (size > VALUE_SIZE_MAX) {
            return err_set(err, ERR_FATAL, ERR_CONFIG, "Line %d of the configuration file is too long.", number);
        }
        if (parse_line(slice_of(at, size), number, properties, err) != 0) {
            return -1;
        }
        at = line_end != NULL ? line_end + 1 : end;
    }
    return 0;
}
