/* The generation marker: the first record of each changelog partition, a random id (restore.h says what it is for). */
#ifndef TIDEMILL_ENGINE_GENERATION_H
#define TIDEMILL_ENGINE_GENERATION_H

#include "engine/topic_plan.h"

/* Writes a marker into every changelog partition of the plan that has never held a record. */
int generation_mark(const struct topic_plan *plan, struct transport *transport, const struct clock *clock,
                    struct err *err);

#endif
