/* A source that is killed at any moment, kill -9, and goes on at what was committed: snapshot, stream, and a
 * transaction of many rows. The copy refuses a change that does not fit the row before it.
 *
 * TIDEMILL_KILLS: how often (20). tests/support/with_postgres.sh gives the server.
 */
#include "../../support/postgres_mirror.h"

#include <signal.h>
#include <sys/wait.h>

/* The copy of the table and the position, which move in one transaction as in the log. */
#define COPY_SQL                                                                                                       \
    "CREATE TABLE copied (id bigint PRIMARY KEY, v bigint); CREATE TABLE reached (position text);"                     \
    "INSERT INTO reached VALUES ('');"                                                                                 \
    "CREATE FUNCTION take(events jsonb, came_from text, leads_to text) RETURNS void LANGUAGE plpgsql AS $$ DECLARE "   \
    "e jsonb; BEGIN UPDATE reached SET position = leads_to WHERE position = came_from; "                               \
    "IF NOT FOUND THEN RAISE 'another position'; END IF; FOR e IN SELECT jsonb_array_elements(events) LOOP "           \
    "CASE e->>'op' WHEN 'u' THEN UPDATE copied SET v = (e->'after'->>'v')::bigint WHERE id = "                         \
    "(e->'after'->>'id')::bigint; WHEN 'd' THEN DELETE FROM copied WHERE id = (e->'before'->>'id')::bigint; "          \
    "ELSE INSERT INTO copied VALUES ((e->'after'->>'id')::bigint, (e->'after'->>'v')::bigint); END CASE; "             \
    "IF NOT FOUND THEN RAISE 'no row for %', e; END IF; END LOOP; END $$"

static void append_event(void *self, const struct record *record)
{
    struct bytes *events = self;
    if (!slice_is_null(record->value)) {
        bytes_append_text(events, events->size > 1 ? "," : "");
        bytes_append_slice(events, record->value);
    }
}

/* One batch, committed; a copy that does not fit ends the process. */
static void take_batch(struct capture *capture, PGconn *connection)
{
    struct bytes events = {0}, from = {0};
    struct err err;
    bytes_append_text(&events, "[");
    bytes_append_slice(&from, bytes_slice(&capture->position));
    capture_poll_each(capture, append_event, &events);
    bytes_append_text(&events, "]");
    const char *values[] = {bytes_text(&events), bytes_text(&from), bytes_text(&capture->position)};
    PGresult *result =
        postgres_connection_query_params(connection, "SELECT take($1::jsonb, $2, $3)", 3, values, "copying", &err);
    if (!result) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    PQclear(result);
    bytes_free(&events);
    bytes_free(&from);
    capture_acknowledge(capture);
}

static void open_at_position(struct capture *capture)
{
    capture_begin(capture, "killing", "killing");
    capture->keep = false;
    bytes_append_text(&capture->position, capture_ask("SELECT position FROM reached"));
    capture_open(capture);
}

static pid_t start_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        struct capture capture;
        unit_in_child();
        PGconn *connection = capture_connect();
        open_at_position(&capture);
        for (;;) {
            take_batch(&capture, connection);
        }
    }
    return child;
}

static void kill_after(int milliseconds)
{
    int status = 0;
    pid_t child = start_child();
    ck_assert_int_gt(child, 0);
    usleep((useconds_t)milliseconds * 1000);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ck_assert_msg(WIFSIGNALED(status), "the child ended by itself: see what it said");
    /* A statement that was on its way may end later: the next one is not to race with it. */
    while (strcmp(capture_ask(
                      "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT take(%' AND state <> 'idle'"),
                  "0") != 0) {
        usleep(20000);
    }
}

START_TEST(killed_at_any_moment)
{
    struct capture c;
    struct mirror mirror;
    int kills = getenv("TIDEMILL_KILLS") ? atoi(getenv("TIDEMILL_KILLS")) : 20;
    mirror_begin(&mirror, "killing", 9000);
    capture_sql(COPY_SQL);
    srandom(7);
    for (int i = 0; i < kills; i++) {
        if (i % 10 == 0) {
            mirror_start_writers(&mirror, 1000);
        }
        if (i % 10 == 5) {
            capture_sql(
                "INSERT INTO killing SELECT i, 0 FROM generate_series((SELECT max(id) + 1 FROM killing), (SELECT "
                "max(id) + 30000 FROM killing)) i");
        }
        kill_after(50 + (int)(random() % 700));
        if (i % 10 == 9) {
            mirror_join_writers(&mirror);
        }
    }
    if (kills % 10 != 0) {
        mirror_join_writers(&mirror);
    }
    capture_sql("INSERT INTO killing VALUES (9000000000, 0)");
    PGconn *connection = capture_connect();
    open_at_position(&c);
    while (strcmp(capture_ask("SELECT count(*) FROM copied WHERE id = 9000000000"), "1") != 0) {
        take_batch(&c, connection);
    }
    PQfinish(connection);
    ck_assert_str_eq(capture_ask("SELECT (SELECT count(*) FROM copied) = (SELECT count(*) FROM killing)"), "t");
    ck_assert_str_eq(capture_ask("SELECT count(*) FROM (SELECT * FROM killing EXCEPT SELECT * FROM copied) AS lost"),
                     "0");
    capture_end(&c);
    mirror_end(&mirror);
}
END_TEST

POSTGRES_MAIN("postgres_source_killed", killed_at_any_moment)
