#include "tests/unit/local/log_fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#define SQLITE_HEADER_SIZE 100

static void log_path(const struct log_fixture *log, char path[128])
{
    snprintf(path, 128, "%s/log/log.db", log->data);
}

static void close_log(struct log_fixture *log)
{
    log->class->close(log->transport);
    log->transport = NULL;
}

static void run_sql(const struct log_fixture *log, const char *sql)
{
    char path[128];
    sqlite3 *handle = NULL;
    log_path(log, path);
    ck_assert_int_eq(sqlite3_open(path, &handle), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
}

static struct bytes file_content(const char *path)
{
    struct bytes content = {0};
    int fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    for (ssize_t got = 1; got > 0; content.size += (size_t)(got > 0 ? got : 0)) {
        got = read(fd, bytes_reserve(&content, 65536), 65536);
    }
    close(fd);
    return content;
}

/* Opening is refused with the code, a message that holds the text, and the file is byte for byte as it was. */
static void expect_refused(struct log_fixture *log, enum err_code code, const char *text)
{
    char path[128];
    struct transport *transport = NULL;
    log_path(log, path);
    struct bytes before = file_content(path);
    ck_assert_int_eq(local_open(&log->config, &transport, &log->err), -1);
    ck_assert_msg(log->err.code == code, "%s", log->err.text);
    ck_assert_msg(strstr(log->err.text, text) != NULL, "%s", log->err.text);
    ck_assert_ptr_nonnull(strstr(log->err.text, path));
    struct bytes after = file_content(path);
    ck_assert(slice_equal(bytes_slice(&before), bytes_slice(&after)));
    bytes_free(&before);
    bytes_free(&after);
}

START_TEST(L8_a_newer_format_is_refused)
{
    struct log_fixture log;
    log_begin(&log);
    close_log(&log);
    run_sql(&log, "PRAGMA user_version = 2");
    expect_refused(&log, ERR_CORRUPT, "has format 2");
    log_end(&log);
}
END_TEST

START_TEST(L8_another_programs_database_is_refused)
{
    struct log_fixture log;
    char path[128];
    log_begin(&log);
    close_log(&log);
    log_path(&log, path);
    ck_assert_int_eq(unlink(path), 0);
    run_sql(&log, "CREATE TABLE something(x)");
    expect_refused(&log, ERR_CORRUPT, "another program's database");
    log_end(&log);
}
END_TEST

START_TEST(L8_a_file_that_is_no_database_is_refused)
{
    struct log_fixture log;
    char path[128];
    log_begin(&log);
    close_log(&log);
    log_path(&log, path);
    int fd = open(path, O_WRONLY | O_TRUNC);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(write(fd, "this is no log.\n", 16), 16);
    }
    close(fd);
    expect_refused(&log, ERR_CORRUPT, "damaged or is not a log");
    log_end(&log);
}
END_TEST

START_TEST(L8_an_unknown_schema_format_is_refused)
{
    struct log_fixture log;
    char path[128];
    log_begin(&log);
    close_log(&log);
    run_sql(&log, "PRAGMA wal_checkpoint(TRUNCATE)");
    log_path(&log, path);
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "\xff", 1, 47), 1); /* of SQLite's header */
    close(fd);
    expect_refused(&log, ERR_CORRUPT, "damaged or is not a log");
    log_end(&log);
}
END_TEST

static void expect_damage(const struct log_fixture *log, const char *path, long at)
{
    ck_assert_msg(log->err.code == ERR_CORRUPT, "byte %ld: %s", at, log->err.text);
    ck_assert_ptr_nonnull(strstr(log->err.text, path));
}

/* The log opens, or is refused as damaged and left as it was; damage may also show when something is written. */
static void expect_opened_or_refused(struct log_fixture *log, const char *path, long at)
{
    struct topic_spec spec = {.name = "written", .partitions = 1};
    struct bytes before = file_content(path);
    if (local_open(&log->config, &log->transport, &log->err) != 0) {
        struct bytes after = file_content(path);
        expect_damage(log, path, at);
        ck_assert(slice_equal(bytes_slice(&before), bytes_slice(&after)));
        bytes_free(&after);
    } else {
        if (log->class->create_topic(log->transport, &spec, &log->err) != 0) {
            expect_damage(log, path, at);
        }
        close_log(log);
    }
    bytes_free(&before);
}

START_TEST(any_byte_of_the_header_may_be_wrong)
{
    static const unsigned char values[] = {0, 5, 255};
    struct log_fixture log;
    char path[128];
    log_begin(&log);
    close_log(&log);
    log_path(&log, path);
    struct bytes whole = file_content(path);
    int fd = open(path, O_WRONLY);
    for (long i = 0; i < SQLITE_HEADER_SIZE * (long)sizeof values; i++) {
        ck_assert_int_eq(ftruncate(fd, 0), 0);
        ck_assert_int_eq(pwrite(fd, whole.data, whole.size, 0), (ssize_t)whole.size);
        ck_assert_int_eq(pwrite(fd, &values[i / SQLITE_HEADER_SIZE], 1, i % SQLITE_HEADER_SIZE), 1);
        expect_opened_or_refused(&log, path, i % SQLITE_HEADER_SIZE);
    }
    close(fd);
    bytes_free(&whole);
    log_end(&log);
}
END_TEST

START_TEST(L8_a_truncated_log_is_refused)
{
    struct log_fixture log;
    char path[128];
    struct stat status;
    log_begin(&log);
    log_create(&log, "t", 1);
    for (int i = 0; i < 30; i++) {
        log_put_range(&log, "t", 0, i * 1000, i * 1000 + 1000);
    }
    close_log(&log);
    log_path(&log, path);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(truncate(path, status.st_size / 2), 0);
    expect_refused(&log, ERR_CORRUPT, "damaged");
    log_end(&log);
}
END_TEST

/* SQLite would count the last page, and read zeros where it is cut off. */
START_TEST(L8_a_log_cut_off_within_its_last_page_is_refused)
{
    struct log_fixture log;
    char path[128];
    struct stat status;
    log_begin(&log);
    log_create(&log, "t", 1);
    close_log(&log);
    log_path(&log, path);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(truncate(path, status.st_size - 1), 0);
    expect_refused(&log, ERR_CORRUPT, "end within a page");
    log_end(&log);
}
END_TEST

/* One byte of a record is changed in the file, where SQLite has no checksum. */
START_TEST(a_flipped_byte_in_a_record_is_found_by_reading_and_by_the_check)
{
    struct log_fixture log;
    char path[128];
    log_begin(&log);
    log_create(&log, "t", 1);
    struct session *session = log_producer(&log);
    log_put(&log, session, "t", 0, log_record("key", "a value to be found in the file", 0));
    log_commit(&log, session);
    log.class->session_close(session);
    close_log(&log);
    log_path(&log, path);
    struct bytes content = file_content(path);
    unsigned char *at = memmem(content.data, content.size, "a value to be", 13);
    ck_assert_ptr_nonnull(at);
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "A", 1, at - content.data), 1);
    close(fd);
    bytes_free(&content);

    ck_assert_int_eq(local_check(log.data, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(log.err.text, "topic t partition 0"));
    log_ok(&log, local_open(&log.config, &log.transport, &log.err));
    struct position start = {"t", 0, 0, NULL};
    struct reader_config config = {.positions = &start, .count = 1};
    struct reader *reader = NULL;
    struct record record;
    size_t count = 0;
    log_ok(&log, log.class->reader_open(log.transport, &config, &reader, &log.err));
    ck_assert_int_eq(log.class->read(reader, 0, &record, 1, &count, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(log.err.text, "does not fit its checksum"));
    log.class->reader_close(reader);
    log_end(&log);
}
END_TEST

/* Whatever byte of the file is wrong: an error or the right records, never a crash or other records. */
START_TEST(flipped_bytes_anywhere_never_give_wrong_records)
{
    struct log_fixture log;
    char path[128];
    log_begin(&log);
    log_create(&log, "t", 1);
    for (int i = 0; i < 5; i++) {
        log_put_range(&log, "t", 0, i * 100, i * 100 + 100);
    }
    char *expected = log_read(&log, "t", 0, 0);
    close_log(&log);
    log_path(&log, path);
    struct bytes content = file_content(path);
    uint32_t random = 99;
    for (int round = 0; round < 150; round++) {
        random = random * 1103515245 + 12345;
        size_t place = (size_t)random % content.size;
        unsigned char wrong = content.data[place] ^ 0x41;
        int fd = open(path, O_WRONLY | O_TRUNC);
        ck_assert_int_eq(write(fd, content.data, content.size), (ssize_t)content.size);
        ck_assert_int_eq(pwrite(fd, &wrong, 1, (off_t)place), 1);
        close(fd);
        if (local_open(&log.config, &log.transport, &log.err) != 0) {
            log.transport = NULL;
            continue;
        }
        struct position start = {"t", 0, 0, NULL};
        struct reader_config config = {.positions = &start, .count = 1};
        struct reader *reader = NULL;
        struct record records[600];
        size_t count = 0;
        const char *at = expected;
        int result = log.class->reader_open(log.transport, &config, &reader, &log.err);
        while (result == 0 && (result = log.class->read(reader, 0, records, 600, &count, &log.err)) == 0 && count > 0) {
            for (size_t i = 0; i < count; i++) {
                char text[64];
                snprintf(text, sizeof text, "%lld:%.*s=%.*s ", (long long)records[i].offset, (int)records[i].key.size,
                         (const char *)records[i].key.data, (int)records[i].value.size,
                         (const char *)records[i].value.data);
                ck_assert_msg(strncmp(at, text, strlen(text)) == 0, "byte %zu: %s", place, text);
                at += strlen(text);
            }
        }
        if (reader != NULL) {
            log.class->reader_close(reader);
        }
        close_log(&log);
    }
    free(expected);
    bytes_free(&content);
    log_end(&log);
}
END_TEST

START_TEST(an_interrupted_creation_is_taken_up_and_never_taken_for_a_log)
{
    struct log_fixture log;
    char path[128];
    log_begin(&log);
    close_log(&log);
    log_path(&log, path);
    ck_assert_int_eq(truncate(path, 0), 0);
    log.config.create = false;
    expect_refused(&log, ERR_CORRUPT, "empty file");
    log.config.create = true;
    log_ok(&log, local_open(&log.config, &log.transport, &log.err));
    log_create(&log, "t", 1);
    close_log(&log);
    ck_assert_int_eq(unlink(path), 0);
    run_sql(&log, "PRAGMA journal_mode = WAL"); /* made, and no schema yet */
    log_ok(&log, local_open(&log.config, &log.transport, &log.err));
    log_create(&log, "t", 1);
    log_end(&log);
}
END_TEST

START_TEST(no_log_is_an_error_unless_it_may_be_made)
{
    struct log_fixture log;
    struct transport *transport = NULL;
    char data[128];
    log_begin(&log);
    snprintf(data, sizeof data, "%s/a/b", log.data);
    struct local_config config = {.data = data};
    ck_assert(!local_exists(data));
    ck_assert_int_eq(local_open(&config, &transport, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_CONFIG);
    config.create = true;
    log_ok(&log, local_open(&config, &transport, &log.err));
    transport->class->close(transport);
    ck_assert(local_exists(data));
    log_end(&log);
}
END_TEST

START_TEST(a_directory_that_can_not_be_made_is_an_error)
{
    struct log_fixture log;
    struct transport *transport = NULL;
    struct local_config config = {.data = "/proc/tidemill", .create = true};
    log_begin(&log);
    ck_assert_int_eq(local_open(&config, &transport, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_IO);
    ck_assert_ptr_nonnull(strstr(log.err.text, "/proc/tidemill"));
    if (geteuid() != 0) { /* nothing is forbidden to root */
        char data[128];
        snprintf(data, sizeof data, "%s/locked", log.data);
        ck_assert_int_eq(mkdir(data, 0555), 0);
        config.data = data;
        ck_assert_int_eq(local_open(&config, &transport, &log.err), -1);
        ck_assert_int_eq(log.err.code, ERR_IO);
    }
    log_end(&log);
}
END_TEST

UNIT_MAIN("local_damage", L8_a_newer_format_is_refused, L8_another_programs_database_is_refused,
          L8_a_file_that_is_no_database_is_refused, L8_a_truncated_log_is_refused,
          L8_a_log_cut_off_within_its_last_page_is_refused,
          a_flipped_byte_in_a_record_is_found_by_reading_and_by_the_check,
          flipped_bytes_anywhere_never_give_wrong_records,
          an_interrupted_creation_is_taken_up_and_never_taken_for_a_log, no_log_is_an_error_unless_it_may_be_made,
          a_directory_that_can_not_be_made_is_an_error, L8_an_unknown_schema_format_is_refused,
          any_byte_of_the_header_may_be_wrong)
