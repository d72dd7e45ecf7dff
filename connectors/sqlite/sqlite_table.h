/* The table that a sink writes: its columns, making and widening it, and the prepared statements by columns given.
 *
 * Ownership: a struct sqlite_table owns its statements and column names until sqlite_table_close; database and options
 * are borrowed. Calls that write expect an open transaction.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_TABLE_H
#define TIDEMILL_CONNECTORS_SQLITE_TABLE_H

#include "connectors/rows.h"
#include "connectors/sqlite/sqlite_db.h"

enum sqlite_table_mode { SQLITE_TABLE_AUTO, SQLITE_TABLE_INSERT, SQLITE_TABLE_UPSERT, SQLITE_TABLE_UPDATE };

#define SQLITE_TABLE_STATEMENTS 32 /* kept at a time; records of a topic mostly have the same members */

struct sqlite_table_statement {
    int action;   /* what it does */
    size_t count; /* of its columns */
    char **names;
    sqlite3_stmt *statement;
};

struct sqlite_table {
    struct sqlite_db *db;
    const char *name;
    const struct option_list *key;
    enum sqlite_table_mode mode; /* not AUTO */
    bool create;
    bool evolve;
    char **columns; /* that can be written; none: there is no table */
    size_t column_count;
    size_t column_capacity;
    struct sqlite_table_statement statements[SQLITE_TABLE_STATEMENTS];
    size_t statement_count;
    size_t last;                      /* index of the one that ran last */
    const struct rows_field **fields; /* of the row being written that go into the statement */
    size_t field_count;
    size_t field_capacity;
    struct bytes text;
};

/* Reads the columns again and forgets all statements; for the start and after a rollback. */
int sqlite_table_load(struct sqlite_table *table, struct err *err);
/* Whether rows can be written as the options say: the table is there or may be made, and has the key. ERR_FATAL. */
int sqlite_table_check(struct sqlite_table *table, struct err *err);
/* Inserts, updates or deletes one row. ERR_SKIP names the column where SQLite does. */
int sqlite_table_write(struct sqlite_table *table, const struct rows_row *row, struct err *err);
void sqlite_table_close(struct sqlite_table *table);

#endif
