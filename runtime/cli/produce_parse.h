/* One line of input as a record: where its key, its value and its time come from. Pure.
 *
 * Ownership: records borrow from the line and from the rules' scratch memory until the next call of produce_parse.
 */
#ifndef TIDEMILL_CLI_PRODUCE_PARSE_H
#define TIDEMILL_CLI_PRODUCE_PARSE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/csv.h"
#include "engine/record.h"

/* In the order of the choices of --format. */
enum produce_format { PRODUCE_LINES, PRODUCE_JSON, PRODUCE_VALUE, PRODUCE_KEY_VALUE, PRODUCE_CSV };

struct produce_rules {
    enum produce_format format;
    const char *key;       /* field of the key, or NULL */
    const char *timestamp; /* field of the time, or NULL */
    int64_t at;            /* time of records without one; -1: that of producing */
    const struct csv *csv; /* of PRODUCE_CSV */
    struct arena scratch;
    struct bytes object; /* of PRODUCE_CSV */
};

/* The timestamp is -1 when the line says none. ERR_SKIP with the reason, without a full stop: "its field \"id\" is
 * missing". */
int produce_parse(struct produce_rules *rules, struct slice line, struct record *record, struct err *err);
void produce_rules_free(struct produce_rules *rules);

#endif
