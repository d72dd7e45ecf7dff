#include "engine/slot.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/memory.h"
#include "engine/graph.h"

#define SLOTS 1000
#define ID_BYTES 16

struct slot {
    char *directory;
    char instance[2 * ID_BYTES + 1];
    int lock; /* descriptor of the locked file */
};

int slot_random_id(char *text, struct err *err)
{
    unsigned char random[ID_BYTES];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return err_set(err, ERR_FATAL, ERR_IO, "No random numbers can be had: %s.", strerror(errno));
    }
    for (size_t i = 0; i < ID_BYTES; i++) {
        sprintf(text + 2 * i, "%02x", random[i]);
    }
    return 0;
}

/* Keeps a valid id, makes and writes a new one otherwise. */
static int read_instance(struct slot *slot, struct err *err)
{
    char *path = memory_format("%s/instance", slot->directory);
    FILE *file = fopen(path, "r");
    bool valid = file && fread(slot->instance, 1, 2 * ID_BYTES, file) == 2 * ID_BYTES;
    for (size_t i = 0; valid && i < 2 * ID_BYTES; i++) {
        valid = isxdigit((unsigned char)slot->instance[i]);
    }
    if (file) {
        fclose(file);
    }
    int result = 0;
    if (!valid) {
        result = slot_random_id(slot->instance, err);
        file = result ? NULL : fopen(path, "w");
        if (!file || fprintf(file, "%s\n", slot->instance) < 0 || fflush(file) || fsync(fileno(file))) {
            result = err_set(err, ERR_FATAL, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO, "%s can't be written: %s.", path,
                             strerror(errno));
        }
        if (file) {
            fclose(file);
        }
    }
    free(path);
    return result;
}

/* 1: locked, 0: somebody else has it, -1: error. */
static int try_lock(struct slot *slot, struct err *err)
{
    char *path = memory_format("%s/lock", slot->directory);
    slot->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int result = 1;
    if (slot->lock < 0) {
        result =
            err_set(err, ERR_FATAL, errno == ENOSPC ? ERR_DISK_FULL : ERR_CONFIG,
                    "%s can't be opened for writing: %s. Choose another directory with --data.", path, strerror(errno));
    } else if (flock(slot->lock, LOCK_EX | LOCK_NB)) {
        result = 0;
        close(slot->lock);
    }
    free(path);
    return result;
}

static int try_slot(const char *state_directory, const char *app, const char *name, struct slot *slot, struct err *err)
{
    slot->directory = memory_format("%s/%s/%s", state_directory, app, name);
    int result = directory_make(slot->directory, err);
    if (result == 0) {
        result = try_lock(slot, err);
    }
    if (result <= 0) {
        free(slot->directory);
        slot->directory = NULL;
    }
    return result;
}

static int take_slot(const char *state_directory, const char *app, const char *name, struct slot *slot, struct err *err)
{
    if (name) {
        int result = try_slot(state_directory, app, name, slot, err);
        return result != 0 ? result
                           : err_set(err, ERR_FATAL, ERR_LOCKED,
                                     "Another process of %s runs as instance %s in %s. Stop it, or choose another "
                                     "--instance.",
                                     app, name, state_directory);
    }
    for (int i = 0; i < SLOTS; i++) {
        char number[16];
        snprintf(number, sizeof(number), "%d", i);
        int result = try_slot(state_directory, app, number, slot, err);
        if (result != 0) {
            return result;
        }
    }
    return err_set(err, ERR_FATAL, ERR_LOCKED, "All %d slots of %s in %s are taken.", SLOTS, app, state_directory);
}

int slot_open(const char *state_directory, const char *app, const char *name, struct slot **result, struct err *err)
{
    if (name && !graph_name_valid(name)) { /* it could lead into the state of another app */
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "\"%.300s\" can't be the name of an instance of %s: --instance takes 1 to %d letters, digits, "
                       "points, underscores and hyphens.",
                       name, app, GRAPH_NAME_MAX);
    }
    struct slot *slot = memory_alloc(sizeof(*slot));
    if (take_slot(state_directory, app, name, slot, err) < 0) {
        free(slot);
        return -1;
    }
    if (read_instance(slot, err)) {
        slot_close(slot);
        return -1;
    }
    *result = slot;
    return 0;
}

void slot_close(struct slot *slot)
{
    if (!slot) {
        return;
    }
    close(slot->lock);
    free(slot->directory);
    free(slot);
}

const char *slot_directory(const struct slot *slot)
{
    return slot->directory;
}

const char *slot_instance(const struct slot *slot)
{
    return slot->instance;
}
