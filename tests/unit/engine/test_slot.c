#include "engine/slot.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/unit.h"

static char directory[] = "/tmp/tidemill-slot-XXXXXX";

static void in_directory(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void remove_directory(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(two_processes_get_two_slots_and_a_restart_its_own)
{
    in_directory();
    struct err err;
    struct slot *one, *two;
    ck_assert_int_eq(slot_open(directory, "app", NULL, &one, &err), 0);
    ck_assert_int_eq(slot_open(directory, "app", NULL, &two, &err), 0);
    ck_assert_str_ne(slot_directory(one), slot_directory(two));
    ck_assert_str_ne(slot_instance(one), slot_instance(two));
    char instance[64];
    snprintf(instance, sizeof(instance), "%s", slot_instance(one));
    slot_close(one);
    ck_assert_int_eq(slot_open(directory, "app", NULL, &one, &err), 0);
    ck_assert_str_eq(slot_instance(one), instance);
    slot_close(one);
    slot_close(two);
    remove_directory();
}
END_TEST

START_TEST(a_named_slot_that_is_taken_is_refused_by_name)
{
    in_directory();
    struct err err;
    struct slot *one, *two;
    ck_assert_int_eq(slot_open(directory, "app", "blue", &one, &err), 0);
    ck_assert_int_eq(slot_open(directory, "app", "blue", &two, &err), -1);
    ck_assert_int_eq(err.code, ERR_LOCKED);
    ck_assert_ptr_nonnull(strstr(err.text, "blue"));
    slot_close(one);
    remove_directory();
}
END_TEST

START_TEST(a_name_that_is_a_path_is_refused)
{
    in_directory();
    static const char *const names[] = {"", ".", "..", "../shop/0", "a/b", "/tmp", "a b"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct err err = {0};
        struct slot *slot;
        ck_assert_int_eq(slot_open(directory, "app", names[i], &slot, &err), -1);
        ck_assert_int_eq(err.code, ERR_CONFIG);
        ck_assert_ptr_nonnull(strstr(err.text, "--instance"));
    }
    ck_assert_int_eq(rmdir(directory), 0); /* nothing was made */
}
END_TEST

START_TEST(the_lock_dies_with_the_process)
{
    in_directory();
    struct err err;
    struct slot *slot;
    pid_t child = fork();
    if (child == 0) {
        struct slot *held;
        _exit(slot_open(directory, "app", "blue", &held, &err) == 0 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_int_eq(slot_open(directory, "app", "blue", &slot, &err), 0);
    slot_close(slot);
    remove_directory();
}
END_TEST

START_TEST(a_damaged_instance_file_is_replaced)
{
    in_directory();
    struct err err;
    struct slot *slot;
    ck_assert_int_eq(slot_open(directory, "app", NULL, &slot, &err), 0);
    char path[256];
    snprintf(path, sizeof(path), "%s/instance", slot_directory(slot));
    slot_close(slot);
    ck_assert_int_eq(truncate(path, 5), 0);
    ck_assert_int_eq(slot_open(directory, "app", NULL, &slot, &err), 0);
    ck_assert_uint_eq(strlen(slot_instance(slot)), 32);
    slot_close(slot);
    remove_directory();
}
END_TEST

UNIT_MAIN("slot", two_processes_get_two_slots_and_a_restart_its_own, a_named_slot_that_is_taken_is_refused_by_name,
          a_name_that_is_a_path_is_refused, the_lock_dies_with_the_process, a_damaged_instance_file_is_replaced)
