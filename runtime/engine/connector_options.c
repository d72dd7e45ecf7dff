#include "engine/connector.h"

#include <stddef.h>

#define RETRY_FIRST                                                                                                    \
    {                                                                                                                  \
        .name = "retry_ms", .type = OPTION_DURATION, .offset = offsetof(struct connector_runner_options, retry_ms),    \
        .default_text = "100ms", .low = 1, .high = 3600000,                                                            \
        .text = "How long to wait after a first failure before connecting again; doubled with each one that follows."  \
    }
#define RETRY_LONGEST                                                                                                  \
    {                                                                                                                  \
        .name = "retry_max_ms", .type = OPTION_DURATION,                                                               \
        .offset = offsetof(struct connector_runner_options, retry_max_ms), .default_text = "30s", .low = 1,            \
        .high = 3600000, .text = "The longest wait between two attempts; they go on for ever."                         \
    }

static const struct option source_list[] = {RETRY_FIRST, RETRY_LONGEST};

static const struct option sink_list[] = {
    {.name = "batch",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct connector_runner_options, batch),
     .default_text = "10000",
     .low = 1,
     .high = 32768,
     .text = "Most records written in one transaction of the target; what has come is written at once, so under load "
             "batches grow by themselves."},
    {.name = "linger_ms",
     .type = OPTION_DURATION,
     .offset = offsetof(struct connector_runner_options, linger_ms),
     .default_text = "0",
     .high = 60000,
     .text = "How long to wait for more records before a batch that is not full is written."},
    {.name = "tasks",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct connector_runner_options, tasks),
     .default_text = "0",
     .high = 1000,
     .text = "How many tasks write at the same time: the partitions of the sink's topic; 0: as the connector says."},
    RETRY_FIRST,
    RETRY_LONGEST,
};

const struct option_table connector_source_options = {"source", source_list,
                                                      sizeof(source_list) / sizeof(source_list[0])};
const struct option_table connector_sink_options = {"sink", sink_list, sizeof(sink_list) / sizeof(sink_list[0])};
