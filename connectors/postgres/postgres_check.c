#include "connectors/postgres/postgres_check.h"

#include "connectors/postgres/postgres_connection.h"
#include "connectors/postgres/postgres_source.h"

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
    "THEN ' can''t be read.' WHEN NOT identified THEN ' has no primary key: once it is published, UPDATE and '"        \
    " || 'DELETE on it fail.' ELSE ' can be read and has a replica identity.' END, "                                   \
    "CASE WHEN c.oid IS NULL THEN NULL WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN "                            \
    "format('GRANT SELECT ON %s TO %I;', t.name, current_user) WHEN NOT identified THEN "                              \
    "format('ALTER TABLE %s REPLICA IDENTITY FULL;', t.name) END FROM (SELECT $1::text AS name) t "                    \
    "LEFT JOIN pg_class c ON c.oid = to_regclass(t.name) LEFT JOIN LATERAL (SELECT c.relreplident IN ('f', 'i') OR "   \
    "EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS identified) k ON true"

static int say_findings(PGconn *control, const struct connector_check *check, const char *query, const char *table,
                        struct err *err)
{
    PGresult *result = postgres_connection_query_params(control, query, table ? 1 : 0, &table, "checking", err);
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
    PGconn *control = postgres_connection_open(context, options->url, false, err);
    if (!control) {
        return -1;
    }
    int outcome = say_findings(control, check, CHECK_SERVER_SQL, NULL, err);
    for (size_t i = 0; outcome == 0 && i < options->tables.count; i++) {
        struct bytes name = {0};
        postgres_connection_quote_table(&name, options->tables.items[i]);
        outcome = say_findings(control, check, CHECK_TABLE_SQL, bytes_text(&name), err);
        bytes_free(&name);
    }
    PQfinish(control);
    return outcome;
}
