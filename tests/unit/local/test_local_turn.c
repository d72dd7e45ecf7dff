#include "local/local_turn.h"

#include "tests/support/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

static char directory[64];

static void make_directory(void)
{
    strcpy(directory, "/tmp/tidemill-turn-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void remove_directory(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/write.lock", directory);
    unlink(path);
    ck_assert_int_eq(rmdir(directory), 0);
}

/* Whether somebody waits at the gate, the file's first byte. */
static bool gate_is_held(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/write.lock", directory);
    int fd = open(path, O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    bool held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return held;
}

static atomic_int order;
static int second_came;

static void *take_second(void *self)
{
    struct local_turn *turn = self;
    local_turn_take(turn, directory);
    second_came = ++order;
    local_turn_give(turn);
    return NULL;
}

START_TEST(who_has_written_waits_behind_who_was_waiting)
{
    struct local_turn first = LOCAL_TURN_NONE, second = LOCAL_TURN_NONE;
    make_directory();
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        order = 0;
        local_turn_take(&first, directory);
        ck_assert_int_eq(pthread_create(&thread, NULL, take_second, &second), 0);
        while (!gate_is_held()) {
            usleep(100);
        }
        local_turn_give(&first);
        local_turn_take(&first, directory);
        int first_came = ++order;
        local_turn_give(&first);
        pthread_join(thread, NULL);
        ck_assert_int_lt(second_came, first_came);
    }
    local_turn_close(&first);
    local_turn_close(&second);
    remove_directory();
}
END_TEST

START_TEST(a_turn_that_does_not_come_is_done_without)
{
    struct local_turn first = LOCAL_TURN_NONE, second = LOCAL_TURN_NONE;
    make_directory();
    local_turn_take(&first, directory);
    local_turn_take(&second, directory);
    ck_assert(!gate_is_held());
    local_turn_give(&second);
    local_turn_close(&first);
    local_turn_take(&second, directory);
    local_turn_give(&second);
    local_turn_close(&second);
    local_turn_close(&second);
    remove_directory();
}
END_TEST

START_TEST(without_a_directory_there_are_no_turns)
{
    struct local_turn turn = LOCAL_TURN_NONE;
    local_turn_take(&turn, "/tmp/tidemill-there-is-no-such-directory");
    local_turn_give(&turn);
    local_turn_close(&turn);
    ck_assert_int_eq(turn.fd, -1);
}
END_TEST

UNIT_MAIN("local_turn", who_has_written_waits_behind_who_was_waiting, a_turn_that_does_not_come_is_done_without,
          without_a_directory_there_are_no_turns)
