#include "base/directory.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"

#define OPEN_DIRECTORIES 16

int directory_make(const char *path, struct err *err)
{
    char *copy = memory_copy_text(path);
    for (char *at = copy + 1;; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char end = *at;
        *at = '\0';
        if (mkdir(copy, 0700) && errno != EEXIST) {
            err_set(err, ERR_FATAL, errno == ENOSPC ? ERR_DISK_FULL : ERR_CONFIG,
                    "The directory %s can't be made: %s. Choose another one.", copy, strerror(errno));
            free(copy);
            return -1;
        }
        if (end == '\0') {
            break;
        }
        *at = end;
    }
    free(copy);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

int directory_remove(const char *path, struct err *err)
{
    if (nftw(path, remove_one, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0 && errno != ENOENT) {
        return err_set(err, ERR_FATAL, ERR_IO, "The directory %s can't be deleted: %s.", path, strerror(errno));
    }
    return 0;
}
