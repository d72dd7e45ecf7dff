/* A table that writers churn, and what its change events add up to: every event must fit the rows before it.
 *
 * The table has (id bigint primary key, v bigint) with ids below MIRROR_IDS. A row that comes twice, or a change that
 * is missing, does not fit sooner or later; at the end the mirror must be the table.
 */
#ifndef TIDEMILL_TESTS_POSTGRES_MIRROR_H
#define TIDEMILL_TESTS_POSTGRES_MIRROR_H

#include "postgres_source.h"

#include <pthread.h>

#define MIRROR_IDS 200000
#define MIRROR_WRITERS 3

struct mirror {
    const char *table;
    bool *present;
    long long *value;
    pthread_t writers[MIRROR_WRITERS];
    int transactions; /* of each writer; most have several changes, some are rolled back */
    bool may_fail;    /* the server is killed under them */
};

struct mirror_writer {
    struct mirror *mirror;
    int number;
};

#define MIRROR_SQL                                                                                                     \
    "CREATE TABLE %s (id bigint PRIMARY KEY, v bigint); INSERT INTO %s SELECT i, i FROM generate_series(0, %d) i;"     \
    "CREATE PROCEDURE churn_%s(writer int, n int) LANGUAGE plpgsql AS $$ DECLARE k bigint; o bigint; BEGIN "           \
    "FOR i IN 1..n LOOP FOR j IN 1..1 + floor(random() * 4)::int LOOP k := writer + 3 * floor(random() * %d)::int; "   \
    "o := writer + 3 * floor(random() * %d)::int; CASE floor(random() * 6)::int "                                      \
    "WHEN 0 THEN DELETE FROM %s WHERE id = k; WHEN 1, 2 THEN UPDATE %s SET v = v + 1 WHERE id = k; "                   \
    "WHEN 3 THEN UPDATE %s SET id = o WHERE id = k AND NOT EXISTS (SELECT FROM %s WHERE id = o); "                     \
    "WHEN 4 THEN BEGIN DELETE FROM %s WHERE id = k; RAISE EXCEPTION 'back'; EXCEPTION WHEN raise_exception THEN "      \
    "NULL; "                                                                                                           \
    "END; ELSE INSERT INTO %s VALUES (k, i) ON CONFLICT (id) DO UPDATE SET v = excluded.v; END CASE; END LOOP; "       \
    "IF random() < 0.1 THEN ROLLBACK; ELSE COMMIT; END IF; END LOOP; END $$"

/* Makes the table with that many rows, and the writers' procedure. */
static inline void mirror_begin(struct mirror *mirror, const char *t, int rows)
{
    static char sql[4096];
    *mirror = (struct mirror){.table = t};
    mirror->present = calloc(MIRROR_IDS, sizeof(*mirror->present));
    mirror->value = calloc(MIRROR_IDS, sizeof(*mirror->value));
    snprintf(sql, sizeof(sql), MIRROR_SQL, t, t, rows - 1, t, rows / 3, rows / 3, t, t, t, t, t, t);
    capture_sql(sql);
}

static inline void *mirror_write(void *self)
{
    struct mirror_writer *writer = self;
    struct err err;
    char sql[128];
    PGconn *connection = capture_connect();
    snprintf(sql, sizeof(sql), "CALL churn_%s(%d, %d)", writer->mirror->table, writer->number,
             writer->mirror->transactions);
    bool good = postgres_connection_run(connection, "SET statement_timeout = 0", "test", &err) == 0 &&
                postgres_connection_run(connection, sql, "test", &err) == 0;
    ck_assert_msg(good || writer->mirror->may_fail, "%s", err.text);
    PQfinish(connection);
    free(writer);
    return NULL;
}

static inline void mirror_start_writers(struct mirror *mirror, int transactions)
{
    mirror->transactions = transactions;
    for (int i = 0; i < MIRROR_WRITERS; i++) {
        struct mirror_writer *writer = malloc(sizeof(*writer));
        *writer = (struct mirror_writer){mirror, i};
        ck_assert_int_eq(pthread_create(&mirror->writers[i], NULL, mirror_write, writer), 0);
    }
}

static inline void mirror_join_writers(struct mirror *mirror)
{
    for (int i = 0; i < MIRROR_WRITERS; i++) {
        pthread_join(mirror->writers[i], NULL);
    }
}

static inline void mirror_apply(void *self, const struct record *record)
{
    struct mirror *mirror = self;
    long long id = -1, value = 0;
    char op = 0, text[512];
    snprintf(text, sizeof(text), "%.*s %.*s", (int)record->key.size, (const char *)record->key.data,
             (int)record->value.size, slice_is_null(record->value) ? "" : (const char *)record->value.data);
    if (sscanf(text, "{\"id\":%lld}", &id) != 1 || id < 0 || id >= MIRROR_IDS) {
        ck_abort_msg("%s", text);
    }
    if (slice_is_null(record->value)) {
        if (mirror->present[id]) {
            ck_abort_msg("a tombstone before the delete: %s", text);
        }
        return;
    }
    const char *after = strstr(text, "\"after\":{\"id\":");
    if (sscanf(strstr(text, "\"op\""), "\"op\":\"%c\"", &op) != 1 ||
        (op != 'd' && (!after || sscanf(after, "\"after\":{\"id\":%*d,\"v\":%lld}", &value) != 1))) {
        ck_abort_msg("%s", text);
    }
    if (mirror->present[id] != (op == 'u' || op == 'd')) {
        ck_abort_msg("the row is %s: %s", mirror->present[id] ? "there already" : "not there", text);
    }
    mirror->present[id] = op != 'd';
    mirror->value[id] = value;
}

/* Whether the mirror is the table. */
static inline void mirror_compare(struct mirror *mirror)
{
    static char sql[128];
    struct err err;
    long long rows = 0;
    PGconn *connection = capture_connect();
    snprintf(sql, sizeof(sql), "SELECT id, v FROM %s", mirror->table);
    PGresult *result = postgres_connection_query(connection, sql, "test", &err);
    ck_assert_msg(result != NULL, "%s", err.text);
    for (int row = 0; row < PQntuples(result); row++) {
        long long id = atoll(PQgetvalue(result, row, 0)), value = atoll(PQgetvalue(result, row, 1));
        if (!mirror->present[id] || mirror->value[id] != value) {
            ck_abort_msg("row %lld is %lld, and %s %lld", id, value, mirror->present[id] ? "came as" : "is missing",
                         mirror->value[id]);
        }
    }
    for (int id = 0; id < MIRROR_IDS; id++) {
        rows += mirror->present[id] ? 1 : 0;
    }
    ck_assert_int_eq(rows, PQntuples(result));
    PQclear(result);
    PQfinish(connection);
}

static inline void mirror_end(struct mirror *mirror)
{
    free(mirror->present);
    free(mirror->value);
}

#endif
