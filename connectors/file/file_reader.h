/* Rows of a file: lines, or in CSV as many lines as a quoted field goes over; gzip is recognized by its first bytes.
 *
 * Offsets count uncompressed bytes. A plain file is entered at any of them; a gzip file is unpacked from its beginning.
 * At the end of a file reading can go on later: what was appended is read then.
 * Ownership: a row belongs to the reader until the next call; file_reader_close releases everything.
 */
#ifndef TIDEMILL_CONNECTORS_FILE_FILE_READER_H
#define TIDEMILL_CONNECTORS_FILE_FILE_READER_H

#include "base/bytes.h"
#include "base/err.h"

/* The longest row, line feeds in it included; a longer one is an error that names its line. */
#define FILE_READER_ROW_LIMIT ((size_t)8 * 1024 * 1024)

struct file_reader;

/* Where a row begins: the bytes and the lines before it. */
struct file_reader_place {
    int64_t offset;
    int64_t line;
};

/* At the file's beginning, behind a byte order mark. ERR_FATAL: it can't be opened. */
int file_reader_open(const char *path, struct file_reader **reader, struct err *err);
void file_reader_close(struct file_reader *reader); /* NULL: nothing */
/* Goes on to a place that lies ahead. ERR_FATAL: the file ends before it. */
int file_reader_skip(struct file_reader *reader, struct file_reader_place place, struct err *err);
/* The next row without its line feed. 1: there is one; 0: the file's end for now; -1: `err`. With `last` a row at the
 * end needs no line feed. With `quoted` line feeds between quotes belong to the row. */
int file_reader_row(struct file_reader *reader, bool quoted, bool last, struct slice *row, struct err *err);
/* Behind the row that was given last. */
struct file_reader_place file_reader_place(const struct file_reader *reader);
uint64_t file_reader_inode(const struct file_reader *reader);
/* The file was cut shorter than what has been read of it; not for gzip. */
bool file_reader_cut(const struct file_reader *reader);
/* When it was changed last: nanoseconds since 1970. */
int64_t file_reader_changed(const struct file_reader *reader);
/* Bytes that the file has; 0: not known, or it is gzip. */
int64_t file_reader_size(const struct file_reader *reader);
bool file_reader_packed(const struct file_reader *reader); /* it is gzip */

#endif
