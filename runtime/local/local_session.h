/* A session of the embedded log: what one stream thread reads and writes. The functions of the transport class.
 *
 * Ownership as in engine/transport.h; a session has a reading connection of its own and writes through local_commit.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_SESSION_H
#define TIDEMILL_LOCAL_LOCAL_SESSION_H

#include "local/local_int.h"

int local_session_open(struct transport *transport, const struct session_config *config, struct session **session,
                       struct err *err);
void local_session_close(struct session *session);
int local_session_poll(struct session *session, int timeout_ms, struct err *err);
void local_session_wake(struct session *session);
int local_session_fetch(struct session *session, struct input *input, struct record *records, size_t max, size_t *count,
                        struct err *err);
int64_t local_session_known_end(struct session *session, struct input *input);
int64_t local_session_position(struct session *session, struct input *input);
int local_session_seek(struct session *session, struct input *input, int64_t offset, struct err *err);
int local_session_pause(struct session *session, struct input *input, bool paused, struct err *err);
int local_session_output(struct session *session, const char *topic, struct output **output, int32_t *partitions,
                         struct err *err);
int local_session_produce(struct session *session, struct output *output, int32_t partition,
                          const struct record *record, struct err *err);
int local_session_commit(struct session *session, const struct position *positions, size_t count, struct err *err);
int local_session_abort(struct session *session, struct err *err);
int local_session_recover(struct session *session, struct err *err);
int local_session_committed(struct session *session, struct position *positions, size_t count, struct err *err);
int64_t local_session_acknowledged(struct session *session, struct output *output, int32_t partition);

#endif
