/* Errors of the building blocks in scripts/dsl: each names the line of the user and what to do. */
#include "support.h"

static const struct {
    const char *script;
    const char *part;
} refused[] = {
    {"app:stream('in'):filter({})", ".lua:3: filter needs a function, got a table"},
    {"app:stream('in'):filter()", "filter needs a function, got nothing"},
    {"app:stream('in'):flter(print)", "did you mean \"filter\"?"},
    {"app:stream('in'):map(print, { nme = 'x' })", "map has no option \"nme\"; did you mean \"name\"?"},
    {"app:stream('in'):map(print, 'x')", "map takes its options as a table, got the string \"x\""},
    {"app:stream('in'):map(print, { on_error = 'skp' })", "did you mean \"skip\"?"},
    {"app:stream()", "app:stream needs a topic as a string, got nothing"},
    {"app:stream {}", "at least one topic"},
    {"app:stream { 'a', 'a' }", "in the list twice"},
    {"app:stream('a b')", "is not usable"},
    {"app:stream('in', { reset = 'erliest' })", "did you mean \"earliest\"?"},
    {"app:stream('in', { timestamp = 5 })", "timestamp is a function or \"record\", got the number 5"},
    {"app:stream('in', { value = 'jsn' })", "json"},
    {"app:streem('in')", "did you mean \"stream\"?"},
    {"app.stream('in')", "app:stream is called with a colon on the app"},
    {"app:table('t')", "app:table keeps state and needs a name for it"},
    {"app:table({ 'a', 'b' }, { store = 's' })", "app:table needs a topic as a string, got a table"},
    {"app:stream('in'):count { store = 'c' }", "write :group_by_key():count"},
    {"app:stream('in'):group_by_key():count()", "count keeps state and needs a name for it: count { store = \"...\" }"},
    {"app:stream('in'):group_by_key():reduce { store = 'r' }", "reduce needs a function as add, got nothing"},
    {"app:stream('in'):group_by_key():aggregate { store = 'r', add = print }", "aggregate needs a function as init"},
    {"app:stream('in'):group_by_key():to('out')", "a grouped stream can only be counted"},
    {"app:stream('in'):group_by_key():count { store = 'c', emit = 'final' }", "emit = \"final\" is for windows"},
    {"app:stream('in'):group_by_key():windowed_by(5)", "windowed_by needs tm.tumbling(size)"},
    {"app:stream('in'):process { }", "process needs a function as process, got nothing"},
    {"app:global_table('g')", "app:global_table keeps state and needs a name for it"},
    {"local w = tm.tumbling()", "tm.tumbling needs a size: a duration"},
    {"local w = tm.jsn", "tm has no function or value \"jsn\"; did you mean \"json\"?"},
    {"tm.jsn = 5", "tm can't be changed"},
    {"app:table('t', { store = 's' }):map(print)", "write :to_stream():map(...)"},
    {"app:table('t', { store = 's' }):join(5)",
     "join of a table needs another table as its first argument, got the number 5"},
    {"app:stream('in'):join(app:stream('b'), print)", "join keeps state and needs a name for it"},
    {"app:stream('in'):join('users', print)",
     "join needs a stream or a table to join with as its first argument, got the string \"users\""},
    {"app:stream('in'):merge(app:table('t', { store = 's' }))",
     "merge needs another stream, got a table; write :to_stream() behind it"},
    {"app:stream('in'):branch()", "branch needs at least one function"},
    {"app:stream('in'):branch(print, 5)", "branch needs a function as argument 2, got the number 5"},
    {"app:stream('in'):repartition {}", "repartition needs a name for its topic"},
    {"app:stream('in'):repartition { name = 'x', partitions = 0 }", "partitions is a number from 1, got the number 0"},
    {"app:stream('in'):to(5)", "to needs a topic, or a function that chooses one, got the number 5"},
    {"app:stream('in'):filter(print, { name = 'x' }):filter(print, { name = 'x' })", "x"},
    {"tm.app 'again'", "tm.app is called twice"},
    {"app:stream('in').x = 5", "can't be changed"},
    {"app:table('t', { store = 's' }) app:table('u', { store = 's' })", "s"},
};

START_TEST(is_refused)
{
    pipeline_refused(refused[_i].script, refused[_i].part);
}
END_TEST

START_TEST(building_inside_a_callback_fails_by_name)
{
    struct pipeline p;
    pipeline_open(&p, "local s = app:stream('in')\n"
                      "s:foreach(function() s:filter(print) end)\n");
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "1", 1), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "filter builds the topology and can't be called inside a callback"));
    ck_assert_ptr_nonnull(strstr(p.err.text, ".lua:4"));
    pipeline_close(&p);
}
END_TEST

START_TEST(every_public_operator_is_documented)
{
    for (size_t i = 0; i < operators_all.count; i++) {
        ck_assert_ptr_nonnull(operators_all.list[i]->text);
        for (size_t j = 0; j < i; j++) {
            ck_assert_str_ne(operators_all.list[i]->op.kind, operators_all.list[j]->op.kind);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tidemill");
    TCase *tcase = tcase_create("building");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_S);
    tcase_add_loop_test(tcase, is_refused, 0, (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(tcase, building_inside_a_callback_fails_by_name);
    tcase_add_test(tcase, every_public_operator_is_documented);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
