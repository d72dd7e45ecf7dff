/* Directories: made with what is missing above them, and deleted with everything in them.
 *
 * Ownership: nothing is kept.
 */
#ifndef TIDEMILL_BASE_DIRECTORY_H
#define TIDEMILL_BASE_DIRECTORY_H

#include "base/err.h"

/* Makes the directory and those above it, for the owner only (0700). One that is there already is fine. ERR_CONFIG,
 * ERR_DISK_FULL. */
int directory_make(const char *path, struct err *err);

/* Deletes the directory with everything in it, without following links or leaving its file system. One that is not
 * there is fine. ERR_IO. */
int directory_remove(const char *path, struct err *err);

#endif
