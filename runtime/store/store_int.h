/* What set.c, files.c, store.c, interval.c and range.c share: the insides of a set and of a store.
 *
 * Ownership: a set owns its stores, files, merge and cursors; everything is used from the worker's thread only.
 */
#ifndef TIDEMILL_STORE_STORE_INT_H
#define TIDEMILL_STORE_STORE_INT_H

#include "base/arena.h"
#include "engine/store.h"
#include "store/append.h"
#include "store/merge.h"
#include "store/rows.h"
#include "store/table.h"

#define STORE_TIMELESS UINT64_MAX /* the segment of keys that are too short to begin with a time */

struct store_segment {
    uint64_t number; /* time / segment_ms; 0 for key-value stores */
    struct table table;
};

struct store {
    struct store_set *set;
    char *name;
    enum store_kind kind;
    bool changelog;
    uint64_t segment_ms;

    struct store_segment **segments; /* by number; key-value stores have exactly one */
    size_t segment_count;
    size_t segment_capacity;
    struct store_segment *recent; /* the one used last, or NULL */
    struct order *order;          /* NULL until the first range */

    uint64_t expired;              /* entries of earlier times are gone */
    uint64_t expired_committed;    /* as of the last commit */
    struct store_segment **doomed; /* expired since the last commit, kept for a rollback */
    size_t doomed_count;
    size_t doomed_capacity;

    struct rows_store *rows; /* NULL: in memory only */
    bool rows_needed;        /* the rows may have keys that are not in memory */
    uint64_t rows_last_time; /* window and session stores: but none of a later time */
    int open_cursors;
    size_t hand; /* segment that the clock looks at */
};

enum merge_phase {
    PHASE_IDLE,
    PHASE_RUNNING, /* asked for; commits go to the other epoch */
    PHASE_FAILED,  /* to be asked for again */
    PHASE_RETIRING /* done; entries become clean a few at each commit */
};

struct store_set {
    char *directory; /* NULL: in memory only */
    char *app;
    char *worker;
    struct store_budget *budget; /* of the process, or own_budget */
    struct store_budget own_budget;
    int64_t counted;       /* what this set has told the budget */
    int64_t memory_target; /* clean entries go while all entries take more than this */
    int64_t clean_least;   /* but not below this */
    bool over_budget;      /* all sets together, when it was counted */
    int64_t quarantine_keep;
    int64_t merge_bytes;
    int64_t cap_bytes;
    int64_t background_bytes; /* larger commits are written by another thread */
    struct store_spec *specs; /* names are the stores' */
    struct store *stores;
    size_t store_count;
    struct table_usage usage;
    struct store_cursor *cursors; /* open ones */
    size_t clock_store;

    struct delta_log log; /* not to be used while `append` runs */
    struct append append;
    struct rows rows;
    int64_t pair;
    int64_t seq;            /* of the last commit in the log */
    int64_t merged;         /* deltas up to this one may be deleted */
    int64_t unmerged_bytes; /* of commits that no merge was asked for yet */
    int64_t unmerged_count;
    int64_t merging_bytes; /* of those that the running merge merges */
    int64_t merging_through;
    int64_t settle_through; /* the last commit when the store was first asked to settle; 0: it was not */
    enum merge_phase phase;
    struct merge *merge;
    bool checkpointing;      /* what runs only moves the WALs into the files */
    int64_t merge_retry_ns;  /* after a failure: not before this time */
    int64_t rest_merge_ns;   /* a worker that rests does not merge before this time */
    int64_t latest_merge_ns; /* one that does not rest merges at this time; 0: not known yet */
    int64_t pause_seq;       /* of the last commit that was seen */
    int64_t pause_ns;        /* since when there was none after it; 0: not known yet */
    char *damage;            /* why the files are to be quarantined at close, or NULL */

    struct arena meta_arena; /* of the meta given out by open */
    struct bytes meta;       /* as it was found there */
};

#endif
