/* What is found in the files of a worker, by somebody who only reads. */
#include "store/state_check.h"
#include "tests/unit/store/store_files.h"

struct findings {
    int count;
    char file[40];
    char why[600];
};

static void note(void *self, const char *file, const char *why)
{
    struct findings *findings = self;
    findings->count++;
    snprintf(findings->file, sizeof findings->file, "%s", file);
    snprintf(findings->why, sizeof findings->why, "%s", why);
}

/* Expects one finding with the text, in the file; NULL: none. */
static void expect(const struct fixture *fixture, const char *app, const char *file, const char *why)
{
    struct findings findings = {.count = 0};
    struct err err;
    bool found;
    check_ok(state_check(fixture->directory, app, &found, note, &findings, &err));
    ck_assert(found);
    ck_assert_msg(findings.count == (file != NULL), "%s: %s", findings.file, findings.why);
    if (file != NULL) {
        ck_assert_str_eq(findings.file, file);
        ck_assert_msg(strstr(findings.why, why) != NULL, "%s", findings.why);
    }
}

START_TEST(sound_files_are_sound)
{
    struct fixture fixture;
    struct err err;
    bool found;
    int64_t commits = 0;
    open_merged(&fixture, &commits);
    put(fixture_store(&fixture), "b", "2");
    commit(&fixture, ++commits);
    expect(&fixture, "shop", NULL, NULL); /* while it is open */
    fixture_close(&fixture);
    expect(&fixture, "shop", NULL, NULL);
    check_ok(state_check("/nowhere", "shop", &found, note, NULL, &err));
    ck_assert(!found);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_delta_that_is_damaged_or_missing_is_found)
{
    struct fixture fixture;
    make_closed(&fixture);
    run_sql(&fixture, "deltas.db", "UPDATE delta SET body = substr(body, 1, length(body) - 1) || x'00' WHERE seq = 2");
    expect(&fixture, "shop", "deltas.db", "checksum");
    run_sql(&fixture, "deltas.db", "DELETE FROM delta WHERE seq = 1");
    expect(&fixture, "shop", "deltas.db", "Deltas are missing");
    fixture_end(&fixture);
}
END_TEST

START_TEST(files_of_others_are_found)
{
    struct fixture fixture;
    make_closed(&fixture);
    struct findings findings = {.count = 0};
    struct err err;
    bool found;
    check_ok(state_check(fixture.directory, "other", &found, note, &findings, &err));
    ck_assert_int_eq(findings.count, 2);
    ck_assert_ptr_nonnull(strstr(findings.why, "belongs to the app shop, not to other"));
    run_sql(&fixture, "rows.db", "UPDATE identity SET pair = pair + 1");
    expect(&fixture, "shop", "deltas.db", "not made together");
    run_sql(&fixture, "rows.db", "DROP TABLE identity");
    expect(&fixture, "shop", "rows.db", "lacks a table");
    run_sql(&fixture, "rows.db", "PRAGMA user_version = 2");
    expect(&fixture, "shop", "rows.db", "no state file that this version knows");
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_file_that_is_missing_is_found)
{
    struct fixture fixture;
    char path[400];
    make_closed(&fixture);
    file_path(&fixture, "deltas.db", path);
    ck_assert_int_eq(unlink(path), 0);
    expect(&fixture, "shop", "deltas.db", "is missing");
    fixture_end(&fixture);
}
END_TEST

UNIT_MAIN("state check", sound_files_are_sound, a_delta_that_is_damaged_or_missing_is_found, files_of_others_are_found,
          a_file_that_is_missing_is_found)
