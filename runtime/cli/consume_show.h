/* Keys and values as text for people. Pure. */
#ifndef TIDEMILL_CLI_CONSUME_SHOW_H
#define TIDEMILL_CLI_CONSUME_SHOW_H

#include "engine/record.h"

enum consume_codec {
    CONSUME_STRING,
    CONSUME_JSON,
    CONSUME_INT64,
    CONSUME_DOUBLE,
    CONSUME_BYTES,
    CONSUME_WINDOWED,
    CONSUME_SESSION_WINDOWED
};
extern const char *const consume_codecs[]; /* their names, for an option */

/* Appends the text of bytes in that codec; "null" for none; what does not fit the codec as {"base64":"..."}. */
void consume_show(enum consume_codec codec, struct slice data, struct bytes *out);
/* The same with control characters made visible, as they could take over a terminal. */
void consume_show_safely(enum consume_codec codec, struct slice data, struct bytes *out);

#endif
