/* tidemill test: the test files of pipelines, without a broker. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/print.h"
#include "connectors/all.h"
#include "operators/all.h"
#include "scripts/coverage.h"
#include "scripts/test_run.h"
#include "store/store_driver.h"

#define DEPTH_MAX 32

struct test_options {
    bool json;
    bool coverage;
    int64_t seed;
    char *only;
};

struct tests {
    const struct test_options *options;
    struct option_list files;
    size_t passed;
    size_t failed;
    struct coverage *coverage; /* NULL: not asked for */
    struct bytes out;
};

/* ---- finding ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

static bool is_test(const char *name)
{
    return strcmp(name, "test.lua") == 0 || ends_with(name, "_test.lua");
}

static int find_in(struct tests *tests, const char *path, int depth, struct err *err);

static int visit(struct tests *tests, const char *directory, const char *name, int depth, struct err *err)
{
    if (name[0] == '.') {
        return 0;
    }
    char *path = memory_format("%s%s%s", directory, ends_with(directory, "/") ? "" : "/", name);
    struct stat status;
    int result = 0;
    if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        result = find_in(tests, path, depth + 1, err);
    } else if (is_test(name)) {
        option_list_add(&tests->files, path);
    }
    free(path);
    return result;
}

/* In the order of names, so that two runs print the same. */
static int find_in(struct tests *tests, const char *path, int depth, struct err *err)
{
    struct dirent **entries;
    int count = depth < DEPTH_MAX ? scandir(path, &entries, NULL, alphasort) : 0;
    if (count < 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The directory %s can't be read: %s.", path, strerror(errno));
    }
    int result = 0;
    for (int i = 0; i < count; i++) {
        result = result == 0 ? visit(tests, path, entries[i]->d_name, depth, err) : result;
        free(entries[i]);
    }
    if (count > 0) {
        free(entries);
    }
    return result;
}

static int find(struct tests *tests, const char *path, struct err *err)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "%s can't be opened: %s.", path, strerror(errno));
    }
    if (S_ISDIR(status.st_mode)) {
        return find_in(tests, path, 0, err);
    }
    option_list_add(&tests->files, path);
    return 0;
}

/* ---- running and printing ---- */

static void write_result(struct tests *tests, const char *file, const char *name, const char *message, int64_t ns)
{
    struct json_writer writer = json_writer(&tests->out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("name"));
    json_text(&writer, name);
    json_name(&writer, slice_text("file"));
    json_text(&writer, file);
    json_name(&writer, slice_text("status"));
    json_text(&writer, message == NULL ? "passed" : "failed");
    json_name(&writer, slice_text("message"));
    json_text(&writer, message);
    json_name(&writer, slice_text("seconds"));
    json_real(&writer, (double)ns / 1e9);
    json_end_object(&writer);
    bytes_append_byte(&tests->out, '\n');
}

static void append_indented(struct bytes *out, const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        bytes_append_format(out, "      %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

static void print_result(struct tests *tests, const char *name, const char *message)
{
    bool colours = print_has_colours(STDOUT_FILENO);
    const char *mark = message == NULL ? "ok" : "FAILED";
    const char *colour = message == NULL ? "\033[32m" : "\033[1;31m";
    bytes_append_format(&tests->out, "  %s%s%s  %s\n", colours ? colour : "", mark, colours ? "\033[0m" : "", name);
    if (message != NULL) {
        append_indented(&tests->out, message);
    }
}

static void take_result(struct tests *tests, const char *file, const char *name, const char *message, int64_t ns)
{
    tests->passed += message == NULL;
    tests->failed += message != NULL;
    if (tests->options->json) {
        write_result(tests, file, name, message, ns);
    } else {
        print_result(tests, name, message);
    }
}

static int run_file(struct tests *tests, const char *file, struct err *err)
{
    struct test_config config = {
        .file = file,
        .operators = &operators_all,
        .connectors = &connectors_all,
        .stores = &sqlite_store_driver,
        .filter = tests->options->only,
        .coverage = tests->coverage,
        .seed = tests->options->seed,
    };
    struct test_report report = {0};
    struct err problem;
    if (!tests->options->json) {
        bytes_append_format(&tests->out, "%s\n", file);
    }
    int ran = test_run_file(&config, &report, &problem);
    for (size_t i = 0; i < report.count; i++) {
        take_result(tests, file, report.list[i].name, report.list[i].message, report.list[i].ns);
    }
    if (ran != 0) {
        take_result(tests, file, "(the file itself)", problem.text, 0);
    }
    test_report_free(&report);
    return print_flush(&tests->out, err);
}

/* ---- coverage ---- */

/* "3, 7-9": ranges run over lines without code too. */
static void append_missed(struct bytes *out, const struct coverage_file *file)
{
    for (int i = 0; i < file->missed_count; i++) {
        int last = i;
        while (last + 1 < file->missed_count && file->missed[last + 1] == file->missed[last] + 1) {
            last++;
        }
        bytes_append_format(out, "%s%d", i > 0 ? ", " : "", file->missed[i]);
        if (last > i) {
            bytes_append_format(out, "-%d", file->missed[last]);
        }
        i = last;
    }
}

static void print_file(struct bytes *out, const struct coverage_file *file)
{
    bytes_append_format(out, "  %5.1f %%  %s: %d of %d lines", 100.0 * file->run / (file->lines > 0 ? file->lines : 1),
                        file->path, file->run, file->lines);
    if (file->missed_count > 0) {
        bytes_append_text(out, ", not ");
        append_missed(out, file);
    }
    bytes_append_byte(out, '\n');
}

static void write_file(struct bytes *out, const struct coverage_file *file)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("file"));
    json_text(&writer, file->path);
    json_name(&writer, slice_text("lines"));
    json_integer(&writer, file->lines);
    json_name(&writer, slice_text("run"));
    json_integer(&writer, file->run);
    json_name(&writer, slice_text("not_run"));
    json_begin_array(&writer);
    for (int i = 0; i < file->missed_count; i++) {
        json_integer(&writer, file->missed[i]);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    bytes_append_byte(out, '\n');
}

static void report_coverage(struct tests *tests)
{
    if (!tests->options->json) {
        bytes_append_text(&tests->out, "lines that ran:\n");
    }
    for (size_t i = 0; i < coverage_count(tests->coverage); i++) {
        struct coverage_file file = coverage_file(tests->coverage, i);
        if (tests->options->json) {
            write_file(&tests->out, &file);
        } else {
            print_file(&tests->out, &file);
        }
    }
}

static int summarize(struct tests *tests, struct err *err)
{
    if (tests->files.count == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "There are no tests here. They are in files called test.lua or NAME_test.lua.");
    }
    if (tests->passed + tests->failed == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "No test has \"%s\" in its name.", tests->options->only);
    }
    if (tests->coverage != NULL) {
        report_coverage(tests);
    }
    if (!tests->options->json) {
        bytes_append_format(&tests->out, "%zu passed, %zu failed in %zu file%s\n", tests->passed, tests->failed,
                            tests->files.count, tests->files.count == 1 ? "" : "s");
    }
    return print_flush(&tests->out, err);
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    struct tests tests = {.options = data};
    tests.coverage = tests.options->coverage ? coverage_new() : NULL;
    int result = count == 0 ? find(&tests, ".", err) : 0;
    for (int i = 0; i < count && result == 0; i++) {
        result = find(&tests, arguments[i], err);
    }
    for (size_t i = 0; i < tests.files.count; i++) {
        result = result == 0 ? run_file(&tests, tests.files.items[i], err) : result;
    }
    if (result == 0) {
        result = summarize(&tests, err);
    }
    for (size_t i = 0; i < tests.files.count; i++) {
        free(tests.files.items[i]);
    }
    free(tests.files.items);
    coverage_free(tests.coverage);
    bytes_free(&tests.out);
    if (result != 0) {
        return -1;
    }
    return tests.failed > 0 ? COMMAND_FAILED : COMMAND_DONE;
}

/* clang-format off */
static const struct option options[] = {
    {.name = "only", .type = OPTION_TEXT, .offset = offsetof(struct test_options, only),
     .text = "Runs only tests whose name contains this text."},
    {.name = "coverage", .type = OPTION_FLAG, .offset = offsetof(struct test_options, coverage),
     .text = "Tells which lines of the pipelines have run and which have not."},
    {.name = "seed", .type = OPTION_INTEGER, .offset = offsetof(struct test_options, seed), .default_text = "1",
     .text = "Seed of what t.for_all makes by chance."},
    {.name = "json", .type = OPTION_FLAG, .offset = offsetof(struct test_options, json),
     .text = "Prints a JSON object per test: name, file, status (passed or failed), message, seconds."},
};
/* clang-format on */

static const struct option_table table = {"tidemill test", options, sizeof options / sizeof options[0]};

const struct command cmd_test = {
    .name = "test",
    .usage = "[PATH...] [options]",
    .text = "Runs the tests of pipelines, in memory and without a broker.",
    .details = "Tests are in files called test.lua or NAME_test.lua; directories are searched, first of all the "
               "current one. The status is 1 when a test fails.",
    .example = "tidemill test\n"
               "tidemill test examples/flights --only delays\n"
               "tidemill test --coverage",
    .options = &table,
    .options_size = sizeof(struct test_options),
    .least = 0,
    .most = -1,
    .run = run,
};
