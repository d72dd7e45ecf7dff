#include "local/local_turn.h"

#include "base/clock.h"
#include "base/memory.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define LIMIT_NS INT64_C(5000000000)
#define SHORT_TRIES 50
#define SHORT_PAUSE_US 50
#define PAUSE_US 500

/* What is locked of the file. */
enum part { GATE, WRITING };

static bool set(const struct local_turn *turn, enum part part, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = part, .l_len = 1};
    return fcntl(turn->fd, F_OFD_SETLK, &lock) == 0;
}

/* A lock that the kernel waits for can't be given up after a while, and its waiters do not come in order either. */
static bool wait_for(const struct local_turn *turn, enum part part, int64_t deadline)
{
    for (int tries = 0; !set(turn, part, F_WRLCK); tries++) {
        if (clock_monotonic_ns(&CLOCK_SYSTEM) > deadline) {
            return false;
        }
        usleep(tries < SHORT_TRIES ? SHORT_PAUSE_US : PAUSE_US);
    }
    return true;
}

static void open_file(struct local_turn *turn, const char *directory)
{
    char *path = memory_format("%s/write.lock", directory);
    turn->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    free(path);
}

void local_turn_take(struct local_turn *turn, const char *directory)
{
    if (turn->fd < 0) {
        open_file(turn, directory);
    }
    if (turn->fd < 0) {
        return; /* the log itself says what is wrong with its directory */
    }
    int64_t deadline = clock_monotonic_ns(&CLOCK_SYSTEM) + LIMIT_NS;
    if (wait_for(turn, GATE, deadline)) {
        wait_for(turn, WRITING, deadline);
        set(turn, GATE, F_UNLCK);
    }
}

void local_turn_give(struct local_turn *turn)
{
    if (turn->fd >= 0) {
        set(turn, WRITING, F_UNLCK);
    }
}

void local_turn_close(struct local_turn *turn)
{
    if (turn->fd >= 0) {
        close(turn->fd);
        turn->fd = -1;
    }
}
