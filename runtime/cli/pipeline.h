/* A script as the commands use it: loaded once, with what the command line says over its own settings.
 *
 * Ownership: pipeline_close releases everything; settings and graph live as long as the pipeline.
 */
#ifndef TIDEMILL_CLI_PIPELINE_H
#define TIDEMILL_CLI_PIPELINE_H

#include "cli/connection.h"
#include "engine/program.h"

struct pipeline {
    struct program *program;
    struct instance *instance;
    const struct app_settings *settings;
    const struct graph *graph;
};

/* `threads` 0: not given. ERR_CONFIG for a bad --set, ERR_TOPOLOGY for a script that does not build. On failure too
 * pipeline_close has to be called. */
int pipeline_open(const char *script, const struct option_list *set, int64_t threads, struct pipeline *pipeline,
                  struct err *err);
void pipeline_close(struct pipeline *pipeline);

/* "<data>/state" or state_dir; the caller frees it. */
char *pipeline_state_directory(const struct app_settings *settings, const char *data);

#endif
