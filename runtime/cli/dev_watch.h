/* Which files `tidemill dev` looks at: the script, the modules beside it, and the inputs.
 *
 * Ownership: paths are borrowed; dev_watch_free releases the rest.
 */
#ifndef TIDEMILL_CLI_DEV_WATCH_H
#define TIDEMILL_CLI_DEV_WATCH_H

#include "base/bytes.h"
#include "base/option.h"

struct dev_watch {
    const char *script;
    const struct option_list *files; /* further ones */
    struct bytes seen;               /* names, sizes and times as of the last look */
};

/* Notes how everything is now. */
void dev_watch_note(struct dev_watch *watch);
/* Whether something was saved since then. A file that is still being written counts once it rests. */
bool dev_watch_changed(struct dev_watch *watch);
void dev_watch_free(struct dev_watch *watch);

#endif
