/* Which node reads or writes what a test names, and with which codecs.
 *
 * The test driver runs no connectors: a source is the topic of its positions, a sink the topic that it reads, and a
 * test names both as the script does. A topic of the same name goes first. Ownership: everything is borrowed from the
 * driver and its graph.
 */
#ifndef TIDEMILL_SCRIPTS_TEST_TOPICS_H
#define TIDEMILL_SCRIPTS_TEST_TOPICS_H

#include "engine/driver.h"
#include "scripts/codec.h"

struct test_codecs {
    const struct codec *key;
    const struct codec *value;
};

/* What the script's options of that node say, else the defaults; NULL: the defaults. */
struct test_codecs test_topics_codecs(struct driver *driver, const struct node *node);
/* Who reads the topic, or the source of that name: then *topic becomes its topic. NULL: neither. */
const struct node *test_topics_reader(const struct graph *graph, const char **topic);
/* Who writes the topic, or into the sink of that name: then *topic becomes its topic; else the first node that chooses
 * topics with a function. NULL: none. */
const struct node *test_topics_writer(const struct graph *graph, const char **topic);
const struct graph_store *test_topics_store(const struct graph *graph, const char *name);

#endif
