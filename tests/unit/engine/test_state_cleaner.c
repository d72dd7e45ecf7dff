#include "engine/state_cleaner.h"

#include <sys/stat.h>

#include "base/log.h"
#include "base/memory.h"
#include "tests/support/unit.h"

#define MINUTE INT64_C(60000)

struct scene {
    char directory[64];
    struct clock clock;
    struct state_cleaner *cleaner;
};

/* Files carry the real time, so the scene's clock begins there. */
static void begin(struct scene *scene, int64_t delay_ms)
{
    struct err err;
    log_configure(LOG_ERROR, false);
    *scene = (struct scene){.directory = "/tmp/tidemill-cleaner-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(scene->directory));
    scene->clock = (struct clock){true, clock_wall_ms(&CLOCK_SYSTEM)};
    ck_assert_int_eq(state_cleaner_open(scene->directory, delay_ms, &scene->clock, false, &scene->cleaner, &err), 0);
}

static char *path_of(const struct scene *scene, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", scene->directory, name);
    return path;
}

static void make_file(const struct scene *scene, const char *name)
{
    FILE *file = fopen(path_of(scene, name), "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
}

static void make_worker(const struct scene *scene, const char *name)
{
    char file[128];
    ck_assert_int_eq(mkdir(path_of(scene, name), 0700), 0);
    snprintf(file, sizeof file, "%s/deltas.db", name);
    make_file(scene, file);
    snprintf(file, sizeof file, "%s/rows.db", name);
    make_file(scene, file);
}

static bool exists(const struct scene *scene, const char *name)
{
    return access(path_of(scene, name), F_OK) == 0;
}

static void end(struct scene *scene)
{
    char command[128];
    state_cleaner_close(scene->cleaner);
    snprintf(command, sizeof command, "rm -rf '%s'", scene->directory);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(state_is_kept_for_the_delay_and_then_deleted)
{
    struct scene scene;
    begin(&scene, 10 * MINUTE);
    make_worker(&scene, "totals_3");
    ck_assert_int_eq(state_cleaner_sweep(scene.cleaner), 0);
    clock_advance(&scene.clock, 9 * MINUTE);
    ck_assert_int_eq(state_cleaner_sweep(scene.cleaner), 0);
    ck_assert(exists(&scene, "totals_3/rows.db"));
    clock_advance(&scene.clock, 2 * MINUTE);
    ck_assert_int_eq(state_cleaner_sweep(scene.cleaner), 1);
    ck_assert(!exists(&scene, "totals_3"));
    end(&scene);
}
END_TEST

START_TEST(a_worker_that_is_open_keeps_its_state)
{
    struct scene scene;
    begin(&scene, 10 * MINUTE);
    make_worker(&scene, "totals_3");
    char *path = memory_copy_text(path_of(&scene, "totals_3"));
    state_cleaner_claim(scene.cleaner, path);
    clock_advance(&scene.clock, 1000 * MINUTE);
    ck_assert_int_eq(state_cleaner_sweep(scene.cleaner), 0);
    ck_assert(exists(&scene, "totals_3/rows.db"));
    state_cleaner_release(scene.cleaner, path);
    ck_assert_int_eq(state_cleaner_sweep(scene.cleaner), 1);
    free(path);
    end(&scene);
}
END_TEST

/* What a process finds at its start may be assigned to it soon. */
START_TEST(old_state_is_kept_for_the_delay_after_the_start)
{
    struct scene scene;
    struct err err;
    begin(&scene, 10 * MINUTE);
    make_worker(&scene, "totals_3");
    state_cleaner_close(scene.cleaner);
    clock_advance(&scene.clock, 1000 * MINUTE);
    ck_assert_int_eq(state_cleaner_open(scene.directory, 10 * MINUTE, &scene.clock, false, &scene.cleaner, &err), 0);
    ck_assert_int_eq(state_cleaner_sweep(scene.cleaner), 0);
    clock_advance(&scene.clock, 10 * MINUTE);
    ck_assert_int_eq(state_cleaner_sweep(scene.cleaner), 1);
    end(&scene);
}
END_TEST

START_TEST(other_directories_and_quarantine_stay)
{
    struct scene scene;
    begin(&scene, 10 * MINUTE);
    make_worker(&scene, "totals_3");
    make_file(&scene, "totals_3/rows.db.quarantine-17");
    make_file(&scene, "instance");
    ck_assert_int_eq(mkdir(path_of(&scene, "notes"), 0700), 0);
    make_file(&scene, "notes/mine");
    clock_advance(&scene.clock, 1000 * MINUTE);
    ck_assert_int_eq(state_cleaner_sweep(scene.cleaner), 1);
    ck_assert(exists(&scene, "totals_3/rows.db.quarantine-17"));
    ck_assert(!exists(&scene, "totals_3/rows.db"));
    ck_assert(exists(&scene, "instance"));
    ck_assert(exists(&scene, "notes/mine"));
    ck_assert_int_eq(state_cleaner_sweep(scene.cleaner), 0);
    end(&scene);
}
END_TEST

START_TEST(without_a_delay_nothing_is_deleted)
{
    struct scene scene;
    begin(&scene, 0);
    make_worker(&scene, "totals_3");
    clock_advance(&scene.clock, 1000000 * MINUTE);
    ck_assert_int_eq(state_cleaner_sweep(scene.cleaner), 0);
    ck_assert(exists(&scene, "totals_3/rows.db"));
    end(&scene);
}
END_TEST

UNIT_MAIN("state cleaner", state_is_kept_for_the_delay_and_then_deleted, a_worker_that_is_open_keeps_its_state,
          old_state_is_kept_for_the_delay_after_the_start, other_directories_and_quarantine_stay,
          without_a_delay_nothing_is_deleted)
