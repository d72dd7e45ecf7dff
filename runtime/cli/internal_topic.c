#include "cli/internal_topic.h"

#include <string.h>

static bool has_internal_end(const char *topic)
{
    static const char *const ends[] = {"-changelog", "-repartition",  "-positions",
                                       "-sink",      "-registration", "-response"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t length = strlen(ends[i]);
        if (strlen(topic) > length && strcmp(topic + strlen(topic) - length, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool begins_with_app(const char *topic, const char *app)
{
    size_t length = strlen(app);
    return strncmp(topic, app, length) == 0 && topic[length] == '-';
}

/* shop-eu-totals-changelog is a topic of the app shop-eu, as far as that one is known, and not of the app shop. */
static bool is_of_longer_app(const char *topic, const char *app, const struct option_list *apps)
{
    for (size_t i = 0; i < apps->count; i++) {
        if (strlen(apps->items[i]) > strlen(app) && begins_with_app(apps->items[i], app) &&
            begins_with_app(topic, apps->items[i])) {
            return true;
        }
    }
    return false;
}

bool internal_topic_is_of(const char *topic, const char *app, const struct option_list *apps)
{
    return begins_with_app(topic, app) && has_internal_end(topic) && !is_of_longer_app(topic, app, apps);
}
