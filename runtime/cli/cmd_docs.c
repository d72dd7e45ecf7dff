/* tidemill docs: the reference pages, printed from the tables that the program works with. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "base/metric.h"
#include "cli/command.h"
#include "cli/print.h"
#include "connectors/all.h"
#include "engine/app.h"
#include "operators/all.h"
#include "scripts/codec.h"
#include "scripts/lua_connector.h"

struct docs_options {
    bool list;
    char *output;
};

/* ---- the pages ---- */

static void fill_commands(struct bytes *out)
{
    bytes_append_text(out, "| Command | Does |\n|---|---|\n");
    for (size_t i = 0; i < command_count; i++) {
        bytes_append_format(out, "| [`%s`](#tidemill-%s) | %s |\n", command_list[i]->name, command_list[i]->name,
                            command_list[i]->text);
    }
    bytes_append_text(out, "\nExit statuses are those of [errors](errors.md). Commands work on Kafka with `--brokers`, "
                           "and on the embedded log in `--data` otherwise.\n");
    for (size_t i = 0; i < command_count; i++) {
        bytes_append_format(out, "\n## tidemill %s\n\n```\n", command_list[i]->name);
        command_help(command_list[i], out);
        bytes_append_text(out, "```\n");
    }
}

static void fill_options(struct bytes *out)
{
    bytes_append_text(out, "Given in the script, `tm.app { id = \"shop\", commit_ms = \"1s\" }`, or stronger on the "
                           "command line, `--set commit_ms=1s`.\n\n");
    option_print_markdown(&app_options, out);
}

/* A bar would end the cell of a table, and outside of code <app> would be taken for HTML. */
static void append_cell(struct bytes *out, const char *text, bool code)
{
    for (; *text != '\0'; text++) {
        if (*text == '|' || (*text == '<' && !code)) {
            bytes_append_byte(out, '\\');
        }
        bytes_append_byte(out, (unsigned char)*text);
    }
}

static void fill_operators(struct bytes *out)
{
    bytes_append_text(out, "Every operator takes a table of options as its last argument, with `name` and `on_error` "
                           "among them.\n\n| Operator | Does |\n|---|---|\n");
    for (size_t i = 0; i < operators_all.count; i++) {
        const struct operator* operator= operators_all.list[i];
        if (operator->usage == NULL) {
            continue;
        }
        bytes_append_text(out, "| `");
        append_cell(out, operator->usage, true);
        bytes_append_text(out, "` | ");
        append_cell(out, operator->text, false);
        bytes_append_text(out, " |\n");
    }
}

static void append_side(const struct connector *connector, bool sink, struct bytes *out)
{
    const struct option_table *own = sink ? connector->sink->options : connector->source->options;
    bytes_append_format(out,
                        sink ? "\n### As a sink\n\n`stream:sink(\"name\", tm.connect.%s { ... })`.\n\n"
                             : "\n### As a source\n\n`app:source(\"name\", tm.connect.%s { ... })`",
                        connector->kind);
    if (!sink) {
        bytes_append_format(out, ": a stream with keys in `tm.%s` and values in `tm.%s`.\n\n",
                            connector->source->key_codec, connector->source->value_codec);
    }
    option_print_markdown(own, out);
}

static void fill_connectors(struct bytes *out)
{
    bytes_append_text(out, "How they are used, with examples, is in [connectors](../connectors.md).\n\n"
                           "| Connector | Source | Sink | Is |\n|---|---|---|---|\n");
    for (size_t i = 0; i < connectors_all.count; i++) {
        const struct connector *connector = connectors_all.list[i];
        bytes_append_format(out, "| [`tm.connect.%s`](#tmconnect%s) | %s | %s | ", connector->kind, connector->kind,
                            connector->source != NULL ? "yes" : "", connector->sink != NULL ? "yes" : "");
        append_cell(out, connector->text, false);
        bytes_append_text(out, " |\n");
    }
    bytes_append_text(out, "\n## Every source\n\n");
    option_print_markdown(&connector_source_options, out);
    bytes_append_text(out, "\n## Every sink\n\n");
    option_print_markdown(&connector_sink_options, out);
    for (size_t i = 0; i < connectors_all.count; i++) {
        const struct connector *connector = connectors_all.list[i];
        bytes_append_format(out, "\n## tm.connect.%s\n\n%s\n", connector->kind, connector->text);
        if (connector->source != NULL) {
            append_side(connector, false, out);
        }
        if (connector->sink != NULL) {
            append_side(connector, true, out);
        }
    }
    bytes_append_format(out,
                        "\n## tm.source and tm.sink\n\n%s How they are written is in "
                        "[sources and sinks of your own](../connectors/lua.md).\n\n### tm.source\n\n",
                        lua_connector.text);
    option_print_markdown(lua_connector.source->options, out);
    bytes_append_text(out, "\n### tm.sink\n\nThe options of every sink.\n");
}

static void fill_codecs(struct bytes *out)
{
    bytes_append_text(out, "A codec turns the bytes of keys and values into what a script sees, and back: "
                           "`app:stream(\"orders\", { key = tm.string, value = tm.json })`.\n\n"
                           "| Codec | Bytes and values |\n|---|---|\n");
    for (size_t i = 0; i < codec_count(); i++) {
        bytes_append_format(out, "| `tm.%s` | %s |\n", codec_at(i)->name, codec_at(i)->text);
    }
}

static void fill_metrics(struct bytes *out)
{
    bytes_append_text(out, "Served by `tidemill run --http PORT` under `/metrics`.\n\n");
    metric_print_markdown(out);
}

static void fill_errors(struct bytes *out)
{
    bytes_append_text(out, "A command ends with 0 when it has done its work, also after SIGTERM; with 128 and the "
                           "signal's number when a second signal ended it at once.\n\n"
                           "| Code | Exit status | What to do |\n|---|---|---|\n");
    for (int code = ERR_FAILED; code < ERR_CODE_COUNT; code++) {
        bytes_append_format(out, "| `%s` | %d | %s |\n", err_code_name((enum err_code)code),
                            err_exit_status((enum err_code)code), err_code_advice((enum err_code)code));
    }
}

static void fill_failpoints(struct bytes *out)
{
    bytes_append_text(out,
                      "Compiled in by `-DTIDEMILL_FAILPOINTS=ON` only, for the crash tests: "
                      "`TIDEMILL_FAILPOINTS=c8:3:kill` ends the process the third time it passes `c8`. The form is "
                      "`NAME:NTH:ACTION[,...]`; `~N` is a random one of the first N; actions are `kill`, `stop`, "
                      "`sleep=MS`, `error` (where the table says that it can fail) and, for `clock`, `shift=MS`.\n\n"
                      "| Name | Where | A process that died there |\n|---|---|---|\n");
    for (size_t i = 0; i < FAILPOINT_COUNT; i++) {
        const struct failpoint_row *row = &failpoint_table[i];
        bytes_append_format(out, "| `%s` | %s | %s |\n", row->name, row->where, row->recovery);
    }
}

static const struct page {
    const char *name;
    const char *title;
    void (*fill)(struct bytes *out);
} pages[] = {
    {"commands", "Commands", fill_commands},
    {"options", "Options of an app", fill_options},
    {"operators", "Operators", fill_operators},
    {"connectors", "Connectors", fill_connectors},
    {"codecs", "Codecs", fill_codecs},
    {"metrics", "Metrics", fill_metrics},
    {"errors", "Errors and exit statuses", fill_errors},
    {"failpoints", "Failpoints", fill_failpoints},
};
#define PAGE_COUNT (sizeof pages / sizeof pages[0])

static void append_page(const struct page *page, struct bytes *out)
{
    bytes_append_format(out, "# %s\n\n<!-- Printed by `tidemill docs %s`; `make docs` writes it anew. -->\n\n",
                        page->title, page->name);
    page->fill(out);
}

/* ---- the command ---- */

static int write_page(const char *directory, const struct page *page, struct err *err)
{
    struct bytes text = {0};
    char *path = memory_format("%s/%s.md", directory, page->name);
    append_page(page, &text);
    FILE *file = fopen(path, "w");
    bool good = file != NULL && fwrite(text.data, 1, text.size, file) == text.size;
    int reason = errno;
    if (file != NULL && fclose(file) != 0) {
        good = false;
        reason = errno;
    }
    if (!good) {
        err_set(err, ERR_FATAL, ERR_IO, "%s can't be written: %s.", path, strerror(reason));
    }
    free(path);
    bytes_free(&text);
    return good ? 0 : -1;
}

static int write_pages(const char *directory, struct err *err)
{
    if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
        return err_set(err, ERR_FATAL, ERR_IO, "The directory %s can't be made: %s.", directory, strerror(errno));
    }
    for (size_t i = 0; i < PAGE_COUNT; i++) {
        if (write_page(directory, &pages[i], err) != 0) {
            return -1;
        }
    }
    printf("%zu pages written to %s.\n", PAGE_COUNT, directory);
    return 0;
}

static const struct page *find_page(const char *name, struct err *err)
{
    const char *names[PAGE_COUNT];
    for (size_t i = 0; i < PAGE_COUNT; i++) {
        if (strcmp(pages[i].name, name) == 0) {
            return &pages[i];
        }
        names[i] = pages[i].name;
    }
    const char *nearest = option_nearest(name, names, PAGE_COUNT);
    err_set(err, ERR_FATAL, ERR_USAGE, "There is no page \"%.100s\"%s%s. `tidemill docs --list` names them.", name,
            nearest != NULL ? "; the nearest is " : "", nearest != NULL ? nearest : "");
    return NULL;
}

static int fill(const struct docs_options *options, const char *name, struct bytes *out, struct err *err)
{
    if (name != NULL) {
        const struct page *page = find_page(name, err);
        if (page == NULL) {
            return -1;
        }
        append_page(page, out);
        return 0;
    }
    for (size_t i = 0; i < PAGE_COUNT; i++) {
        if (options->list) {
            bytes_append_format(out, "%-10s %s\n", pages[i].name, pages[i].title);
        } else {
            bytes_append_text(out, i > 0 ? "\n" : "");
            append_page(&pages[i], out);
        }
    }
    return 0;
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    const struct docs_options *options = data;
    struct bytes out = {0};
    if (options->output != NULL) {
        return write_pages(options->output, err);
    }
    int result = fill(options, count > 0 ? arguments[0] : NULL, &out, err);
    if (result == 0) {
        result = print_flush(&out, err);
    }
    bytes_free(&out);
    return result;
}

/* clang-format off */
static const struct option options[] = {
    {.name = "list", .type = OPTION_FLAG, .offset = offsetof(struct docs_options, list),
     .text = "Names the pages."},
    {.name = "output", .type = OPTION_TEXT, .offset = offsetof(struct docs_options, output), .argument = "DIR",
     .text = "Writes a file per page into this directory."},
};
/* clang-format on */

static const char *const words[] = {"commands", "options", "operators",  "connectors", "codecs",
                                    "metrics",  "errors",  "failpoints", NULL};
static const struct option_table table = {"tidemill docs", options, sizeof options / sizeof options[0]};

const struct command cmd_docs = {
    .name = "docs",
    .usage = "[PAGE] [options]",
    .text = "Prints the reference as Markdown: commands, options, operators, connectors, codecs, metrics, errors, "
            "failpoints.",
    .example = "tidemill docs operators\n"
               "tidemill docs --list",
    .words = words,
    .options = &table,
    .options_size = sizeof(struct docs_options),
    .least = 0,
    .most = 1,
    .run = run,
};
