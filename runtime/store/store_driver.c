#include "store/store_driver.h"

#include "store/interval.h"
#include "store/range.h"
#include "store/set.h"
#include "store/store.h"

static const char *name(const struct store *store)
{
    return store->name;
}

const struct store_driver sqlite_store_driver = {
    .open = set_open,
    .close = set_close,
    .wipe = set_wipe,
    .find = set_find,
    .get = store_get,
    .prefetch = store_prefetch,
    .put = store_put,
    .range = range_open,
    .prefix = range_open_prefix,
    .once = range_open_once,
    .next = range_next,
    .end = range_close,
    .expire = store_expire,
    .changes = interval_changes,
    .commit = interval_commit,
    .rollback = interval_rollback,
    .restore = store_restore,
    .tidy = interval_tidy,
    .settle = interval_settle,
    .bytes = set_bytes,
    .entries = set_entries,
    .name = name,
};
