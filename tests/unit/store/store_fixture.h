/* What the tests of the store share: a directory of their own, and short words for the driver's calls. */
#ifndef TIDEMILL_TESTS_STORE_FIXTURE_H
#define TIDEMILL_TESTS_STORE_FIXTURE_H

#include "base/log.h"
#include "base/memory.h"
#include "store/store_driver.h"

#include "tests/support/unit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define driver (&sqlite_store_driver)

/* Passes, or shows the error's text. */
#define check_ok(call) ck_assert_msg((call) == 0, "%s", err.text)

struct fixture {
    char directory[64];
    struct store_spec specs[4];
    struct store_config config;
    struct store_set *set;
    struct store_meta meta;
    bool fresh;
};

static inline struct slice text(const char *chars)
{
    return slice_text(chars);
}

static inline void fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    log_configure(LOG_ERROR, false); /* quarantine is what many tests ask for */
    strcpy(fixture->directory, "/tmp/tidemill-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fixture->directory));
    fixture->specs[0] = (struct store_spec){.name = "counts", .kind = STORE_KEY_VALUE, .changelog = true, .hash = 7};
    fixture->config = (struct store_config){
        .directory = fixture->directory, .app = "shop", .worker = "0_3", .specs = fixture->specs, .spec_count = 1};
}

static inline void fixture_open(struct fixture *fixture)
{
    struct err err;
    check_ok(driver->open(&fixture->config, &fixture->set, &fixture->meta, &fixture->fresh, &err));
}

static inline void fixture_close(struct fixture *fixture)
{
    driver->close(fixture->set);
    fixture->set = NULL;
}

static inline void fixture_reopen(struct fixture *fixture)
{
    fixture_close(fixture);
    fixture_open(fixture);
}

/* Number of files in the directory whose names contain `part`; the path of one of them in `path` unless NULL. */
static inline int fixture_files(const struct fixture *fixture, const char *part, char path[400])
{
    int count = 0;
    DIR *directory = opendir(fixture->directory);
    for (struct dirent *file = readdir(directory); file != NULL; file = readdir(directory)) {
        if (file->d_name[0] != '.' && strstr(file->d_name, part) != NULL) {
            count++;
            if (path != NULL) {
                snprintf(path, 400, "%s/%s", fixture->directory, file->d_name);
            }
        }
    }
    closedir(directory);
    return count;
}

static inline void fixture_end(struct fixture *fixture)
{
    char path[400];
    driver->close(fixture->set);
    while (fixture_files(fixture, "", path) > 0) {
        ck_assert_int_eq(unlink(path), 0);
    }
    rmdir(fixture->directory);
}

static inline struct store *fixture_store(struct fixture *fixture)
{
    return driver->find(fixture->set, fixture->specs[0].name);
}

/* `committed_ms` numbers the commits of a test. */
static inline int fixture_commit(struct fixture *fixture, int64_t committed_ms, struct err *err)
{
    struct store_meta meta = {.app = "shop", .worker = "0_3", .partitions = 4, .committed_ms = committed_ms};
    return driver->commit(fixture->set, &meta, err);
}

static inline void commit(struct fixture *fixture, int64_t committed_ms)
{
    struct err err;
    check_ok(fixture_commit(fixture, committed_ms, &err));
}

static inline void put(struct store *store, const char *key, const char *value)
{
    struct err err;
    check_ok(driver->put(store, text(key), text(value), 1, &err));
}

/* Is the value of `key` the given one (NULL: is there none)? */
static inline bool has(struct store *store, const char *key, const char *value)
{
    struct err err;
    bool found;
    struct store_entry entry;
    check_ok(driver->get(store, text(key), &found, &entry, &err));
    return found ? value != NULL && slice_equal(entry.value, text(value)) : value == NULL;
}

/* Keys of a range, each followed by a space. */
static inline void list_cursor(struct store_cursor *cursor, char *out, size_t size)
{
    struct err err;
    struct store_entry entry;
    bool found;
    size_t used = 0;
    out[0] = '\0';
    for (check_ok(driver->next(cursor, &found, &entry, &err)); found;
         check_ok(driver->next(cursor, &found, &entry, &err))) {
        used += (size_t)snprintf(out + used, size - used, "%.*s ", (int)entry.key.size, (const char *)entry.key.data);
    }
}

#endif
