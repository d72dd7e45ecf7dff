#include "base/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_OUT_OF_MEMORY 5
#define LARGE_BYTES (1024 * 1024)

/* _exit and write: nothing here may allocate, and no handler of exit() can be trusted to get by without memory. */
static _Noreturn void out_of_memory(size_t size)
{
    char text[128];
    int length =
        snprintf(text, sizeof text,
                 "tidemill: out of memory (%zu bytes were asked for); work goes on from the last commit.\n", size);
    ssize_t written = write(STDERR_FILENO, text, (size_t)length);
    (void)written;
    _exit(EXIT_OUT_OF_MEMORY);
}

/* glibc learns from the first large block that is freed to keep such blocks in its heaps, where they stay. */
void memory_return_large(void)
{
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    mallopt(M_TRIM_THRESHOLD, LARGE_BYTES);
}

void *memory_alloc(size_t size)
{
    void *block = calloc(1, size > 0 ? size : 1);
    if (block == NULL) {
        out_of_memory(size);
    }
    return block;
}

void *memory_resize(void *block, size_t size)
{
    void *resized = realloc(block, size > 0 ? size : 1);
    if (resized == NULL) {
        out_of_memory(size);
    }
    return resized;
}

char *memory_copy_text(const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    return memcpy(memory_resize(NULL, size), text, size);
}

char *memory_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        out_of_memory(strlen(format));
    }
    return text;
}

void *memory_grow(void *array, size_t count, size_t *capacity, size_t element_size)
{
    if (count < *capacity) {
        return array;
    }
    size_t wanted = *capacity > 0 ? *capacity * 2 : 8;
    if (wanted > SIZE_MAX / 2 / element_size) {
        out_of_memory(SIZE_MAX);
    }
    *capacity = wanted;
    return memory_resize(array, wanted * element_size);
}
