/* Allocation that does not fail.
 *
 * Running out of memory ends the process with a message and status 5: by the commit protocol that loses nothing, and
 * no caller needs a branch that is never tested. Lua's memory is counted and limited apart (scripts/host.h).
 * Ownership: what is returned belongs to the caller and is released with free().
 */
#ifndef TIDEMILL_BASE_MEMORY_H
#define TIDEMILL_BASE_MEMORY_H

#include <stddef.h>

void *memory_alloc(size_t size); /* zeroed */
/* Blocks of a megabyte and more go back to the system when they are freed, for the whole process. Called once, first.
 */
void memory_return_large(void);
void *memory_resize(void *block, size_t size); /* like realloc; new bytes are not zeroed */
char *memory_copy_text(const char *text);      /* NULL gives NULL */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes room for one more element in a growing array: doubles `*capacity` when `count` reached it; returns the array.
 */
void *memory_grow(void *array, size_t count, size_t *capacity, size_t element_size);

#endif
