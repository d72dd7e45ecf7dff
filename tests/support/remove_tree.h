/* Removes a directory with all that is in it, without a shell: starting one costs more than a whole simulated run. */
#ifndef TIDEMILL_TESTS_REMOVE_TREE_H
#define TIDEMILL_TESTS_REMOVE_TREE_H

#include <ftw.h>
#include <stdio.h>

static inline int remove_tree_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    return remove(path);
}

/* One that is not there is removed, too. */
static inline void remove_tree(const char *path)
{
    nftw(path, remove_tree_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
