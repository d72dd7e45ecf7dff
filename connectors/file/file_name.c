#include "connectors/file/file_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 20

void file_name_print(const struct file_name *name, const char *topic, int32_t partition, const char *format,
                     char text[FILE_NAME_SIZE])
{
    if (name->open) {
        snprintf(text, FILE_NAME_SIZE, ".%s-%" PRId32 "-%020" PRId64 "-%020" PRId64 ".%" PRId64 ".%" PRId64 ".part",
                 topic, partition, name->first, name->next, name->size, name->records);
    } else {
        snprintf(text, FILE_NAME_SIZE, "%s-%" PRId32 "-%020" PRId64 "-%020" PRId64 ".%s", topic, partition, name->first,
                 name->next, format);
    }
}

static bool take_number(const char **at, int64_t *number)
{
    char digits[DIGITS + 1] = "";
    size_t size = strspn(*at, "0123456789");
    if (size == 0 || size > DIGITS) {
        return false;
    }
    memcpy(digits, *at, size);
    *number = strtoll(digits, NULL, 10);
    *at += size;
    return true;
}

static bool take_byte(const char **at, char byte)
{
    bool found = **at == byte;
    *at += found;
    return found;
}

bool file_name_parse(const char *text, const char *topic, int32_t partition, const char *format, struct file_name *name)
{
    char again[FILE_NAME_SIZE];
    const char *at = text;
    *name = (struct file_name){.open = take_byte(&at, '.')};
    if (strncmp(at, topic, strlen(topic)) != 0) {
        return false;
    }
    at += strlen(topic);
    int64_t number;
    bool good = take_byte(&at, '-') && take_number(&at, &number) && take_byte(&at, '-') &&
                take_number(&at, &name->first) && take_byte(&at, '-') && take_number(&at, &name->next);
    if (good && name->open) {
        good = take_byte(&at, '.') && take_number(&at, &name->size) && take_byte(&at, '.') &&
               take_number(&at, &name->records);
    }
    if (!good || name->next < name->first) {
        return false;
    }
    /* Whatever differs from how it would be written, the partition too, is not ours. */
    file_name_print(name, topic, partition, format, again);
    return strcmp(text, again) == 0;
}
