/* Reals as JSON text: the shortest decimal of 15 to 17 digits that reads back as the same double, or a shorter one. */
#ifndef TIDEMILL_BASE_JSON_REAL_H
#define TIDEMILL_BASE_JSON_REAL_H

#include "base/bytes.h"

/* Appends a finite number; the text has a point or an exponent, so that it reads back as a real. */
void json_real_append(struct bytes *out, double value);

#endif
