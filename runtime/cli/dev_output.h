/* What a pipeline writes, as `tidemill dev` shows it: a line per record, "topic  key  value  time".
 *
 * Ownership: borrows everything that dev_output_open gets; dev_output_close closes its readers.
 */
#ifndef TIDEMILL_CLI_DEV_OUTPUT_H
#define TIDEMILL_CLI_DEV_OUTPUT_H

#include "engine/runner.h"

struct dev_output;

struct dev_output *dev_output_open(struct transport *transport, const struct topic_plan *plan,
                                   const struct graph *graph, struct instance *instance);
void dev_output_close(struct dev_output *output);
/* Prints what has come; *count records. Topics that a function chose are found as they come up. */
int dev_output_show(struct dev_output *output, size_t *count, struct err *err);

#endif
