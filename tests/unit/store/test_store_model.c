/* Random operations on a set against a model that keeps everything in plain arrays. */
#include "tests/unit/store/store_fixture.h"

#define KEYS 300
#define STEPS 6000
#define CURSORS 3
#define SEGMENT_MS 10

struct cell {
    bool present;
    unsigned seed; /* decides value and timestamp */
};

/* An open cursor and what it has to give. */
struct watched {
    struct store_cursor *cursor;
    int keys[KEYS];
    unsigned seeds[KEYS];
    int count;
    int at;
};

struct model {
    struct fixture fixture;
    struct store *store;
    struct bytes keys[KEYS]; /* in byte order, all different */
    struct cell now[KEYS];
    struct cell committed[KEYS];
    bool dirty[KEYS];
    struct watched watched[CURSORS];
    int64_t expired;
    int64_t expired_committed;
    int64_t commits;
    unsigned random;
};

static unsigned draw(struct model *model, unsigned below)
{
    model->random = model->random * 1664525u + 1013904223u;
    return (model->random >> 8) % below;
}

static struct slice key_of(const struct model *model, int key)
{
    return bytes_slice(&model->keys[key]);
}

/* Small, empty, of several sizes, and some beyond the short form of entries. */
static void make_value(unsigned seed, struct bytes *value)
{
    size_t size = seed % 41;
    if (seed % 97 == 0) {
        size = 1000 + seed % 2000;
    } else if (seed % 501 == 0) {
        size = 65530 + seed % 10;
    }
    bytes_clear(value);
    for (size_t i = 0; i < size; i++) {
        bytes_append_byte(value, (unsigned char)(seed >> (i % 4 * 8)));
    }
}

static int compare_keys(const void *a, const void *b)
{
    return slice_compare(bytes_slice(a), bytes_slice(b));
}

static void make_key_value_key(struct model *model, struct bytes *key)
{
    static const unsigned char alphabet[] = {0, 1, 'a', 'b', 0xfe, 0xff};
    unsigned size = draw(model, 12);
    for (unsigned i = 0; i < size; i++) {
        bytes_append_byte(key, alphabet[draw(model, sizeof alphabet)]);
    }
}

static void make_window_key(struct model *model, struct bytes *key)
{
    if (draw(model, 20) == 0) {
        make_key_value_key(model, key);
        key->size = key->size > 7 ? 7 : key->size;
        return;
    }
    bytes_append_u64(key, draw(model, 400));
    make_key_value_key(model, key);
}

static bool is_new_key(const struct model *model, int key)
{
    for (int i = 0; i < key; i++) {
        if (slice_equal(key_of(model, i), key_of(model, key))) {
            return false;
        }
    }
    return true;
}

static void make_keys(struct model *model)
{
    bool windows = model->fixture.specs[0].kind != STORE_KEY_VALUE;
    for (int i = 0; i < KEYS; i++) {
        do {
            bytes_clear(&model->keys[i]);
            (windows ? make_window_key : make_key_value_key)(model, &model->keys[i]);
        } while (!is_new_key(model, i));
    }
    qsort(model->keys, KEYS, sizeof model->keys[0], compare_keys);
}

static bool is_expired(const struct model *model, int key)
{
    struct bytes_reader reader = bytes_reader_of(key_of(model, key));
    return model->fixture.specs[0].kind != STORE_KEY_VALUE && model->keys[key].size >= 8 &&
           (int64_t)bytes_take_u64(&reader) < model->expired;
}

static bool is_there(const struct model *model, int key)
{
    return model->now[key].present && !is_expired(model, key);
}

static void check_entry(struct model *model, int key, unsigned seed, const struct store_entry *entry)
{
    struct bytes value = {NULL, 0, 0};
    make_value(seed, &value);
    ck_assert(slice_equal(entry->key, key_of(model, key)));
    ck_assert(slice_equal(entry->value, bytes_slice(&value)));
    ck_assert_int_eq(entry->timestamp, (int64_t)seed - 100);
    bytes_free(&value);
}

static void do_get(struct model *model, int key)
{
    struct err err;
    bool found;
    struct store_entry entry;
    check_ok(driver->get(model->store, key_of(model, key), &found, &entry, &err));
    ck_assert_int_eq(found, is_there(model, key));
    if (found) {
        check_entry(model, key, model->now[key].seed, &entry);
    }
}

static void do_put(struct model *model, int key, bool delete, bool restore)
{
    struct err err;
    struct bytes value = {NULL, 0, 0};
    unsigned seed = draw(model, 1000000);
    make_value(seed, &value);
    struct store_entry entry = {key_of(model, key), delete ? SLICE_NULL : bytes_slice(&value), (int64_t)seed - 100};
    if (restore) {
        check_ok(driver->restore(model->store, &entry, 1, &err));
    } else {
        check_ok(driver->put(model->store, entry.key, entry.value, entry.timestamp, &err));
    }
    if (!is_expired(model, key)) {
        model->dirty[key] = model->dirty[key] || (!restore && (!delete || model->now[key].present));
        model->now[key] = (struct cell){!delete, seed};
    }
    bytes_free(&value);
}

/* The cursors are gone for the driver after a commit or a rollback. */
static void forget_cursors(struct model *model)
{
    for (int i = 0; i < CURSORS; i++) {
        model->watched[i].cursor = NULL;
    }
}

static int count_change(void *self, struct store *store, const struct store_entry *entry, struct err *err)
{
    struct model *model = self;
    (void)err;
    ck_assert_ptr_eq(store, model->store);
    int key = 0;
    while (key < KEYS && !slice_equal(key_of(model, key), entry->key)) {
        key++;
    }
    ck_assert_int_lt(key, KEYS);
    model->dirty[key] = false;
    if (model->now[key].present) {
        check_entry(model, key, model->now[key].seed, entry);
    } else {
        ck_assert(slice_is_null(entry->value));
    }
    return 0;
}

static void do_commit(struct model *model)
{
    struct err err;
    check_ok(driver->changes(model->fixture.set, count_change, model, &err));
    for (int i = 0; i < KEYS; i++) {
        bool came_and_went = !model->now[i].present && !model->committed[i].present;
        ck_assert(!model->dirty[i] || is_expired(model, i) || came_and_went);
        model->dirty[i] = false;
        model->now[i].present = is_there(model, i);
    }
    commit(&model->fixture, ++model->commits);
    memcpy(model->committed, model->now, sizeof model->now);
    model->expired_committed = model->expired;
    forget_cursors(model);
}

static void back_to_commit(struct model *model)
{
    memcpy(model->now, model->committed, sizeof model->now);
    memset(model->dirty, 0, sizeof model->dirty);
    model->expired = model->expired_committed;
    forget_cursors(model);
}

static void do_rollback(struct model *model)
{
    struct err err;
    check_ok(driver->rollback(model->fixture.set, &err));
    back_to_commit(model);
}

static void do_reopen(struct model *model)
{
    if (model->fixture.config.directory == NULL) {
        return;
    }
    do_commit(model);
    if (draw(model, 2) == 0) {
        do_put(model, (int)draw(model, KEYS), false, false); /* never committed */
    }
    back_to_commit(model);
    fixture_reopen(&model->fixture);
    model->store = fixture_store(&model->fixture);
    ck_assert_str_eq(model->fixture.meta.app, "shop");
    ck_assert_int_eq(model->fixture.meta.committed_ms, model->commits);
}

static void do_expire(struct model *model)
{
    struct err err;
    if (model->fixture.specs[0].kind == STORE_KEY_VALUE) {
        return;
    }
    int64_t time = model->expired + (int64_t)draw(model, 15);
    check_ok(driver->expire(model->store, time, &err));
    model->expired = time;
    if (time > 350) { /* time starts anew, so that the test has something to do */
        check_ok(driver->wipe(model->fixture.set, &err));
        memset(model->committed, 0, sizeof model->committed);
        model->expired_committed = 0;
        back_to_commit(model);
        model->commits = 0;
        commit(&model->fixture, ++model->commits);
    }
}

static void watch(struct model *model, struct watched *watched, int low, int high, bool backwards)
{
    watched->count = 0;
    watched->at = 0;
    for (int i = 0; i < KEYS; i++) {
        int key = backwards ? KEYS - 1 - i : i;
        if (key >= low && key <= high && is_there(model, key)) {
            watched->keys[watched->count] = key;
            watched->seeds[watched->count++] = model->now[key].seed;
        }
    }
}

static void open_range(struct model *model, struct watched *watched)
{
    struct err err;
    int low = (int)draw(model, KEYS);
    int high = (int)draw(model, KEYS);
    bool backwards = draw(model, 2) == 0;
    struct slice from = key_of(model, low);
    struct slice to = key_of(model, high);
    if (draw(model, 4) == 0) {
        low = 0;
        from = SLICE_NULL;
    }
    if (draw(model, 4) == 0) {
        high = KEYS - 1;
        to = SLICE_NULL;
    }
    check_ok(driver->range(model->store, from, to, backwards, &watched->cursor, &err));
    watch(model, watched, low, high, backwards);
}

static void open_prefix(struct model *model, struct watched *watched)
{
    struct err err;
    struct slice prefix = key_of(model, (int)draw(model, KEYS));
    prefix.size = prefix.size > 2 ? draw(model, (unsigned)prefix.size) : prefix.size;
    int low = 0;
    while (low < KEYS && slice_compare(key_of(model, low), prefix) < 0) {
        low++;
    }
    int high = low;
    while (high < KEYS && model->keys[high].size >= prefix.size &&
           slice_equal(slice_of(key_of(model, high).data, prefix.size), prefix)) {
        high++;
    }
    check_ok(driver->prefix(model->store, prefix, &watched->cursor, &err));
    watch(model, watched, low, high - 1, false);
}

static void step_cursor(struct model *model, struct watched *watched)
{
    struct err err;
    struct store_entry entry;
    bool found;
    check_ok(driver->next(watched->cursor, &found, &entry, &err));
    ck_assert_int_eq(found, watched->at < watched->count);
    if (!found) {
        driver->end(watched->cursor);
        watched->cursor = NULL;
        return;
    }
    check_entry(model, watched->keys[watched->at], watched->seeds[watched->at], &entry);
    watched->at++;
}

static void do_cursor(struct model *model)
{
    struct watched *watched = &model->watched[draw(model, CURSORS)];
    if (watched->cursor == NULL) {
        (draw(model, 3) == 0 ? open_prefix : open_range)(model, watched);
    }
    for (unsigned steps = draw(model, 40); steps > 0 && watched->cursor != NULL; steps--) {
        step_cursor(model, watched);
    }
}

static void do_step(struct model *model)
{
    int key = (int)draw(model, KEYS);
    unsigned what = draw(model, 1000);
    if (what < 10) {
        driver->settle(model->fixture.set); /* merges what is committed, whatever is not */
    } else if (what < 350) {
        do_get(model, key);
    } else if (what < 750) {
        do_put(model, key, what < 450, what % 10 == 0);
    } else if (what < 880) {
        do_cursor(model);
    } else if (what < 960) {
        do_commit(model);
    } else if (what < 980) {
        do_rollback(model);
    } else if (what < 990) {
        do_expire(model);
    } else {
        do_reopen(model);
    }
}

/* Every other one leaves its commits to the thread for commits. */
static void run_model(enum store_kind kind, bool in_memory, int64_t cache_bytes, unsigned seed)
{
    struct model *model = memory_alloc(sizeof *model);
    model->random = seed;
    fixture_init(&model->fixture);
    model->fixture.specs[0].kind = kind;
    model->fixture.specs[0].segment_ms = SEGMENT_MS;
    model->fixture.config.cache_bytes = cache_bytes;
    model->fixture.config.merge_bytes = 20000;
    model->fixture.config.unmerged_bytes = 200000;
    model->fixture.config.background_bytes = seed % 2;
    model->fixture.config.directory = in_memory ? NULL : model->fixture.directory;
    fixture_open(&model->fixture);
    ck_assert(model->fixture.fresh);
    ck_assert_ptr_null(model->fixture.meta.app);
    model->store = fixture_store(&model->fixture);
    make_keys(model);
    for (int i = 0; i < STEPS; i++) {
        do_step(model);
    }
    for (int i = 0; i < KEYS; i++) {
        do_get(model, i);
        bytes_free(&model->keys[i]);
    }
    fixture_end(&model->fixture);
    free(model);
}

START_TEST(key_value_store_does_as_the_model)
{
    run_model(STORE_KEY_VALUE, false, 0, 1);
    run_model(STORE_KEY_VALUE, false, 0, 2);
}
END_TEST

START_TEST(key_value_store_that_evicts_does_as_the_model)
{
    run_model(STORE_KEY_VALUE, false, 500, 3);
    run_model(STORE_KEY_VALUE, false, 5000, 4);
}
END_TEST

START_TEST(key_value_store_in_memory_does_as_the_model)
{
    run_model(STORE_KEY_VALUE, true, 0, 5);
    run_model(STORE_KEY_VALUE, true, 500, 6);
}
END_TEST

START_TEST(window_store_does_as_the_model)
{
    run_model(STORE_WINDOW, false, 0, 7);
    run_model(STORE_SESSION, false, 0, 8);
}
END_TEST

START_TEST(window_store_that_evicts_does_as_the_model)
{
    run_model(STORE_WINDOW, false, 500, 9);
    run_model(STORE_WINDOW, false, 3000, 10);
}
END_TEST

START_TEST(window_store_in_memory_does_as_the_model)
{
    run_model(STORE_WINDOW, true, 0, 11);
}
END_TEST

UNIT_MAIN("store model", key_value_store_does_as_the_model, key_value_store_that_evicts_does_as_the_model,
          key_value_store_in_memory_does_as_the_model, window_store_does_as_the_model,
          window_store_that_evicts_does_as_the_model, window_store_in_memory_does_as_the_model)
