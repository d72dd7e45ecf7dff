/* What the codecs share. Private to codec_*.c.
 *
 * Ownership: nothing is kept.
 */
#ifndef TIDEMILL_SCRIPTS_CODEC_INT_H
#define TIDEMILL_SCRIPTS_CODEC_INT_H

#include "scripts/codec.h"

/* "the int64 codec writes integers, and this is a string". [-0, +0, e] */
void codec_refuse(lua_State *L, const struct codec *codec, int index, const char *expected);

#endif
