#include "connectors/file/file_source.h"

#include <sys/stat.h>
#include <zlib.h>

#include "connectors/file/file_reader.h"
#include "tests/support/unit.h"

static char directory[64];
static char path[128];
static char *options;
static struct connector_context context;
static char position[SOURCE_POSITION_SIZE]; /* of the last batch */

static void set(const char *name, const char *value)
{
    struct err err;
    ck_assert_msg(option_set(file_source_class.options, options, name, value, &err) == 0, "%s", err.text);
}

static void begin(void)
{
    strcpy(directory, "/tmp/test_file_source.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/log", directory);
    options = calloc(1, file_source_class.options_size);
    option_defaults(file_source_class.options, options);
    set("path", path);
    context = (struct connector_context){.app = "app", .name = "in", .tasks = 1, .options = options};
    position[0] = '\0';
}

static void finish(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    ck_assert_int_eq(system(command), 0);
    option_free(file_source_class.options, options);
    free(options);
}

static void append(const char *text)
{
    FILE *file = fopen(path, "a");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void rename_to(const char *ending, int64_t changed_s)
{
    char to[160];
    snprintf(to, sizeof to, "%s%s", path, ending);
    ck_assert_int_eq(rename(path, to), 0);
    struct timespec times[2] = {{.tv_sec = changed_s}, {.tv_sec = changed_s}};
    ck_assert_int_eq(utimensat(AT_FDCWD, to, times, 0), 0);
}

static struct connector_task *open_source(void)
{
    struct connector_task *task = NULL;
    struct err err;
    struct slice from = position[0] != '\0' ? slice_text(position) : SLICE_NULL;
    ck_assert_msg(file_source_class.validate(options, &err) == 0, "%s", err.text);
    ck_assert_msg(file_source_class.open(&context, from, &task, &err) == 0, "%s", err.text);
    return task;
}

/* Everything that is there: the values, each with its key in front if it has one, a semicolon behind. */
static void reads(struct connector_task *task, const char *expected)
{
    struct bytes all = {0};
    for (;;) {
        struct source_batch batch = {0};
        struct err err;
        ck_assert_msg(file_source_class.poll(task, 0, &batch, &err) == 0, "%s", err.text);
        for (size_t i = 0; i < batch.count; i++) {
            const struct record *record = &batch.records[i];
            if (!slice_is_null(record->key)) {
                bytes_append_slice(&all, record->key);
                bytes_append_text(&all, "=");
            }
            bytes_append_slice(&all, record->value);
            bytes_append_text(&all, ";");
            ck_assert_str_eq(record->topic, path);
        }
        if (batch.count == 0) {
            ck_assert(batch.at_end && slice_is_null(batch.position));
            break;
        }
        snprintf(position, sizeof position, "%.*s", (int)batch.position.size, (const char *)batch.position.data);
    }
    ck_assert_str_eq(bytes_text(&all), expected);
    bytes_free(&all);
}

static void reads_once(const char *expected)
{
    struct connector_task *task = open_source();
    reads(task, expected);
    file_source_class.close(task);
}

static void fails(const char *reason)
{
    struct connector_task *task = open_source();
    struct source_batch batch = {0};
    struct err err;
    ck_assert_int_eq(file_source_class.poll(task, 0, &batch, &err), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_msg(strstr(err.text, reason) != NULL, "%s", err.text);
    ck_assert_msg(strstr(err.text, path) != NULL, "%s", err.text);
    file_source_class.close(task);
}

START_TEST(json_lines_with_key_and_time)
{
    begin();
    set("key", "user.id");
    set("timestamp", "at");
    append(
        "\xef\xbb\xbf{\"user\":{\"id\":\"u1\"},\"at\":5}\r\n\n{\"user\":{\"id\":2},\"at\":\"1970-01-01T00:00:01Z\"}");
    struct connector_task *task = open_source();
    struct source_batch batch = {0};
    struct err err;
    ck_assert_int_eq(file_source_class.poll(task, 0, &batch, &err), 0);
    ck_assert_uint_eq(batch.count, 2);
    ck_assert(slice_equal(batch.records[0].key, slice_text("\"u1\"")));
    ck_assert_int_eq(batch.records[0].timestamp, 5);
    ck_assert_int_eq(batch.records[1].timestamp, 1000);
    ck_assert_ptr_nonnull(strstr((const char *)batch.position.data, "\"line\":3}"));
    reads(task, "");
    file_source_class.close(task);
    finish();
}
END_TEST

START_TEST(progress_is_shown_until_the_end)
{
    struct source_batch batch = {0};
    struct err err;
    begin();
    for (int i = 0; i < 2000; i++) {
        append("{\"n\":1}\n");
    }
    struct connector_task *task = open_source();
    ck_assert_int_eq(file_source_class.poll(task, 0, &batch, &err), 0);
    ck_assert_uint_eq(batch.count, SOURCE_BATCH_RECORDS);
    ck_assert_int_eq(batch.progress.done, SOURCE_BATCH_RECORDS);
    ck_assert_int_eq(batch.progress.total, 2000);
    ck_assert(strncmp(batch.progress.phase, "reading /", 9) == 0);
    while (batch.count > 0) {
        batch = (struct source_batch){0};
        ck_assert_int_eq(file_source_class.poll(task, 0, &batch, &err), 0);
    }
    ck_assert(batch.at_end);
    ck_assert_ptr_null(batch.progress.phase);
    file_source_class.close(task);
    finish();
}
END_TEST

START_TEST(csv_rows_go_on_where_the_position_is)
{
    begin();
    set("format", "csv");
    set("key", "id");
    set("types", "name=text");
    append("id,name\r\n1,007\r\n2,\"two\nlines, \"\"x\"\"\"\r\n");
    reads_once("1={\"id\":1,\"name\":\"007\"};2={\"id\":2,\"name\":\"two\\nlines, \\\"x\\\"\"};");
    reads_once("");
    append("3,last");
    reads_once("3={\"id\":3,\"name\":\"last\"};");
    finish();
}
END_TEST

START_TEST(csv_without_a_header)
{
    begin();
    set("format", "csv");
    set("header", "false");
    set("types", "id=integer");
    set("types", "good=boolean");
    append("1,1\n,0\n");
    reads_once("{\"id\":1,\"good\":true};{\"id\":null,\"good\":false};");
    append("x,1\n");
    fails("Line 3 of");
    finish();
}
END_TEST

START_TEST(bad_lines_name_file_and_line)
{
    begin();
    append("{}\nnonsense\n");
    fails("Line 2 of");
    finish();
}
END_TEST

START_TEST(a_row_has_a_limit)
{
    begin();
    FILE *file = fopen(path, "w");
    fputs("1\n\"", file);
    for (size_t i = 0; i <= FILE_READER_ROW_LIMIT; i++) {
        fputc('x', file);
    }
    fclose(file);
    fails("Line 2 of");
    finish();
}
END_TEST

START_TEST(gzip_is_recognized_and_entered_in_the_middle)
{
    begin();
    gzFile file = gzopen(path, "w");
    for (int i = 0; i < 1500; i++) {
        gzprintf(file, "%d\n", i);
    }
    gzclose(file);
    struct connector_task *task = open_source();
    struct source_batch batch = {0};
    struct err err;
    ck_assert_int_eq(file_source_class.poll(task, 0, &batch, &err), 0);
    ck_assert_uint_eq(batch.count, SOURCE_BATCH_RECORDS);
    snprintf(position, sizeof position, "%.*s", (int)batch.position.size, (const char *)batch.position.data);
    file_source_class.close(task);
    task = open_source();
    batch = (struct source_batch){0};
    ck_assert_int_eq(file_source_class.poll(task, 0, &batch, &err), 0);
    ck_assert_uint_eq(batch.count, 500);
    ck_assert(slice_equal(batch.records[0].value, slice_text("1000")));
    file_source_class.close(task);
    finish();
}
END_TEST

START_TEST(what_is_appended_is_followed)
{
    begin();
    set("follow", "true");
    append("1\n2");
    struct connector_task *task = open_source();
    reads(task, "1;");
    append("2\n");
    reads(task, "22;");
    rename_to(".1", 1000);
    reads(task, "");
    append("");
    reads(task, "");
    append("3\n");
    reads(task, "3;");
    ck_assert_int_eq(truncate(path, 0), 0);
    reads(task, "");
    append("4\n");
    reads(task, "4;");
    file_source_class.close(task);
    finish();
}
END_TEST

START_TEST(rotations_while_nobody_reads_lose_nothing)
{
    begin();
    set("follow", "true");
    append("1\n");
    reads_once("1;");
    append("2\n3");
    rename_to(".2", 1000);
    append("4\n");
    rename_to(".1", 2000);
    append("5\n");
    reads_once("2;3;4;5;");
    reads_once("");
    finish();
}
END_TEST

START_TEST(a_lost_file_is_reported)
{
    begin();
    append("1\n2\n");
    reads_once("1;2;");
    struct connector_task *task;
    struct err err;
    ck_assert_int_eq(truncate(path, 2), 0);
    ck_assert_int_eq(file_source_class.open(&context, slice_text(position), &task, &err), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_int_eq(file_source_class.open(
                         &context, slice_text("{\"file\":\"f\",\"inode\":1,\"offset\":2,\"line\":1}"), &task, &err),
                     -1);
    ck_assert_msg(strstr(err.text, "is lost") != NULL, "%s", err.text);
    ck_assert_int_eq(file_source_class.open(&context, slice_text("{\"file\":1}"), &task, &err), -1);
    finish();
}
END_TEST

UNIT_MAIN("file_source", progress_is_shown_until_the_end, json_lines_with_key_and_time,
          csv_rows_go_on_where_the_position_is, csv_without_a_header, bad_lines_name_file_and_line, a_row_has_a_limit,
          gzip_is_recognized_and_entered_in_the_middle, what_is_appended_is_followed,
          rotations_while_nobody_reads_lose_nothing, a_lost_file_is_reported)
