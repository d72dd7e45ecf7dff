/* The contract of state: the stores of one worker, kept together in one pair of files and committed together.
 *
 * Implemented by runtime/store (table in memory, delta log, rows); the engine and the operators see only this.
 * Ownership: a store_set owns its stores; both belong to the worker's thread. A slice that `get` or a cursor returns is
 * valid until the next call on the same set. Slices given to calls are copied.
 * Every entry carries the timestamp of its last update (ms since 1970).
 * Keys are ordered by unsigned bytes. Functions that return int: 0 or -1 with `err` filled unless said otherwise.
 */
#ifndef TIDEMILL_ENGINE_STORE_H
#define TIDEMILL_ENGINE_STORE_H

#include <string.h>

#include "base/err.h"
#include "engine/record.h"

enum store_kind { STORE_KEY_VALUE, STORE_WINDOW, STORE_SESSION };

struct store_spec {
    const char *name;
    enum store_kind kind;
    bool changelog;       /* false: state that a restart may lose, kept in local files only */
    bool positions;       /* where a connector stands: its changelog is the positions topic, "<app>-<name>-positions" */
    int64_t segment_ms;   /* window and session stores: length of one segment of time */
    int64_t retention_ms; /* window and session stores: segments older than this behind stream time are dropped */
    int64_t ttl_ms;       /* key-value stores: entries not written for that long (stream time) are deleted; 0: never */
    bool by_key;          /* window stores: windows of one key lie together in a segment (store_form.h) */
    bool headers;         /* window and session stores: values carry the headers of the record that wrote them */
    uint64_t hash;        /* graph_store_hash: what must not change under existing state */
};

/* Where an input or a changelog stood at the store's last commit; all in the meta row (P11). */
struct store_position {
    const char *topic;
    int32_t partition;
    int64_t offset;       /* next offset to read */
    const char *metadata; /* inputs: what the group's committed offset carries; changelogs: their generation; or NULL */
};

struct store_meta {
    const char *app;
    const char *worker; /* "<subtopology>_<partition>" */
    int32_t partitions; /* of the sub-topology */
    const struct store_position *inputs;
    size_t input_count;
    const struct store_position *changelogs; /* one per store with a changelog */
    size_t changelog_count;
    int64_t committed_ms; /* wall time of the last commit */
};

/* Among the inputs of a meta row while a restoration that began with offsets of the group is unfinished: its offset is
 * the number of the group's last commit then (0: not known). No topic can have that name. */
#define STORE_RESTORED_IN_PART "#restored-in-part"

/* Where the store knows an input; NULL: it does not. */
static inline const struct store_position *store_meta_input(const struct store_meta *meta, const char *topic,
                                                            int32_t partition)
{
    for (size_t i = 0; i < meta->input_count; i++) {
        if (meta->inputs[i].partition == partition && strcmp(meta->inputs[i].topic, topic) == 0) {
            return &meta->inputs[i];
        }
    }
    return NULL;
}

/* Memory that all sets of a process share. `limit` is set by its owner, who keeps it longer than the sets; the rest
 * belongs to the sets and begins as 0. */
struct store_budget {
    int64_t limit; /* bytes; 0: none */
    uint64_t used; /* ck_pr */
    uint32_t sets; /* ck_pr */
};

struct store_config {
    const char *directory; /* of the worker, exists; NULL: in memory only (test driver) */
    const char *app;
    const char *worker;
    struct store_budget *budget; /* shared; NULL: cache_bytes for this set alone */
    int64_t cache_bytes;         /* memory for entries, of which clean ones are evicted; 0: no limit */
    int64_t merge_bytes;         /* unmerged commits that start a merge; 0: 24 MiB */
    int64_t unmerged_bytes;   /* unmerged commits at which commit waits for the merge; 0: 64 MiB, 256 without a limit */
    int64_t background_bytes; /* commits from this size on are written in the background; 0: 1 MiB */
    int64_t quarantine_keep;  /* times that files were put aside: those of the newest ones are kept; 0: all */
    const struct store_spec *specs;
    size_t spec_count;
};

struct store_set;
struct store;
struct store_cursor;

struct store_entry {
    struct slice key;
    struct slice value;
    int64_t timestamp;
};

struct store_driver {
    /* Opens or creates the files. A foreign, newer or damaged file is quarantined (renamed beside) and `*fresh` is true
     * as for a new one. `meta` (may be NULL) gets the last committed meta, valid until close; meta->app == NULL: none.
     */
    int (*open)(const struct store_config *config, struct store_set **set, struct store_meta *meta, bool *fresh,
                struct err *err);
    void (*close)(struct store_set *set);
    /* Forgets everything, in memory and on disk; the set stays open and is empty. */
    int (*wipe)(struct store_set *set, struct err *err);
    struct store *(*find)(struct store_set *set, const char *name); /* NULL: no such store */

    /* `*found` false: no entry. `time` is the segment's time for window and session stores, ignored by others. */
    int (*get)(struct store *store, struct slice key, bool *found, struct store_entry *entry, struct err *err);
    /* Brings what get reads of these keys into the processor's cache, as far as it is in memory: for keys that somebody
     * will ask for soon. Costs less than it saves from a few keys on. */
    void (*prefetch)(struct store *store, const struct slice *keys, size_t count);
    /* value null: delete. The change is visible at once and durable with the next commit. */
    int (*put)(struct store *store, struct slice key, struct slice value, int64_t timestamp, struct err *err);

    /* Entries with from <= key <= to in order (a null bound is open), on the state as of this call. */
    int (*range)(struct store *store, struct slice from, struct slice to, bool backwards, struct store_cursor **cursor,
                 struct err *err);
    int (*prefix)(struct store *store, struct slice prefix, struct store_cursor **cursor, struct err *err);
    /* All entries in order, for operators that look through their store once, when they open: range keeps a store's
     * entries in order from then on, at the cost of every change; this one does not. */
    int (*once)(struct store *store, struct store_cursor **cursor, struct err *err);
    int (*next)(struct store_cursor *cursor, bool *found, struct store_entry *entry, struct err *err);
    /* Frees the cursor. Commit (also one that fails), rollback, wipe and close end and free those that are left open.
     */
    void (*end)(struct store_cursor *cursor);

    /* Window and session stores: keys begin with the 8 big-endian bytes of the segment-relevant time (window start, or
     * session end), so that a whole segment is dropped at once; entries below `time` are gone afterwards, and puts
     * below it are ignored. It is undone by rollback, durable with the commit, and not among the changes. Keys that are
     * shorter than 8 bytes have no time: they never expire (for what an operator remembers about itself). */
    int (*expire)(struct store *store, int64_t time, struct err *err);

    /* Calls `each` for every entry changed since the last commit, last value only, value null for a deletion; the order
     * is free but the same for the same changes. Entries of stores without changelog are not visited. */
    int (*changes)(struct store_set *set,
                   int (*each)(void *self, struct store *store, const struct store_entry *entry, struct err *err),
                   void *self, struct err *err);
    /* Appends one delta with everything changed since the last commit and the meta. Called after the transport's
     * commit. A large one is written behind the caller's back if all stores of the set have changelogs: it is durable
     * when the next commit, or close, has returned, and a process that dies before is one commit more behind. One that
     * can't be written is tried again by the next commit, which fails if it can't be written then. */
    int (*commit)(struct store_set *set, const struct store_meta *meta, struct err *err);
    /* Drops everything changed since the last commit. */
    int (*rollback)(struct store_set *set, struct err *err);

    /* Bulk loading from a changelog: like put for many entries, bypassing dirtiness; `commit` makes progress durable.
     */
    int (*restore)(struct store *store, const struct store_entry *entries, size_t count, struct err *err);

    /* For a set that may not commit for a while: gives memory back that others need more, takes up what its merge has
     * done, and begins one in a pause. To be called a few times a second. */
    void (*tidy)(struct store_set *set);
    /* For a set that is at the end of its work: brings what is committed at the first call, in the background, where
     * other programs read it. True: it is there, or can't be brought there; false: to be asked again. */
    bool (*settle)(struct store_set *set);

    int64_t (*bytes)(const struct store_set *set);   /* memory and files, about */
    int64_t (*entries)(const struct store_set *set); /* live entries in memory, about */
    const char *(*name)(const struct store *store);
};

#endif
