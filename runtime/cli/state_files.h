/* State as it lies in files, of an app that runs or does not: which workers have some here, and their entries.
 *
 * Ownership: state_files_free releases everything; entries given to callbacks end with the callback.
 */
#ifndef TIDEMILL_CLI_STATE_FILES_H
#define TIDEMILL_CLI_STATE_FILES_H

#include "cli/state_entry.h"

struct state_file {
    char *directory;
    char *app;
    char *worker; /* "<subtopology>_<partition>" */
    int32_t partition;
    int64_t committed_ms;
};

struct state_files {
    struct state_file *list; /* by app and worker; of copies of a worker's state the newest only */
    size_t count;
    size_t capacity;
};

/* One store in the files of one worker. */
struct state_store {
    const struct state_file *file;
    const struct store_spec *spec;
    int64_t entries;
    int64_t bytes; /* of keys and values */
};

/* Looks for state in the directory and below it. ERR_CONFIG: there is none. */
int state_files_find(const char *directory, struct state_files *files, struct err *err);
int state_files_find_any(const char *directory, struct state_files *files, struct err *err); /* may find none */
void state_files_free(struct state_files *files);

/* Every store; `counts` false: entries and bytes are -1. */
int state_files_list(const struct state_files *files, bool counts,
                     int (*each)(void *self, const struct state_store *store, struct err *err), void *self,
                     struct err *err);

/* Entries of the store with from <= key < to (window and session stores lie by time: all of theirs) in order, one
 * partition (-1: all) after the other, until `each` sets *stop. ERR_CONFIG: there is no such store. */
struct state_scan {
    const char *store;
    struct slice from;
    struct slice to; /* null: no bound */
    int32_t partition;
    int (*each)(void *self, const struct state_entry *entry, bool *stop, struct err *err);
    void *self;
};
int state_files_scan(const struct state_files *files, const struct state_scan *scan, struct err *err);

#endif
