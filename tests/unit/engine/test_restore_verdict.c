#include "engine/restore.h"

#include "engine/timers.h"
#include "tests/support/unit.h"

/* A store that stands at input offset 100 and changelog offset 50, and a group that agrees; each test changes one
 * thing. */
struct scene {
    struct store_position kept_input;
    struct store_meta meta;
    struct position committed;
    struct restore_changelog changelog;
    struct restore_facts facts;
    struct err why;
};

#define DAY_MS INT64_C(86400000)

static void set_up(struct scene *scene)
{
    *scene = (struct scene){
        .kept_input = {"in", 3, 100, NULL},
        .committed = {"in", 3, 100, NULL},
        .changelog = {.topic = "app-counts-changelog", .exists = true, .low = 0, .high = 50, .kept = 50},
    };
    scene->meta = (struct store_meta){
        .app = "app",
        .worker = "0_3",
        .partitions = 4,
        .inputs = &scene->kept_input,
        .input_count = 1,
        .committed_ms = 10 * DAY_MS,
    };
    scene->facts = (struct restore_facts){
        .app = "app",
        .worker = "0_3",
        .meta = &scene->meta,
        .partitions = 4,
        .committed = &scene->committed,
        .committed_count = 1,
        .changelogs = &scene->changelog,
        .changelog_count = 1,
        .restored_in_part = OFFSET_NONE,
        .now_ms = 10 * DAY_MS + 1000,
        .delete_retention_ms = 7 * DAY_MS,
    };
    err_clear(&scene->why);
}

static enum restore_verdict judge(struct scene *scene)
{
    return restore_judge(&scene->facts, &scene->why);
}

START_TEST(no_file_is_rebuilt)
{
    struct scene scene;
    set_up(&scene);
    scene.facts.fresh = true;
    ck_assert_int_eq(judge(&scene), VERDICT_REBUILD);
    set_up(&scene);
    scene.meta.app = NULL;
    ck_assert_int_eq(judge(&scene), VERDICT_REBUILD);
}
END_TEST

START_TEST(equal_offsets_are_reused_without_replay)
{
    struct scene scene;
    set_up(&scene);
    ck_assert_int_eq(judge(&scene), VERDICT_REUSE);
    scene.facts.now_ms += 100 * DAY_MS; /* nothing is replayed, so no deletion can be missed */
    ck_assert_int_eq(judge(&scene), VERDICT_REUSE);
}
END_TEST

START_TEST(a_store_behind_replays_the_tail)
{
    struct scene scene;
    set_up(&scene);
    scene.committed.offset = 120;
    scene.changelog.high = 60;
    ck_assert_int_eq(judge(&scene), VERDICT_REPLAY);
}
END_TEST

START_TEST(a_store_that_misses_a_commit_without_an_offset_replays_the_tail)
{
    struct scene scene;
    struct timers timers;
    struct bytes metadata = {0};
    set_up(&scene);
    timers_init(&timers);
    timers_describe(&timers, 7, 1000, &metadata);
    scene.kept_input.metadata = bytes_text(&metadata);
    scene.facts.commit_number = 7;
    ck_assert_int_eq(judge(&scene), VERDICT_REUSE);
    scene.facts.commit_number = 8;
    ck_assert_int_eq(judge(&scene), VERDICT_REPLAY);
    scene.kept_input.metadata = "of somebody else";
    ck_assert_int_eq(judge(&scene), VERDICT_REPLAY);
    scene.facts.commit_number = 0; /* the group's offset was set by hand */
    ck_assert_int_eq(judge(&scene), VERDICT_REUSE);
    bytes_free(&metadata);
    timers_free(&timers);
}
END_TEST

START_TEST(a_store_that_is_new_in_the_script_is_replayed)
{
    struct scene scene;
    set_up(&scene);
    scene.changelog.kept = OFFSET_NONE;
    ck_assert_int_eq(judge(&scene), VERDICT_REPLAY);
}
END_TEST

START_TEST(a_store_ahead_is_rebuilt_loudly)
{
    struct scene scene;
    set_up(&scene);
    scene.committed.offset = 99;
    ck_assert_int_eq(judge(&scene), VERDICT_REBUILD);
    ck_assert_int_ne(scene.why.code, ERR_OK);
}
END_TEST

/* Offsets that somebody has set by hand carry no number, and inputs of connectors are not read by offset. */
START_TEST(a_store_that_knows_a_later_commit_than_the_group_resumes)
{
    struct scene scene;
    struct timers timers;
    struct bytes metadata = {0};
    timers_init(&timers);
    timers_describe(&timers, 7, 1000, &metadata);
    for (int i = 0; i < 6; i++) {
        set_up(&scene);
        scene.kept_input.metadata = bytes_text(&metadata);
        scene.committed.offset = 99;
        scene.facts.commit_number = i == 1 ? 0 : i == 2 ? 7 : 6;
        scene.facts.resumable = i != 3;
        scene.changelog.high = i == 4 ? scene.changelog.kept - 1 : scene.changelog.high;
        scene.changelog.kept = i == 5 ? OFFSET_NONE : scene.changelog.kept;
        ck_assert_int_eq(judge(&scene), i == 0 ? VERDICT_RESUME : VERDICT_REBUILD);
        ck_assert_int_ne(scene.why.code, ERR_OK);
    }
    bytes_free(&metadata);
    timers_free(&timers);
}
END_TEST

START_TEST(an_offset_outside_the_changelog_is_rebuilt)
{
    struct scene scene;
    set_up(&scene);
    scene.committed.offset = 120;
    scene.changelog.low = 51;
    scene.changelog.high = 80;
    ck_assert_int_eq(judge(&scene), VERDICT_REBUILD);
    scene.changelog.low = 0;
    scene.changelog.high = 49;
    ck_assert_int_eq(judge(&scene), VERDICT_REBUILD);
}
END_TEST

START_TEST(a_store_older_than_half_the_tombstones_is_rebuilt)
{
    struct scene scene;
    set_up(&scene);
    scene.committed.offset = 120;
    scene.changelog.high = 60;
    scene.facts.now_ms = scene.meta.committed_ms + 7 * DAY_MS / 2 + 1;
    ck_assert_int_eq(judge(&scene), VERDICT_REBUILD);
    scene.facts.delete_retention_ms = 0;
    ck_assert_int_eq(judge(&scene), VERDICT_REPLAY);
}
END_TEST

static void assert_refused(struct scene *scene, const char *name)
{
    ck_assert_int_eq(judge(scene), VERDICT_REFUSE);
    ck_assert_int_eq(scene->why.class, ERR_FATAL);
    ck_assert_ptr_nonnull(strstr(scene->why.text, name));
    ck_assert_ptr_nonnull(strstr(scene->why.text, "tidemill reset --app app"));
}

START_TEST(a_changelog_gone_or_made_again_is_refused)
{
    struct scene scene;
    set_up(&scene);
    scene.changelog.exists = false;
    assert_refused(&scene, "app-counts-changelog");
    set_up(&scene);
    scene.changelog.recreated = true;
    assert_refused(&scene, "made again");
}
END_TEST

START_TEST(a_changed_partition_count_is_refused)
{
    struct scene scene;
    set_up(&scene);
    scene.facts.partitions = 8;
    assert_refused(&scene, "8");
}
END_TEST

START_TEST(expired_offsets_are_refused_while_state_exists)
{
    struct scene scene;
    set_up(&scene);
    scene.committed.offset = OFFSET_NONE;
    assert_refused(&scene, "partition 3");
}
END_TEST

START_TEST(expired_offsets_of_a_topic_made_again_are_refused_by_that_name)
{
    struct scene scene;
    set_up(&scene);
    scene.facts.recreated = "in";
    ck_assert_int_eq(judge(&scene), VERDICT_REUSE); /* the positions of the group say whether it goes on */
    scene.committed.offset = OFFSET_NONE;
    assert_refused(&scene, "The topic in was deleted and made again");
    scene.facts.recreated = "another";
    assert_refused(&scene, "no committed offset");
}
END_TEST

START_TEST(a_half_restored_store_goes_on)
{
    struct scene scene;
    set_up(&scene);
    scene.meta.input_count = 0;
    scene.changelog.kept = 20;
    ck_assert_int_eq(judge(&scene), VERDICT_REPLAY);
}
END_TEST

START_TEST(a_store_restored_in_part_is_refused_when_the_group_has_lost_the_offsets)
{
    struct scene scene;
    set_up(&scene);
    scene.meta.input_count = 0;
    scene.facts.restored_in_part = 0; /* set by hand when it began */
    ck_assert_int_eq(judge(&scene), VERDICT_REPLAY);
    scene.committed.offset = OFFSET_NONE;
    assert_refused(&scene, "restored in part");
    scene.changelog.kept = 20;
    assert_refused(&scene, "restored in part");
    scene.facts.restored_in_part = OFFSET_NONE; /* a first run of which the group never had an offset */
    ck_assert_int_eq(judge(&scene), VERDICT_REPLAY);
}
END_TEST

START_TEST(a_store_restored_in_part_never_resumes)
{
    struct scene scene;
    struct timers timers;
    struct bytes metadata = {0};
    timers_init(&timers);
    timers_describe(&timers, 7, 1000, &metadata);
    for (int64_t offset = 99; offset <= 100; offset++) {
        set_up(&scene);
        scene.kept_input.metadata = bytes_text(&metadata);
        scene.facts.resumable = true;
        scene.facts.restored_in_part = 9;
        scene.committed.offset = offset;
        scene.facts.commit_number = 6 + offset - 99;
        assert_refused(&scene, "restored in part");
        scene.facts.commit_number = 0; /* set by hand */
        ck_assert_int_eq(judge(&scene), offset == 99 ? VERDICT_REBUILD : VERDICT_REPLAY);
    }
    set_up(&scene);
    scene.kept_input.metadata = bytes_text(&metadata);
    scene.facts.resumable = true;
    scene.facts.restored_in_part = 0;
    scene.committed.offset = 99;
    scene.facts.commit_number = 6;
    ck_assert_int_eq(judge(&scene), VERDICT_REBUILD);
    bytes_free(&metadata);
    timers_free(&timers);
}
END_TEST

UNIT_MAIN("restore_verdict", no_file_is_rebuilt, equal_offsets_are_reused_without_replay,
          a_store_behind_replays_the_tail, a_store_that_misses_a_commit_without_an_offset_replays_the_tail,
          a_store_that_is_new_in_the_script_is_replayed, a_store_ahead_is_rebuilt_loudly,
          a_store_that_knows_a_later_commit_than_the_group_resumes, an_offset_outside_the_changelog_is_rebuilt,
          a_store_older_than_half_the_tombstones_is_rebuilt, a_changelog_gone_or_made_again_is_refused,
          a_changed_partition_count_is_refused, expired_offsets_are_refused_while_state_exists,
          expired_offsets_of_a_topic_made_again_are_refused_by_that_name, a_half_restored_store_goes_on,
          a_store_restored_in_part_is_refused_when_the_group_has_lost_the_offsets,
          a_store_restored_in_part_never_resumes)
