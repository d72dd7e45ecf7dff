/* Which properties users may set, where values come from, and the configuration file. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kafka/kafka_int.h"
#include "tests/support/unit.h"

static struct err err;

static void free_items(struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct option_list){0};
}

static int load(struct kafka_properties *properties, const char *const *items, size_t count)
{
    struct option_list given = {0};
    for (size_t i = 0; i < count; i++) {
        option_list_add(&given, items[i]);
    }
    memset(properties, 0, sizeof *properties);
    int result = kafka_properties_load(properties, &given, &err);
    free_items(&given);
    return result;
}

START_TEST(what_the_protocol_owns_is_refused_by_name_with_the_reason)
{
    static const char *const refused[] = {
        "isolation.level",
        "transactional.id",
        "group.id",
        "group.instance.id",
        "acks",
        "enable.idempotence",
        "enable.auto.commit",
        "plugin.library.paths",
        "sasl.kerberos.kinit.cmd",
        "consumer.enable.auto.offset.store",
        "producer.acks",
        "partition.assignment.strategy",
        "auto.offset.reset",
        "partitioner",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        ck_assert_int_eq(kafka_check_property(refused[i], &err), -1);
        ck_assert_int_eq(err.code, ERR_CONFIG);
        ck_assert_ptr_nonnull(strstr(err.text, refused[i]));
        ck_assert_ptr_nonnull(strstr(err.text, ": "));
    }
    ck_assert_int_eq(kafka_check_property("bootstrap.servers", &err), 0);
    ck_assert_int_eq(kafka_check_property("consumer.fetch.wait.max.ms", &err), 0);
    ck_assert_int_eq(kafka_check_property("session.timeout.ms", &err), 0);
}
END_TEST

START_TEST(prefixes_aim_at_one_side_and_the_last_value_counts)
{
    struct kafka_properties properties;
    const char *items[] = {"bootstrap.servers=a:1", "consumer.fetch.min.bytes=1", "producer.linger.ms=3",
                           "bootstrap.servers=b:2", "sasl.username=a=b"};
    ck_assert_int_eq(load(&properties, items, 5), 0);
    ck_assert_str_eq(kafka_properties_get(&properties, "bootstrap.servers"), "b:2");
    ck_assert_str_eq(kafka_properties_get(&properties, "linger.ms"), "3");
    ck_assert_str_eq(kafka_properties_get(&properties, "sasl.username"), "a=b");
    ck_assert(properties.consumer[0] && properties.producer[0]);
    ck_assert(properties.consumer[1] && !properties.producer[1]);
    ck_assert(!properties.consumer[2] && properties.producer[2]);
    ck_assert_ptr_null(kafka_properties_get(&properties, "no.such"));
    kafka_properties_free(&properties);
}
END_TEST

START_TEST(secrets_come_from_files_and_the_environment)
{
    char path[] = "/tmp/tidemill-secret-XXXXXX";
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, "s3cret\n", 7), 7);
    close(file);
    setenv("TIDEMILL_TEST_SECRET", "from-env", 1);
    char *from_file = memory_format("sasl.password=file:%s", path);
    const char *items[] = {from_file, "ssl.key.password=env:TIDEMILL_TEST_SECRET",
                           "sasl.username=env:TIDEMILL_TEST_SECRET"};
    struct kafka_properties properties;
    ck_assert_int_eq(load(&properties, items, 3), 0);
    ck_assert_str_eq(kafka_properties_get(&properties, "sasl.password"), "s3cret");
    ck_assert_str_eq(kafka_properties_get(&properties, "ssl.key.password"), "from-env");
    ck_assert(properties.secret[0] && properties.secret[1] && properties.secret[2]);
    kafka_properties_free(&properties);
    unlink(path);
    ck_assert_int_eq(load(&properties, items, 1), -1); /* the file is gone */
    ck_assert_ptr_nonnull(strstr(err.text, path));
    kafka_properties_free(&properties);
    const char *missing[] = {"sasl.password=env:TIDEMILL_TEST_NO_SUCH"};
    ck_assert_int_eq(load(&properties, missing, 1), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "TIDEMILL_TEST_NO_SUCH"));
    kafka_properties_free(&properties);
    free(from_file);
}
END_TEST

START_TEST(no_error_shows_a_secret)
{
    static const char *const bad[] = {"sasl.password", "hunter2secret", "=hunter2secret", "group.id=hunter2secret"};
    for (size_t i = 0; i < 4; i++) {
        struct kafka_properties properties;
        const char *items[] = {bad[i]};
        ck_assert_int_eq(load(&properties, items, 1), -1);
        ck_assert(i == 1 || strstr(err.text, "hunter2secret") == NULL); /* without "=" it is taken for a name */
        kafka_properties_free(&properties);
    }
    struct kafka_config config = {.start_timeout_ms = 1};
    option_list_add(&config.properties, "bootstrap.servers=127.0.0.1:1");
    option_list_add(&config.properties, "ssl.key.pem=hunter2secret");
    option_list_add(&config.properties, "security.protocol=ssl");
    struct transport *transport = NULL;
    ck_assert_int_eq(kafka_open(&config, &transport, &err), -1);
    ck_assert_ptr_null(strstr(err.text, "hunter2secret"));
    free_items(&config.properties);
    ck_assert(kafka_property_is_secret("sasl.password"));
    ck_assert(kafka_property_is_secret("producer.ssl.key.password"));
    ck_assert(!kafka_property_is_secret("sasl.username"));
}
END_TEST

static int open_with(const char *property)
{
    struct kafka_config config = {.start_timeout_ms = 1};
    option_list_add(&config.properties, "bootstrap.servers=127.0.0.1:1");
    option_list_add(&config.properties, property);
    struct transport *transport = NULL;
    int result = kafka_open(&config, &transport, &err);
    free_items(&config.properties);
    return result;
}

START_TEST(unknown_and_bad_properties_are_errors_of_the_configuration)
{
    ck_assert_int_eq(open_with("no.such.property=1"), -1);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "no.such.property"));
    ck_assert_int_eq(open_with("fetch.min.bytes=many"), -1);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "fetch.min.bytes"));
    ck_assert_int_eq(open_with("session.timeout.ms=10000"), -1);
    ck_assert_int_eq(err.code, ERR_UNREACHABLE);
    struct kafka_config config = {0};
    struct transport *transport = NULL;
    ck_assert_int_eq(kafka_open(&config, &transport, &err), -1);
    ck_assert_int_eq(err.code, ERR_CONFIG);
}
END_TEST

START_TEST(a_file_is_lines_of_key_and_value)
{
    struct option_list list = {0};
    const char *text = "# comment\n\n bootstrap.servers = a:1,b:2 \r\nsasl.password=x = y\nempty =\nlast=1";
    ck_assert_int_eq(kafka_config_file(slice_text(text), &list, &err), 0);
    ck_assert_uint_eq(list.count, 4);
    ck_assert_str_eq(list.items[0], "bootstrap.servers=a:1,b:2");
    ck_assert_str_eq(list.items[1], "sasl.password=x = y");
    ck_assert_str_eq(list.items[2], "empty=");
    ck_assert_str_eq(list.items[3], "last=1");
    free_items(&list);
    ck_assert_int_eq(kafka_config_file(slice_of(NULL, 0), &list, &err), 0);
    ck_assert_int_eq(kafka_config_file(slice_text("a=1\nhunter2\n"), &list, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "Line 2"));
    ck_assert_ptr_null(strstr(err.text, "hunter2"));
    ck_assert_int_eq(kafka_config_file(slice_text(" = 1\n"), &list, &err), -1);
    ck_assert_int_eq(kafka_config_file(slice_of("a=\0b", 4), &list, &err), -1);
    free_items(&list);
}
END_TEST

UNIT_MAIN("kafka property", what_the_protocol_owns_is_refused_by_name_with_the_reason,
          prefixes_aim_at_one_side_and_the_last_value_counts, secrets_come_from_files_and_the_environment,
          no_error_shows_a_secret, unknown_and_bad_properties_are_errors_of_the_configuration,
          a_file_is_lines_of_key_and_value)
