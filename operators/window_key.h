/* Windowed keys on their way through the operators: the bytes are Kafka Streams' form (engine/store_form.h), the codec
 * is one of scripts/codec_windowed.h, which gives callbacks { key, window_start, window_end }.
 *
 * Ownership: bytes lie in the given arena.
 */
#ifndef TIDEMILL_OPERATORS_WINDOW_KEY_H
#define TIDEMILL_OPERATORS_WINDOW_KEY_H

#include "engine/store_form.h"
#include "scripts/datum.h"

/* The windowed key of a window; `codec` is the windowed one. */
struct datum window_key(const struct codec *codec, bool sessions, const struct store_window *window,
                        struct arena *arena);
/* Where the row of a windowed key lies in a store of windows. */
struct slice window_key_place(const struct store_spec *spec, struct slice key, struct arena *arena);
/* The windowed key of a row in a store of windows; null: the row is no window but the operator's own. */
struct slice window_key_of_row(const struct store_spec *spec, struct slice row, struct arena *arena);

#endif
