/* Names of the files that the file sink writes; its position in the target is read from them. Pure.
 *
 *   orders-3-00000000000000000000-00000000000000000500.json               finished: records of offsets 0 to 499
 *   .orders-3-00000000000000000500-00000000000000000700.81920.200.part    open: its first 81920 bytes count, 200
 * records
 */
#ifndef TIDEMILL_CONNECTORS_FILE_FILE_NAME_H
#define TIDEMILL_CONNECTORS_FILE_FILE_NAME_H

#include <stdbool.h>
#include <stdint.h>

struct file_name {
    int64_t first; /* offset of the first record, or from where there were none */
    int64_t next;  /* the position after the file */
    bool open;
    int64_t size;    /* open only: bytes */
    int64_t records; /* open only */
};

#define FILE_NAME_SIZE 512

/* `format` is the ending: "json" or "csv". */
void file_name_print(const struct file_name *name, const char *topic, int32_t partition, const char *format,
                     char text[FILE_NAME_SIZE]);
/* False: it is no name of this topic, partition and format. */
bool file_name_parse(const char *text, const char *topic, int32_t partition, const char *format,
                     struct file_name *name);

#endif
