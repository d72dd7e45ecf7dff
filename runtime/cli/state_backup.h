/* A backup of state and of the embedded log, while their app runs.
 *
 * Ownership: everything is borrowed during the call.
 */
#ifndef TIDEMILL_CLI_STATE_BACKUP_H
#define TIDEMILL_CLI_STATE_BACKUP_H

#include "cli/state_files.h"

struct state_backup_config {
    const struct state_files *files;
    const char *data;   /* data directory whose log is copied; NULL: none */
    const char *output; /* what does not exist yet */
    bool json;
};

/* Makes the directory `output` as a data directory: state/<app>/<slot>/<worker> and log, without the slots' identity.
 * It appears under its name when it is complete. What was copied is written to `out`. ERR_CONFIG: it is there already;
 * else as state_copy and local_copy, and nothing stays. */
int state_backup(const struct state_backup_config *config, struct bytes *out, struct err *err);

#endif
