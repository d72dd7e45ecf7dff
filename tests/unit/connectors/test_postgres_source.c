/* What the source says about a server that lacks something; tests/support/with_postgres.sh gives the server. */
#include "../../support/postgres_source.h"

static void note(void *self, enum connector_finding finding, const char *text)
{
    bytes_append_format(self, "%d %s\n", (int)finding, text);
}

static void note_statement(void *self, const char *text)
{
    bytes_append_format(self, "> %s\n", text);
}

START_TEST(check_says_what_is_missing)
{
    struct capture c;
    const struct connector_check check = {note, note_statement, &c.seen};
    capture_sql("CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE keyless (id int)");
    capture_begin(&c, "check", "public.keyed");
    option_list_add(&c.options.tables, "public.keyless");
    option_list_add(&c.options.tables, "public.nowhere");
    ck_assert_msg(postgres_source_class.check(&c.context, &check, &c.err) == 0, "%s", c.err.text);
    capture_expect(&c, "0 wal_level is logical");
    capture_expect(&c, "1 max_slot_wal_keep_size is unlimited");
    capture_expect(&c, "0 \"public\".\"keyed\" can be read");
    capture_expect(&c, "2 \"public\".\"keyless\" has no primary key or no replica identity");
    capture_expect(&c, "> ALTER TABLE \"public\".\"keyless\" REPLICA IDENTITY FULL;");
    capture_expect(&c, "2 \"public\".\"nowhere\" does not exist.");
    capture_expect(&c, "0 The publication check for \"public\".\"keyed\" will be made.");
    capture_sql("CREATE PUBLICATION \"check\" FOR TABLE keyed; ALTER TABLE keyed REPLICA IDENTITY NOTHING");
    ck_assert_msg(postgres_source_class.check(&c.context, &check, &c.err) == 0, "%s", c.err.text);
    capture_expect(&c, "0 \"public\".\"keyed\" is in the publication check.");
    capture_expect(&c, "2 \"public\".\"keyed\" has no primary key or no replica identity");
    capture_expect(&c, "2 \"public\".\"keyless\" is not in the publication check.");
    capture_expect(&c, "> ALTER PUBLICATION \"check\" ADD TABLE \"public\".\"keyless\";");
    capture_end(&c);
}
END_TEST

static void set_user(struct capture *capture, const char *user, const char *password)
{
    char url[256];
    snprintf(url, sizeof(url), "postgresql://%s:%s@%s", user, password, strchr(capture_url(), '@') + 1);
    capture_set(capture, "url", url);
}

START_TEST(refused_users_are_told_why)
{
    struct capture c;
    capture_sql("CREATE TABLE guarded (id int PRIMARY KEY); CREATE ROLE plain LOGIN PASSWORD 'p';"
                "CREATE ROLE reader LOGIN REPLICATION PASSWORD 'p'; CREATE PUBLICATION guarded FOR TABLE guarded");
    capture_begin(&c, "guarded", "public.guarded");
    set_user(&c, "plain", "wrong");
    capture_expect_fatal(&c, "password authentication failed");
    ck_assert_ptr_null(strstr(c.err.text, "wrong@"));
    set_user(&c, "plain", "p");
    capture_expect_fatal(&c, "run: ALTER ROLE \"plain\" REPLICATION;");
    set_user(&c, "reader", "p");
    capture_expect_fatal(&c, "run: GRANT SELECT ON \"public\".\"guarded\" TO \"reader\";");
    ck_assert_str_eq(capture_ask("SELECT count(*) FROM pg_replication_slots"), "0");
    capture_sql("GRANT SELECT ON guarded TO reader");
    capture_open(&c);
    capture_to_end(&c);
    capture_sql("INSERT INTO guarded VALUES (1)");
    capture_until(&c, "{\"id\":1}");
    capture_end(&c);
}
END_TEST

START_TEST(tables_and_publications_that_lack_something)
{
    struct capture c;
    capture_begin(&c, "lacking", "public.nowhere");
    capture_expect_fatal(&c, "does not exist");
    capture_sql("CREATE TABLE nowhere (id int, state text); CREATE UNIQUE INDEX ON nowhere (id) WHERE state = 'x';"
                "CREATE VIEW view AS SELECT 1 AS id; CREATE TABLE other (id int PRIMARY KEY)");
    capture_expect_fatal(&c, "No primary key and no other replica identity: nowhere.");
    ck_assert_str_eq(capture_ask("SELECT count(*) FROM pg_publication WHERE pubname = 'lacking'"), "0");
    capture_sql("CREATE PUBLICATION lacking FOR TABLE other");
    capture_expect_fatal(&c, "run: ALTER PUBLICATION \"lacking\" ADD TABLE nowhere;");
    capture_sql("ALTER PUBLICATION lacking ADD TABLE nowhere; INSERT INTO nowhere VALUES (1, 'x')");
    capture_open(&c);
    capture_to_end(&c);
    capture_expect(&c, " {\"op\":\"r\",\"before\":null,\"after\":{\"id\":1,\"state\":\"x\"}");
    capture_end(&c);
    capture_begin(&c, "viewing", "public.view");
    capture_expect_fatal(&c, "is no table");
    capture_end(&c);
}
END_TEST

START_TEST(only_changes_from_now_on)
{
    struct capture c;
    capture_sql("CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)");
    capture_begin(&c, "late", "public.late");
    capture_set(&c, "snapshot", "never");
    capture_set(&c, "tombstones", "false");
    capture_open(&c);
    capture_to_end(&c);
    capture_sql("INSERT INTO late VALUES (2); DELETE FROM late WHERE id = 1; INSERT INTO late VALUES (3)");
    capture_until(&c, "{\"id\":3}");
    ck_assert_uint_eq(c.count, 3);
    capture_expect_none(&c, "\"op\":\"r\"");
    capture_end(&c);
}
END_TEST

POSTGRES_MAIN("postgres_source", check_says_what_is_missing, refused_users_are_told_why,
              tables_and_publications_that_lack_something, only_changes_from_now_on)
