/* tidemill graph: the topology as a picture. */
#include "cli/command.h"
#include "cli/pipeline.h"
#include "cli/print.h"

struct graph_options {
    int format; /* enum graph_format */
    struct option_list set;
};

static int run(void *data, char **arguments, int count, struct err *err)
{
    (void)count;
    const struct graph_options *options = data;
    struct pipeline pipeline;
    struct bytes out = {0};
    int result = pipeline_open(arguments[0], &options->set, 0, &pipeline, err);
    if (result == 0) {
        graph_print(pipeline.graph, (enum graph_format)options->format, &out);
        if (out.size > 0 && out.data[out.size - 1] != '\n') {
            bytes_append_byte(&out, '\n');
        }
        result = print_flush(&out, err);
    }
    pipeline_close(&pipeline);
    bytes_free(&out);
    return result;
}

/* In the order of enum graph_format. */
static const char *const formats[] = {"text", "dot", "mermaid", "json", NULL};

/* clang-format off */
static const struct option options[] = {
    {.name = "format", .type = OPTION_CHOICE, .offset = offsetof(struct graph_options, format),
     .default_text = "text", .choices = formats, .letter = 'f',
     .text = "Kafka Streams' description, or a picture for Graphviz or Mermaid, or JSON."},
    {.name = "set", .type = OPTION_LIST, .offset = offsetof(struct graph_options, set), .argument = "NAME=VALUE",
     .letter = 's', .text = CONNECTION_SET_APP},
};
/* clang-format on */

static const struct option_table table = {"tidemill graph", options, sizeof options / sizeof options[0]};

const struct command cmd_graph = {
    .name = "graph",
    .usage = "PIPELINE.lua [options]",
    .text = "Prints the topology that a pipeline builds.",
    .example = "tidemill graph pipeline.lua\n"
               "tidemill graph pipeline.lua --format dot | dot -Tsvg > pipeline.svg",
    .options = &table,
    .options_size = sizeof(struct graph_options),
    .least = 1,
    .most = 1,
    .run = run,
};
