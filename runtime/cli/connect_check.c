#include "cli/connect_check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/memory.h"
#include "cli/print.h"
#include "engine/connector.h"

struct finding {
    enum connector_finding kind;
    char *text;
};

struct findings {
    struct finding *list;
    size_t count;
    size_t capacity;
    struct option_list statements;
};

static const struct {
    const char *sign;
    const char *colour;
} signs[] = {[FINDING_GOOD] = {"ok", "\033[32m"},
             [FINDING_WARNING] = {"WARNING", "\033[33m"},
             [FINDING_BAD] = {"BAD", "\033[1;31m"}};

/* ---- asking ---- */

static void say(void *self, enum connector_finding kind, const char *text)
{
    struct findings *findings = self;
    findings->list = memory_grow(findings->list, findings->count, &findings->capacity, sizeof *findings->list);
    findings->list[findings->count++] = (struct finding){kind, memory_copy_text(text)};
}

static void statement(void *self, const char *sql)
{
    struct findings *findings = self;
    option_list_add(&findings->statements, sql);
}

static void free_findings(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->list[i].text);
    }
    for (size_t i = 0; i < findings->statements.count; i++) {
        free(findings->statements.items[i]);
    }
    free(findings->statements.items);
    free(findings->list);
}

/* As many tasks as a first start would have; the partitions of a sink's topic are not known here. */
static int32_t tasks_of(const struct connector_use *use)
{
    const struct connector *connector = use->connector;
    if (use->runner.tasks > 0) {
        return (int32_t)use->runner.tasks;
    }
    if (use->sink) {
        return connector->sink->tasks > 0 ? connector->sink->tasks : 1;
    }
    return connector->source->tasks != NULL ? connector->source->tasks(use->options) : 1;
}

static void ask(const struct connector_use *use, const char *app, struct findings *findings)
{
    struct connector_context context = {
        .app = app,
        .name = use->name,
        .topic = use->sink ? use->topic : NULL,
        .tasks = tasks_of(use),
        .json_keys = use->json_keys,
        .options = use->options,
    };
    struct connector_check check = {say, statement, findings};
    struct err err;
    int (*function)(const struct connector_context *, const struct connector_check *, struct err *) =
        use->sink ? use->connector->sink->check : use->connector->source->check;
    if (function == NULL) {
        say(findings, FINDING_GOOD, "There is nothing to look at before the start.");
    } else if (function(&context, &check, &err) != 0) {
        say(findings, FINDING_BAD, err.text);
    } else if (findings->count == 0) {
        say(findings, FINDING_GOOD, "Nothing is missing.");
    }
}

/* ---- printing ---- */

/* One line each, whatever a database has put into its message. */
static void append_line(struct bytes *out, const char *text)
{
    for (; *text != '\0'; text++) {
        bytes_append_byte(out, *text == '\n' || *text == '\r' || *text == '\t' ? ' ' : (unsigned char)*text);
    }
    bytes_append_byte(out, '\n');
}

static void print_findings(const struct connector_use *use, const struct findings *findings, struct bytes *out)
{
    bool colours = print_has_colours(STDOUT_FILENO);
    bytes_append_format(out, "%s (%s %s)\n", use->name, use->connector->kind, use->sink ? "sink" : "source");
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];
        bytes_append_format(out, "  %s%s%s  ", colours ? signs[finding->kind].colour : "", signs[finding->kind].sign,
                            colours ? "\033[0m" : "");
        append_line(out, finding->text);
    }
    if (findings->statements.count > 0) {
        bytes_append_text(out, "  To be run in the database:\n");
    }
    for (size_t i = 0; i < findings->statements.count; i++) {
        bytes_append_text(out, "      ");
        append_line(out, findings->statements.items[i]);
    }
}

static void write_text(struct json_writer *writer, const char *name, const char *text)
{
    json_name(writer, slice_text(name));
    if (!json_string_checked(writer, slice_text(text))) {
        json_text(writer, "?");
    }
}

static void write_findings(const struct connector_use *use, const struct findings *findings, struct bytes *out)
{
    static const char *const names[] = {[FINDING_GOOD] = "good", [FINDING_WARNING] = "warning", [FINDING_BAD] = "bad"};
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    write_text(&writer, "connector", use->name);
    write_text(&writer, "kind", use->connector->kind);
    write_text(&writer, "side", use->sink ? "sink" : "source");
    json_name(&writer, slice_text("findings"));
    json_begin_array(&writer);
    for (size_t i = 0; i < findings->count; i++) {
        json_begin_object(&writer);
        write_text(&writer, "finding", names[findings->list[i].kind]);
        write_text(&writer, "text", findings->list[i].text);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    json_name(&writer, slice_text("statements"));
    json_begin_array(&writer);
    for (size_t i = 0; i < findings->statements.count; i++) {
        json_text(&writer, findings->statements.items[i]);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    bytes_append_byte(out, '\n');
}

void connect_check(const struct node *node, const char *app, bool json, struct bytes *out, bool *bad)
{
    struct findings findings = {0};
    ask(node->connector, app, &findings);
    for (size_t i = 0; i < findings.count; i++) {
        *bad = *bad || findings.list[i].kind == FINDING_BAD;
    }
    if (json) {
        write_findings(node->connector, &findings, out);
    } else {
        print_findings(node->connector, &findings, out);
    }
    free_findings(&findings);
}
