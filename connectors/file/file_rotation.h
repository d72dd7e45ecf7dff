/* Which file comes after one that was renamed, and where a file with a given inode lies now.
 *
 * Files that belong together lie in one directory and are called as the path is, or the same with an ending that begins
 * with a dot or a hyphen (log, log.1, log-20240101.gz). They follow each other by the time of their last change, and
 * the path itself is the newest. While log.1 is still being packed into log.1.gz, only the former counts.
 * Ownership: paths that come out belong to the caller, who frees them.
 */
#ifndef TIDEMILL_CONNECTORS_FILE_FILE_ROTATION_H
#define TIDEMILL_CONNECTORS_FILE_FILE_ROTATION_H

#include <stdint.h>

/* Files may be renamed while the directory is read, so whoever opens a path compares the inode, and each search is made
 * until two agree. */
struct file_rotation {
    char *path; /* NULL: there is none */
    uint64_t inode;
};

struct file_rotation file_rotation_find(const char *path, uint64_t inode);
/* The file after the one that has this inode and was changed last at this time (ns); one that is empty is none. */
struct file_rotation file_rotation_next(const char *path, uint64_t inode, int64_t changed);

#endif
