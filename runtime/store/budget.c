#include "store/budget.h"

#include <ck_pr.h>

#define LEAST_MERGE_BYTES (INT64_C(512) * 1024)

#define MOST_BATCH_BYTES (INT64_C(32) << 20)

#define LEAST_BUFFER (INT64_C(1) << 20)

#define LEAST_PAGE_BYTES (INT64_C(512) * 1024)
#define MOST_PAGE_BYTES (INT64_C(8) << 20)

/* Parts of a set's share of the budget. */
#define CLEAN_PART 16   /* stays, whatever else takes memory, so that what was just read is found again */
#define MERGE_PART 3    /* is for the merge: twice what starts one */
#define UNMERGED_PART 6 /* so much that is not merged starts one */
#define PAGES_PART 16   /* for the pages of rows that are read */
#define BUFFER_PART 4   /* is the most that a commit's buffers keep for the next one, each */
#define WAITING_PART 3  /* so much makes commits wait, when all sets together are beyond the budget */

void budget_join(struct store_set *set, const struct store_config *config)
{
    set->own_budget.limit = config->cache_bytes;
    set->budget = config->budget != NULL ? config->budget : &set->own_budget;
    ck_pr_inc_32(&set->budget->sets);
    budget_count(set);
}

void budget_leave(struct store_set *set)
{
    ck_pr_add_64(&set->budget->used, (uint64_t)-set->counted);
    ck_pr_dec_32(&set->budget->sets);
    set->counted = 0;
}

static int64_t share_of(const struct store_set *set)
{
    return set->budget->limit / (int64_t)ck_pr_load_32(&set->budget->sets);
}

static int64_t merge_start(const struct store_set *set)
{
    int64_t start = share_of(set) / UNMERGED_PART;
    return start > LEAST_MERGE_BYTES ? start : LEAST_MERGE_BYTES;
}

/* So much as starts a merge: what has come together while another one ran is merged in parts. */
int64_t budget_merge_batch(const struct store_set *set)
{
    int64_t start = merge_start(set);
    return set->budget->limit == 0 || start > MOST_BATCH_BYTES ? MOST_BATCH_BYTES : start;
}

/* Beside the entries there are lists of them, slots being moved to larger tables, and blocks that are not in use: about
 * a quarter. A merge has deltas in memory, and a list of what is in them. Blocks of entries that are evicted don't go
 * back to the system, so what a merge takes is kept free for it. */
static int64_t memory_of(const struct store_set *set)
{
    int64_t entries = set->usage.counts.bytes + set->usage.counts.bytes / 4;
    int64_t batch = budget_merge_batch(set);
    int64_t merging = (set->merging_bytes < batch ? set->merging_bytes : batch) * 2;
    int64_t kept = set->directory != NULL ? share_of(set) / MERGE_PART : 0;
    return entries + (merging > kept ? merging : kept) + budget_page_cache(set) + append_capacity(&set->append) +
           (int64_t)set->usage.before.spare_bytes;
}

void budget_count(struct store_set *set)
{
    int64_t now = memory_of(set);
    uint64_t change = (uint64_t)(now - set->counted);
    int64_t used = (int64_t)(ck_pr_faa_64(&set->budget->used, change) + change);
    set->counted = now;
    set->memory_target = INT64_MAX;
    if (set->budget->limit == 0 || set->directory == NULL) {
        return;
    }
    int64_t share = share_of(set);
    int64_t room = set->budget->limit - used;
    int64_t own_room = share - now;
    set->over_budget = room < 0;
    set->clean_least = share / CLEAN_PART;
    int64_t change_allowed = room > own_room ? room : own_room;
    set->memory_target = set->usage.counts.bytes + change_allowed - change_allowed / 5;
}

static int64_t unmerged(const struct store_set *set)
{
    return set->usage.counts.bytes - set->usage.counts.clean_bytes;
}

bool budget_wants_merge(const struct store_set *set)
{
    return set->budget->limit > 0 && unmerged(set) >= merge_start(set);
}

bool budget_waits(const struct store_set *set)
{
    int64_t most = share_of(set) / WAITING_PART;
    return set->budget->limit > 0 && set->over_budget &&
           unmerged(set) >= (most > 2 * LEAST_MERGE_BYTES ? most : 2 * LEAST_MERGE_BYTES);
}

int64_t budget_page_cache(const struct store_set *set)
{
    int64_t part = share_of(set) / PAGES_PART;
    if (set->budget->limit == 0 || part > MOST_PAGE_BYTES) {
        return MOST_PAGE_BYTES;
    }
    return part < LEAST_PAGE_BYTES ? LEAST_PAGE_BYTES : part;
}

size_t budget_kept(const struct store_set *set, int64_t used)
{
    int64_t most = used > INT64_MAX / 4 ? INT64_MAX : used * 4;
    int64_t part = share_of(set) / BUFFER_PART;
    if (set->budget->limit > 0 && most > part) {
        most = part;
    }
    return most < LEAST_BUFFER ? (size_t)LEAST_BUFFER : (size_t)most;
}
