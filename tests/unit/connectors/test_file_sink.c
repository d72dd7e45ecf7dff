#include "connectors/file/file_sink.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "connectors/file/file_name.h"
#include "tests/support/unit.h"

static char directory[64];
static char *options;
static struct connector_context context;

static void set(const char *name, const char *value)
{
    struct err err;
    ck_assert_msg(option_set(file_sink_class.options, options, name, value, &err) == 0, "%s", err.text);
}

static void begin(void)
{
    strcpy(directory, "/tmp/test_file_sink.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    options = calloc(1, file_sink_class.options_size);
    option_defaults(file_sink_class.options, options);
    set("directory", directory);
    context = (struct connector_context){.app = "app", .name = "out", .topic = "t-1", .tasks = 1, .options = options};
}

static void finish(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    ck_assert_int_eq(system(command), 0);
    option_free(file_sink_class.options, options);
    free(options);
}

static struct connector_task *open_sink(int64_t expected)
{
    struct connector_task *task = NULL;
    struct err err;
    int64_t next;
    ck_assert_msg(file_sink_class.validate(options, &err) == 0, "%s", err.text);
    ck_assert_msg(file_sink_class.open(&context, &task, &err) == 0, "%s", err.text);
    ck_assert_int_eq(file_sink_class.position(task, &next, &err), 0);
    ck_assert_int_eq(next, expected);
    return task;
}

static void refused(enum err_class class, const char *reason)
{
    struct connector_task *task = NULL;
    struct err err;
    ck_assert_int_eq(file_sink_class.open(&context, &task, &err), -1);
    ck_assert_int_eq(err.class, class);
    ck_assert_msg(strstr(err.text, reason) != NULL, "%s", err.text);
}

/* One record per offset from..to-1, all with the same value; from -1 begins at 0. */
static int write_some(struct connector_task *task, int64_t from, int64_t to, const char *value, struct err *err)
{
    struct record records[10];
    struct sink_batch batch = {records, 0, from, to};
    size_t bad = SINK_BAD_UNKNOWN;
    for (int64_t i = from < 0 ? 0 : from; i < to; i++) {
        records[batch.count++] =
            (struct record){.value = value ? slice_text(value) : SLICE_NULL, .offset = i, .topic = "t-1"};
    }
    int result = file_sink_class.write(task, &batch, &bad, err);
    ck_assert(result == 0 || err->class != ERR_SKIP || bad == 0);
    return result;
}

static void writes(struct connector_task *task, int64_t from, int64_t to, const char *value)
{
    struct err err;
    ck_assert_msg(write_some(task, from, to, value, &err) == 0, "%s", err.text);
}

static void name_of(int64_t first, int64_t next, int64_t size, int64_t records, char path[600])
{
    char text[FILE_NAME_SIZE];
    struct file_name name = {first, next, records > 0, size, records};
    file_name_print(&name, "t-1", 0, "json", text);
    snprintf(path, 600, "%s/%s", directory, text);
}

static void holds(const char *path, const char *expected)
{
    char text[256] = "";
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    ck_assert_str_eq(text, expected);
}

static void append(const char *path, const char *text)
{
    FILE *file = fopen(path, "a");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* How many finished files there are: names without a dot in front. */
static int finished(void)
{
    int count = 0;
    DIR *entries = opendir(directory);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(entries);
    return count;
}

START_TEST(every_write_is_a_file_by_default)
{
    char path[600];
    begin();
    struct connector_task *task = open_sink(CONNECTOR_NO_OFFSET);
    writes(task, -1, 2, "{\"a\":\n1}");
    writes(task, 2, 3, "5");
    file_sink_class.close(task);
    name_of(0, 2, 0, 0, path);
    holds(path, "{\"a\": 1}\n{\"a\": 1}\n");
    name_of(2, 3, 0, 0, path);
    holds(path, "5\n");
    file_sink_class.close(open_sink(3));
    ck_assert_int_eq(finished(), 2);
    finish();
}
END_TEST

START_TEST(files_roll_by_records_and_at_close)
{
    char path[600];
    begin();
    set("roll_records", "3");
    set("roll_ms", "1h");
    struct connector_task *task = open_sink(CONNECTOR_NO_OFFSET);
    writes(task, -1, 2, "1");
    ck_assert_int_eq(finished(), 0);
    writes(task, 2, 4, "2");
    name_of(0, 4, 0, 0, path);
    holds(path, "1\n1\n2\n2\n");
    writes(task, 4, 5, "3");
    ck_assert_int_eq(finished(), 1);
    file_sink_class.close(task);
    name_of(4, 5, 0, 0, path);
    holds(path, "3\n");
    finish();
}
END_TEST

START_TEST(csv_has_a_header_in_each_file)
{
    begin();
    set("format", "csv");
    set("columns", "id");
    set("columns", "full name");
    struct connector_task *task = open_sink(CONNECTOR_NO_OFFSET);
    writes(task, -1, 1, "{\"full name\":\"x, \\\"y\\\"\",\"id\":7}");
    writes(task, 1, 2, "{\"id\":8}");
    file_sink_class.close(task);
    char path[600];
    snprintf(path, sizeof path, "%s/t-1-0-00000000000000000000-00000000000000000001.csv", directory);
    holds(path, "id,full name\n7,\"x, \"\"y\"\"\"\n");
    snprintf(path, sizeof path, "%s/t-1-0-00000000000000000001-00000000000000000002.csv", directory);
    holds(path, "id,full name\n8,\n");
    finish();
}
END_TEST

START_TEST(the_position_moves_without_records)
{
    begin();
    struct connector_task *task = open_sink(CONNECTOR_NO_OFFSET);
    struct sink_batch nothing = {NULL, 0, CONNECTOR_NO_OFFSET, 5};
    size_t bad;
    struct err err;
    ck_assert_int_eq(file_sink_class.write(task, &nothing, &bad, &err), 0);
    file_sink_class.close(task);
    ck_assert_int_eq(finished(), 0);
    task = open_sink(5);
    writes(task, 5, 6, "1");
    file_sink_class.close(task);
    ck_assert_int_eq(finished(), 1);
    file_sink_class.close(open_sink(6));
    finish();
}
END_TEST

START_TEST(bad_records_leave_everything_as_it_was)
{
    const char *const values[] = {"{", NULL, "[1]"};
    begin();
    set("columns", "id");
    struct connector_task *task = open_sink(CONNECTOR_NO_OFFSET);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct err err;
        ck_assert_int_eq(write_some(task, -1, 2, values[i], &err), -1);
        ck_assert_int_eq(err.class, ERR_SKIP);
    }
    writes(task, -1, 1, "{\"id\":1}");
    file_sink_class.close(task);
    ck_assert_int_eq(finished(), 1);
    finish();
}
END_TEST

START_TEST(another_writer_is_kept_away)
{
    begin();
    struct connector_task *task = open_sink(CONNECTOR_NO_OFFSET);
    refused(ERR_RETRY, "Another process");
    struct err err;
    ck_assert_int_eq(write_some(task, 3, 4, "1", &err), -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    file_sink_class.close(task);
    context.name = "other";
    refused(ERR_FATAL, "app/out");
    finish();
}
END_TEST

/* The states that kill -9 leaves behind between the steps of a write. */
START_TEST(a_new_file_without_its_name_never_was)
{
    char path[600];
    begin();
    file_sink_class.close(open_sink(CONNECTOR_NO_OFFSET));
    snprintf(path, sizeof path, "%s/.t-1-0.new", directory);
    append(path, "1\n2");
    struct connector_task *task = open_sink(CONNECTOR_NO_OFFSET);
    writes(task, -1, 1, "3");
    file_sink_class.close(task);
    name_of(0, 1, 0, 0, path);
    holds(path, "3\n");
    finish();
}
END_TEST

START_TEST(what_a_write_left_behind_the_length_is_cut_off)
{
    char path[600];
    begin();
    set("roll_records", "3");
    set("roll_ms", "1h");
    name_of(0, 2, 4, 2, path);
    append(path, "1\n1\n2\nhalf");
    struct connector_task *task = open_sink(2);
    writes(task, 2, 3, "3");
    file_sink_class.close(task);
    name_of(0, 3, 0, 0, path);
    holds(path, "1\n1\n3\n");
    ck_assert_int_eq(finished(), 1);
    file_sink_class.close(open_sink(3));
    finish();
}
END_TEST

START_TEST(a_directory_that_somebody_changed_is_refused)
{
    char path[600], second[600];
    begin();
    name_of(0, 2, 4, 2, path);
    append(path, "1\n");
    refused(ERR_FATAL, "is shorter");
    append(path, "1\n");
    name_of(2, 4, 4, 2, second);
    append(second, "1\n1\n");
    refused(ERR_FATAL, "second open part");
    ck_assert_int_eq(unlink(second), 0);
    name_of(0, 9, 0, 0, second);
    append(second, "1\n");
    refused(ERR_FATAL, "before a finished file");
    finish();
}
END_TEST

static void write_for_ever(void)
{
    struct connector_task *task = NULL;
    struct err err;
    int64_t next;
    char value[32];
    unit_in_child();
    if (file_sink_class.open(&context, &task, &err) != 0) {
        _exit(1);
    }
    for (;;) {
        file_sink_class.position(task, &next, &err);
        snprintf(value, sizeof value, "%lld", (long long)(next < 0 ? 0 : next));
        struct record record = {.value = slice_text(value), .offset = next < 0 ? 0 : next};
        struct sink_batch batch = {&record, 1, next, record.offset + 1};
        size_t bad;
        if (file_sink_class.write(task, &batch, &bad, &err) != 0) {
            _exit(1);
        }
    }
}

/* All finished files there, in the order of their names, hold 0, 1, 2, ... to the position. */
static void counts_to(const char *where, int64_t position)
{
    char command[160];
    long long number;
    int64_t expected = 0;
    snprintf(command, sizeof command, "cat %s/t-1-0-*.json 2> /dev/null", where);
    FILE *all = popen(command, "r");
    while (fscanf(all, "%lld", &number) == 1) {
        ck_assert_int_eq(number, expected);
        expected++;
    }
    pclose(all);
    ck_assert_int_eq(expected, position);
}

START_TEST(killed_at_any_time_nothing_is_lost_or_doubled)
{
    begin();
    set("roll_records", "3");
    set("roll_ms", "1h");
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0) {
            write_for_ever();
        }
        usleep((useconds_t)(1000 + i * 1237));
        kill(child, SIGKILL);
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status));
    }
    struct connector_task *task = NULL;
    struct err err;
    int64_t next;
    ck_assert_msg(file_sink_class.open(&context, &task, &err) == 0, "%s", err.text);
    file_sink_class.position(task, &next, &err);
    file_sink_class.close(task);
    counts_to(directory, next < 0 ? 0 : next);
    finish();
}
END_TEST

static void move_away(const char *where)
{
    char command[256];
    snprintf(command, sizeof command, "mkdir -p %s; mv %s/t-1-0-*.json %s 2> /dev/null", where, directory, where);
    ck_assert_int_ne(system(command), -1);
}

START_TEST(finished_files_may_be_taken_away_at_any_time)
{
    char taken[80];
    begin();
    set("roll_records", "3");
    set("roll_ms", "1h");
    snprintf(taken, sizeof taken, "%s/taken", directory);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            write_for_ever();
        }
        usleep((useconds_t)(1000 + i * 1731));
        move_away(taken);
        kill(child, SIGKILL);
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status));
        move_away(taken);
    }
    struct connector_task *task = NULL;
    struct err err;
    int64_t next;
    ck_assert_msg(file_sink_class.open(&context, &task, &err) == 0, "%s", err.text);
    file_sink_class.position(task, &next, &err);
    file_sink_class.close(task);
    move_away(taken);
    counts_to(taken, next < 0 ? 0 : next);
    finish();
}
END_TEST

/* Killed after the empty part was made and before the one with records got its finished name. */
START_TEST(an_interrupted_finishing_is_done_again)
{
    char path[600], empty[600];
    begin();
    set("roll_records", "3");
    set("roll_ms", "1h");
    name_of(0, 2, 4, 2, path);
    append(path, "1\n1\n");
    struct file_name name = {2, 2, true, 0, 0};
    char text[FILE_NAME_SIZE];
    file_name_print(&name, "t-1", 0, "json", text);
    snprintf(empty, sizeof empty, "%s/%s", directory, text);
    append(empty, "");
    struct connector_task *task = open_sink(2);
    writes(task, 2, 3, "2");
    name_of(0, 3, 0, 0, path);
    holds(path, "1\n1\n2\n");
    ck_assert_int_eq(unlink(path), 0);
    writes(task, 3, 4, "3");
    file_sink_class.close(task);
    file_sink_class.close(open_sink(4));
    finish();
}
END_TEST

START_TEST(a_file_gets_old_while_nothing_comes)
{
    char path[600];
    struct err err;
    begin();
    set("roll_records", "100");
    set("roll_ms", "50ms");
    struct connector_task *task = open_sink(CONNECTOR_NO_OFFSET);
    ck_assert_int_eq(file_sink_class.idle(task, &err), 0);
    writes(task, -1, 1, "1");
    while (finished() == 0) {
        usleep(5000);
        ck_assert_int_eq(file_sink_class.idle(task, &err), 0);
    }
    name_of(0, 1, 0, 0, path);
    holds(path, "1\n");
    ck_assert_int_eq(file_sink_class.idle(task, &err), 0);
    file_sink_class.close(task);
    ck_assert_int_eq(finished(), 1);
    finish();
}
END_TEST

START_TEST(names_of_others_are_passed_over)
{
    struct file_name name;
    ck_assert(file_name_parse("t-0-00000000000000000001-00000000000000000002.json", "t", 0, "json", &name));
    ck_assert(name.first == 1 && name.next == 2 && !name.open);
    ck_assert(file_name_parse(".t-0-00000000000000000001-00000000000000000002.30.1.part", "t", 0, "csv", &name));
    ck_assert(name.open && name.size == 30 && name.records == 1);
    ck_assert(!file_name_parse("t-1-00000000000000000001-00000000000000000002.json", "t", 0, "json", &name));
    ck_assert(!file_name_parse("t-0-1-2.json", "t", 0, "json", &name));
    ck_assert(!file_name_parse("t-0-00000000000000000003-00000000000000000002.json", "t", 0, "json", &name));
    ck_assert(!file_name_parse("t-0-99999999999999999999999-0.json", "t", 0, "json", &name));
}
END_TEST

UNIT_MAIN("file_sink", every_write_is_a_file_by_default, files_roll_by_records_and_at_close,
          csv_has_a_header_in_each_file, the_position_moves_without_records, bad_records_leave_everything_as_it_was,
          another_writer_is_kept_away, a_new_file_without_its_name_never_was,
          what_a_write_left_behind_the_length_is_cut_off, a_directory_that_somebody_changed_is_refused,
          killed_at_any_time_nothing_is_lost_or_doubled, finished_files_may_be_taken_away_at_any_time,
          an_interrupted_finishing_is_done_again, a_file_gets_old_while_nothing_comes, names_of_others_are_passed_over)
