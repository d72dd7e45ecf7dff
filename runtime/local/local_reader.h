/* Reading partitions of the embedded log outside of any group. The functions of the transport class. */
#ifndef TIDEMILL_LOCAL_LOCAL_READER_H
#define TIDEMILL_LOCAL_LOCAL_READER_H

#include "local/local_int.h"

int local_reader_open(struct transport *transport, const struct reader_config *config, struct reader **reader,
                      struct err *err);
void local_reader_close(struct reader *reader);
int local_reader_read(struct reader *reader, int timeout_ms, struct record *records, size_t max, size_t *count,
                      struct err *err);
int64_t local_reader_position(struct reader *reader, size_t index);

#endif
