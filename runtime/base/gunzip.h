/* Unpacking gzip bit by bit, also of several members one behind the other, as `cat a.gz b.gz` makes it.
 *
 *   while (...) {
 *       if (gunzip_hungry(gunzip)) append packed bytes to gunzip_input(gunzip); none left: gunzip_between says whether
 *                                  the end may be there
 *       gunzip_some(gunzip, &text);
 *   }
 * Ownership: gunzip_open's result is freed with gunzip_close; the input belongs to it.
 */
#ifndef TIDEMILL_BASE_GUNZIP_H
#define TIDEMILL_BASE_GUNZIP_H

#include <stdbool.h>

#include "base/bytes.h"

struct gunzip;

bool gunzip_recognizes(const unsigned char *data, size_t size); /* the first bytes of a file: it is gzip */
struct gunzip *gunzip_open(void);                               /* NULL: zlib refuses */
void gunzip_close(struct gunzip *gunzip);                       /* NULL: nothing */
/* No text can be had without more packed bytes. */
bool gunzip_hungry(const struct gunzip *gunzip);
/* Where packed bytes are appended; those that are used up are dropped. */
struct bytes *gunzip_input(struct gunzip *gunzip);
/* Between two members, or behind the last: here a file may end. */
bool gunzip_between(const struct gunzip *gunzip);
/* Appends some text, perhaps none, to `text`; not while hungry. False: the bytes are damaged. */
bool gunzip_some(struct gunzip *gunzip, struct bytes *text);

#endif
