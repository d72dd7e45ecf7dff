/* Lists of tables as Connect's sources have them: names, or regular expressions that mean names. Pure. */
#ifndef TIDEMILL_CLI_CONNECT_TABLES_H
#define TIDEMILL_CLI_CONNECT_TABLES_H

#include "cli/connect_script.h"

/* Appends the names with commas between them. What is no plain name is noted; so is an empty list. */
void connect_tables_list(struct connect_script *script, const char *key, const char *other, struct bytes *names);

#endif
