#include "local/local_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define COMMAND_SIZE 200

static ssize_t read_start(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t length = read(fd, text, size - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length;
}

/* The arguments of this process with spaces between, as far as they fit. */
static void own_command(char *text, size_t size)
{
    ssize_t length = read_start("/proc/self/cmdline", text, size);
    for (ssize_t i = 0; i + 1 < length; i++) {
        if (text[i] == '\0' || text[i] == '\n') {
            text[i] = ' ';
        }
    }
    if (length <= 0) {
        snprintf(text, size, "tidemill");
    }
}

/* Who holds the lock is written for messages only, so a failure here does no harm. */
static void write_owner(int fd)
{
    char command[COMMAND_SIZE];
    char text[COMMAND_SIZE + 32];
    own_command(command, sizeof command);
    int length = snprintf(text, sizeof text, "%ld %s\n", (long)getpid(), command);
    ssize_t written = ftruncate(fd, 0) == 0 ? pwrite(fd, text, (size_t)length, 0) : 0;
    (void)written;
}

int local_lock_take(struct local_lock *lock, const char *path, bool wait, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return err_set(err, ERR_FATAL, ERR_IO,
                       "The lock file %s can't be opened: %s. Check the permissions of its directory.", path,
                       strerror(errno));
    }
    int result = 0;
    do {
        result = flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        int reason = errno;
        close(fd);
        if (reason == EWOULDBLOCK) {
            return 0;
        }
        return err_set(err, ERR_FATAL, ERR_IO, "The file %s can't be locked: %s. Use a local file system.", path,
                       strerror(reason));
    }
    write_owner(fd);
    lock->fd = fd;
    return 1;
}

void local_lock_release(struct local_lock *lock)
{
    if (lock->fd >= 0) {
        close(lock->fd);
        lock->fd = -1;
    }
}

void local_lock_owner(const char *path, char *text, size_t size)
{
    char line[COMMAND_SIZE + 32];
    char *command = NULL;
    long pid = read_start(path, line, sizeof line) > 0 ? strtol(line, &command, 10) : 0;
    if (pid <= 0) {
        snprintf(text, size, "another process");
        return;
    }
    command[strcspn(command, "\n")] = '\0';
    snprintf(text, size, "process %ld (%s)", pid, command + strspn(command, " "));
}
