/* Directories that commands delete.
 *
 * Ownership: nothing is kept.
 */
#ifndef TIDEMILL_CLI_DIRECTORY_H
#define TIDEMILL_CLI_DIRECTORY_H

#include "base/err.h"

/* Deletes the directory with everything in it, without following links or leaving its file system. One that is not
 * there is fine. ERR_IO. */
int directory_remove(const char *path, struct err *err);

#endif
