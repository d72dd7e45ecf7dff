/* What PostgreSQL's logical replication sends: the framing of the stream and pgoutput's messages, protocol version 1.
 *
 * Pure functions over borrowed bytes; nothing is trusted: every length is checked, and a message must be used up.
 * Ownership: slices in a message point into the bytes it was decoded from; its lists belong to the struct pgoutput and
 * are valid until the next message is decoded with it.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_PGOUTPUT_H
#define TIDEMILL_CONNECTORS_POSTGRES_PGOUTPUT_H

#include "base/bytes.h"
#include "base/err.h"

/* ---- the stream ---- */

enum pgoutput_frame_kind { PGOUTPUT_DATA = 'w', PGOUTPUT_KEEPALIVE = 'k' };

struct pgoutput_frame {
    enum pgoutput_frame_kind kind;
    uint64_t start;       /* data only: log position */
    uint64_t end;         /* of the server's log */
    bool reply;           /* keepalive only: the server wants an answer at once */
    struct slice message; /* data only */
};

int pgoutput_frame(struct slice bytes, struct pgoutput_frame *frame, struct err *err);
/* Appends the answer to the server: everything up to `flushed` is safe; now_ms since 1970. */
void pgoutput_reply(struct bytes *out, uint64_t written, uint64_t flushed, int64_t now_ms);

/* "16/B374D848"; false: it is not that. */
bool pgoutput_parse_lsn(struct slice text, uint64_t *lsn);
#define PGOUTPUT_LSN_SIZE 24
void pgoutput_format_lsn(uint64_t lsn, char text[PGOUTPUT_LSN_SIZE]);

/* ---- messages ---- */

enum pgoutput_kind {
    PGOUTPUT_BEGIN = 'B',
    PGOUTPUT_COMMIT = 'C',
    PGOUTPUT_RELATION = 'R',
    PGOUTPUT_INSERT = 'I',
    PGOUTPUT_UPDATE = 'U',
    PGOUTPUT_DELETE = 'D',
    PGOUTPUT_TRUNCATE = 'T',
    PGOUTPUT_MESSAGE = 'M',
    PGOUTPUT_ORIGIN = 'O',
    PGOUTPUT_TYPE = 'Y'
};

struct pgoutput_column {
    struct slice name;
    uint32_t type;
    int32_t modifier;
    bool key; /* part of the replica identity */
};

enum pgoutput_value_kind {
    PGOUTPUT_NULL = 'n',
    PGOUTPUT_UNCHANGED = 'u', /* a large value that the update did not touch: not sent */
    PGOUTPUT_TEXT = 't',
    PGOUTPUT_BINARY = 'b'
};

struct pgoutput_value {
    enum pgoutput_value_kind kind;
    struct slice data; /* text and binary */
};

/* What the old row of an update or delete holds. */
enum pgoutput_old { PGOUTPUT_NO_OLD, PGOUTPUT_OLD_KEY = 'K', PGOUTPUT_OLD_ROW = 'O' };

struct pgoutput_row {
    struct pgoutput_value *values;
    size_t count;
    size_t capacity;
};

/* The last message. Which fields count is said by the kinds in brackets. */
struct pgoutput {
    enum pgoutput_kind kind;
    uint64_t lsn;       /* where the transaction's commit lies [B C]; of the message [M]; of the origin's commit [O] */
    uint64_t end;       /* behind the transaction [C] */
    int64_t time_ms;    /* of the commit, since 1970 [B C] */
    uint32_t xid;       /* [B] */
    uint32_t relation;  /* [R I U D]; of the type [Y] */
    struct slice space; /* schema [R Y] */
    struct slice name;  /* of the table [R], type [Y], origin [O]; prefix of the message [M] */
    char identity;      /* 'd' primary key, 'n' nothing, 'f' whole row, 'i' an index [R] */
    struct pgoutput_column *columns; /* [R] */
    size_t column_count;
    size_t column_capacity;
    enum pgoutput_old old_kind; /* [U D] */
    struct pgoutput_row old;    /* [U D] */
    struct pgoutput_row row;    /* [I U] */
    uint32_t *relations;        /* [T] */
    size_t relation_count;
    size_t relation_capacity;
    bool cascade, restart; /* [T] */
    bool transactional;    /* [M] */
    struct slice content;  /* [M] */
};

/* ERR_FATAL: a message that the protocol does not allow. */
int pgoutput_decode(struct pgoutput *message, struct slice bytes, struct err *err);
void pgoutput_free(struct pgoutput *message);

#endif
