/* A file as a source: every line (JSON) or row (CSV) is a record; gzip is recognized by its content.
 *
 * The position names the file by its inode and goes to a row's beginning, so that a restart goes on exactly there. With
 * the option follow, reading goes on at the end: with what is appended, and after a rotation (the file is renamed, and
 * a new one of the same name is written) with the new file, once the old one is read to its end and the new one is not
 * empty, because its writer is done with the old one then. A file that has become shorter than what was read of it was
 * emptied in place: it is read from its beginning.
 * A row of more than FILE_READER_ROW_LIMIT bytes, or one that is not what the format says, ends the process with a
 * message that names file and line: a source can't leave out what it does not understand.
 * Ownership: as engine/connector.h says.
 */
#ifndef TIDEMILL_CONNECTORS_FILE_FILE_SOURCE_H
#define TIDEMILL_CONNECTORS_FILE_FILE_SOURCE_H

#include "engine/connector.h"

extern const struct source_class file_source_class;

#endif
