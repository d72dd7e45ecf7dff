/* How much memory a set may take: its part of the budget that all sets of the process share.
 *
 * Everything in memory counts; what is clean gives way. A set that holds less than an equal share is never pressed; one
 * that holds more evicts until all together are inside the budget. What is not merged yet can't be evicted: when it
 * comes to too much, a merge begins early, and commits wait for it.
 * Ownership: the budget is shared by the threads of the sets (its counters are ck_pr); the rest belongs to the set.
 */
#ifndef TIDEMILL_STORE_BUDGET_H
#define TIDEMILL_STORE_BUDGET_H

#include "store/store_int.h"

/* Joins config->budget, or a budget of the set's own. */
void budget_join(struct store_set *set, const struct store_config *config);
void budget_leave(struct store_set *set);

/* Tells the others what the set holds now, and finds out how much it may hold. */
void budget_count(struct store_set *set);

/* Should a merge begin, should a commit wait for the one that runs? */
bool budget_wants_merge(const struct store_set *set);
bool budget_waits(const struct store_set *set);

/* Bytes of deltas that a merge has in memory at once. */
int64_t budget_merge_batch(const struct store_set *set);

/* Room that the buffer of a commit may keep after one that took `used` bytes of it. */
size_t budget_kept(const struct store_set *set, int64_t used);

int64_t budget_page_cache(const struct store_set *set); /* for reading the rows */

/* Bytes of clean entries to be evicted; <= 0: none. */
static inline int64_t budget_surplus(const struct store_set *set)
{
    int64_t clean = set->usage.counts.clean_bytes - set->clean_least;
    int64_t surplus = set->usage.counts.bytes - set->memory_target;
    return surplus < clean ? surplus : clean;
}

#endif
