/* Errors that name the caller's next move.
 *
 * Ownership: a struct err belongs to the caller that declared it; nothing in it is allocated. Functions that can fail
 * take `struct err *err` as their last argument, return 0 on success and -1 on failure, and fill `err` only on failure.
 */
#ifndef TIDEMILL_BASE_ERR_H
#define TIDEMILL_BASE_ERR_H

/* What the caller should do next. */
enum err_class {
    ERR_NONE,    /* no error */
    ERR_SKIP,    /* this one record is bad: treat it by policy and go on */
    ERR_RETRY,   /* nothing has happened: the same call may be made again later */
    ERR_ABORT,   /* the open transaction must be aborted; rewind and go on */
    ERR_UNKNOWN, /* the outcome of a commit is not known: recover, then compare positions (P6, L3) */
    ERR_FENCED,  /* somebody else owns this now: drop the workers and join again */
    ERR_FATAL    /* this thread or command can't go on */
};

/* What went wrong; err.c has one table row per code with its name, exit status and advice, printed by `docs`. */
enum err_code {
    ERR_OK,
    ERR_FAILED,      /* a check or test failed */
    ERR_USAGE,       /* command line */
    ERR_CONFIG,      /* an option, file or property has a bad value */
    ERR_TOPOLOGY,    /* the script does not build */
    ERR_TOPIC,       /* a topic is missing or has the wrong shape */
    ERR_LOCKED,      /* another process holds the directory */
    ERR_UNREACHABLE, /* broker or database does not answer */
    ERR_AUTH,        /* authentication or authorization denied */
    ERR_SCRIPT,      /* a callback failed */
    ERR_CONNECTOR,   /* a connector of the script says that it can't go on */
    ERR_RECORD,      /* a record can't be decoded, encoded or is too large */
    ERR_IO,          /* file system or network */
    ERR_DISK_FULL,   /* no space left */
    ERR_CORRUPT,     /* a file fails its checks or has a newer format */
    ERR_MEMORY,      /* a memory limit was hit */
    ERR_PROTOCOL,    /* an answer that the protocol does not allow, fencing */
    ERR_INTERNAL,    /* a bug in Tidemill */
    ERR_CODE_COUNT
};

#define ERR_TEXT_SIZE 1024

struct err {
    enum err_class class;
    enum err_code code;
    char text[ERR_TEXT_SIZE]; /* full sentences: what, where, what to do next; cut at the size, always terminated */
};

/* Fills `err` and returns -1, so that `return err_set(...)` is the usual form. */
int err_set(struct err *err, enum err_class class, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Appends ", while " and the formatted context to the text; returns -1. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets class to ERR_NONE and empties the text. */
void err_clear(struct err *err);

/* Exit status of the process for a code: 0 to 5, see lua-api.md's list of exit codes. */
int err_exit_status(enum err_code code);

/* Name of a code ("topic") and its one-sentence advice, both static. */
const char *err_code_name(enum err_code code);
const char *err_code_advice(enum err_code code);
const char *err_class_name(enum err_class class);

#endif
