#include "cli/directory.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#define OPEN_DIRECTORIES 16

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
