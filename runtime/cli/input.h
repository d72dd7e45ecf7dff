/* Lines of a file or of standard input; gzip is recognized by its first bytes.
 *
 * Ownership: a line belongs to the input until the next call of input_line or input_wait; input_close releases
 * everything.
 */
#ifndef TIDEMILL_CLI_INPUT_H
#define TIDEMILL_CLI_INPUT_H

#include "base/bytes.h"
#include "base/err.h"

struct lines; /* a file being read line by line */

/* NULL or "-": standard input. ERR_CONFIG when the file can't be opened. */
int input_open(const char *path, struct lines **lines, struct err *err);
void input_close(struct lines *lines);
const char *input_name(const struct lines *lines); /* for messages: the path, or "standard input" */

/* The next line without its line feed; 1: there is one, 0: the end, -1: `err`. The last line needs no line feed. */
int input_line(struct lines *lines, struct slice *line, struct err *err);
/* Appends the line after the current one to the current one, line feed between. As input_line. */
int input_join(struct lines *lines, struct slice *line, struct err *err);
int64_t input_number(const struct lines *lines); /* of the line that input_line gave last, from 1 */
/* Reads ahead, waiting no longer than so many milliseconds for the first byte; the current line ends with it. */
enum input_wait {
    INPUT_LINE,
    INPUT_PART,
    INPUT_NOTHING
}; /* there is a line or the end; something came; nothing came */
int input_wait(struct lines *lines, int timeout_ms, enum input_wait *found, struct err *err);
/* Bytes of the file read so far and its size; size -1: not known. Compressed bytes for gzip. */
void input_progress(const struct lines *lines, int64_t *done, int64_t *size);

#endif
