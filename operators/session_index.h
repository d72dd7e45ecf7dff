/* Which sessions there are: of each key by time, so that those near a record are found without a look at other keys,
 * and over all keys by what is due next. The values of sessions are in the store.
 *
 * It is in memory only and made anew from the store when the operator opens. Times of what is due are compared with the
 * end up to which sessions are closed (window_closed_end).
 * Ownership: the index copies keys; a key that it gives out, and a place, are valid until the next call that changes
 * the index.
 */
#ifndef TIDEMILL_OPERATORS_SESSION_INDEX_H
#define TIDEMILL_OPERATORS_SESSION_INDEX_H

#include "base/bytes.h"

struct session_index;

/* From the first record to the last, both included. Those of a key are further apart than the gap. */
struct session {
    int64_t start;
    int64_t end;
};

/* `keep`: a session is forgotten when everything up to its end + keep is closed. `finals`: session_index_due tells
 * about sessions that close. */
struct session_index *session_index_new(int64_t gap, int64_t keep, bool finals);
void session_index_free(struct session_index *index);          /* NULL is fine */
size_t session_index_count(const struct session_index *index); /* sessions */

/* The sessions that a record joins, in order of time. */
struct session_place {
    struct session_of_key *owner; /* NULL: the key has no sessions */
    size_t first;
    size_t count;
};
struct session_place session_index_find(const struct session_index *index, struct slice key, int64_t time);
/* A hint that session_index_find will be called for the key. */
void session_index_prefetch(const struct session_index *index, struct slice key);
/* The last session of the key; false: it has none. */
bool session_index_last(const struct session_index *index, struct slice key, struct session *session);
struct session session_index_at(const struct session_place *place, size_t number);
/* Puts `session` in the place of what was found for that key; NULL: nothing. `closed`: the end up to which sessions are
 * closed; the session itself may be closed already when it is loaded. */
void session_index_replace(struct session_index *index, struct slice key, const struct session_place *place,
                           const struct session *session, int64_t closed);

enum session_event {
    SESSION_NONE,     /* nothing more is due */
    SESSION_CLOSED,   /* the session has closed since the last call */
    SESSION_FORGOTTEN /* the session is not in the index any more */
};
/* The next thing that is due now that sessions with an end up to `closed` are closed: by its time, then key. */
enum session_event session_index_due(struct session_index *index, int64_t closed, struct slice *key,
                                     struct session *session);

#endif
