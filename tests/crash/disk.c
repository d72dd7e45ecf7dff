#include "tests/crash/disk.h"

#include "base/memory.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

/* A write or a truncation since the last sync. */
struct change {
    bool truncation;
    int64_t offset; /* of a truncation: the new size */
    int64_t size;   /* of the file before */
    unsigned char *after;
    size_t after_size;
    unsigned char *before; /* may be shorter: the file ended there */
    size_t before_size;
};

struct content {
    struct content *next;
    char *path;
    struct change *changes;
    size_t count;
    size_t capacity;
};

struct disk_file {
    sqlite3_file base;
    struct content *content;
    sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs disk_vfs;
static struct content *contents;
static int64_t operations;
static int64_t strikes_from, strikes_to; /* operations that fail */
static enum disk_fault armed;
static bool struck, dead;
static int64_t open_files;

/* ---- faults ---- */

/* SQLITE_OK, or how the operation under way ends. */
static int strike(int error)
{
    operations++;
    if (operations >= strikes_from && operations < strikes_to) {
        struck = true;
        dead = dead || armed == DISK_DIES;
        return armed == DISK_FULL ? SQLITE_FULL : error;
    }
    return dead ? error : SQLITE_OK;
}

void disk_arm(int64_t nth, int64_t times, enum disk_fault fault)
{
    strikes_from = nth > 0 ? operations + nth : 0;
    strikes_to = nth > 0 ? strikes_from + times : 0;
    armed = fault;
    struck = false;
}

bool disk_struck(void)
{
    return struck;
}

bool disk_dead(void)
{
    return dead;
}

int64_t disk_operations(void)
{
    return operations;
}

/* ---- what is not synced ---- */

static struct content *content_of(const char *path)
{
    for (struct content *content = contents; content != NULL; content = content->next) {
        if (strcmp(content->path, path) == 0) {
            return content;
        }
    }
    struct content *content = memory_alloc(sizeof *content);
    content->path = memory_copy_text(path);
    content->next = contents;
    contents = content;
    return content;
}

static void forget(struct content *content)
{
    for (size_t i = 0; i < content->count; i++) {
        free(content->changes[i].after);
        free(content->changes[i].before);
    }
    content->count = 0;
}

static unsigned char *copy(const void *data, size_t size)
{
    unsigned char *bytes = memory_alloc(size + 1);
    memcpy(bytes, data, size);
    return bytes;
}

static void note(struct disk_file *file, bool truncation, const void *data, size_t size, int64_t offset)
{
    struct content *content = file->content;
    struct change change = {.truncation = truncation, .offset = offset};
    sqlite3_int64 length = 0;
    file->real->pMethods->xFileSize(file->real, &length);
    change.size = length;
    size_t replaced = truncation ? SIZE_MAX : size;
    if (offset < length) {
        change.before_size = (size_t)(length - offset) < replaced ? (size_t)(length - offset) : replaced;
        change.before = memory_alloc(change.before_size + 1);
        file->real->pMethods->xRead(file->real, change.before, (int)change.before_size, offset);
    }
    if (!truncation) {
        change.after = copy(data, size);
        change.after_size = size;
    }
    content->changes = memory_grow(content->changes, content->count, &content->capacity, sizeof *content->changes);
    content->changes[content->count++] = change;
}

static void put(int fd, const void *data, size_t size, int64_t offset)
{
    if (size > 0 && pwrite(fd, data, size, offset) != (ssize_t)size) {
        abort();
    }
}

static void cut(int fd, int64_t size)
{
    if (ftruncate(fd, size) != 0) {
        abort();
    }
}

static void take_back(int fd, const struct change *change)
{
    put(fd, change->before, change->before_size, change->offset);
    cut(fd, change->size);
}

static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* Whole, or some of its sectors. */
static void reach_platter(int fd, const struct change *change, bool torn, uint64_t *random)
{
    if (change->truncation) {
        cut(fd, change->offset);
        return;
    }
    for (size_t at = 0; at < change->after_size; at += SECTOR) {
        size_t size = change->after_size - at < SECTOR ? change->after_size - at : SECTOR;
        if (!torn || next_random(random) % 2 == 0) {
            put(fd, change->after + at, size, change->offset + (int64_t)at);
        }
    }
}

/* Nothing of it, the first ones, or any of them; one of them perhaps in part. */
static void lose(struct content *content, uint64_t *random)
{
    int fd = open(content->path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        for (size_t i = content->count; i-- > 0;) {
            take_back(fd, &content->changes[i]);
        }
        uint64_t how = next_random(random) % 3;
        size_t reached = content->count > 0 && how > 0 ? next_random(random) % (content->count + 1) : 0;
        for (size_t i = 0; i < content->count && how > 0; i++) {
            if (how == 1 ? i <= reached : next_random(random) % 2 == 0) {
                reach_platter(fd, &content->changes[i], i == reached, random);
            }
        }
        close(fd);
    }
    forget(content);
}

void disk_revive(bool power_cut, uint64_t random)
{
    random |= 1;
    if (open_files != 0) {
        abort(); /* who has leaked a connection? */
    }
    while (contents != NULL) {
        struct content *content = contents;
        contents = content->next;
        if (power_cut) {
            lose(content, &random);
        }
        forget(content);
        free(content->changes);
        free(content->path);
        free(content);
    }
    dead = false;
    disk_arm(0, 0, DISK_DIES);
}

/* ---- files ---- */

static struct disk_file *file_of(sqlite3_file *base)
{
    return (struct disk_file *)base;
}

#define REAL(call, ...) file_of(base)->real->pMethods->call(file_of(base)->real, ##__VA_ARGS__)

static int disk_close(sqlite3_file *base)
{
    int code = REAL(xClose);
    open_files--;
    free(file_of(base)->real);
    return code;
}

static int disk_read(sqlite3_file *base, void *data, int size, sqlite3_int64 offset)
{
    return REAL(xRead, data, size, offset);
}

static int disk_write(sqlite3_file *base, const void *data, int size, sqlite3_int64 offset)
{
    int code = strike(SQLITE_IOERR_WRITE);
    if (code != SQLITE_OK) {
        return code;
    }
    note(file_of(base), false, data, (size_t)size, offset);
    return REAL(xWrite, data, size, offset);
}

static int disk_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    int code = strike(SQLITE_IOERR_TRUNCATE);
    if (code != SQLITE_OK) {
        return code;
    }
    note(file_of(base), true, NULL, 0, size);
    return REAL(xTruncate, size);
}

static int disk_sync(sqlite3_file *base, int flags)
{
    (void)flags;
    int code = strike(SQLITE_IOERR_FSYNC);
    if (code == SQLITE_OK) {
        forget(file_of(base)->content);
    }
    return code;
}

static int disk_size(sqlite3_file *base, sqlite3_int64 *size)
{
    return REAL(xFileSize, size);
}

static int disk_lock(sqlite3_file *base, int level)
{
    return REAL(xLock, level);
}

static int disk_unlock(sqlite3_file *base, int level)
{
    return REAL(xUnlock, level);
}

static int disk_reserved(sqlite3_file *base, int *result)
{
    return REAL(xCheckReservedLock, result);
}

static int disk_control(sqlite3_file *base, int operation, void *argument)
{
    return REAL(xFileControl, operation, argument);
}

static int disk_sector(sqlite3_file *base)
{
    return REAL(xSectorSize);
}

static int disk_characteristics(sqlite3_file *base)
{
    return REAL(xDeviceCharacteristics);
}

static int disk_map(sqlite3_file *base, int region, int size, int extend, void volatile **memory)
{
    return REAL(xShmMap, region, size, extend, memory);
}

static int disk_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
    return REAL(xShmLock, offset, count, flags);
}

static void disk_barrier(sqlite3_file *base)
{
    REAL(xShmBarrier);
}

static int disk_unmap(sqlite3_file *base, int delete)
{
    return REAL(xShmUnmap, delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = disk_lock,
    .xUnlock = disk_unlock,
    .xCheckReservedLock = disk_reserved,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector,
    .xDeviceCharacteristics = disk_characteristics,
    .xShmMap = disk_map,
    .xShmLock = disk_shm_lock,
    .xShmBarrier = disk_barrier,
    .xShmUnmap = disk_unmap,
};

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *out)
{
    (void)vfs;
    struct disk_file *file = file_of(base);
    file->base.pMethods = NULL;
    file->real = memory_alloc((size_t)real_vfs->szOsFile);
    int code = real_vfs->xOpen(real_vfs, name, file->real, flags, out);
    if (code != SQLITE_OK) {
        free(file->real);
        return code;
    }
    file->content = content_of(name != NULL ? name : "");
    struct stat status;
    if (name != NULL && stat(name, &status) == 0 && status.st_size == 0) {
        forget(file->content); /* another file of this name has gone */
    }
    file->base.pMethods = &methods;
    open_files++;
    return SQLITE_OK;
}

static int disk_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    int code = strike(SQLITE_IOERR_DELETE);
    if (code != SQLITE_OK) {
        return code;
    }
    forget(content_of(name));
    return real_vfs->xDelete(real_vfs, name, sync);
}

void disk_install(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    disk_vfs = *real_vfs;
    disk_vfs.zName = "simulated";
    disk_vfs.pNext = NULL;
    disk_vfs.szOsFile = sizeof(struct disk_file);
    disk_vfs.xOpen = disk_open;
    disk_vfs.xDelete = disk_delete;
    sqlite3_vfs_register(&disk_vfs, 1);
}
