/* The module "tidemill.test": test.lua, and the C functions below it that drive a pipeline (engine/driver.h).
 *
 * Ownership: a struct bind_test belongs to the caller and outlives the Lua state it is attached to; it owns the drivers
 * that tests open. Values cross between the test's state and the pipeline's as bytes: they are encoded with the codecs
 * of the topics' readers and decoded with those of their writers, into plain tables.
 */
#ifndef TIDEMILL_SCRIPTS_BIND_TEST_H
#define TIDEMILL_SCRIPTS_BIND_TEST_H

#include "scripts/operator.h"

struct test_driver;

struct bind_test {
    const struct operator_table *operators;
    const struct connector_table *connectors;
    const struct store_driver *stores;
    struct coverage *coverage; /* of the pipelines' lines; NULL: not counted */
    int64_t seed;              /* of t.for_all */
    struct option_list names;  /* of the tests, in the order of their declaration */
    struct test_driver *drivers;
    bool running; /* the file is loaded, its tests run */
};

void bind_test_attach(lua_State *L, struct bind_test *tests); /* before the module is opened [-0, +0, e] */
int bind_test_open(lua_State *L);                             /* a lua_CFunction that gives the module */
/* Runs test number `number` and pushes nil, or the text of its failure. [-0, +1, e] */
void bind_test_run(lua_State *L, size_t number);
void bind_test_close_drivers(struct bind_test *tests);
void bind_test_free(struct bind_test *tests);

#endif
