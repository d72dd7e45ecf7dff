/* Calling the user's functions, and the one protected entry per record.
 *
 * Ownership: a callback's function is kept in the registry until the state ends. Nothing here allocates with malloc
 * between entry and return, so a Lua error may jump at any point.
 */
#ifndef TIDEMILL_SCRIPTS_CALL_H
#define TIDEMILL_SCRIPTS_CALL_H

#include "scripts/datum.h"
#include "scripts/rec.h"

struct callback {
    int reference;       /* LUA_NOREF: not given */
    int parameters;      /* how many arguments the function looks at; a vararg function looks at all */
    const char *name;    /* "filter", "add": for messages; static */
};

/* Takes options[field], which must be a function (or nil when not required). [-0, +0, e] */
void call_bind(lua_State *L, int options, const char *field, bool required, struct callback *callback);
static inline bool call_given(const struct callback *callback)
{
    return callback->reference != LUA_NOREF;
}

/* Pushes function, then `fill` the arguments yourself, then call_run with their count. [-0, +1, -] */
void call_push(lua_State *L, const struct callback *callback);

/* Runs the function below `arguments` values on top. When the node's policy is to fail, an error jumps out to the entry of
 * the record. Else it is caught here and treated by policy (counted, dead letter), and false is returned with arguments and
 * function popped and no results pushed: the caller drops the item. [-(arguments + 1), +results, e] */
bool call_run(struct node *node, struct item *item, int arguments, int results);

/* The common case (key, value, rec): decodes only what the function looks at. */
bool call_item(struct node *node, struct item *item, const struct callback *callback, int results);

/* Raises (or treats by policy, returning false) an error of the operator itself: a wrong result of a callback, a record that
 * can't be encoded. The text names the node and the place. */
bool call_fail(struct node *node, struct item *item, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Runs `body` protected, with traceback, limits and epoch; the whole of program.h's process, punctuate, open, flush. An
 * error becomes ERR_FATAL / ERR_SCRIPT with the script's file and line; memory and time limits say so. */
int call_protected(struct host *host, int (*body)(struct host *host, void *data), void *data, struct err *err);

#endif
