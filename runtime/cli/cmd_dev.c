/* tidemill dev: a pipeline on an embedded log of its own, fed from files and started over whenever it is saved. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/dev_input.h"
#include "cli/dev_output.h"
#include "cli/dev_watch.h"
#include "base/directory.h"
#include "cli/pipeline.h"
#include "cli/print.h"
#include "cli/signals.h"
#include "local/local.h"
#include "store/store_driver.h"

#define LOOK_MS 100    /* how often outputs and files are looked at */
#define QUIET_LOOKS 5  /* without news: everything is processed */
#define LINE_SIZE 1000 /* of a source line that is shown */
#define TEMPORARY "tidemill-dev-XXXXXX"

struct dev_options {
    struct option_list inputs;
    struct option_list topics;
    struct option_list set;
    bool once;
    int log_level;
};

struct dev {
    const struct dev_options *options;
    const char *script;
    struct dev_input *inputs;
    size_t input_count;
    struct option_list files; /* of the inputs, for the watch; borrowed texts */
    struct dev_watch watch;
    char *directory;
};

/* One run, from one save to the next. */
struct play {
    struct dev *dev;
    char *data;
    struct pipeline pipeline;
    struct transport *transport;
    char *state_directory;
    struct runner *runner;
    struct dev_output *output;
    int64_t written; /* records that came out */
    int quiet;       /* looks without news; -1: it was said that everything is processed */
};

/* ---- messages ---- */

/* The line of the script that a message names, as "pipeline.lua:17" does. */
static void show_source(const struct dev *dev, const char *message)
{
    const char *slash = strrchr(dev->script, '/');
    const char *name = slash != NULL ? slash + 1 : dev->script;
    const char *found = strstr(message, name);
    long number = found != NULL && found[strlen(name)] == ':' ? strtol(found + strlen(name) + 1, NULL, 10) : 0;
    FILE *file = number > 0 ? fopen(dev->script, "r") : NULL;
    char line[LINE_SIZE];
    for (long i = 1; file != NULL && fgets(line, sizeof line, file) != NULL; i++) {
        if (i == number) {
            line[strcspn(line, "\n")] = '\0';
            print_note("%5ld | %s", number, line);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* Gives the exit status. */
static int report(const struct dev *dev, const struct err *err)
{
    int status = print_error(err, NULL);
    show_source(dev, err->text);
    return status;
}

/* ---- one run ---- */

static bool reads(const struct graph *graph, const char *topic)
{
    for (int i = 0; i < graph_topic_count(graph); i++) {
        const struct graph_topic *use = graph_topic(graph, i);
        if (use->pattern ||
            ((use->role == TOPIC_INPUT || use->role == TOPIC_GLOBAL) && strcmp(use->name, topic) == 0)) {
            return true;
        }
    }
    return false;
}

/* Topics that nothing in the script names: a function chooses them. */
static int make_topics(struct play *play, struct err *err)
{
    const struct option_list *topics = &play->dev->options->topics;
    for (size_t i = 0; i < topics->count; i++) {
        struct topic_spec spec = {.name = topics->items[i], .partitions = 1};
        if (play->transport->class->create_topic(play->transport, &spec, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int feed(struct play *play, struct err *err)
{
    const struct dev *dev = play->dev;
    for (size_t i = 0; i < dev->input_count; i++) {
        if (!reads(play->pipeline.graph, dev->inputs[i].topic)) {
            return err_set(err, ERR_FATAL, ERR_CONFIG,
                           "The pipeline does not read the topic %.249s of --input; `tidemill check %s` lists what it "
                           "reads.",
                           dev->inputs[i].topic, dev->script);
        }
        if (dev_input_feed(&dev->inputs[i], play->data, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int open_play(struct play *play, struct err *err)
{
    const struct dev *dev = play->dev;
    struct local_config local = {.data = play->data, .create = true};
    if (pipeline_open(dev->script, &dev->options->set, 1, &play->pipeline, err) != 0 || feed(play, err) != 0 ||
        local_open(&local, &play->transport, err) != 0 || make_topics(play, err) != 0) {
        return -1;
    }
    play->state_directory = memory_format("%s/state", play->data);
    struct runner_config config = {
        .settings = *play->pipeline.settings,
        .program = play->pipeline.program,
        .stores = &sqlite_store_driver,
        .transport = play->transport,
        .embedded = true,
        .state_directory = play->state_directory,
        .until_end = dev->options->once,
        .stopped = signals_received,
    };
    config.settings.partitions = 1;
    if (runner_open(&config, &play->runner, err) != 0) {
        return -1;
    }
    play->output =
        dev_output_open(play->transport, runner_plan(play->runner), play->pipeline.graph, play->pipeline.instance);
    return 0;
}

static void close_play(struct play *play)
{
    struct err ignored; /* a directory of /tmp that stays is no reason to end */
    dev_output_close(play->output);
    if (play->runner != NULL) {
        runner_close(play->runner);
    }
    if (play->transport != NULL) {
        play->transport->class->close(play->transport);
    }
    pipeline_close(&play->pipeline);
    free(play->state_directory);
    directory_remove(play->data, &ignored);
    free(play->data);
}

static int show_news(struct play *play, struct err *err)
{
    size_t count;
    int result = dev_output_show(play->output, &count, err);
    play->written += (int64_t)count;
    play->quiet = count > 0 ? 0 : play->quiet;
    return result;
}

/* Said once: nothing more will come unless a timer or a save brings it. */
static void note_quiet(struct play *play)
{
    int64_t done, left;
    runner_progress(play->runner, &done, &left);
    if (play->quiet < 0 || left > 0 || !runner_ready(play->runner) || ++play->quiet < QUIET_LOOKS) {
        return;
    }
    play->quiet = -1;
    print_note("%" PRId64 " records processed, %" PRId64 " written; saving %s or an input starts over, ctrl-C ends.",
               done, play->written, play->dev->script);
}

/* Until the app ends, a file is saved (*again) or a signal comes. */
static int watch_play(struct play *play, bool *again, struct err *err)
{
    struct dev *dev = play->dev;
    bool ended = false;
    while (!ended && !*again && !signals_received()) {
        if (runner_wait(play->runner, dev->options->once ? LOOK_MS : 0, &ended, err) != 0) {
            struct err ignored; /* what ended the app is worth more */
            show_news(play, &ignored);
            return -1;
        }
        if (show_news(play, err) != 0) {
            return -1;
        }
        if (!dev->options->once) {
            note_quiet(play);
            signals_wait(LOOK_MS);
            *again = dev_watch_changed(&dev->watch);
        }
    }
    return 0;
}

static int play_once(struct dev *dev, int number, bool *again, struct err *err)
{
    struct play play = {.dev = dev, .data = memory_format("%s/%d", dev->directory, number)};
    int result = open_play(&play, err);
    if (result == 0) {
        result = watch_play(&play, again, err);
    }
    close_play(&play);
    return result;
}

/* ---- all runs ---- */

static void wait_for_save(struct dev *dev, bool *again)
{
    print_note("waiting for %s or an input to be saved; ctrl-C ends.", dev->script);
    while (!signals_received() && !*again) {
        signals_wait(LOOK_MS);
        *again = dev_watch_changed(&dev->watch);
    }
}

static int play_all(struct dev *dev, struct err *err)
{
    bool again = true;
    for (int number = 1; again && !signals_received(); number++) {
        again = false;
        if (play_once(dev, number, &again, err) != 0 && !signals_received()) {
            int status = report(dev, err);
            if (dev->options->once) {
                return status;
            }
            wait_for_save(dev, &again);
        }
        if (again) {
            print_note("---- starting over ----");
        }
    }
    return 0;
}

static int parse_inputs(struct dev *dev, struct err *err)
{
    const struct option_list *list = &dev->options->inputs;
    dev->inputs = memory_alloc(sizeof *dev->inputs * (list->count + 1));
    for (size_t i = 0; i < list->count; i++) {
        if (dev_input_parse(list->items[i], &dev->inputs[i], err) != 0) {
            return -1;
        }
        dev->input_count++;
        option_list_add(&dev->files, dev->inputs[i].file);
    }
    return 0;
}

static int make_directory(struct dev *dev, struct err *err)
{
    const char *temporary = getenv("TMPDIR");
    char *path = memory_format("%s/" TEMPORARY, temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp");
    if (mkdtemp(path) == NULL) {
        err_set(err, ERR_FATAL, ERR_IO, "No temporary directory can be made at %s; set TMPDIR.", path);
        free(path);
        return -1;
    }
    dev->directory = path;
    return 0;
}

static void close_dev(struct dev *dev)
{
    struct err err;
    if (dev->directory != NULL && directory_remove(dev->directory, &err) != 0) {
        print_note("%s", err.text);
    }
    for (size_t i = 0; i < dev->input_count; i++) {
        dev_input_free(&dev->inputs[i]);
    }
    for (size_t i = 0; i < dev->files.count; i++) {
        free(dev->files.items[i]);
    }
    free(dev->files.items);
    free(dev->inputs);
    free(dev->directory);
    dev_watch_free(&dev->watch);
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    (void)count;
    const struct dev_options *options = data;
    struct dev dev = {.options = options, .script = arguments[0]};
    log_configure((enum log_level)options->log_level, false);
    unsetenv("TIDEMILL_BROKERS"); /* whatever the environment says: nothing leaves this machine */
    unsetenv("TIDEMILL_CONFIG");
    int result = parse_inputs(&dev, err) != 0 ? -1 : make_directory(&dev, err);
    if (result == 0) {
        dev.watch = (struct dev_watch){.script = dev.script, .files = &dev.files};
        dev_watch_note(&dev.watch);
        signals_install();
        result = play_all(&dev, err);
    }
    close_dev(&dev);
    return result;
}

#define FIELD(name) offsetof(struct dev_options, name)

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};

/* clang-format off */
static const struct option options[] = {
    {.name = "input", .type = OPTION_LIST, .offset = FIELD(inputs), .argument = "TOPIC=FILE", .letter = 'i',
     .text = "Lines of a file (gzip too) for a topic; several times. Behind the file may stand ,key=FIELD "
             ",timestamp=FIELD ,at=TIME ,format=FORMAT and ,csv as `produce` has them."},
    {.name = "topic", .type = OPTION_LIST, .offset = FIELD(topics), .argument = "NAME",
     .text = "A topic to create that the script does not name, because a function given to `to` chooses it."},
    {.name = "once", .type = OPTION_FLAG, .offset = FIELD(once),
     .text = "Ends when everything is processed, instead of waiting for the next save."},
    {.name = "set", .type = OPTION_LIST, .offset = FIELD(set), .argument = "NAME=VALUE", .letter = 's',
     .text = "Sets an option of the app, stronger than the script; several times."},
    {.name = "log_level", .type = OPTION_CHOICE, .offset = FIELD(log_level), .default_text = "error", .choices = levels,
     .text = "What is logged on standard error."},
};
/* clang-format on */

static const struct option_table table = {"tidemill dev", options, sizeof options / sizeof options[0]};

const struct command cmd_dev = {
    .name = "dev",
    .usage = "PIPELINE.lua [--input TOPIC=FILE[,key=FIELD]]... [options]",
    .text = "Runs a pipeline on files and shows what it writes, anew whenever it is saved.",
    .details = "The topics are in an embedded log in a temporary directory, with one partition each; nothing is kept "
               "and no broker is asked. Each record that comes out is a line: topic, key, value and time. When the "
               "script, a module beside it or an input is saved, everything starts over; a script that fails is "
               "reported with its line, and the next save is waited for. ctrl-C ends and removes the directory.",
    .example =
        "tidemill dev pipeline.lua --input orders=orders.jsonl,key=id,timestamp=created\n"
        "tidemill dev pipeline.lua --input users=users.csv,csv,key=id,at=0 --input clicks=clicks.jsonl.gz --once",
    .options = &table,
    .options_size = sizeof(struct dev_options),
    .least = 1,
    .most = 1,
    .run = run,
};
