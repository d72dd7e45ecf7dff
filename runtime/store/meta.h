/* struct store_meta as bytes: what the files remember about the last commit (P11). Pure.
 *
 * Ownership: meta_encode copies; what meta_decode fills in lives in the given arena.
 */
#ifndef TIDEMILL_STORE_META_H
#define TIDEMILL_STORE_META_H

#include "base/arena.h"
#include "engine/store.h"

void meta_encode(const struct store_meta *meta, struct bytes *out); /* appended */
/* Fails with ERR_CORRUPT when the bytes are not exactly one meta with the right checksum. */
int meta_decode(struct slice bytes, struct arena *arena, struct store_meta *meta, struct err *err);

#endif
