/* tidemill version: of the program and of what it is built with. */
#include "base/json.h"
#include "cli/command.h"
#include "cli/print.h"

struct version_options {
    bool json;
};

static int run(void *data, char **arguments, int count, struct err *err)
{
    (void)arguments;
    (void)count;
    const struct version_options *options = data;
    struct bytes out = {0};
    if (options->json) {
        struct json_writer writer = json_writer(&out);
        json_begin_object(&writer);
        json_name(&writer, slice_text("version"));
        json_text(&writer, TIDEMILL_VERSION);
        json_name(&writer, slice_text("compiler"));
        json_text(&writer, __VERSION__);
        json_end_object(&writer);
        bytes_append_byte(&out, '\n');
    } else {
        bytes_append_text(&out, "tidemill " TIDEMILL_VERSION "\n");
    }
    int result = print_flush(&out, err);
    bytes_free(&out);
    return result;
}

/* clang-format off */
static const struct option options[] = {
    {.name = "json", .type = OPTION_FLAG, .offset = offsetof(struct version_options, json),
     .text = "Prints one JSON object."},
};
/* clang-format on */

static const struct option_table table = {"tidemill version", options, sizeof options / sizeof options[0]};

const struct command cmd_version = {
    .name = "version",
    .usage = "[options]",
    .text = "Prints the version.",
    .example = "tidemill version\ntidemill version --json",
    .options = &table,
    .options_size = sizeof(struct version_options),
    .least = 0,
    .most = 0,
    .run = run,
};
