/* The test driver: the real worker and stream thread on topics in memory, with a clock driven by hand.
 *
 * Ownership: the driver owns everything it opens; records it hands out are valid until the next call on it.
 */
#ifndef TIDEMILL_ENGINE_DRIVER_H
#define TIDEMILL_ENGINE_DRIVER_H

#include "engine/memory_transport.h"
#include "engine/stream_thread.h"

struct driver;

struct driver_config {
    struct program *program;
    const struct store_driver *stores;
    const struct app_settings *settings; /* of the script; see program.h */
    int32_t partitions;                  /* of every topic; the default is 1 */
};

int driver_open(const struct driver_config *config, struct driver **driver, struct err *err);
void driver_close(struct driver *driver);
/* Appends one input record and runs until nothing is left to do, repartition topics included. */
int driver_send(struct driver *driver, const struct record *record, struct err *err);
/* The same for a record of a source, sent to the topic of its positions: `origin` is what callbacks see as its topic.
 */
int driver_send_from(struct driver *driver, const struct record *record, const char *origin, struct err *err);
/* Moves the wall clock in one jump, fires what is due, runs until nothing is left to do. The clock starts at 0. */
int driver_advance(struct driver *driver, int64_t ms, struct err *err);
/* Everything is committed at once; this lets out what waits for a commit (`emit = "commit"`). */
int driver_commit(struct driver *driver, struct err *err);
/* Ends the pipeline as a process would end, and starts it anew: state comes back from the changelogs. Stores and
 * instances that were looked at are gone. */
int driver_restart(struct driver *driver, struct err *err);
/* Next record written to a topic that is not internal or that a sink reads, in the order of production over all topics;
 * false: no more. */
bool driver_take(struct driver *driver, struct record *record);
/* Next one of a single topic. */
bool driver_take_from(struct driver *driver, const char *topic, struct record *record);
/* ERR_TOPIC with what the pipeline writes, unless the plan has the topic as written or records came out of it. What a
 * function chooses later is not known here. */
int driver_check_output(const struct driver *driver, const char *topic, struct err *err);
/* Name of topic number `index` among those that records were written to, internal ones aside, in order of their first
 * record; NULL: no more. Taking does not change it. */
const char *driver_topics(struct driver *driver, size_t index);
/* The store of partition 0's worker, or of the given partition; NULL: no such store. */
struct store *driver_store(struct driver *driver, const char *name, int32_t partition);
const struct store_driver *driver_store_driver(const struct driver *driver);
struct graph *driver_graph(struct driver *driver);
/* The instance behind a store's worker, to decode with the script's codecs. */
struct instance *driver_instance(struct driver *driver, int32_t partition);

#endif
