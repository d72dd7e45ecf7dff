/* The two files of a set: opening and loading them, quarantine, and deleting them.
 *
 * Ownership: what is opened belongs to the set until files_close.
 */
#ifndef TIDEMILL_STORE_FILES_H
#define TIDEMILL_STORE_FILES_H

#include "store/store_int.h"

/* Opens or makes both files, follows the specs, and loads the deltas that are not merged, and the last meta's bytes
 * into set->meta (empty: none). What is damaged or foreign goes into quarantine, and new files take its place. */
int files_open(struct store_set *set, const struct store_spec *specs, struct err *err);
/* Quick: what is unmerged stays for the next open. Damaged files go into quarantine. */
void files_close(struct store_set *set);
/* Deletes them. They must be closed. */
int files_delete(const char *directory, struct err *err);
int64_t files_bytes(const char *directory);

#endif
