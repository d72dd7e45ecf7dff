#include "connectors/postgres/postgres_statement.h"

/* " unnest($1::bigint[], $2::text[]) AS v(c0, c3)", the names by the columns' places. */
static void append_unnest(struct bytes *sql, const struct postgres_table *table, const unsigned char *forms)
{
    int parameter = 0;
    bytes_append_text(sql, " unnest(");
    for (size_t i = 0; i < table->count; i++) {
        if (forms[i]) {
            bytes_append_format(sql, "%s$%d::%s", parameter ? ", " : "", parameter + 1,
                                forms[i] == POSTGRES_FORM_BINARY ? table->columns[i].binary->array : "text[]");
            parameter++;
        }
    }
    const char *before = ") AS v(";
    for (size_t i = 0; i < table->count; i++) {
        if (forms[i]) {
            bytes_append_format(sql, "%sc%zu", before, i);
            before = ", ";
        }
    }
    bytes_append_text(sql, ")");
}

static void append_source(struct bytes *sql, const struct postgres_table *table, size_t column)
{
    bytes_append_format(sql, "v.c%zu::%s", column, table->columns[column].cast);
}

static bool is_key(const struct postgres_target *target, size_t column)
{
    for (size_t i = 0; i < target->key->count; i++) {
        if (strcmp(target->key->items[i], target->table->columns[column].name) == 0) {
            return true;
        }
    }
    return false;
}

static void append_names(struct bytes *sql, const struct postgres_table *table, const unsigned char *forms)
{
    const char *before = "";
    for (size_t i = 0; i < table->count; i++) {
        if (forms[i]) {
            bytes_append_text(sql, before);
            postgres_connection_quote(sql, slice_text(table->columns[i].name));
            before = ", ";
        }
    }
}

/* "t.key = v.c0 AND .." */
static void append_match(struct bytes *sql, const struct postgres_target *target)
{
    const char *before = " WHERE t.";
    for (size_t i = 0; i < target->table->count; i++) {
        if (is_key(target, i)) {
            bytes_append_text(sql, before);
            postgres_connection_quote(sql, slice_text(target->table->columns[i].name));
            bytes_append_text(sql, " = ");
            append_source(sql, target->table, i);
            before = " AND t.";
        }
    }
}

static void append_conflict(struct bytes *sql, const struct postgres_target *target, const unsigned char *forms)
{
    const char *before = ") DO UPDATE SET ";
    bytes_append_text(sql, " ON CONFLICT (");
    for (size_t i = 0; i < target->key->count; i++) {
        bytes_append_text(sql, i ? ", " : "");
        postgres_connection_quote(sql, slice_text(target->key->items[i]));
    }
    for (size_t i = 0; i < target->table->count; i++) {
        if (forms[i] && !is_key(target, i)) {
            bytes_append_text(sql, before);
            postgres_connection_quote(sql, slice_text(target->table->columns[i].name));
            bytes_append_text(sql, " = EXCLUDED.");
            postgres_connection_quote(sql, slice_text(target->table->columns[i].name));
            before = ", ";
        }
    }
    bytes_append_text(sql, before[0] == ')' ? ") DO NOTHING" : "");
}

void postgres_statement_delete(struct bytes *sql, const struct postgres_target *target, const unsigned char *forms)
{
    bytes_append_text(sql, "DELETE FROM ");
    postgres_connection_quote_table(sql, target->table_name);
    bytes_append_text(sql, " AS t USING");
    append_unnest(sql, target->table, forms);
    append_match(sql, target);
}

bool postgres_statement_is_partial(const struct postgres_target *target, const unsigned char *forms)
{
    for (size_t i = 0; i < target->table->count; i++) {
        if (target->table->columns[i].required && !forms[i]) {
            return true;
        }
    }
    return false;
}

void postgres_statement_upsert(struct bytes *sql, const struct postgres_target *target, const unsigned char *forms)
{
    const char *before = ") SELECT ";
    bytes_append_text(sql, "INSERT INTO ");
    postgres_connection_quote_table(sql, target->table_name);
    bytes_append_text(sql, " (");
    append_names(sql, target->table, forms);
    for (size_t i = 0; i < target->table->count; i++) {
        if (forms[i]) {
            bytes_append_text(sql, before);
            append_source(sql, target->table, i);
            before = ", ";
        }
    }
    bytes_append_text(sql, " FROM");
    append_unnest(sql, target->table, forms);
    if (postgres_statement_is_partial(target, forms)) {
        bytes_append_text(sql, " WHERE NOT EXISTS (SELECT FROM ");
        postgres_connection_quote_table(sql, target->table_name);
        bytes_append_text(sql, " AS t");
        append_match(sql, target);
        bytes_append_byte(sql, ')');
    }
    append_conflict(sql, target, forms);
}

void postgres_statement_update(struct bytes *sql, const struct postgres_target *target, const unsigned char *forms)
{
    struct bytes set = {0};
    for (size_t i = 0; i < target->table->count; i++) {
        if (forms[i] && !is_key(target, i)) {
            bytes_append_text(&set, set.size ? ", " : " AS t SET ");
            postgres_connection_quote(&set, slice_text(target->table->columns[i].name));
            bytes_append_text(&set, " = ");
            append_source(&set, target->table, i);
        }
    }
    if (set.size > 0) {
        bytes_append_text(sql, "UPDATE ");
        postgres_connection_quote_table(sql, target->table_name);
        bytes_append_slice(sql, bytes_slice(&set));
        bytes_append_text(sql, " FROM");
        append_unnest(sql, target->table, forms);
        append_match(sql, target);
    }
    bytes_free(&set);
}

void postgres_statement_copy(struct bytes *sql, const struct postgres_target *target, const unsigned char *forms)
{
    bool text = false;
    for (size_t i = 0; i < target->table->count; i++) {
        text = text || forms[i] == POSTGRES_FORM_TEXT;
    }
    bytes_append_text(sql, "COPY ");
    postgres_connection_quote_table(sql, target->table_name);
    bytes_append_text(sql, " (");
    append_names(sql, target->table, forms);
    bytes_append_format(sql, ") FROM STDIN (FORMAT %s)", text ? "text" : "binary");
}
