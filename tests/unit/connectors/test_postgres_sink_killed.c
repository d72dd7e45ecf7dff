/* Writers of the PostgreSQL sink, and its server, are killed at any time: every record is written once. */
#include "tests/support/postgres_sink.h"

#include <signal.h>
#include <sys/wait.h>

#define KILLS 60
#define SERVER_KILLS 3
#define RECORDS 200 /* at least */
#define BATCH 7
#define IDS 50

static void open_again(void)
{
    while (!task && postgres_sink_class.open(&context, &task, &err)) {
        if (err.class != ERR_RETRY) {
            _exit(1);
        }
        task = NULL;
        usleep(2000);
    }
}

/* As the runner does: after an error the position is asked again, over a new connection when it was lost. */
static void write_for_ever(void)
{
    unit_in_child();
    char values[BATCH][64];
    struct record records[BATCH];
    for (;;) {
        int64_t next;
        open_again();
        int status = postgres_sink_class.position(task, &next, &err);
        int64_t first = next < 0 ? 0 : next;
        for (size_t i = 0; i < BATCH; i++) {
            long long at = (long long)first + (long long)i;
            snprintf(values[i], sizeof(values[i]), "{\"id\":%lld,\"x\":%lld}", at % IDS, at);
            records[i] = (struct record){.value = slice_text(values[i]), .offset = at};
        }
        const struct sink_batch batch = {records, BATCH, next, first + BATCH};
        status = status ? status : postgres_sink_class.write(task, &batch, &bad, &err);
        if (status && err.class == ERR_RETRY) {
            postgres_sink_class.close(task);
            task = NULL;
        } else if (status && err.class != ERR_FENCED) {
            fprintf(stderr, "%s\n", err.text);
            _exit(1);
        }
    }
}

static void end_writer(pid_t writer)
{
    int status;
    if (writer > 0) {
        kill(writer, SIGKILL);
        ck_assert_int_eq(waitpid(writer, &status, 0), writer);
        ck_assert_msg(WIFSIGNALED(status), "status %d", WEXITSTATUS(status));
    }
}

static void restart_server(void)
{
    control("kill");
    control("start");
    PQreset(connection);
}

static bool has_written(int64_t records)
{
    open_sink();
    int64_t next = where();
    postgres_sink_class.close(task);
    task = NULL;
    return next >= records;
}

/* Two writers at a time that don't know of each other, for longer and longer until they have written something. */
static void kill_many(void)
{
    pid_t writers[2] = {0, 0};
    for (int i = 0; i < KILLS || !has_written(RECORDS); i++) {
        pid_t *writer = &writers[i % 2];
        end_writer(*writer);
        *writer = fork();
        if (*writer == 0) {
            write_for_ever();
        }
        usleep((useconds_t)(10000 + i * 937));
        if (i % (KILLS / SERVER_KILLS) == 11) {
            restart_server();
        }
    }
    end_writer(writers[0]);
    end_writer(writers[1]);
    /* What they have sent is still worked on. */
    while (strcmp(ask("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'tidemill app %' AND"
                      " pid <> pg_backend_pid()"),
                  "0") != 0) {
        usleep(10000);
    }
}

static void expect_each_once(const char *count)
{
    char expected[64];
    open_sink();
    int64_t next = where();
    snprintf(expected, sizeof(expected), "%lld %lld", (long long)(next < 0 ? 0 : next),
             (long long)(next < 0 ? 0 : next * (next - 1) / 2));
    ck_assert_str_eq(ask(count), expected);
    teardown();
}

START_TEST(every_row_is_appended_once)
{
    setup("appended", "CREATE TABLE appended (id int, x bigint)");
    set("mode", "insert");
    kill_many();
    expect_each_once("SELECT count(*) || ' ' || coalesce(sum(x), 0) FROM appended");
}
END_TEST

/* Every change is counted by a trigger. */
START_TEST(every_row_is_changed_once)
{
    setup("counted", "CREATE TABLE counted (id int PRIMARY KEY, x bigint); CREATE TABLE changes (x bigint);"
                     "CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS"
                     " 'BEGIN INSERT INTO changes VALUES (new.x); RETURN NULL; END';"
                     "CREATE TRIGGER count AFTER INSERT OR UPDATE ON counted FOR EACH ROW"
                     " EXECUTE FUNCTION count_change()");
    kill_many();
    expect_each_once("SELECT count(*) || ' ' || coalesce(sum(x), 0) FROM changes");
}
END_TEST

POSTGRES_MAIN("postgres_sink_killed", every_row_is_appended_once, every_row_is_changed_once)
