#include "connectors/file/file_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/csv.h"
#include "base/gunzip.h"
#include "base/memory.h"

#define READ_SIZE ((size_t)256 * 1024)

struct file_reader {
    int fd;
    char *path;
    uint64_t inode;
    struct gunzip *gunzip; /* NULL: it is no gzip */
    struct bytes text;     /* unpacked bytes */
    size_t next;           /* where in it the next row begins */
    size_t searched;       /* up to here the next row was looked at */
    bool open;             /* there a quoted field is open */
    int64_t lines;         /* of the next row that end before `searched` */
    struct file_reader_place place;
};

static int failed(const struct file_reader *reader, struct err *err)
{
    return err_set(err, ERR_RETRY, ERR_IO, "%s can't be read: %s.", reader->path, strerror(errno));
}

/* 1: some came; 0: the file's end. */
static int read_some(struct file_reader *reader, struct bytes *to, struct err *err)
{
    ssize_t got;
    bytes_reserve(to, READ_SIZE);
    do {
        got = read(reader->fd, to->data + to->size, READ_SIZE);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return failed(reader, err);
    }
    to->size += (size_t)got;
    return got > 0;
}

static int damaged(const struct file_reader *reader, const char *reason, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_RECORD,
                   "%s is damaged: %s after line %lld. Put a good copy of the file in its place.", reader->path, reason,
                   (long long)reader->place.line);
}

static int read_packed(struct file_reader *reader, struct err *err)
{
    if (gunzip_hungry(reader->gunzip)) {
        int more = read_some(reader, gunzip_input(reader->gunzip), err);
        if (more <= 0) {
            bool early = more == 0 && !gunzip_between(reader->gunzip);
            return early ? damaged(reader, "it ends in the middle", err) : more;
        }
    }
    return gunzip_some(reader->gunzip, &reader->text) ? 1 : damaged(reader, "gzip finds an error", err);
}

/* More text behind what there is; the rows given before are dropped first. 0: the file's end. */
static int fill(struct file_reader *reader, struct err *err)
{
    struct bytes *text = &reader->text;
    if (reader->next > 0) {
        memmove(text->data, text->data + reader->next, text->size - reader->next);
        text->size -= reader->next;
        reader->searched -= reader->next;
        reader->next = 0;
    }
    return reader->gunzip ? read_packed(reader, err) : read_some(reader, text, err);
}

/* Looks at the first bytes: gzip, and whether the text begins with a byte order mark. */
static int recognize(struct file_reader *reader, struct err *err)
{
    unsigned char head[2];
    bool packed = pread(reader->fd, head, 2, 0) == 2 && gunzip_recognizes(head, 2);
    reader->gunzip = packed ? gunzip_open() : NULL;
    if (packed && !reader->gunzip) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "zlib can't be used to read %s.", reader->path);
    }
    int more = 1;
    while (more == 1 && reader->text.size < 3) {
        more = fill(reader, err);
    }
    if (reader->text.size >= 3 && memcmp(reader->text.data, "\xef\xbb\xbf", 3) == 0) {
        reader->next = reader->searched = 3;
        reader->place.offset = 3;
    }
    return more < 0 ? -1 : 0;
}

int file_reader_open(const char *path, struct file_reader **result, struct err *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        const char *reason = fd >= 0 ? "it is no regular file" : strerror(errno);
        if (fd >= 0) {
            close(fd);
        }
        return err_set(err, ERR_FATAL, ERR_IO, "%s can't be opened: %s. Check the option path.", path, reason);
    }
    struct file_reader *reader = memory_alloc(sizeof *reader);
    reader->fd = fd;
    reader->path = memory_copy_text(path);
    reader->inode = status.st_ino;
    if (recognize(reader, err) != 0) {
        file_reader_close(reader);
        return -1;
    }
    *result = reader;
    return 0;
}

void file_reader_close(struct file_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    gunzip_close(reader->gunzip);
    close(reader->fd);
    bytes_free(&reader->text);
    free(reader->path);
    free(reader);
}

int64_t file_reader_size(const struct file_reader *reader)
{
    struct stat status;
    return !reader->gunzip && fstat(reader->fd, &status) == 0 ? (int64_t)status.st_size : 0;
}

static int too_short(const struct file_reader *reader, struct file_reader_place place, struct err *err)
{
    return err_set(
        err, ERR_FATAL, ERR_IO,
        "%s ends before byte %lld, where reading is to go on (line %lld): it was replaced or cut. Put the file "
        "back, or reset the source's position to read it from the beginning.",
        reader->path, (long long)place.offset, (long long)place.line + 1);
}

static int skip_plain(struct file_reader *reader, struct file_reader_place place, struct err *err)
{
    struct stat status;
    if (fstat(reader->fd, &status) != 0) {
        return failed(reader, err);
    }
    if (status.st_size < place.offset) {
        return too_short(reader, place, err);
    }
    bytes_clear(&reader->text);
    reader->next = 0;
    return lseek(reader->fd, place.offset, SEEK_SET) < 0 ? failed(reader, err) : 0;
}

static int skip_packed(struct file_reader *reader, struct file_reader_place place, struct err *err)
{
    int64_t left = place.offset - reader->place.offset;
    for (;;) {
        int64_t have = (int64_t)(reader->text.size - reader->next);
        int64_t step = have < left ? have : left;
        reader->next += (size_t)step;
        reader->searched = reader->next;
        left -= step;
        if (left <= 0) {
            return 0;
        }
        int more = fill(reader, err);
        if (more <= 0) {
            return more < 0 ? -1 : too_short(reader, place, err);
        }
    }
}

int file_reader_skip(struct file_reader *reader, struct file_reader_place place, struct err *err)
{
    if (place.offset > reader->place.offset) {
        int result = reader->gunzip != NULL ? skip_packed(reader, place, err) : skip_plain(reader, place, err);
        if (result != 0) {
            return -1;
        }
        reader->searched = reader->next;
        reader->place = place;
    }
    return 0;
}

/* Looks on for the end of the next row; true: `searched` is behind its line feed. */
static bool find_end(struct file_reader *reader, bool quoted)
{
    const unsigned char *data = reader->text.data;
    while (reader->searched < reader->text.size) {
        const unsigned char *from = data + reader->searched;
        const unsigned char *feed = memchr(from, '\n', reader->text.size - reader->searched);
        size_t end = feed != NULL ? (size_t)(feed - data) : reader->text.size;
        if (quoted && csv_open(slice_of(from, end - reader->searched))) {
            reader->open = !reader->open;
        }
        reader->searched = end + (feed != NULL);
        reader->lines += feed != NULL;
        if (feed != NULL && !reader->open) {
            return true;
        }
    }
    return false;
}

static int check_size(const struct file_reader *reader, struct err *err)
{
    if (reader->searched - reader->next <= FILE_READER_ROW_LIMIT) {
        return 0;
    }
    return err_set(
        err, ERR_FATAL, ERR_RECORD,
        "Line %lld of %s begins a row that is longer than %zu bytes. Make it shorter; in CSV look for a quote "
        "that is not closed.",
        (long long)reader->place.line + 1, reader->path, FILE_READER_ROW_LIMIT);
}

int file_reader_row(struct file_reader *reader, bool quoted, bool last, struct slice *row, struct err *err)
{
    bool found = find_end(reader, quoted);
    int more = 1;
    while (!found && more == 1) {
        more = check_size(reader, err) == 0 ? fill(reader, err) : -1;
        found = more == 1 && find_end(reader, quoted);
    }
    if (more < 0 || check_size(reader, err) != 0) {
        return -1;
    }
    if (!found && (!last || reader->searched == reader->next)) {
        return 0;
    }
    *row = slice_of(reader->text.data + reader->next, reader->searched - reader->next - found);
    reader->place.offset += (int64_t)(reader->searched - reader->next);
    reader->place.line += reader->lines + !found;
    reader->next = reader->searched;
    reader->lines = 0;
    reader->open = false;
    return 1;
}

struct file_reader_place file_reader_place(const struct file_reader *reader)
{
    return reader->place;
}

uint64_t file_reader_inode(const struct file_reader *reader)
{
    return reader->inode;
}

bool file_reader_packed(const struct file_reader *reader)
{
    return reader->gunzip != NULL;
}

bool file_reader_cut(const struct file_reader *reader)
{
    struct stat status;
    int64_t read_to = reader->place.offset + (int64_t)(reader->text.size - reader->next);
    return !reader->gunzip && fstat(reader->fd, &status) == 0 && status.st_size < read_to;
}

int64_t file_reader_changed(const struct file_reader *reader)
{
    struct stat status;
    if (fstat(reader->fd, &status) != 0) {
        return 0;
    }
    return (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
}
