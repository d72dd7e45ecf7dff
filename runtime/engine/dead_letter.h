/* The record that goes to the dead letter topic in place of one that could not be processed.
 *
 * Ownership: everything in the result borrows from the source record, the arguments and the arena.
 */
#ifndef TIDEMILL_ENGINE_DEAD_LETTER_H
#define TIDEMILL_ENGINE_DEAD_LETTER_H

#include "base/arena.h"
#include "base/err.h"
#include "engine/record.h"

struct dead_letter_context {
    const char *app;
    const char *worker;
    const char *node;
    const struct err *cause;
};

/* Key, value, timestamp and headers of the source as they came, with the context headers of Kafka Connect
 * (`__connect.errors.topic`, `.partition`, `.offset`, `.connector.name`, `.task.id`, `.stage`, `.class.name`,
 * `.exception.class.name`, `.exception.message`) behind them. Source: Kafka Connect's DeadLetterQueueReporter. */
struct record dead_letter_make(const struct record *source, const struct dead_letter_context *context,
                               struct arena *arena);

#endif
