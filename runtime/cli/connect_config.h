/* The settings of a Kafka Connect config, and which of them have been looked at. Pure.
 *
 * Ownership: the config owns its texts; connect_config_free releases them.
 */
#ifndef TIDEMILL_CLI_CONNECT_CONFIG_H
#define TIDEMILL_CLI_CONNECT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"

struct connect_setting {
    char *key;
    char *value;
    bool taken;
};

struct connect_config {
    char *name; /* of the connector; never NULL */
    struct connect_setting *list;
    size_t count;
    size_t capacity;
};

/* Takes the JSON object with the settings, or {"name": ..., "config": {...}} around it. ERR_CONFIG with the place. On
 * failure too connect_config_free has to be called. */
int connect_config_parse(struct slice json, struct connect_config *config, struct err *err);
void connect_config_free(struct connect_config *config);

/* The value, and marks it as taken; NULL: there is none, or it is empty. */
const char *connect_config_take(struct connect_config *config, const char *key);
/* The first that there is of two names of one thing; both are taken. */
const char *connect_config_either(struct connect_config *config, const char *key, const char *other);
/* The same without a mark. */
const char *connect_config_look(const struct connect_config *config, const char *key);
bool connect_config_is(struct connect_config *config, const char *key, const char *value); /* takes it */

/* Takes the next item of a list with commas from *at, without the white space around it; false: there is none. */
bool connect_config_item(const char **at, struct slice *item);

#endif
