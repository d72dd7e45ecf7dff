#include "connectors/sqlite/sqlite_key.h"

#include "connectors/sqlite/sqlite_change.h"

static char type_of(enum envelope_kind kind)
{
    switch (kind) {
    case ENVELOPE_INTEGER:
        return 'i';
    case ENVELOPE_REAL:
        return 'r';
    case ENVELOPE_TEXT:
        return 't';
    case ENVELOPE_BYTES:
        return 'b';
    default:
        return 'n';
    }
}

void sqlite_key_put(struct option_list *after, sqlite3_stmt *statement, int column)
{
    struct envelope_value from = sqlite_change_value(statement, column);
    struct sqlite_position_value value = {.type = type_of(from.kind), .integer = from.integer, .real = from.real};
    bytes_append_slice(&value.text, from.text);
    sqlite_position_put(after, &value);
    bytes_free(&value.text);
}

static void bind_value(sqlite3_stmt *statement, int at, const struct sqlite_position_value *value)
{
    struct slice text = bytes_slice(&value->text);
    switch (value->type) {
    case 'i':
        sqlite3_bind_int64(statement, at, value->integer);
        break;
    case 'r':
        sqlite3_bind_double(statement, at, value->real);
        break;
    case 't':
        sqlite3_bind_text64(statement, at, (const char *)text.data, text.size, SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
    case 'b':
        sqlite3_bind_blob64(statement, at, text.data, text.size, SQLITE_TRANSIENT);
        break;
    default:
        sqlite3_bind_null(statement, at);
    }
}

void sqlite_key_bind(const struct option_list *after, sqlite3_stmt *statement, size_t first)
{
    struct sqlite_position_value value = {0};
    for (size_t i = 0; i < after->count; i++) {
        if (sqlite_position_take(after->items[i], &value)) {
            bind_value(statement, (int)(first + i), &value);
        }
    }
    bytes_free(&value.text);
}
