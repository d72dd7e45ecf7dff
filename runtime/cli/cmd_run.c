/* tidemill run: the app in this process, until it is told to stop or has read everything. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cli/command.h"
#include "cli/connection.h"
#include "cli/pipeline.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/run_status.h"
#include "cli/signals.h"
#include "store/store_driver.h"

#define IDLE_WAIT_MS 200 /* an app that runs for ever is looked at so often */
#define BUSY_WAIT_MS 50

struct run_options {
    struct connection_options connection;
    int64_t threads;
    bool until_end;
    char *instance;
    bool stay;
    char *http;
    int log_level;
    int log_format;
    bool progress;
};

struct run {
    const struct run_options *options;
    struct pipeline pipeline;
    struct connection connection;
    char *state_directory;
    struct runner *runner;
    struct http *http;
    struct progress progress;
    bool stopping;
    bool may_be_cut; /* it was said that another signal ends at once */
};

/* ---- while it runs ---- */

static void show_progress(struct run *run)
{
    int64_t done;
    int64_t left;
    char number[PRINT_NUMBER_SIZE];
    char rest[64] = "";
    runner_progress(run->runner, &done, &left);
    double seconds = progress_seconds(&run->progress);
    double rate = seconds > 0 ? (double)done / seconds : 0;
    if (done + left > 0 && run->options->until_end) {
        snprintf(rest, sizeof rest, ", %d %%", (int)(100 * done / (done + left)));
    }
    progress_show(&run->progress, "%s records%s, %.0f records/s, %.0f s left", print_number(done, number), rest, rate,
                  rate > 0 ? (double)left / rate : 0);
}

static void look_around(struct run *run)
{
    if (signals_received() && !run->stopping) {
        run->stopping = true;
        log_event(LOG_INFO, "Stopping: what was read is processed and committed.",
                  log_text("app", run->pipeline.settings->id));
        runner_stop(run->runner);
    }
    if (signals_next_ends() && !run->may_be_cut) {
        run->may_be_cut = true;
        log_event(LOG_INFO, "Still stopping: another signal ends at once, and loses nothing that was committed.",
                  log_text("app", run->pipeline.settings->id));
    }
    if (progress_due(&run->progress)) {
        show_progress(run);
    }
}

static int wait_for_end(struct run *run, struct err *err)
{
    bool ended = false;
    while (!ended) {
        look_around(run);
        bool brisk = run->options->until_end || run->stopping;
        if (runner_wait(run->runner, brisk ? BUSY_WAIT_MS : 0, &ended, err) != 0) {
            return -1;
        }
        if (!ended && !brisk) {
            signals_wait(IDLE_WAIT_MS);
        }
    }
    return 0;
}

static void print_summary(struct run *run)
{
    int64_t done;
    int64_t left;
    char number[PRINT_NUMBER_SIZE];
    char rate[PRINT_NUMBER_SIZE];
    runner_progress(run->runner, &done, &left);
    if (!run->options->until_end) {
        return;
    }
    if (run->stopping) {
        printf("Stopped before the end: %s records processed and committed.\n", print_number(done, number));
    } else if (done == 0) {
        printf("Nothing new: every input had been processed to its end.\n");
    } else {
        double seconds = progress_seconds(&run->progress);
        printf("%s record%s processed in %.1f s (%s records/s).\n", print_number(done, number), done == 1 ? "" : "s",
               seconds, print_number((int64_t)((double)done / (seconds > 0 ? seconds : 1)), rate));
    }
}

/* ---- beginning and end ---- */

static int open_app(struct run *run, const char *script, struct err *err)
{
    const struct run_options *options = run->options;
    if (pipeline_open(script, &options->connection.set, options->threads, &run->pipeline, err) != 0 ||
        connection_open(&options->connection, run->pipeline.settings, CONNECTION_STATE, &run->connection, err) != 0) {
        return -1;
    }
    signals_install();
    signal(SIGPIPE, SIG_IGN); /* a connection that the other side closes is no reason to end */
    run->state_directory = pipeline_state_directory(run->pipeline.settings, run->connection.data);
    struct runner_config config = {
        .settings = *run->pipeline.settings,
        .program = run->pipeline.program,
        .stores = &sqlite_store_driver,
        .transport = run->connection.transport,
        .embedded = run->connection.embedded,
        .state_directory = run->state_directory,
        .instance = options->instance,
        .stay = options->stay,
        .until_end = options->until_end,
        .stopped = signals_received,
    };
    return runner_open(&config, &run->runner, err);
}

/* Whether a signal ended the opening before anything was begun. */
static bool was_stopped(const struct run *run, const struct err *err)
{
    return run->runner == NULL && err->class == ERR_RETRY && signals_received();
}

static int open_http(struct run *run, struct err *err)
{
    if (run->options->http == NULL) {
        return 0;
    }
    struct http_source source = run_source(run->runner);
    if (http_open(run->options->http, &source, &run->http, err) != 0) {
        return -1;
    }
    log_event(LOG_INFO, "The HTTP server listens.", log_text("address", run->options->http),
              log_number("port", http_port(run->http)));
    return 0;
}

static void close_app(struct run *run)
{
    http_close(run->http);
    if (run->runner != NULL) {
        runner_close(run->runner);
    }
    connection_close(&run->connection);
    pipeline_close(&run->pipeline);
    free(run->state_directory);
}

static int run_app(void *data, char **arguments, int count, struct err *err)
{
    (void)count;
    const struct run_options *options = data;
    struct run run = {.options = options};
    log_configure((enum log_level)options->log_level, options->log_format == 1);
    int result = open_app(&run, arguments[0], err);
    if (result != 0 && was_stopped(&run, err)) {
        close_app(&run);
        return COMMAND_DONE;
    }
    if (result == 0) {
        result = open_http(&run, err);
    }
    if (result == 0) {
        enum progress_when when = options->progress    ? PROGRESS_ALWAYS
                                  : options->until_end ? PROGRESS_ON_TERMINAL
                                                       : PROGRESS_NEVER;
        progress_begin(&run.progress, when);
        result = wait_for_end(&run, err);
        progress_end(&run.progress);
    }
    if (result == 0) {
        print_summary(&run);
    }
    close_app(&run);
    return result;
}

#define FIELD(name) offsetof(struct run_options, name)

/* In the order of enum log_level. */
static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

/* clang-format off */
static const struct option options[] = {
    {.name = "until_end", .type = OPTION_FLAG, .offset = FIELD(until_end), .letter = 'u',
     .text = "Ends once everything is processed that was in the inputs at the start, and what became of it."},
    {.name = "threads", .type = OPTION_INTEGER, .offset = FIELD(threads), .default_text = "0", .low = 0, .high = 1024,
     .letter = 'j', .text = "Number of stream threads; 0: as the script says, else one per core."},
    {.name = "instance", .type = OPTION_TEXT, .offset = FIELD(instance), .argument = "NAME",
     .text = "Name of this process's state directory; without it the first one that is free."},
    {.name = "stay", .type = OPTION_FLAG, .offset = FIELD(stay),
     .text = "Stays a member of the group at the end, so that a restart takes its partitions up at once."},
    {.name = "http", .type = OPTION_TEXT, .offset = FIELD(http), .argument = "[HOST:]PORT",
     .text = "Serves /healthz /readyz /metrics /topology /workers /stores there; without a host on the loopback."},
    {.name = "progress", .type = OPTION_FLAG, .offset = FIELD(progress),
     .text = "Prints how far it is; with --until-end a terminal gets that anyway."},
    {.name = "log_level", .type = OPTION_CHOICE, .offset = FIELD(log_level), .default_text = "info", .choices = levels,
     .text = "What is logged on standard error."},
    {.name = "log_format", .type = OPTION_CHOICE, .offset = FIELD(log_format), .default_text = "text",
     .choices = log_formats, .text = "Log lines as key=value, or as JSON objects."},
    CONNECTION_OPTIONS(struct run_options, CONNECTION_SET_APP),
};
/* clang-format on */

static const struct option_table table = {"tidemill run", options, sizeof options / sizeof options[0]};

const struct command cmd_run = {
    .name = "run",
    .usage = "PIPELINE.lua [options]",
    .text = "Runs a pipeline, on Kafka or on the embedded log, until it is told to stop.",
    .details = "The first SIGTERM or SIGINT processes what was read, commits and ends with status 0; a second one ends "
               "at once, which loses nothing that was committed. Signals within 200 ms of the first count as one. With "
               "--brokers the data directory holds the state only.",
    .example = "tidemill run pipeline.lua --until-end\n"
               "tidemill run pipeline.lua --brokers kafka:9092 --http 8080 --set commit_ms=500",
    .options = &table,
    .options_size = sizeof(struct run_options),
    .least = 1,
    .most = 1,
    .run = run_app,
};
