/* The inputs of `tidemill dev`: "TOPIC=FILE[,key=FIELD][,timestamp=FIELD][,at=TIME][,format=FORMAT][,csv]".
 *
 * Ownership: dev_input_parse's result is released with dev_input_free.
 */
#ifndef TIDEMILL_CLI_DEV_INPUT_H
#define TIDEMILL_CLI_DEV_INPUT_H

#include "base/err.h"
#include "base/option.h"

struct dev_input {
    char *topic;
    char *file;
    struct option_list options; /* of `produce`: "key=id" */
};

/* ERR_USAGE. */
int dev_input_parse(const char *text, struct dev_input *input, struct err *err);
void dev_input_free(struct dev_input *input);
/* Produces the file into the topic of the embedded log in `data`, as `tidemill produce` does. */
int dev_input_feed(const struct dev_input *input, const char *data, struct err *err);

#endif
