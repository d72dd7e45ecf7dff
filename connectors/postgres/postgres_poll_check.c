#include "connectors/postgres/postgres_poll_check.h"

#include <stdio.h>

const char *postgres_poll_weakness(const struct poll_options *options)
{
    switch ((enum poll_cursor)options->cursor) {
    case POLL_ID:
        return "A row that is committed later than one with a higher id is never seen, nor are changes and deletes; "
               "the cursor commit loses no row.";
    case POLL_TIME_ID:
        return "A row that is committed later than delay_ms after its time is never seen, nor are deletes; the cursor "
               "commit loses no row.";
    case POLL_COMMIT:
        break;
    }
    return NULL;
}

/* Whether the commit column is there, is set anew by updates, and whether an index has the cursor's order. $1: the
 * table, $2 and $3: the first and the second column of the cursor. */
#define FACTS_SQL                                                                                                      \
    "SELECT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = $2 AND a.atttypid = "          \
    "'xid8'::regtype), EXISTS (SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid WHERE g.tgrelid = t.oid "   \
    "AND NOT g.tgisinternal AND p.prosrc LIKE '%pg_current_xact_id%'), EXISTS (SELECT FROM pg_index i WHERE "          \
    "i.indrelid = t.oid AND i.indisvalid AND (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = t.oid AND "      \
    "a.attnum = i.indkey[0]) = $2 AND ($3 = '' OR (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = t.oid AND " \
    "a.attnum = i.indkey[1]) = $3)) FROM (SELECT $1::regclass AS oid) t"

struct names {
    struct bytes table, commit, id, first, function;
};

static void free_names(struct names *names)
{
    bytes_free(&names->table);
    bytes_free(&names->commit);
    bytes_free(&names->id);
    bytes_free(&names->first);
    bytes_free(&names->function);
}

static void quote_names(const struct poll_options *options, struct names *names)
{
    struct bytes plain = {0};
    postgres_connection_quote_table(&names->table, options->table);
    postgres_connection_quote(&names->commit, slice_text(options->commit));
    postgres_connection_quote(&names->id, slice_text(options->id));
    postgres_connection_quote(&names->first,
                              slice_text(options->cursor == POLL_COMMIT ? options->commit : options->time));
    bytes_append_format(&plain, "tidemill_set_%s", options->commit);
    postgres_connection_quote(&names->function, bytes_slice(&plain));
    bytes_free(&plain);
}

static void print(const struct connector_check *check, struct bytes *sql)
{
    check->statement(check->self, bytes_text(sql));
    bytes_clear(sql);
}

static void print_trigger(struct names *names, const struct connector_check *check, struct bytes *sql)
{
    bytes_append_format(sql,
                        "CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.%s := "
                        "pg_current_xact_id(); RETURN NEW; END $$;",
                        bytes_text(&names->function), bytes_text(&names->commit));
    print(check, sql);
    bytes_append_format(sql, "CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s();",
                        bytes_text(&names->function), bytes_text(&names->table), bytes_text(&names->function));
    print(check, sql);
}

static void say_commit(const PGresult *facts, struct names *names, const struct connector_check *check)
{
    struct bytes sql = {0};
    if (PQgetvalue(facts, 0, 0)[0] != 't') {
        check->say(check->self, FINDING_BAD,
                   "The table lacks the column of type xid8 with the number of the transaction, which the cursor "
                   "commit reads.");
        bytes_append_format(&sql, "ALTER TABLE %s ADD COLUMN %s xid8 NOT NULL DEFAULT pg_current_xact_id();",
                            bytes_text(&names->table), bytes_text(&names->commit));
        print(check, &sql);
    }
    if (PQgetvalue(facts, 0, 1)[0] != 't') {
        check->say(check->self, FINDING_WARNING,
                   "No trigger sets the column anew: new rows are seen, updates are not.");
        print_trigger(names, check, &sql);
    }
    bytes_free(&sql);
}

static void say_index(const struct poll_options *options, const PGresult *facts, struct names *names,
                      const struct connector_check *check)
{
    struct bytes sql = {0};
    bool two = options->cursor != POLL_ID;
    if (PQgetvalue(facts, 0, 2)[0] != 't') {
        check->say(check->self, FINDING_WARNING,
                   "No index has the cursor's columns: every poll reads and sorts the whole table.");
        bytes_append_format(&sql, "CREATE INDEX CONCURRENTLY ON %s (%s%s%s);", bytes_text(&names->table),
                            two ? bytes_text(&names->first) : bytes_text(&names->id), two ? ", " : "",
                            two ? bytes_text(&names->id) : "");
        print(check, &sql);
    }
    bytes_free(&sql);
}

void postgres_poll_check(PGconn *connection, const struct poll_options *options, const struct connector_check *check)
{
    struct err missing; /* that there is no such table was said before */
    if (postgres_poll_weakness(options)) {
        check->say(check->self, FINDING_WARNING, postgres_poll_weakness(options));
    }
    if (!options->table || !options->table[0]) {
        return;
    }
    struct names names = {0};
    quote_names(options, &names);
    bool one = options->cursor == POLL_ID;
    const char *values[] = {
        bytes_text(&names.table),
        one                              ? options->id
        : options->cursor == POLL_COMMIT ? options->commit
                                         : options->time,
        one ? "" : options->id,
    };
    PGresult *facts =
        postgres_connection_query_params(connection, FACTS_SQL, 3, values, "looking at the table", &missing);
    if (facts && options->cursor == POLL_COMMIT) {
        say_commit(facts, &names, check);
    }
    if (facts) {
        say_index(options, facts, &names, check);
    }
    PQclear(facts);
    free_names(&names);
}
