#include "connectors/postgres/postgres_check.h"

#include "connectors/postgres/postgres_connection.h"
#include "connectors/postgres/postgres_options.h"

#include <stdlib.h>

/* Rows of finding (as enum connector_finding), sentence, statement or null. */
#define CHECK_SERVER_SQL                                                                                               \
    "SELECT CASE current_setting('wal_level') WHEN 'logical' THEN 0 ELSE 2 END, "                                      \
    "'wal_level is ' || current_setting('wal_level') || '; it must be logical.', "                                     \
    "CASE current_setting('wal_level') WHEN 'logical' THEN NULL ELSE "                                                 \
    "'ALTER SYSTEM SET wal_level = ''logical''; -- and restart the server' END "                                       \
    "UNION ALL SELECT CASE WHEN rolreplication OR rolsuper THEN 0 ELSE 2 END, "                                        \
    "format('The user %s %s open a replication stream.', rolname, "                                                    \
    "CASE WHEN rolreplication OR rolsuper THEN 'may' ELSE 'may not' END), "                                            \
    "CASE WHEN rolreplication OR rolsuper THEN NULL ELSE format('ALTER ROLE %I REPLICATION;', rolname) END "           \
    "FROM pg_roles WHERE rolname = current_user UNION ALL SELECT 1, 'max_slot_wal_keep_size is unlimited: while the '" \
    " || 'source is stopped, the server keeps its log until the disk is full.', "                                      \
    "'ALTER SYSTEM SET max_slot_wal_keep_size = ''50GB''; SELECT pg_reload_conf();' "                                  \
    "FROM pg_settings WHERE name = 'max_slot_wal_keep_size' AND setting = '-1'"
#define CHECK_TABLE_SQL                                                                                                \
    "SELECT CASE WHEN c.oid IS NULL OR NOT has_table_privilege(c.oid, 'SELECT') OR NOT identified THEN 2 ELSE 0 END, " \
    "t.name || CASE WHEN c.oid IS NULL THEN ' does not exist.' WHEN NOT has_table_privilege(c.oid, 'SELECT') "         \
    "THEN ' can''t be read.' WHEN NOT identified THEN ' has no primary key or no replica identity: once it is "        \
    "published, UPDATE and '"                                                                                          \
    " || 'DELETE on it fail.' ELSE ' can be read and has a replica identity.' END, "                                   \
    "CASE WHEN c.oid IS NULL THEN NULL WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN "                            \
    "format('GRANT SELECT ON %s TO %I;', t.name, current_user) WHEN NOT identified THEN "                              \
    "format('ALTER TABLE %s REPLICA IDENTITY FULL;', t.name) END FROM (SELECT $1::text AS name) t "                    \
    "LEFT JOIN pg_class c ON c.oid = to_regclass(t.name) LEFT JOIN LATERAL (SELECT c.relreplident IN ('f', 'i') OR "   \
    "c.relreplident = 'd' AND "                                                                                        \
    "EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS identified) k ON true"

/* Of the table $1 in the publication $2; nothing of a table that is not there. */
#define CHECK_PUBLICATION_SQL                                                                                          \
    "SELECT CASE WHEN has OR missing AND may THEN 0 ELSE 2 END, CASE WHEN has THEN format('%s is in the publication "  \
    "%s.', t, p) WHEN NOT missing THEN format('%s is not in the publication %s.', t, p) WHEN may THEN "                \
    "format('The publication %s for %s will be made.', p, t) ELSE format('There is no publication %s for %s, and the " \
    "user may not make it.', p, t) END, CASE WHEN has OR missing AND may THEN NULL WHEN missing THEN "                 \
    "format('CREATE PUBLICATION %I FOR TABLE %s;', p, t) ELSE format('ALTER PUBLICATION %I ADD TABLE %s;', p, t) END " \
    "FROM (SELECT $1::text AS t, $2::text AS p, NOT EXISTS (SELECT FROM pg_publication WHERE pubname = $2::text) AS "  \
    "missing, EXISTS (SELECT FROM pg_publication_tables WHERE pubname = $2::text AND schemaname = n.nspname AND "      \
    "tablename = c.relname) AS has, has_database_privilege(current_database(), 'CREATE') AND "                         \
    "pg_has_role(c.relowner, 'USAGE') AS may FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "           \
    "WHERE c.oid = to_regclass($1::text)) AS found"

static int say_findings(PGconn *control, const struct connector_check *check, const char *query, int count,
                        const char *const *values, struct err *err)
{
    PGresult *result = postgres_connection_query_params(control, query, count, values, "checking", err);
    for (int row = 0; result && row < PQntuples(result); row++) {
        check->say(check->self, (enum connector_finding)atoi(PQgetvalue(result, row, 0)), PQgetvalue(result, row, 1));
        if (!PQgetisnull(result, row, 2)) {
            check->statement(check->self, PQgetvalue(result, row, 2));
        }
    }
    PQclear(result);
    return result ? 0 : -1;
}

int postgres_check_source(const struct connector_context *context, const struct connector_check *check, struct err *err)
{
    const struct postgres_source_options *options = context->options;
    char slot[POSTGRES_OPTIONS_NAME], publication[POSTGRES_OPTIONS_NAME];
    if (postgres_options_names(context, slot, publication, err)) {
        return -1;
    }
    PGconn *control = postgres_connection_open(context, options->url, false, err);
    if (!control) {
        return -1;
    }
    int outcome = say_findings(control, check, CHECK_SERVER_SQL, 0, NULL, err);
    for (size_t i = 0; outcome == 0 && i < options->tables.count; i++) {
        struct bytes name = {0};
        postgres_connection_quote_table(&name, options->tables.items[i]);
        const char *values[] = {bytes_text(&name), publication};
        outcome = say_findings(control, check, CHECK_TABLE_SQL, 1, values, err) ||
                          say_findings(control, check, CHECK_PUBLICATION_SQL, 2, values, err)
                      ? -1
                      : 0;
        bytes_free(&name);
    }
    PQfinish(control);
    return outcome;
}
