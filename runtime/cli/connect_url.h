/* JDBC addresses of databases as our connectors take them. Pure. */
#ifndef TIDEMILL_CLI_CONNECT_URL_H
#define TIDEMILL_CLI_CONNECT_URL_H

#include "cli/connect_script.h"

enum connect_database { CONNECT_POSTGRES, CONNECT_SQLITE };

/* Where a database is, in the words of Connect; NULL: not said. */
struct connect_address {
    const char *user;
    const char *password_key; /* the setting that holds it */
    const char *password;
};

/* Reads the setting `connection.url` and appends the option line: `url = "postgresql://..."` or `path = "..."`, without
 * a comma. ERR_CONFIG: it is missing, or of a database that there is no connector for. */
int connect_url_jdbc(struct connect_script *script, const struct connect_address *address,
                     enum connect_database *database, struct bytes *out, struct err *err);

/* postgresql://USER:PASSWORD@HOST/DATABASE of Debezium's settings; `port` and `sslmode` may be NULL. */
void connect_url_parts(struct connect_script *script, const struct connect_address *address, const char *host,
                       const char *port, const char *database, const char *sslmode, struct bytes *out);

#endif
