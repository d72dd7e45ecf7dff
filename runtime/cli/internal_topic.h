/* Which topics of a log belong to an app, by their names.
 *
 * Ownership: nothing is kept.
 */
#ifndef TIDEMILL_CLI_INTERNAL_TOPIC_H
#define TIDEMILL_CLI_INTERNAL_TOPIC_H

#include "base/option.h"

/* Whether the name is that of an internal topic of the app. `apps`: those that are known beside it. */
bool internal_topic_is_of(const char *topic, const char *app, const struct option_list *apps);

#endif
