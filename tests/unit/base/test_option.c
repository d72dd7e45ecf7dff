#include "base/option.h"

#include "tests/support/unit.h"

#include <string.h>

struct settings {
    bool verbose;
    int64_t partitions;
    int64_t offset;
    int64_t commit_ms;
    int64_t cache;
    char *brokers;
    int format;
    struct option_list sets;
};

static const char *const formats[] = {"json", "raw", "text", NULL};

static const struct option rows[] = {
    {.name = "verbose",
     .type = OPTION_FLAG,
     .offset = offsetof(struct settings, verbose),
     .text = "Says more.",
     .letter = 'v'},
    {.name = "partitions",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct settings, partitions),
     .default_text = "1",
     .low = 1,
     .high = 100,
     .text = "How many partitions.",
     .letter = 'p'},
    {.name = "offset", .type = OPTION_INTEGER, .offset = offsetof(struct settings, offset), .text = "Where to start."},
    {.name = "commit_ms",
     .type = OPTION_DURATION,
     .offset = offsetof(struct settings, commit_ms),
     .default_text = "100ms",
     .low = 10,
     .high = 60000,
     .text = "Time between commits."},
    {.name = "cache",
     .type = OPTION_SIZE,
     .offset = offsetof(struct settings, cache),
     .default_text = "64MB",
     .low = 1024,
     .high = INT64_MAX,
     .text = "Memory for the cache."},
    {.name = "brokers",
     .type = OPTION_TEXT,
     .offset = offsetof(struct settings, brokers),
     .argument = "HOST:PORT",
     .text = "Where the brokers are.",
     .letter = 'b'},
    {.name = "format",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct settings, format),
     .default_text = "raw",
     .choices = formats,
     .text = "How records are printed."},
    {.name = "set",
     .type = OPTION_LIST,
     .offset = offsetof(struct settings, sets),
     .text = "A property.",
     .letter = 'X'},
};

static const struct option_table table = {"run", rows, sizeof rows / sizeof rows[0]};

static struct settings settings;
static struct err err;

static void begin(void)
{
    memset(&settings, 0xff, sizeof settings); /* defaults must not depend on what was there */
    option_defaults(&table, &settings);
    err_clear(&err);
}

static void end(void)
{
    option_free(&table, &settings);
}

START_TEST(defaults_are_those_of_the_table)
{
    begin();
    ck_assert(!settings.verbose);
    ck_assert_int_eq(settings.partitions, 1);
    ck_assert_int_eq(settings.offset, 0);
    ck_assert_int_eq(settings.commit_ms, 100);
    ck_assert_int_eq(settings.cache, 64 << 20);
    ck_assert_ptr_null(settings.brokers);
    ck_assert_int_eq(settings.format, 1);
    ck_assert_uint_eq(settings.sets.count, 0);
    end();
}
END_TEST

START_TEST(values_are_set_from_text)
{
    static const char *const values[][2] = {
        {"verbose", "true"}, {"partitions", "7"},   {"offset", "-2"},   {"commit-ms", "5s"}, {"cache", "1GB"},
        {"brokers", "a:1"},  {"brokers", "b:9092"}, {"format", "text"}, {"set", "a=1"},      {"set", "b=2"},
    };
    begin();
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        ck_assert_msg(option_set(&table, &settings, values[i][0], values[i][1], &err) == 0, "%s", err.text);
    }
    ck_assert(settings.verbose);
    ck_assert_int_eq(settings.partitions, 7);
    ck_assert_int_eq(settings.offset, -2);
    ck_assert_int_eq(settings.commit_ms, 5000);
    ck_assert_int_eq(settings.cache, 1 << 30);
    ck_assert_str_eq(settings.brokers, "b:9092");
    ck_assert_int_eq(settings.format, 2);
    ck_assert_uint_eq(settings.sets.count, 2);
    ck_assert_str_eq(settings.sets.items[1], "b=2");
    ck_assert_int_eq(option_set(&table, &settings, "verbose", "off", &err), 0);
    ck_assert(!settings.verbose);
    ck_assert_int_eq(option_set(&table, &settings, "verbose", NULL, &err), 0);
    ck_assert(settings.verbose);
    end();
    ck_assert_ptr_null(settings.brokers);
}
END_TEST

START_TEST(bad_values_are_refused_with_the_rule)
{
    static const char *const bad[][3] = {
        {"verbose", "maybe", "The option verbose can't be \"maybe\": it must be true or false."},
        {"partitions", "0", "The option partitions can't be \"0\": it must be a whole number, 1 to 100."},
        {"partitions", "101", NULL},
        {"partitions", "", NULL},
        {"partitions", "7x", NULL},
        {"partitions", " 7", NULL},
        {"partitions", "99999999999999999999", NULL},
        {"offset", "1.5", "The option offset can't be \"1.5\": it must be a whole number."},
        {"offset", "-", NULL},
        {"commit_ms", "5ms",
         "The option commit_ms can't be \"5ms\": it must be a duration such as 250ms, 5s, 1m, 2h or 1d, or a number of "
         "milliseconds, 10ms to 1m."},
        {"commit_ms", "2h", NULL},
        {"cache", "1",
         "The option cache can't be \"1\": it must be a size such as 10kB, 64MB or 1GB, or a number of bytes, "
         "at least 1kB."},
        {"format", "xml", "The option format can't be \"xml\": it must be one of json, raw, text."},
        {"partitions", NULL, "The option partitions needs a value."},
    };
    begin();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(option_set(&table, &settings, bad[i][0], bad[i][1], &err), -1);
        ck_assert_int_eq(err.code, ERR_CONFIG);
        if (bad[i][2] != NULL) {
            ck_assert_str_eq(err.text, bad[i][2]);
        }
    }
    ck_assert_int_eq(settings.partitions, 1);
    ck_assert_int_eq(settings.commit_ms, 100);
    end();
}
END_TEST

START_TEST(unknown_names_get_the_nearest)
{
    begin();
    ck_assert_int_eq(option_set(&table, &settings, "comit_ms", "1", &err), -1);
    ck_assert_str_eq(err.text, "run has no option comit_ms; the nearest is commit_ms.");
    ck_assert_int_eq(option_set(&table, &settings, "something", "1", &err), -1);
    ck_assert_str_eq(err.text, "run has no option something.");
    end();
}
END_TEST

#define PARSE(...) parse((char *[]){__VA_ARGS__, NULL}, (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)))

static char *positional[10];
static int positional_count;

static int parse(char **argv, int argc)
{
    end();
    begin();
    return option_parse(&table, &settings, argc, argv, positional, &positional_count, &err);
}

START_TEST(command_lines_are_parsed)
{
    begin();
    ck_assert_int_eq(PARSE("a.lua", "--commit-ms", "50", "-v", "--brokers=x:1", "b", "--", "--format", "-v"), 0);
    ck_assert_int_eq(positional_count, 4);
    ck_assert_str_eq(positional[0], "a.lua");
    ck_assert_str_eq(positional[1], "b");
    ck_assert_str_eq(positional[2], "--format");
    ck_assert_int_eq(settings.commit_ms, 50);
    ck_assert(settings.verbose);
    ck_assert_str_eq(settings.brokers, "x:1");

    ck_assert_int_eq(PARSE("-vp5", "-b", "y:2", "-Xa=1", "-X", "b=2", "-", "--offset", "-7", "--brokers="), 0);
    ck_assert(settings.verbose);
    ck_assert_int_eq(settings.partitions, 5);
    ck_assert_int_eq(settings.offset, -7);
    ck_assert_str_eq(settings.brokers, "");
    ck_assert_uint_eq(settings.sets.count, 2);
    ck_assert_str_eq(settings.sets.items[0], "a=1");
    ck_assert_int_eq(positional_count, 1);
    ck_assert_str_eq(positional[0], "-");

    ck_assert_int_eq(PARSE("--verbose=false", "x"), 0);
    ck_assert(!settings.verbose);
    end();
}
END_TEST

START_TEST(bad_command_lines_are_refused)
{
    begin();
    ck_assert_int_eq(PARSE("--comit-ms", "5"), -1);
    ck_assert_int_eq(err.code, ERR_USAGE);
    ck_assert_str_eq(err.text, "run has no option --comit-ms; the nearest is --commit-ms.");
    ck_assert_int_eq(PARSE("--commit-ms"), -1);
    ck_assert_str_eq(err.text, "The option --commit-ms needs a value.");
    ck_assert_int_eq(PARSE("-p"), -1);
    ck_assert_str_eq(err.text, "The option --partitions needs a value.");
    ck_assert_int_eq(PARSE("-vq"), -1);
    ck_assert_str_eq(err.text, "run has no option -q.");
    ck_assert_int_eq(PARSE("--partitions=0"), -1);
    ck_assert_str_eq(err.text, "The option --partitions can't be \"0\": it must be a whole number, 1 to 100.");
    ck_assert_int_eq(err.code, ERR_USAGE);
    ck_assert_int_eq(PARSE("--=1"), -1);
    ck_assert_int_eq(err.code, ERR_USAGE);
    end();
}
END_TEST

START_TEST(sizes_are_parsed)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {{"0", 0},        {"17", 17},        {"17B", 17},       {"10kB", 10240},
                {"10KB", 10240}, {"1MiB", 1 << 20}, {"2TB", 1LL << 41}};
    static const char *const bad[] = {
        "", "MB", "-1", "1 MB", "1mb", "1.5MB", "1MBx", "9999999999TB", "99999999999999999999"};
    int64_t bytes;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_int_eq(option_parse_size(good[i].text, &bytes), 0);
        ck_assert_int_eq(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(option_parse_size(bad[i], &bytes) == -1, "%s", bad[i]);
    }
}
END_TEST

START_TEST(the_nearest_name_is_near)
{
    static const char *const names[] = {"filter", "map", "map_values", "flat_map", "peek", "by"};
    static const char *const slips[][2] = {
        {"fitler", "filter"},
        {"mpa", "map"},
        {"map-value", "map_values"},
        {"flatmap", "flat_map"},
        {"pek", "peek"},
        {"filter", "filter"},
        {"aggregate", NULL},
        {"bx", "by"},
        {"yb", "by"},
        {"x", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        const char *nearest = option_nearest(slips[i][0], names, sizeof names / sizeof names[0]);
        ck_assert_pstr_eq(nearest, slips[i][1]);
    }
    char long_name[500];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    ck_assert_ptr_null(option_nearest(long_name, names, 6));
    ck_assert_ptr_null(option_nearest("filter", names, 0));
}
END_TEST

START_TEST(help_is_aligned)
{
    struct bytes out = {0};
    option_print_help(&table, &out);
    ck_assert_str_eq(bytes_text(&out), "  -v, --verbose               Says more.\n"
                                       "  -p, --partitions N          How many partitions. (default 1)\n"
                                       "      --offset N              Where to start.\n"
                                       "      --commit-ms TIME        Time between commits. (default 100ms)\n"
                                       "      --cache SIZE            Memory for the cache. (default 64MB)\n"
                                       "  -b, --brokers HOST:PORT     Where the brokers are.\n"
                                       "      --format json|raw|text  How records are printed. (default raw)\n"
                                       "  -X, --set TEXT              A property.\n");
    bytes_free(&out);
}
END_TEST

START_TEST(markdown_has_a_row_per_option)
{
    struct bytes out = {0};
    option_print_markdown(&table, &out);
    const char *text = bytes_text(&out);
    ck_assert_ptr_nonnull(
        strstr(text, "\n| `commit_ms` | duration | `100ms` | 10ms to 1m | Time between commits. |\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\n| `format` | choice | `raw` | json, raw, text | How records are printed. |\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n| `verbose` | flag |  |  | Says more. |\n"));
    bytes_free(&out);
}
END_TEST

UNIT_MAIN("option", defaults_are_those_of_the_table, values_are_set_from_text, bad_values_are_refused_with_the_rule,
          unknown_names_get_the_nearest, command_lines_are_parsed, bad_command_lines_are_refused, sizes_are_parsed,
          the_nearest_name_is_near, help_is_aligned, markdown_has_a_row_per_option)
