/* JDBC source configs as sources that poll tables. Pure. */
#ifndef TIDEMILL_CLI_CONNECT_POLL_H
#define TIDEMILL_CLI_CONNECT_POLL_H

#include "cli/connect_script.h"

/* Appends the sources and their topics to the script's body. ERR_CONFIG. */
int connect_poll_write(struct connect_script *script, struct err *err);

#endif
