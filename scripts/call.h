/* Calling the user's functions, and the one protected entry per record.
 *
 * Errors: the entry's message handler writes the report into host->failure at the point of the error, where the frames
 * of the script still exist. What must not be caught by the script or by a policy (the engine's failures, limits) sets
 * host->final. Ownership: a callback's function is kept in the registry until the state ends. Nothing here allocates
 * with malloc between entry and return, so a Lua error may jump at any point.
 */
#ifndef TIDEMILL_SCRIPTS_CALL_H
#define TIDEMILL_SCRIPTS_CALL_H

#include "scripts/datum.h"
#include "scripts/rec.h"

struct callback {
    int reference;    /* LUA_NOREF: not given */
    int parameters;   /* how many arguments the function looks at; INT_MAX for vararg and C functions */
    const char *name; /* "filter", "add": for messages; static */
};

/* Takes options[field], which must be a function (or nil when not required). [-0, +0, e] */
void call_bind(lua_State *L, int options, const char *field, bool required, struct callback *callback);
static inline bool call_given(const struct callback *callback)
{
    return callback->reference != LUA_NOREF;
}

/* Pushes the function; push the arguments behind it, then call_run with their count. [-0, +1, e] */
void call_push(lua_State *L, const struct callback *callback);

/* Runs the function below `arguments` values on top. When the node's policy is to fail, an error jumps out to the entry
 * of the record. Else it is caught here and treated by policy (counted, dead letter), and false is returned with
 * arguments and function popped and no results pushed: the caller drops the item. [-(arguments + 1), +results, e] */
bool call_run(struct node *node, struct item *item, int arguments, int results);

/* The common case (key, value, rec): decodes only what the function looks at. The decoded values stay on the stack,
 * below the results, for the operators behind. [-0, +results and up to 2, e] */
bool call_item(struct node *node, struct item *item, const struct callback *callback, int results);

/* Raises (or treats by policy, returning false) an error of the operator itself: a wrong result of a callback. The
 * report names the node and its place. [-0, +0, e] */
bool call_fail(struct node *node, struct item *item, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a record that can't be decoded, encoded or written: the error's code is ERR_RECORD. [-0, +0, e] */
bool call_fail_record(struct node *node, struct item *item, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* op_forward from inside a callback (ctx:forward): the children's time does not count as the callback's, and a failure
 * of the engine becomes an error that the script can't catch. `L` is the caller's, and not a coroutine's. [-0, +0, e]
 */
void call_forward(lua_State *L, struct node *node, struct item *item);
/* Raises the error in op_error(node->worker) so that it reaches the entry as it is, whatever pcall the script has
 * put around it: for bindings whose call of the engine failed. [-0, +0, e] */
int call_raise(lua_State *L, struct node *node);
/* Raises the message on top of the stack likewise: for limits. [-1, +0, e] */
int call_raise_final(lua_State *L);

/* Runs `body` protected, with limits, epoch, and a report that has the place in the script, the lines that called it
 * and the node; the whole of program.h's process, punctuate, open, flush. `body` gives 0, or -1 with the error in
 * op_error(worker), which is then `err`. An error raised becomes ERR_FATAL / ERR_SCRIPT (call_fail_record: ERR_RECORD,
 * memory limit: ERR_MEMORY). May be nested in another entry of the same host or of another one. */
int call_protected(struct host *host, int (*body)(struct host *host, void *data), void *data, struct err *err);
/* The same while the script is being built: errors are ERR_FATAL / ERR_TOPOLOGY and begin with the place. */
int call_building(struct host *host, int (*body)(struct host *host, void *data), void *data, struct err *err);

#endif
