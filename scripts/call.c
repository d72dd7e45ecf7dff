#include "scripts/call.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"

#define STACK_ROOM 40  /* for what the entry, a callback and the treatment of its error push */
#define NODE_ROOM 24   /* for the values and the call of one operator; its children come on top of that */
#define MAX_CALLERS 4  /* lines of the script named behind the innermost one */
#define MAX_FRAMES 200 /* looked at for these */
#define LOG_INTERVAL_NS INT64_C(1000000000)

/* ---- the report of an error ---- */

/* Strings, numbers, and tables with a message; without metamethods, which could fail. [-0, +0 or 1, -] */
static const char *text_of(lua_State *L, int index, char *buffer, size_t size)
{
    if (lua_type(L, index) == LUA_TSTRING) {
        return lua_tostring(L, index);
    }
    if (lua_type(L, index) == LUA_TNUMBER) {
        snprintf(buffer, size, "%.14g", lua_tonumber(L, index));
        return buffer;
    }
    if (lua_type(L, index) == LUA_TTABLE) {
        index = lua_absindex(L, index);
        lua_pushliteral(L, "message");
        if (lua_rawget(L, index) == LUA_TSTRING) {
            return lua_tostring(L, -1);
        }
        lua_pop(L, 1);
    }
    snprintf(buffer, size, "the error is a %s value", luaL_typename(L, index));
    return buffer;
}

struct report {
    const char *message;
    char place[HOST_PLACE_SIZE];
    char callers[512];
    int caller_count;
};

/* Messages begin with the place that raised them; it is told apart here, so that it is not said twice. */
static void strip_place(struct report *report, const char *place)
{
    size_t length = strlen(place);
    if (strncmp(report->message, place, length) == 0 && strncmp(report->message + length, ": ", 2) == 0) {
        report->message += length + 2;
    }
}

static void add_frame(struct report *report, const lua_Debug *record)
{
    char place[HOST_PLACE_SIZE];
    snprintf(place, sizeof(place), "%s:%d", record->short_src, record->currentline);
    if (report->place[0] == '\0') {
        strip_place(report, place);
    }
    if (record->source[0] != HOST_USER_CHUNK) {
        return;
    }
    if (report->place[0] == '\0') {
        memcpy(report->place, place, sizeof(place));
    } else if (report->caller_count < MAX_CALLERS) {
        size_t used = strlen(report->callers);
        snprintf(report->callers + used, sizeof(report->callers) - used, ", called from %s", place);
        report->caller_count++;
    }
}

static void find_frames(lua_State *L, struct report *report)
{
    lua_Debug record;
    for (int level = 0; level < MAX_FRAMES && lua_getstack(L, level, &record); level++) {
        lua_getinfo(L, "Sl", &record);
        if (record.currentline > 0) {
            add_frame(report, &record);
        }
    }
}

/* An error of a nested operator is not the business of the lines that led to it. */
static void blame(struct report *report, const char *place)
{
    snprintf(report->place, sizeof(report->place), "%s", place);
    report->callers[0] = '\0';
}

static void write_report(struct host *host, const struct report *report)
{
    char places[HOST_PLACE_SIZE + sizeof(report->callers)];
    snprintf(places, sizeof(places), "%s%s", report->place, report->callers);
    size_t length = strlen(report->message);
    int shown = (int)(length > 0 && report->message[length - 1] == '.' ? length - 1 : length);
    enum err_code code = host->failure_code ? host->failure_code : ERR_SCRIPT;
    if (host->phase == HOST_BUILDING) {
        code = host->failure_code ? host->failure_code : ERR_TOPOLOGY;
        err_set(&host->failure, ERR_FATAL, code, "%s%s%.*s%s%s%s.", report->place, report->place[0] ? ": " : "", shown,
                report->message, report->callers[0] ? " (" : "", report->callers[0] ? report->callers + 2 : "",
                report->callers[0] ? ")" : "");
    } else {
        err_set(&host->failure, ERR_FATAL, code, "%.*s%s%s%s%s%s.", shown, report->message, places[0] ? " (" : "",
                places, places[0] ? ")" : "", host->node ? " in node " : "", host->node ? host->node->name : "");
    }
}

/* Writes the report of the error value on top of the stack, unless there is one that must stay. [-0, +0, -] */
static void describe(lua_State *L)
{
    struct host *host = host_of(L);
    if (host->final) {
        return;
    }
    int top = lua_gettop(L);
    char buffer[64];
    struct report report = {.message = text_of(L, -1, buffer, sizeof(buffer))};
    find_frames(L, &report);
    if (host->blamed) {
        blame(&report, host->blamed);
    }
    write_report(host, &report);
    host->failure_code = ERR_OK;
    host->blamed = NULL;
    lua_settop(L, top);
}

/* The message handler of every entry: it runs where the error happened. */
static int handle(lua_State *L)
{
    describe(L);
    return 1;
}

/* For what came without a message handler: the memory limit, or an error inside the handler. */
static void describe_status(struct host *host, int status)
{
    const char *in = host->node ? " in node " : "";
    const char *node = host->node ? host->node->name : "";
    if (status == LUA_ERRMEM) {
        err_set(&host->failure, ERR_FATAL, ERR_MEMORY,
                "The script needs more memory than the %zu bytes that the option lua_memory allows one worker%s%s.",
                host->pool.limit, in, node);
    } else {
        char buffer[64];
        err_set(&host->failure, ERR_FATAL, ERR_SCRIPT, "An error could not be described: %s%s%s.",
                text_of(host->L, -1, buffer, sizeof(buffer)), in, node);
    }
}

/* ---- callbacks ---- */

/* Room on the stack for all the operators that an item can pass through one inside the other: a check in each of them
 * would cost 5% of a record. */
static void make_room(lua_State *L)
{
    const struct graph *graph = host_of(L)->graph;
    int nodes = graph ? graph_node_count(graph) : 1;
    luaL_checkstack(L, STACK_ROOM + nodes * NODE_ROOM, "too many operators in a row");
}

void call_bind(lua_State *L, int options, const char *field, bool required, struct callback *callback)
{
    *callback = (struct callback){LUA_NOREF, 0, field};
    int type = lua_getfield(L, options, field);
    if (type == LUA_TNIL && !required) {
        lua_pop(L, 1);
        return;
    }
    if (type != LUA_TFUNCTION) {
        luaL_error(L, "%s must be a function, not %s", field, type == LUA_TNIL ? "nil" : luaL_typename(L, -1));
    }
    lua_Debug record;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">u", &record);
    callback->parameters = record.isvararg ? INT_MAX : record.nparams;
    callback->reference = luaL_ref(L, LUA_REGISTRYINDEX);
}

void call_push(lua_State *L, const struct callback *callback)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, callback->reference);
}

/* ---- policies ---- */

/* Carries host->failure to the entry; nothing may catch it. */
static int raise_final(lua_State *L)
{
    struct host *host = host_of(L);
    host->final = true;
    lua_pushstring(L, host->failure.text);
    return lua_error(L);
}

static enum op_policy parse_policy(lua_State *L, struct node *node)
{
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    static const char *const names[] = {
        [POLICY_FAIL] = "fail", [POLICY_SKIP] = "skip", [POLICY_DEAD_LETTER] = "dead_letter"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            return (enum op_policy)i;
        }
    }
    struct host *host = host_of(L);
    char buffer[64];
    struct err cause = host->failure;
    err_set(&host->failure, ERR_FATAL, ERR_SCRIPT,
            "on_error must return \"fail\", \"skip\" or \"dead_letter\", not %s, in node %s; it was asked about: %s",
            text_of(L, -1, buffer, sizeof(buffer)), node->name, cause.text);
    raise_final(L);
    return POLICY_FAIL;
}

/* on_error(message, rec) of the user. */
static enum op_policy ask_policy(lua_State *L, struct node *node, const struct item *item)
{
    struct host *host = host_of(L);
    luaL_checkstack(L, STACK_ROOM, "too many operators in a row");
    struct err cause = host->failure;
    lua_rawgeti(L, LUA_REGISTRYINDEX, host->nodes[node->id].policy);
    lua_pushstring(L, cause.text);
    rec_push(L, item, false);
    uint64_t before = limits_begin(&host->limits);
    lua_call(L, 2, 1);
    limits_restore(&host->limits, before);
    host->failure = cause;
    enum op_policy policy = parse_policy(L, node);
    lua_pop(L, 1);
    return policy;
}

/* Why records are dropped; how many and which is logged by the engine. */
static void log_cause(struct host *host)
{
    int64_t now = clock_monotonic_ns(host->clock);
    if (host->logged_ns != 0 && now - host->logged_ns < LOG_INTERVAL_NS) {
        return;
    }
    host->logged_ns = now;
    log_event(LOG_WARN, "a record failed and is dropped by on_error", log_text("cause", host->failure.text));
}

/* Treats host->failure: returns false when the item is to be dropped, jumps when the policy is to fail. */
static bool treat(lua_State *L, struct node *node, const struct item *item)
{
    struct host *host = host_of(L);
    enum op_policy policy = node->policy_by_function ? ask_policy(L, node, item) : node->policy;
    if (policy != POLICY_FAIL) {
        log_cause(host);
    }
    switch (policy) {
    case POLICY_SKIP:
        op_drop(node, DROP_SKIPPED, item);
        return false;
    case POLICY_DEAD_LETTER:
        if (op_dead_letter(node, item, &host->failure)) {
            call_raise(L, node);
        }
        return false;
    case POLICY_FAIL:
        break;
    }
    raise_final(L);
    return false;
}

static bool fails_at_once(const struct node *node)
{
    return node->policy == POLICY_FAIL && !node->policy_by_function;
}

/* Limits are not the record's fault, so no policy drops records because of them; and an error of a node that the
 * callback reached with ctx:forward has been treated by that node's own policy. */
static bool is_final(const struct host *host, const struct node *node, int status)
{
    return status != LUA_ERRRUN || host->final || host->node != node;
}

static bool run_by_policy(lua_State *L, struct node *node, const struct item *item, int arguments, int results)
{
    struct host *host = host_of(L);
    int function = lua_gettop(L) - arguments;
    lua_pushcfunction(L, handle);
    lua_insert(L, function);
    int status = lua_pcall(L, arguments, results, function);
    if (status == LUA_OK) {
        lua_remove(L, function);
        return true;
    }
    if (is_final(host, node, status)) {
        if (status != LUA_ERRRUN && !host->final) {
            describe_status(host, status);
        }
        raise_final(L);
    }
    lua_settop(L, function - 1);
    return treat(L, node, item);
}

bool call_run(struct node *node, struct item *item, int arguments, int results)
{
    struct host *host = op_program(node->worker);
    struct node *outer = host->node;
    bool done = true;
    host->node = node;
    uint64_t before = limits_begin(&host->limits);
    FAILPOINT(SCRIPT);
    if (fails_at_once(node)) {
        lua_call(host->L, arguments, results);
    } else {
        done = run_by_policy(host->L, node, item, arguments, results);
    }
    limits_restore(&host->limits, before);
    host->node = outer;
    return done;
}

bool call_item(struct node *node, struct item *item, const struct callback *callback, int results)
{
    struct host *host = op_program(node->worker);
    lua_State *L = host->L;
    int key = callback->parameters > 0 ? datum_slot(L, &item->key) : 0;
    int value = callback->parameters > 1 ? datum_slot(L, &item->value) : 0;
    call_push(L, callback);
    if (callback->parameters > 0) {
        lua_pushvalue(L, key);
    }
    if (callback->parameters > 1) {
        lua_pushvalue(L, value);
    }
    if (callback->parameters > 2) {
        rec_push(L, item, false);
    }
    return call_run(node, item, callback->parameters < 3 ? callback->parameters : 3, results);
}

/* ---- errors of operators ---- */

static bool fail(struct node *node, struct item *item, enum err_code code, const char *format, va_list arguments)
{
    struct host *host = op_program(node->worker);
    char message[ERR_TEXT_SIZE];
    vsnprintf(message, sizeof(message), format, arguments);
    struct node *outer = host->node;
    host->node = node;
    host->failure_code = code;
    if (fails_at_once(node)) {
        host->blamed = node->place;
        lua_pushstring(host->L, message);
        lua_error(host->L);
    }
    struct report report = {.message = message};
    blame(&report, node->place);
    write_report(host, &report);
    host->failure_code = ERR_OK;
    bool kept = treat(host->L, node, item);
    host->node = outer;
    return kept;
}

bool call_fail(struct node *node, struct item *item, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool kept = fail(node, item, ERR_SCRIPT, format, arguments);
    va_end(arguments);
    return kept;
}

bool call_fail_record(struct node *node, struct item *item, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool kept = fail(node, item, ERR_RECORD, format, arguments);
    va_end(arguments);
    return kept;
}

int call_raise_final(lua_State *L)
{
    describe(L);
    host_of(L)->final = true;
    return lua_error(L);
}

int call_raise(lua_State *L, struct node *node)
{
    host_of(L)->failure = *op_error(node->worker);
    return raise_final(L);
}

void call_forward(lua_State *L, struct node *node, struct item *item)
{
    struct host *host = host_of(L);
    host_require_main(L, "forward");
    make_room(L);
    struct node *outer = host->node;
    uint64_t before = limits_pause(&host->limits);
    if (op_forward(node, item)) {
        call_raise(L, node);
    }
    limits_restore(&host->limits, before);
    host->node = outer;
}

/* ---- the protected entry ---- */

struct entry {
    struct host *host;
    int (*body)(struct host *host, void *data);
    void *data;
    int result;
};

static int run_entry(lua_State *L)
{
    struct entry *entry = lua_touserdata(L, 1);
    make_room(L);
    entry->result = entry->body(entry->host, entry->data);
    return 0;
}

/* Out of an error: everything as it was before the entry, the report in `err`. */
static int leave_failed(struct host *host, int status, struct err *err)
{
    if (status != LUA_ERRRUN && !host->final) {
        describe_status(host, status);
    }
    *err = host->failure;
    host->final = false;
    host->failure_code = ERR_OK;
    host->blamed = NULL;
    lua_sethook(host->L, NULL, 0, 0); /* the watchdog's, which goes on raising errors until here */
    atomic_store(&host->limits.running, host->L);
    lua_pop(host->L, 1); /* the error value */
    return -1;
}

static int enter(struct host *host, enum host_phase phase, struct entry *entry, struct err *err)
{
    lua_State *L = host->L;
    enum host_phase outer_phase = host->phase;
    struct node *outer_node = host->node;
    bool outermost = !host->entered;
    if (!lua_checkstack(L, STACK_ROOM)) {
        return err_set(err, ERR_FATAL, ERR_MEMORY, "Too many calls of Lua are inside each other.");
    }
    uint64_t before = limits_pause(&host->limits);
    if (outermost) {
        limits_enter(&host->limits);
        host->entered = true;
    }
    host->phase = phase;
    lua_pushcfunction(L, handle);
    lua_pushcfunction(L, run_entry);
    lua_pushlightuserdata(L, entry);
    int status = lua_pcall(L, 1, 0, -3);
    int result = 0;
    if (status != LUA_OK) {
        result = leave_failed(host, status, err);
    } else if (entry->result != 0) {
        result = -1;
        *err = *op_error(host->worker);
    }
    lua_pop(L, 1);
    host->phase = outer_phase;
    host->node = outer_node;
    limits_restore(&host->limits, before);
    if (outermost) {
        limits_leave(&host->limits);
        host->entered = false;
        host->epoch++;
    }
    return result;
}

int call_protected(struct host *host, int (*body)(struct host *host, void *data), void *data, struct err *err)
{
    struct entry entry = {host, body, data, 0};
    return enter(host, HOST_CALLBACK, &entry, err);
}

int call_building(struct host *host, int (*body)(struct host *host, void *data), void *data, struct err *err)
{
    struct entry entry = {host, body, data, 0};
    return enter(host, HOST_BUILDING, &entry, err);
}
