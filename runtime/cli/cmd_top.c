/* tidemill top: the workers and connectors of a running app, as its HTTP address tells. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/columns.h"
#include "cli/command.h"
#include "cli/http_client.h"
#include "cli/print.h"
#include "cli/signals.h"

#define NAME_SIZE 64
#define ADDRESS_DEFAULT "8080"

struct top_options {
    char *http;
    int64_t interval_ms;
    bool once;
};

/* One worker at one look. */
struct seen {
    char name[NAME_SIZE];
    char state[NAME_SIZE];
    int64_t thread, records, lag, bytes, remaining;
};

struct look {
    struct seen *list;
    size_t count;
    size_t capacity;
    int64_t at_ns;
};

struct top {
    const struct top_options *options;
    struct look before;
    struct look now;
    struct bytes connectors; /* JSON, as of now */
    struct bytes out;
    bool redraws;
};

/* ---- looking ---- */

static void take_text(struct slice worker, const char *name, char text[NAME_SIZE])
{
    struct slice value;
    struct bytes decoded = {0};
    if (json_member(worker, slice_text(name), &value) && json_type(value) == JSON_STRING) {
        json_decode_string(value, &decoded);
    }
    snprintf(text, NAME_SIZE, "%s", bytes_text(&decoded));
    bytes_free(&decoded);
}

static int64_t take_integer(struct slice worker, const char *name)
{
    struct slice value;
    int64_t number = 0;
    double real;
    return json_member(worker, slice_text(name), &value) && json_number(value, &number, &real) ? number : 0;
}

static void take_worker(struct look *look, struct slice worker)
{
    look->list = memory_grow(look->list, look->count, &look->capacity, sizeof *look->list);
    struct seen *seen = &look->list[look->count++];
    take_text(worker, "worker", seen->name);
    take_text(worker, "state", seen->state);
    seen->thread = take_integer(worker, "thread");
    seen->records = take_integer(worker, "records");
    seen->lag = take_integer(worker, "lag");
    seen->bytes = take_integer(worker, "state_bytes");
    seen->remaining = take_integer(worker, "restore_remaining");
}

static int compare(const void *a, const void *b)
{
    const struct seen *one = a;
    const struct seen *other = b;
    return strverscmp(one->name, other->name);
}

/* Threads that are too busy to tell of their connectors are no reason to end. */
static void take_connectors(struct top *top, const char *address)
{
    struct err ignored;
    bytes_clear(&top->connectors);
    bool got = http_client_get(address, "/connectors", &top->connectors, &ignored) == 0;
    if (!got || !json_check(bytes_slice(&top->connectors), NULL) ||
        json_type(bytes_slice(&top->connectors)) != JSON_ARRAY) {
        bytes_clear(&top->connectors);
        bytes_append_text(&top->connectors, "[]");
    }
}

static int take_look(struct top *top, struct err *err)
{
    struct bytes body = {0};
    struct slice worker;
    struct look oldest = top->before;
    top->before = top->now;
    top->now = oldest;
    top->now.count = 0;
    top->now.at_ns = clock_monotonic_ns(&CLOCK_SYSTEM);
    const char *address = top->options->http != NULL ? top->options->http : ADDRESS_DEFAULT;
    int result = http_client_get(address, "/workers", &body, err);
    struct slice workers = bytes_slice(&body);
    if (result == 0 && (!json_check(workers, NULL) || json_type(workers) != JSON_ARRAY)) {
        result = err_set(err, ERR_FATAL, ERR_PROTOCOL, "What answers at %s is no app of this version.", address);
    }
    if (result == 0) {
        take_connectors(top, address);
    }
    struct json_walk walk = json_walk(result == 0 ? workers : slice_text("[]"));
    while (json_next_element(&walk, &worker)) {
        take_worker(&top->now, worker);
    }
    bytes_free(&body);
    if (top->now.count > 0) {
        qsort(top->now.list, top->now.count, sizeof *top->now.list, compare);
    }
    return result;
}

/* ---- showing ---- */

/* Records per second since the look before; -1: there was none, or the worker was not there. */
static int64_t rate_of(const struct top *top, const struct seen *seen)
{
    for (size_t i = 0; i < top->before.count; i++) {
        const struct seen *earlier = &top->before.list[i];
        if (strcmp(earlier->name, seen->name) == 0 && earlier->records <= seen->records) {
            double seconds = (double)(top->now.at_ns - top->before.at_ns) / 1e9;
            return (int64_t)((double)(seen->records - earlier->records) / (seconds > 0 ? seconds : 1) + 0.5);
        }
    }
    return -1;
}

static void add_row(struct top *top, struct columns *columns, const struct seen *seen, int64_t *total)
{
    int64_t rate = rate_of(top, seen);
    columns_text(columns, seen->name);
    columns_text(columns, seen->state);
    columns_integer(columns, seen->thread);
    columns_integer(columns, seen->records);
    if (rate >= 0) {
        columns_integer(columns, rate);
    } else {
        columns_text(columns, "-");
    }
    columns_integer(columns, seen->lag);
    columns_integer(columns, seen->bytes);
    columns_integer(columns, seen->remaining);
    *total += rate > 0 ? rate : 0;
}

/* "snapshot of public.orders: 1,200 of 5,000, 300/s", or the reason of a failure. */
static void describe(struct slice task, struct bytes *out)
{
    struct slice value;
    char text[NAME_SIZE];
    char number[PRINT_NUMBER_SIZE];
    if (json_member(task, slice_text("reason"), &value) && json_type(value) == JSON_STRING) {
        json_decode_string(value, out);
        return;
    }
    take_text(task, "phase", text);
    if (text[0] == '\0') {
        return;
    }
    bytes_append_format(out, "%s: %s", text, print_number(take_integer(task, "done"), number));
    if (take_integer(task, "total") > 0) {
        bytes_append_format(out, " of %s", print_number(take_integer(task, "total"), number));
    }
    bytes_append_format(out, ", %s/s", print_number(take_integer(task, "rows_per_s"), number));
}

static void add_connector(struct columns *columns, struct slice task)
{
    static const char *const texts[] = {"connector", "kind", "side"};
    char text[NAME_SIZE];
    struct bytes doing = {0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        take_text(task, texts[i], text);
        columns_text(columns, text);
    }
    columns_integer(columns, take_integer(task, "task"));
    take_text(task, "state", text);
    columns_text(columns, text);
    columns_integer(columns, take_integer(task, "records"));
    columns_integer(columns, take_integer(task, "failures"));
    describe(task, &doing);
    columns_add(columns, bytes_slice(&doing));
    bytes_free(&doing);
}

static void show_connectors(struct top *top)
{
    struct columns columns = {0};
    struct slice task;
    struct json_walk walk = json_walk(bytes_slice(&top->connectors));
    columns_begin(&columns, "connector kind side task state records failures doing");
    while (json_next_element(&walk, &task)) {
        add_connector(&columns, task);
    }
    if (columns.cell_count > columns.count) {
        bytes_append_byte(&top->out, '\n');
        columns_print(&columns, &top->out);
    }
    columns_free(&columns);
}

static int show(struct top *top, struct err *err)
{
    struct columns columns = {0};
    char rate[PRINT_NUMBER_SIZE];
    char left[PRINT_NUMBER_SIZE];
    int64_t total = 0;
    int64_t lag = 0;
    columns_begin(&columns, "worker state thread records records/s lag state_bytes to_restore");
    for (size_t i = 0; i < top->now.count; i++) {
        add_row(top, &columns, &top->now.list[i], &total);
        lag += top->now.list[i].lag;
    }
    bytes_append_text(&top->out, top->redraws ? "\033[H\033[J" : "");
    columns_print(&columns, &top->out);
    bytes_append_format(&top->out, "%zu workers, %s records/s, %s records behind\n", top->now.count,
                        print_number(total, rate), print_number(lag, left));
    columns_free(&columns);
    show_connectors(top);
    return print_flush(&top->out, err);
}

/* ---- the command ---- */

/* The rate needs two looks, so --once takes them an interval apart. */
static int watch(struct top *top, struct err *err)
{
    if (take_look(top, err) != 0) {
        return -1;
    }
    do {
        signals_wait((int)top->options->interval_ms);
        if (signals_received()) {
            break;
        }
        if (take_look(top, err) != 0 || show(top, err) != 0) {
            return -1;
        }
    } while (!top->options->once);
    return 0;
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    (void)arguments;
    (void)count;
    struct top top = {.options = data};
    top.redraws = !top.options->once && print_is_terminal(STDOUT_FILENO);
    signals_install();
    int result = watch(&top, err);
    free(top.before.list);
    free(top.now.list);
    bytes_free(&top.connectors);
    bytes_free(&top.out);
    return result;
}

#define FIELD(name) offsetof(struct top_options, name)

/* clang-format off */
static const struct option options[] = {
    {.name = "http", .type = OPTION_TEXT, .offset = FIELD(http), .argument = "[HOST:]PORT",
     .text = "Address of the running app (run --http); port 8080 of the loopback when not given."},
    {.name = "interval", .type = OPTION_DURATION, .offset = FIELD(interval_ms), .default_text = "1s", .low = 10,
     .high = 3600000, .text = "Time between two looks, over which rates are measured."},
    {.name = "once", .type = OPTION_FLAG, .offset = FIELD(once), .text = "One table, and ends."},
};
/* clang-format on */

static const struct option_table table = {"tidemill top", options, sizeof options / sizeof options[0]};

const struct command cmd_top = {
    .name = "top",
    .usage = "[options]",
    .text = "Shows the workers and connectors of a running app: their rates, how far they are behind, and their state.",
    .details =
        "On a terminal the table is drawn again and again, elsewhere one follows the other, until the command is "
        "stopped or the app ends.",
    .example = "tidemill top --http 8080\n"
               "tidemill top --http shop-1:8080 --once",
    .options = &table,
    .options_size = sizeof(struct top_options),
    .least = 0,
    .most = 0,
    .run = run,
};
