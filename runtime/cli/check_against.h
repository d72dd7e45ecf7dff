/* What a changed script makes of the state and the internal topics of the app as it ran last.
 *
 * Ownership: rows belong to the struct; check_against_free releases them, also after a failure.
 */
#ifndef TIDEMILL_CLI_CHECK_AGAINST_H
#define TIDEMILL_CLI_CHECK_AGAINST_H

#include "engine/graph.h"
#include "engine/topic_plan.h"

enum check_fate { FATE_CREATED, FATE_REUSED, FATE_ORPHANED, FATE_INCOMPATIBLE };

struct check_row {
    bool topic; /* else a store */
    char *name;
    enum check_fate fate;
    char *why; /* a sentence, or "" */
};

struct check_against {
    struct check_row *rows; /* stores, then topics */
    size_t count;
    size_t capacity;
};

struct check_request {
    const struct graph *graph;
    const struct topic_plan *plan; /* a dry run */
    struct transport *transport;
    const char *app;
    const char *state_directory; /* "<data>/state"; it need not exist */
};

/* Reads what is there and changes nothing; the app may run meanwhile. */
int check_against(const struct check_request *request, struct check_against *against, struct err *err);
void check_against_free(struct check_against *against);
const char *check_fate_name(enum check_fate fate);

#endif
