/* Files that a set does not take: what goes into quarantine, and what is refused. */
#include "tests/unit/store/store_files.h"

#include <sys/stat.h>

/* The set was closed and its files were spoiled: it opens fresh, and both files are put aside. */
static void expect_quarantine(struct fixture *fixture, int files)
{
    fixture_open(fixture);
    ck_assert(fixture->fresh);
    ck_assert_ptr_null(fixture->meta.app);
    ck_assert(has(fixture_store(fixture), "a", NULL));
    ck_assert_int_eq(fixture_files(fixture, "deltas.db.quarantine-", NULL) > 0, files > 1);
    ck_assert_int_ge(fixture_files(fixture, "rows.db.quarantine-", NULL), 1);
    put(fixture_store(fixture), "a", "new");
    commit(fixture, 1);
    fixture_reopen(fixture);
    ck_assert(!fixture->fresh);
    ck_assert(has(fixture_store(fixture), "a", "new"));
    fixture_end(fixture);
}

START_TEST(files_of_another_app_or_worker_go_into_quarantine)
{
    struct fixture fixture;
    make_closed(&fixture);
    fixture.config.app = "other";
    expect_quarantine(&fixture, 2);
    make_closed(&fixture);
    fixture.config.worker = "0_4";
    expect_quarantine(&fixture, 2);
}
END_TEST

START_TEST(newer_and_foreign_files_go_into_quarantine)
{
    static const char *const sql[] = {"PRAGMA user_version = 2", "PRAGMA application_id = 99", "DELETE FROM identity",
                                      "UPDATE identity SET pair = pair + 1", "DROP TABLE identity"};
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        struct fixture fixture;
        make_closed(&fixture);
        run_sql(&fixture, i % 2 == 0 ? "deltas.db" : "rows.db", sql[i]);
        expect_quarantine(&fixture, 2);
        make_closed(&fixture);
        run_sql(&fixture, i % 2 == 0 ? "rows.db" : "deltas.db", sql[i]);
        expect_quarantine(&fixture, 2);
    }
}
END_TEST

START_TEST(damaged_deltas_and_metas_go_into_quarantine)
{
    static const char *const sql[] = {
        "UPDATE delta SET body = x'00' || body WHERE seq = 1",
        "UPDATE delta SET body = substr(body, 1, length(body) - 1) WHERE seq = 2",
        "UPDATE delta SET meta = x'0102030405' WHERE seq = 2",
        "UPDATE delta SET meta = NULL WHERE seq = 2",
        "DELETE FROM delta WHERE seq = 1",
        "DROP TABLE delta",
    };
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        struct fixture fixture;
        make_closed(&fixture);
        run_sql(&fixture, "deltas.db", sql[i]);
        expect_quarantine(&fixture, 2);
    }
}
END_TEST

static void overwrite(const struct fixture *fixture, const char *name, long offset, const char *bytes, size_t size)
{
    char path[400];
    file_path(fixture, name, path);
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    fseek(file, offset, SEEK_SET);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

START_TEST(files_that_are_no_databases_go_into_quarantine)
{
    static const char *const names[] = {"deltas.db", "rows.db"};
    for (int i = 0; i < 2; i++) {
        struct fixture fixture;
        make_closed(&fixture);
        run_sql(&fixture, names[i], "PRAGMA wal_checkpoint(TRUNCATE)");
        overwrite(&fixture, names[i], 0, "This is not a database, is it?", 30);
        expect_quarantine(&fixture, 2);
    }
}
END_TEST

/* Whatever the header says: the file is used, and then it is right, or it is put aside. */
START_TEST(no_byte_of_a_header_stops_a_worker_for_good)
{
    static const char *const names[] = {"deltas.db", "rows.db"};
    static const char values[] = {9, (char)0xff};
    for (int i = 0; i < 400; i++) {
        struct fixture fixture;
        make_closed(&fixture);
        run_sql(&fixture, names[i % 2], "PRAGMA wal_checkpoint(TRUNCATE)");
        overwrite(&fixture, names[i % 2], i / 4, &values[i / 2 % 2], 1);
        fixture_open(&fixture);
        ck_assert_msg(has(fixture_store(&fixture), "a", fixture.fresh ? NULL : "old"), "byte %d of %s", i / 4,
                      names[i % 2]);
        put(fixture_store(&fixture), "a", "new");
        commit(&fixture, fixture.fresh ? 1 : 3);
        fixture_reopen(&fixture);
        ck_assert(has(fixture_store(&fixture), "a", "new"));
        fixture_end(&fixture);
    }
}
END_TEST

START_TEST(empty_files_count_as_missing)
{
    struct fixture fixture;
    char path[400];
    fixture_init(&fixture);
    file_path(&fixture, "deltas.db", path);
    fclose(fopen(path, "w"));
    file_path(&fixture, "rows.db", path);
    fclose(fopen(path, "w"));
    fixture_open(&fixture);
    ck_assert(fixture.fresh);
    ck_assert_int_eq(fixture_files(&fixture, "quarantine", NULL), 0);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_directory_that_is_not_there_is_an_error)
{
    struct fixture fixture;
    struct err err;
    fixture_init(&fixture);
    fixture.config.directory = "/tmp/no-such-directory/of/tidemill";
    ck_assert_int_eq(driver->open(&fixture.config, &fixture.set, NULL, &fixture.fresh, &err), -1);
    ck_assert_int_eq(err.code, ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "no-such-directory"));
    fixture.config.directory = fixture.directory;
    fixture_open(&fixture);
    fixture_end(&fixture);
}
END_TEST

START_TEST(deltas_without_their_rows_go_into_quarantine)
{
    struct fixture fixture;
    int64_t commits = 0;
    open_merged(&fixture, &commits);
    for (int i = 0; i < 10; i++) {
        commit(&fixture, ++commits);
    }
    fixture_close(&fixture);
    static const char *const names[] = {"rows.db", "rows.db-wal", "rows.db-shm"};
    for (int i = 0; i < 3; i++) {
        char path[400];
        file_path(&fixture, names[i], path);
        unlink(path);
    }
    expect_quarantine(&fixture, 2);
}
END_TEST

static off_t length_of(const struct fixture *fixture, const char *name)
{
    char path[400];
    struct stat status;
    file_path(fixture, name, path);
    ck_assert_int_eq(stat(path, &status), 0);
    return status.st_size;
}

/* SQLite would count the last page, and read zeros where it is cut off. */
START_TEST(a_file_cut_off_within_its_last_page_goes_into_quarantine)
{
    for (int cut = 1; cut < 8192; cut *= 16) {
        struct fixture fixture;
        char path[400];
        int64_t commits = 1;
        init_merging(&fixture);
        fixture_open(&fixture);
        put(fixture_store(&fixture), "a", "an entry at the end of the last page");
        commit(&fixture, commits);
        merge_all(&fixture, &commits);
        fixture_close(&fixture);
        run_sql(&fixture, "rows.db", "PRAGMA wal_checkpoint(TRUNCATE)");
        file_path(&fixture, "rows.db", path);
        ck_assert_int_eq(truncate(path, length_of(&fixture, "rows.db") - cut), 0);
        expect_quarantine(&fixture, 2);
    }
}
END_TEST

/* What a checkpoint leaves that is killed while it writes: SQLite has all of the page in its write-ahead log. */
START_TEST(a_page_half_written_by_a_checkpoint_is_written_again)
{
    struct fixture fixture;
    char path[400];
    char copy[2][400];
    int64_t commits = 1;
    char command[1700];
    init_merging(&fixture);
    fixture_open(&fixture);
    put(fixture_store(&fixture), "a", "1");
    commit(&fixture, commits);
    fixture_close(&fixture);
    file_path(&fixture, "deltas.db", path);
    file_path(&fixture, "kept.db", copy[0]);
    file_path(&fixture, "kept.db-wal", copy[1]);
    snprintf(command, sizeof command, "cp %s %s && cp %s-wal %s", path, copy[0], path, copy[1]);
    ck_assert_int_eq(system(command), 0);
    run_sql(&fixture, "kept.db", "PRAGMA wal_checkpoint(TRUNCATE)");
    ck_assert_int_eq(truncate(path, length_of(&fixture, "kept.db") - 4096), 0);
    fixture_open(&fixture);
    ck_assert(!fixture.fresh);
    ck_assert(has(fixture_store(&fixture), "a", "1"));
    ck_assert_int_eq(length_of(&fixture, "deltas.db") % 8192, 0);
    ck_assert_int_eq(fixture_files(&fixture, "quarantine", NULL), 0);
    fixture_end(&fixture);
}
END_TEST

START_TEST(damage_found_while_reading_is_an_error_and_then_quarantine)
{
    struct fixture fixture;
    struct err err;
    int64_t commits = 0;
    char key[32];
    init_merging(&fixture);
    fixture_open(&fixture);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        put(fixture_store(&fixture), key, "a value of some size that fills a few pages");
    }
    commit(&fixture, ++commits);
    merge_all(&fixture, &commits);
    fixture_close(&fixture);
    run_sql(&fixture, "rows.db", "PRAGMA wal_checkpoint(TRUNCATE)");
    static char junk[8192];
    memset(junk, 0x5a, sizeof junk);
    for (long page = 24; page < 32; page++) {
        overwrite(&fixture, "rows.db", page * 8192, junk, sizeof junk);
    }
    fixture_open(&fixture);
    int failures = 0;
    for (int i = 0; i < 5000; i++) {
        bool found;
        struct store_entry entry;
        snprintf(key, sizeof key, "key %d", i);
        if (driver->get(fixture_store(&fixture), text(key), &found, &entry, &err) != 0) {
            ck_assert_int_eq(err.code, ERR_CORRUPT);
            failures++;
        }
    }
    ck_assert_int_gt(failures, 0);
    ck_assert_int_eq(fixture_commit(&fixture, ++commits, &err), -1);
    ck_assert_int_eq(err.code, ERR_CORRUPT);
    fixture_close(&fixture);
    expect_quarantine(&fixture, 2);
}
END_TEST

/* A state that can't be read, `times` times: each is put aside. */
static void spoil(struct fixture *fixture, int times)
{
    for (int i = 0; i < times; i++) {
        fixture_open(fixture);
        put(fixture_store(fixture), "a", "old");
        commit(fixture, i);
        fixture_close(fixture);
        run_sql(fixture, "deltas.db", "UPDATE delta SET body = x'00'");
    }
    fixture_open(fixture);
    ck_assert(fixture->fresh);
    fixture_close(fixture);
}

/* How many times a file was put aside that is still there, and the newest of these times. */
static int put_aside(const struct fixture *fixture, const char *name, int64_t *newest)
{
    int count = 0;
    char part[64];
    DIR *directory = opendir(fixture->directory);
    snprintf(part, sizeof part, "%s.quarantine-", name);
    *newest = 0;
    for (struct dirent *file = readdir(directory); file != NULL; file = readdir(directory)) {
        char *end = NULL;
        bool is_one = strncmp(file->d_name, part, strlen(part)) == 0;
        int64_t time = is_one ? strtoll(file->d_name + strlen(part), &end, 10) : 0;
        if (is_one && *end == '\0') {
            count++;
            *newest = time > *newest ? time : *newest;
        }
    }
    closedir(directory);
    return count;
}

static void expect_put_aside(const struct fixture *fixture, int times, int64_t *newest)
{
    int64_t before = *newest;
    ck_assert_int_eq(put_aside(fixture, "rows.db", newest), times);
    ck_assert_int_gt(*newest, before);
    ck_assert_int_eq(put_aside(fixture, "deltas.db", newest), times);
}

START_TEST(the_newest_in_quarantine_are_kept)
{
    struct fixture fixture;
    int64_t newest = 0;
    fixture_init(&fixture);
    spoil(&fixture, 5);
    expect_put_aside(&fixture, 5, &newest); /* without a limit: all */
    fixture.config.quarantine_keep = 3;
    spoil(&fixture, 1);
    expect_put_aside(&fixture, 3, &newest);
    fixture.config.quarantine_keep = 1;
    spoil(&fixture, 1);
    expect_put_aside(&fixture, 1, &newest);
    ck_assert_int_le(fixture_files(&fixture, "quarantine", NULL), 6);
    fixture_open(&fixture);
    fixture_end(&fixture);
}
END_TEST

/* Times of a clock that went back since don't make what is put aside now the oldest. */
START_TEST(what_is_put_aside_now_is_the_newest)
{
    struct fixture fixture;
    char path[400];
    fixture_init(&fixture);
    fixture.config.quarantine_keep = 1;
    file_path(&fixture, "rows.db.quarantine-9000000000000", path);
    fclose(fopen(path, "w"));
    file_path(&fixture, "rows.db.quarantine-mine", path);
    fclose(fopen(path, "w"));
    spoil(&fixture, 1);
    int64_t newest = 0;
    expect_put_aside(&fixture, 1, &newest);
    ck_assert_int_eq(newest, 9000000000001);
    ck_assert_int_eq(fixture_files(&fixture, "rows.db.quarantine-mine", NULL), 1);
    fixture_open(&fixture);
    fixture_end(&fixture);
}
END_TEST

UNIT_MAIN("quarantine", no_byte_of_a_header_stops_a_worker_for_good, files_of_another_app_or_worker_go_into_quarantine,
          newer_and_foreign_files_go_into_quarantine, damaged_deltas_and_metas_go_into_quarantine,
          files_that_are_no_databases_go_into_quarantine, empty_files_count_as_missing,
          a_directory_that_is_not_there_is_an_error, deltas_without_their_rows_go_into_quarantine,
          a_file_cut_off_within_its_last_page_goes_into_quarantine,
          a_page_half_written_by_a_checkpoint_is_written_again,
          damage_found_while_reading_is_an_error_and_then_quarantine, the_newest_in_quarantine_are_kept,
          what_is_put_aside_now_is_the_newest)
