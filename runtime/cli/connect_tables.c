#include "cli/connect_tables.h"

/* A name that stands in a regular expression: escaped dots, quotes and anchors are taken off. False: it is a real
 * expression. */
static bool plain_name(struct slice item, struct bytes *name)
{
    for (size_t i = 0; i < item.size; i++) {
        unsigned char byte = item.data[i];
        bool anchor = (byte == '^' && i == 0) || (byte == '$' && i + 1 == item.size);
        if (byte == '\\' && i + 1 < item.size && strchr(".$_-", item.data[i + 1]) != NULL) {
            bytes_append_byte(name, item.data[++i]);
        } else if (strchr("*+?[](){}|^$\\", byte) != NULL && !anchor) {
            return false;
        } else if (byte != '"' && !anchor) {
            bytes_append_byte(name, byte);
        }
    }
    return name->size > 0;
}

void connect_tables_list(struct connect_script *script, const char *key, const char *other, struct bytes *names)
{
    const char *list = connect_config_either(script->config, key, other);
    const char *found = connect_config_look(script->config, other) != NULL ? other : key;
    struct slice item;
    struct bytes name = {0};
    while (connect_config_item(&list, &item)) {
        bytes_clear(&name);
        if (plain_name(item, &name)) {
            bytes_append_text(names, names->size > 0 ? "," : "");
            bytes_append_slice(names, bytes_slice(&name));
        } else {
            connect_script_note(script, found,
                                "TODO \"%.*s\" is a regular expression; name the tables in the script's list.",
                                (int)(item.size < 100 ? item.size : 100), (const char *)item.data);
        }
    }
    if (names->size == 0) {
        connect_script_note(script, found, "TODO no table is named; name the tables in the script's list.");
    }
    bytes_free(&name);
}
