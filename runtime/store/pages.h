/* Large blocks straight from the system, in huge pages where it has them: a random access to a large table costs a good
 * deal less, because the processor finds the page sooner.
 *
 * Ownership: what pages_alloc returns belongs to the caller until pages_free with the same size.
 */
#ifndef TIDEMILL_STORE_PAGES_H
#define TIDEMILL_STORE_PAGES_H

#include <stddef.h>

#define PAGES_HUGE ((size_t)2 * 1024 * 1024)

void *pages_alloc(size_t size); /* zeroed; a block under PAGES_HUGE comes from the heap; never fails */
void pages_free(void *block, size_t size);

#endif
