/* The table alone: forms of entries, growth, accounting. What belongs together with commits is in test_store_model.c.
 */
#include "store/table.h"

#include "base/hash.h"
#include "base/memory.h"

#include "tests/support/unit.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct table_usage usage;
    struct table table;
};

static void init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    table_init(&fixture->table, &fixture->usage);
}

/* Whatever happened, nothing is counted any more when the table is gone. */
static void end(struct fixture *fixture)
{
    table_free(&fixture->table);
    arena_free(&fixture->usage.before);
    ck_assert_int_eq(fixture->usage.counts.live, 0);
    ck_assert_int_eq(fixture->usage.counts.clean_bytes, 0);
}

static struct table_entry *put(struct fixture *fixture, struct slice key, struct slice value, enum table_change change)
{
    return table_put(&fixture->table, key, hash_table64(key), value, 5, change);
}

static struct table_entry *find(struct fixture *fixture, struct slice key)
{
    return table_find(&fixture->table, key, hash_table64(key));
}

static void commit(struct fixture *fixture, bool merges)
{
    table_commit(&fixture->table, merges);
    arena_clear(&fixture->usage.before);
}

static void number_key(unsigned number, char key[16])
{
    snprintf(key, 16, "key-%u", number);
}

START_TEST(entries_of_all_sizes_come_back)
{
    static const size_t sizes[] = {0, 1, 7, 8, 1000, 1024, 65533, 65534, 65535, 65536, 65537, 200000};
    struct fixture fixture;
    init(&fixture);
    unsigned char *data = memory_alloc(200000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            memset(data, (int)(i + 1), sizes[i]);
            struct slice key = slice_of(data, sizes[i]);
            put(&fixture, key, slice_of(data, sizes[i] < sizes[j] ? sizes[i] : sizes[j]), TABLE_CHANGED);
            struct table_entry *entry = put(&fixture, key, slice_of(data, sizes[j]), TABLE_CHANGED);
            ck_assert(slice_equal(table_key(entry), key));
            ck_assert(slice_equal(table_value(entry), slice_of(data, sizes[j])));
            ck_assert_ptr_eq(find(&fixture, key), entry);
            ck_assert(table_deleted(put(&fixture, key, SLICE_NULL, TABLE_CHANGED)));
            ck_assert(slice_is_null(table_value(find(&fixture, key))));
        }
    }
    free(data);
    end(&fixture);
}
END_TEST

START_TEST(many_entries_are_found_while_the_table_grows)
{
    struct fixture fixture;
    char key[16];
    init(&fixture);
    for (unsigned i = 0; i < 100000; i++) {
        number_key(i, key);
        put(&fixture, slice_text(key), slice_of(&i, sizeof i), TABLE_CHANGED);
    }
    for (unsigned i = 0; i < 100000; i++) {
        number_key(i, key);
        ck_assert(slice_equal(table_value(find(&fixture, slice_text(key))), slice_of(&i, sizeof i)));
    }
    number_key(100000, key);
    ck_assert_ptr_null(find(&fixture, slice_text(key)));
    ck_assert_int_eq(fixture.usage.counts.live, 100000);
    end(&fixture);
}
END_TEST

START_TEST(slots_of_removed_entries_are_used_again)
{
    struct fixture fixture;
    char key[16];
    init(&fixture);
    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < 50; i++) {
            number_key(round * 50 + i, key);
            put(&fixture, slice_text(key), slice_text("v"), TABLE_CHANGED);
        }
        commit(&fixture, false);
        for (unsigned i = 0; i < 50; i++) {
            number_key(round * 50 + i, key);
            put(&fixture, slice_text(key), SLICE_NULL, TABLE_CHANGED);
        }
        commit(&fixture, false);
        ck_assert_uint_eq(fixture.table.entries, 0);
    }
    ck_assert_uint_lt(fixture.table.capacity, 1000);
    end(&fixture);
}
END_TEST

START_TEST(key_and_value_may_be_those_of_an_entry)
{
    struct fixture fixture;
    init(&fixture);
    struct table_entry *entry = put(&fixture, slice_text("key"), slice_text("value"), TABLE_CHANGED);
    entry = put(&fixture, table_key(entry), slice_of(table_value(entry).data + 1, 4), TABLE_CHANGED);
    ck_assert(slice_equal(table_value(entry), slice_text("alue")));
    entry = put(&fixture, table_key(entry), table_key(entry), TABLE_CHANGED);
    ck_assert(slice_equal(table_value(entry), slice_text("key")));
    commit(&fixture, false);
    entry = put(&fixture, table_value(entry), slice_of(table_key(entry).data, 2), TABLE_CHANGED);
    ck_assert(slice_equal(table_key(entry), slice_text("key")));
    ck_assert(slice_equal(table_value(entry), slice_text("ke")));
    end(&fixture);
}
END_TEST

START_TEST(only_clean_entries_are_evicted)
{
    struct fixture fixture;
    init(&fixture);
    put(&fixture, slice_text("clean"), slice_text("1"), TABLE_CLEAN);
    put(&fixture, slice_text("kept"), slice_text("1"), TABLE_CLEAN);
    put(&fixture, slice_text("unmerged"), slice_text("1"), TABLE_COMMITTED);
    put(&fixture, slice_text("dirty"), slice_text("1"), TABLE_CHANGED);
    const struct table_entry *kept = find(&fixture, slice_text("kept"));
    for (int i = 0; i < 10; i++) {
        table_evict(&fixture.table, 100, 1000000, kept);
    }
    ck_assert_ptr_null(find(&fixture, slice_text("clean")));
    ck_assert_ptr_nonnull(find(&fixture, slice_text("kept")));
    ck_assert_ptr_nonnull(find(&fixture, slice_text("unmerged")));
    ck_assert_ptr_nonnull(find(&fixture, slice_text("dirty")));
    end(&fixture);
}
END_TEST

START_TEST(entries_become_clean_when_their_last_commit_is_merged)
{
    struct fixture fixture;
    init(&fixture);
    put(&fixture, slice_text("once"), slice_text("1"), TABLE_CHANGED);
    put(&fixture, slice_text("again"), slice_text("1"), TABLE_CHANGED);
    put(&fixture, slice_text("moved"), slice_text("1"), TABLE_CHANGED);
    put(&fixture, slice_text("gone"), SLICE_NULL, TABLE_CHANGED);
    commit(&fixture, true);
    table_begin_merge(&fixture.table);
    put(&fixture, slice_text("again"), slice_text("2"), TABLE_CHANGED);
    put(&fixture, slice_text("moved"), slice_text("longer than it was"), TABLE_CHANGED);
    commit(&fixture, true);
    ck_assert(!table_retired(&fixture.table));
    while (!table_retired(&fixture.table)) {
        ck_assert_uint_eq(table_retire(&fixture.table, 1), 1);
    }
    ck_assert_ptr_null(find(&fixture, slice_text("gone")));
    table_evict(&fixture.table, 100, 1000000, NULL);
    ck_assert_ptr_null(find(&fixture, slice_text("once")));
    ck_assert_ptr_nonnull(find(&fixture, slice_text("again")));
    ck_assert_ptr_nonnull(find(&fixture, slice_text("moved")));
    end(&fixture);
}
END_TEST

/* A deletion that is merged while a longer value is under way must not take the new entry with it. */
START_TEST(retiring_what_an_open_change_replaced_leaves_the_change_alone)
{
    struct fixture fixture;
    init(&fixture);
    put(&fixture, slice_text("key"), SLICE_NULL, TABLE_CHANGED);
    commit(&fixture, true);
    table_begin_merge(&fixture.table);
    put(&fixture, slice_text("key"), slice_text("a value of another size"), TABLE_CHANGED);
    table_retire(&fixture.table, 10);
    ck_assert(slice_equal(table_value(find(&fixture, slice_text("key"))), slice_text("a value of another size")));
    table_rollback(&fixture.table);
    ck_assert_ptr_null(find(&fixture, slice_text("key")));
    end(&fixture);
}
END_TEST

/* What a rollback brings back is as unmerged as it was. */
START_TEST(rolled_back_entries_stay_until_they_are_merged)
{
    struct fixture fixture;
    init(&fixture);
    put(&fixture, slice_text("same size"), slice_text("1"), TABLE_CHANGED);
    put(&fixture, slice_text("other size"), slice_text("1"), TABLE_CHANGED);
    put(&fixture, slice_text("both"), slice_text("1"), TABLE_CHANGED);
    commit(&fixture, true);
    put(&fixture, slice_text("same size"), slice_text("2"), TABLE_CHANGED);
    put(&fixture, slice_text("other size"), slice_text("a much longer value"), TABLE_CHANGED);
    put(&fixture, slice_text("both"), slice_text("2"), TABLE_CHANGED);
    put(&fixture, slice_text("both"), slice_text("a much longer value"), TABLE_CHANGED);
    table_rollback(&fixture.table);
    arena_clear(&fixture.usage.before);
    ck_assert_int_eq(table_evict(&fixture.table, 1000, 1000000, NULL), 0);
    ck_assert(slice_equal(table_value(find(&fixture, slice_text("same size"))), slice_text("1")));
    ck_assert(slice_equal(table_value(find(&fixture, slice_text("other size"))), slice_text("1")));
    ck_assert(slice_equal(table_value(find(&fixture, slice_text("both"))), slice_text("1")));
    table_begin_merge(&fixture.table);
    table_retire(&fixture.table, SIZE_MAX);
    ck_assert_int_gt(table_evict(&fixture.table, 1000, 1000000, NULL), 0);
    ck_assert_uint_eq(fixture.table.entries, 0);
    end(&fixture);
}
END_TEST

START_TEST(overhead_of_small_entries_is_small)
{
    struct fixture fixture;
    init(&fixture);
    for (uint64_t i = 0; i < 300000; i++) {
        uint64_t key[2] = {i, i * 77};
        put(&fixture, slice_of(key, sizeof key), slice_of(&i, sizeof i), TABLE_CLEAN);
    }
    ck_assert_uint_lt(table_bytes(&fixture.table) / 300000, 16 + 8 + 36);
    end(&fixture);
}
END_TEST

UNIT_MAIN("table", entries_of_all_sizes_come_back, many_entries_are_found_while_the_table_grows,
          slots_of_removed_entries_are_used_again, key_and_value_may_be_those_of_an_entry,
          only_clean_entries_are_evicted, entries_become_clean_when_their_last_commit_is_merged,
          retiring_what_an_open_change_replaced_leaves_the_change_alone, rolled_back_entries_stay_until_they_are_merged,
          overhead_of_small_entries_is_small)
