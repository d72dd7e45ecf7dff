/* Positions that the server can't serve any more; tests/support/with_postgres.sh gives the server. */
#include "../../support/postgres_source.h"
#include "base/memory.h"
#include "connectors/postgres/postgres_slot.h"

static void begin(struct capture *capture, const char *name)
{
    char sql[256];
    snprintf(sql, sizeof(sql), "CREATE TABLE %s (id int PRIMARY KEY)", name);
    capture_sql(sql);
    capture_begin(capture, name, name);
    capture_open(capture);
    capture_to_end(capture);
}

static void set_position(struct capture *capture, const char *text)
{
    bytes_clear(&capture->position);
    bytes_append_text(&capture->position, text);
}

/* The position with another text in the place of one. */
static void change_position(struct capture *capture, const char *from, const char *to)
{
    char *old = memory_copy_text(bytes_text(&capture->position));
    char *at = strstr(old, from);
    ck_assert_msg(at != NULL, "%s has no %s", old, from);
    bytes_clear(&capture->position);
    bytes_append(&capture->position, old, (size_t)(at - old));
    bytes_append_text(&capture->position, to);
    bytes_append_text(&capture->position, at + strlen(from));
    free(old);
}

START_TEST(slot_that_was_moved)
{
    struct capture c;
    begin(&c, "moved");
    char *old = memory_copy_text(bytes_text(&c.position));
    capture_sql("INSERT INTO moved VALUES (1)");
    capture_until(&c, "{\"id\":1}");
    capture_sql("INSERT INTO moved VALUES (2)");
    capture_until(&c, "{\"id\":2}");
    capture_acknowledge(&c);
    capture_close(&c);
    capture_open(&c); /* the slot's own position is good */
    capture_close(&c);
    set_position(&c, old);
    while (strcmp(capture_ask("SELECT active FROM pg_replication_slots WHERE slot_name = 'moved'"), "t") == 0) {
        usleep(50000);
    }
    capture_expect_fatal(&c, "was moved to");
    free(old);
    capture_end(&c);
}
END_TEST

START_TEST(slot_that_was_dropped)
{
    struct capture c;
    begin(&c, "dropped");
    capture_close(&c);
    while (strcmp(capture_ask("SELECT active FROM pg_replication_slots WHERE slot_name = 'dropped'"), "t") == 0) {
        usleep(50000);
    }
    capture_sql("SELECT pg_drop_replication_slot('dropped')");
    capture_expect_fatal(&c, "does not exist any more");
    capture_end(&c);
}
END_TEST

START_TEST(slot_of_somebody_else)
{
    struct capture c;
    capture_sql(
        "CREATE TABLE foreign_slot (id int PRIMARY KEY); SELECT pg_create_physical_replication_slot('foreign_slot')");
    capture_begin(&c, "foreign_slot", "foreign_slot");
    capture_expect_fatal(&c, "belongs to another database or program");
    capture_end(&c);
}
END_TEST

START_TEST(other_servers_timelines_and_states)
{
    struct capture c;
    begin(&c, "elsewhere");
    capture_close(&c);
    char *good = memory_copy_text(bytes_text(&c.position));
    change_position(&c, "\"timeline\":1", "\"timeline\":7");
    capture_expect_fatal(&c, "of the server's timeline 7, and the server is on timeline 1 now");
    set_position(&c, good);
    change_position(&c, "\"system\":\"", "\"system\":\"9");
    capture_expect_fatal(&c, "is of the PostgreSQL system 9");
    set_position(&c, good);
    change_position(&c, "\"lsn\":\"", "\"lsn\":\"FFF");
    capture_expect_fatal(&c, "was set back to an older state");
    set_position(&c, "{\"lsn\":5}");
    capture_expect_fatal(&c, "can't be read");
    set_position(&c, good);
    capture_open(&c);
    free(good);
    capture_end(&c);
}
END_TEST

START_TEST(positions_as_text)
{
    struct postgres_slot_position written = {.lsn = 0x100000002,
                                             .commit = 0x300000004,
                                             .events = 5,
                                             .running = true,
                                             .second = true,
                                             .system = "77",
                                             .timeline = 3};
    struct postgres_slot_position read;
    struct postgres_slot_mark mark = {0};
    struct bytes text = {0};
    struct err err;
    bytes_append_text(&mark.table, "public.\"odd\"");
    bytes_append_text(&mark.key, "{\"id\":\"7\"}");
    mark.rows = 9;
    postgres_slot_write_position(&written, &mark, &text);
    ck_assert_int_eq(postgres_slot_read_position(bytes_slice(&text), &read, &mark, &err), 0);
    ck_assert_str_eq(bytes_text(&mark.table), "public.\"odd\"");
    ck_assert_str_eq(bytes_text(&mark.key), "{\"id\":\"7\"}");
    ck_assert(mark.rows == 9 && read.second);
    ck_assert(read.lsn == written.lsn && read.commit == written.commit && read.events == 5 && read.running);
    ck_assert(read.timeline == 3 && strcmp(read.system, "77") == 0);
    for (size_t size = 0; size < text.size; size++) { /* nothing that was cut off is taken */
        ck_assert_int_eq(postgres_slot_read_position(slice_of(text.data, size), &read, &mark, &err), -1);
    }
    bytes_free(&text);
    postgres_slot_free_mark(&mark);
}
END_TEST

POSTGRES_MAIN("postgres_slot", slot_that_was_moved, slot_that_was_dropped, slot_of_somebody_else,
              other_servers_timelines_and_states, positions_as_text)
