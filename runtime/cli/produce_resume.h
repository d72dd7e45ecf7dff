/* How far a file has been produced, kept in the transaction of the records (--resume).
 *
 * It is the metadata of a group position: the group stands for one file and one topic, its position in partition 0 of
 * the topic lies beyond all records, so that it holds nothing back from compaction.
 * Ownership: produce_resume_free releases the texts.
 */
#ifndef TIDEMILL_CLI_PRODUCE_RESUME_H
#define TIDEMILL_CLI_PRODUCE_RESUME_H

#include "engine/transport.h"

struct produce_resume {
    char *group;
    char *file;     /* absolute path */
    int64_t line;   /* lines that are done; 0: none yet */
    uint32_t first; /* checksum of the first line */
};

int produce_resume_open(const char *topic, const char *path, struct produce_resume *resume, struct err *err);
/* Reads what the group remembers, on a session of the group: its predecessor, were it still there, is fenced. */
int produce_resume_read(const struct transport_class *transport, struct session *session, const char *topic,
                        struct produce_resume *resume, struct err *err);
void produce_resume_free(struct produce_resume *resume);
/* Notes the file's first line; ERR_CONFIG when the lines done were of another file. */
int produce_resume_first(struct produce_resume *resume, struct slice line, struct err *err);
/* The position that says that `line` lines are done. `metadata` is emptied and holds the text that it points to. */
struct position produce_resume_position(const struct produce_resume *resume, const char *topic, int64_t line,
                                        struct bytes *metadata);

#endif
