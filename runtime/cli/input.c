#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/gunzip.h"
#include "base/memory.h"

#define READ_SIZE ((size_t)256 * 1024)
#define LINE_LIMIT ((size_t)1024 * 1024 * 1024)

enum kind { KIND_UNKNOWN, KIND_PLAIN, KIND_GZIP };

struct lines {
    int fd;
    char *name;
    enum kind kind;
    bool ended;            /* nothing more can be read */
    struct gunzip *gunzip; /* of the kind gzip */
    struct bytes text;     /* plain bytes */
    size_t begin;          /* of the current line */
    size_t next;           /* where the line after the current one begins */
    size_t searched;       /* no line feed between `next` and here */
    int64_t number;
    int64_t done, size; /* bytes of the file */
};

int input_open(const char *path, struct lines **result, struct err *err)
{
    bool standard = path == NULL || strcmp(path, "-") == 0;
    int fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "%s can't be opened: %s.", standard ? "Standard input" : path,
                       strerror(errno));
    }
    if (S_ISDIR(status.st_mode)) {
        close(fd);
        return err_set(err, ERR_FATAL, ERR_CONFIG, "%s is a directory; name a file.", path);
    }
    struct lines *lines = memory_alloc(sizeof *lines);
    lines->fd = fd;
    lines->name = memory_copy_text(standard ? "standard input" : path);
    lines->size = S_ISREG(status.st_mode) ? (int64_t)status.st_size : -1;
    *result = lines;
    return 0;
}

void input_close(struct lines *lines)
{
    if (lines == NULL) {
        return;
    }
    gunzip_close(lines->gunzip);
    close(lines->fd);
    bytes_free(&lines->text);
    free(lines->name);
    free(lines);
}

const char *input_name(const struct lines *lines)
{
    return lines->name;
}

int64_t input_number(const struct lines *lines)
{
    return lines->number;
}

void input_progress(const struct lines *lines, int64_t *done, int64_t *size)
{
    *done = lines->done;
    *size = lines->size;
}

/* ---- bytes ---- */

/* 1: some came, 0: the file's end, -1: error. */
static int read_some(struct lines *lines, struct bytes *to, struct err *err)
{
    bytes_reserve(to, READ_SIZE);
    ssize_t got;
    do {
        got = read(lines->fd, to->data + to->size, READ_SIZE);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return err_set(err, ERR_FATAL, ERR_IO, "%s can't be read: %s.", lines->name, strerror(errno));
    }
    to->size += (size_t)got;
    lines->done += got;
    return got > 0;
}

/* The bytes read so far begin the file. */
static int begin_gzip(struct lines *lines, struct err *err)
{
    lines->gunzip = gunzip_open();
    if (!lines->gunzip) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "zlib can't be used to read %s.", lines->name);
    }
    lines->kind = KIND_GZIP;
    bytes_append_slice(gunzip_input(lines->gunzip), bytes_slice(&lines->text));
    bytes_clear(&lines->text);
    return 0;
}

/* Looks at the first bytes of the file: gzip, or plain text, perhaps with a byte order mark to leave out. */
static int recognize(struct lines *lines, struct err *err)
{
    int more = 1;
    while (lines->text.size < 3 && more == 1) {
        more = read_some(lines, &lines->text, err);
    }
    if (more < 0) {
        return -1;
    }
    if (gunzip_recognizes(lines->text.data, lines->text.size)) {
        return begin_gzip(lines, err);
    }
    if (lines->text.size >= 3 && memcmp(lines->text.data, "\xef\xbb\xbf", 3) == 0) {
        lines->text.size -= 3;
        memmove(lines->text.data, lines->text.data + 3, lines->text.size);
    }
    lines->kind = KIND_PLAIN;
    lines->ended = more == 0;
    return 0;
}

static int bad_gzip(struct lines *lines, const char *reason, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_RECORD, "%s is damaged: %s after line %lld.", lines->name, reason,
                   (long long)lines->number);
}

static int inflate_some(struct lines *lines, struct err *err)
{
    if (gunzip_hungry(lines->gunzip)) {
        int more = read_some(lines, gunzip_input(lines->gunzip), err);
        if (more <= 0) {
            lines->ended = more == 0;
            bool early = more == 0 && !gunzip_between(lines->gunzip);
            return early ? bad_gzip(lines, "it ends in the middle", err) : more;
        }
    }
    return gunzip_some(lines->gunzip, &lines->text) ? 0 : bad_gzip(lines, "gzip finds an error", err);
}

/* More plain bytes, or `ended`. What lies before the current line is dropped first. */
static int fill(struct lines *lines, struct err *err)
{
    if (lines->begin > 0) {
        memmove(lines->text.data, lines->text.data + lines->begin, lines->text.size - lines->begin);
        lines->text.size -= lines->begin;
        lines->next -= lines->begin;
        lines->searched -= lines->begin;
        lines->begin = 0;
    }
    if (lines->text.size > LINE_LIMIT) {
        return err_set(err, ERR_FATAL, ERR_RECORD, "Line %lld of %s is longer than a gigabyte.",
                       (long long)lines->number, lines->name);
    }
    if (lines->kind == KIND_UNKNOWN) {
        return recognize(lines, err);
    }
    if (lines->kind == KIND_GZIP) {
        return inflate_some(lines, err);
    }
    int more = read_some(lines, &lines->text, err);
    lines->ended = more == 0;
    return more < 0 ? -1 : 0;
}

/* ---- lines ---- */

static bool find_end(struct lines *lines, size_t *end)
{
    unsigned char *from = lines->text.data + lines->searched;
    unsigned char *found =
        lines->text.size > lines->searched ? memchr(from, '\n', lines->text.size - lines->searched) : NULL;
    *end = found != NULL ? (size_t)(found - lines->text.data) : lines->text.size;
    lines->searched = *end;
    return found != NULL;
}

/* Moves `next` behind the next line, whose end without the line feed is put into *end. */
static int advance(struct lines *lines, size_t *end, struct err *err)
{
    bool found = find_end(lines, end);
    while (!found && !lines->ended) {
        if (fill(lines, err) != 0) {
            return -1;
        }
        found = find_end(lines, end);
    }
    if (!found && *end == lines->next) {
        return 0;
    }
    lines->number++;
    lines->next = *end + found;
    lines->searched = lines->next;
    return 1;
}

int input_line(struct lines *lines, struct slice *line, struct err *err)
{
    size_t end;
    lines->begin = lines->next;
    int result = advance(lines, &end, err);
    if (result == 1) {
        *line = slice_of(lines->text.data + lines->begin, end - lines->begin);
    }
    return result;
}

int input_join(struct lines *lines, struct slice *line, struct err *err)
{
    size_t end;
    size_t size = line->size;
    int result = advance(lines, &end, err);
    /* Also at the end: reading on may have moved the line. */
    *line = slice_of(lines->text.data + lines->begin, result == 1 ? end - lines->begin : size);
    return result;
}

int input_wait(struct lines *lines, int timeout_ms, enum input_wait *found, struct err *err)
{
    size_t end;
    struct pollfd ready = {.fd = lines->fd, .events = POLLIN};
    bool file = lines->size >= 0;
    lines->begin = lines->next;
    *found = INPUT_LINE;
    if (file || lines->ended || find_end(lines, &end)) {
        return 0;
    }
    if (poll(&ready, 1, timeout_ms) == 0) {
        *found = INPUT_NOTHING;
        return 0;
    }
    if (fill(lines, err) != 0) {
        return -1;
    }
    *found = lines->ended || find_end(lines, &end) ? INPUT_LINE : INPUT_PART;
    return 0;
}
