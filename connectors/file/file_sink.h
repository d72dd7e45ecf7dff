/* Files as a target, exactly once: the position lies in the names of the files (file_name.h).
 *
 * A write appends to the partition's open part, makes it durable, and then renames the part to a name that says the new
 * position and the new length. The rename is the one step that counts, because it moves data and position at once:
 *   killed before it   the old name counts: bytes behind its length are cut off, what was no part yet is deleted
 *   killed after it    the records are in, and the name says so
 * A part that is large or old enough gets its finished name by one more rename, after an empty part has been made that
 * goes on behind it: the position is always in the name of an open part, and finished files may be taken away at any
 * time. An empty part behind one with records is of a finishing that was interrupted, and is made again.
 * The part's bytes are made durable before the rename and the directory after it; so a machine that goes down may lose
 * the rename at most, and then the position goes back with the data. A finished file is never touched again, and names
 * without a dot in front are finished ones only. No second file, journal or database is needed.
 * The kernel's lock on .<topic>-<partition>.lock keeps a second process away; the lock file also holds who writes here,
 * since a directory belongs to one sink. On file systems without locks across machines one machine may write.
 *
 * roll_records and roll_ms are looked at after each write, roll_ms also while nothing comes; close finishes what is
 * open, so a part stays open no longer than the process runs. Only after kill -9 it waits for the next start.
 * Ownership: as engine/connector.h says.
 */
#ifndef TIDEMILL_CONNECTORS_FILE_FILE_SINK_H
#define TIDEMILL_CONNECTORS_FILE_FILE_SINK_H

#include "engine/connector.h"

extern const struct sink_class file_sink_class;

#endif
