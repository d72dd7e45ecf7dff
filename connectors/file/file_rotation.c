#include "connectors/file/file_rotation.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

#define ATTEMPTS 3

struct candidate {
    char *path;
    uint64_t inode;
    int64_t changed; /* INT64_MAX: the path itself */
    bool empty;
};

static bool belongs(const char *name, const char *base)
{
    size_t size = strlen(base);
    return strncmp(name, base, size) == 0 && (name[size] == '\0' || name[size] == '.' || name[size] == '-');
}

static bool being_packed(const char *path)
{
    size_t size = strlen(path);
    if (size <= 3 || strcmp(path + size - 3, ".gz") != 0) {
        return false;
    }
    char *plain = memory_format("%.*s", (int)(size - 3), path);
    bool exists = access(plain, F_OK) == 0;
    free(plain);
    return exists;
}

/* Looks at one entry of the directory; false: it is no file of ours. */
static bool look(const char *path, const char *directory, const char *base, const char *name,
                 struct candidate *candidate)
{
    struct stat status;
    if (!belongs(name, base)) {
        return false;
    }
    bool newest = strcmp(name, base) == 0;
    candidate->path = newest ? memory_copy_text(path) : memory_format("%s/%s", directory, name);
    if (stat(candidate->path, &status) != 0 || !S_ISREG(status.st_mode) || (!newest && being_packed(candidate->path))) {
        free(candidate->path);
        return false;
    }
    candidate->inode = status.st_ino;
    candidate->empty = status.st_size == 0;
    candidate->changed = newest ? INT64_MAX : (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return true;
}

struct search {
    uint64_t inode;
    int64_t changed;
    bool next; /* after that file; else the file itself */
};

static bool fits(const struct search *search, const struct candidate *candidate, const struct candidate *best)
{
    if (!search->next) {
        return candidate->inode == search->inode;
    }
    return candidate->inode != search->inode && candidate->changed > search->changed && !candidate->empty &&
           (best->path == NULL || candidate->changed < best->changed);
}

static struct file_rotation find_once(const char *path, const struct search *search)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    char *directory = slash != NULL ? memory_format("%.*s", (int)(slash - path), path) : memory_copy_text(".");
    DIR *entries = opendir(directory[0] != '\0' ? directory : "/");
    struct candidate best = {0};
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        struct candidate candidate;
        if (!look(path, directory, base, entry->d_name, &candidate)) {
            continue;
        }
        if (fits(search, &candidate, &best)) {
            free(best.path);
            best = candidate;
        } else {
            free(candidate.path);
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
    free(directory);
    return (struct file_rotation){best.path, best.inode};
}

static struct file_rotation find(const char *path, const struct search *search)
{
    struct file_rotation found = find_once(path, search);
    for (int i = 0; i < ATTEMPTS; i++) {
        struct file_rotation again = find_once(path, search);
        bool same = again.inode == found.inode && again.path != NULL;
        free(found.path);
        found = again;
        if (same) {
            break;
        }
    }
    return found;
}

struct file_rotation file_rotation_find(const char *path, uint64_t inode)
{
    struct search search = {.inode = inode};
    return find(path, &search);
}

struct file_rotation file_rotation_next(const char *path, uint64_t inode, int64_t changed)
{
    struct stat status;
    if (stat(path, &status) == 0 && status.st_ino == inode) {
        return (struct file_rotation){0};
    }
    struct search search = {.inode = inode, .changed = changed, .next = true};
    return find(path, &search);
}
