#include "cli/state_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/directory.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/columns.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "local/local.h"
#include "store/state_copy.h"

#define PLACE_PARTS 3 /* <app>/<slot>/<worker> */

struct backup {
    const struct state_backup_config *config;
    char *incomplete; /* the directory until everything is in it */
    struct progress progress;
    struct columns listed;
    struct bytes *out;
    size_t copied; /* workers */
    int64_t bytes;
    int64_t bytes_before; /* those of what was copied before this one */
};

static void advance(void *self, int64_t bytes)
{
    struct backup *backup = self;
    char number[PRINT_NUMBER_SIZE];
    backup->bytes += bytes;
    if (progress_due(&backup->progress)) {
        progress_show(&backup->progress, "%s bytes copied, the state of %zu of %zu workers is complete",
                      print_number(backup->bytes, number), backup->copied, backup->config->files->count);
    }
}

/* ---- what was copied ---- */

static void write_text(struct json_writer *writer, const char *name, const char *text)
{
    json_name(writer, slice_text(name));
    json_text(writer, text);
}

/* `file` NULL: the log. */
static void write_json(struct backup *backup, const struct state_file *file, const char *place)
{
    struct json_writer writer = json_writer(backup->out);
    json_begin_object(&writer);
    write_text(&writer, "copied", file != NULL ? "state" : "log");
    if (file != NULL) {
        write_text(&writer, "app", file->app);
        write_text(&writer, "worker", file->worker);
    }
    write_text(&writer, "directory", place);
    json_name(&writer, slice_text("bytes"));
    json_integer(&writer, backup->bytes - backup->bytes_before);
    json_end_object(&writer);
    bytes_append_byte(backup->out, '\n');
}

static void note_copied(struct backup *backup, const struct state_file *file, const char *place)
{
    if (backup->config->json) {
        write_json(backup, file, place);
    } else {
        columns_text(&backup->listed, file != NULL ? file->app : "");
        columns_text(&backup->listed, file != NULL ? file->worker : "");
        columns_text(&backup->listed, place);
        columns_integer(&backup->listed, backup->bytes - backup->bytes_before);
    }
    backup->bytes_before = backup->bytes;
}

/* ---- copying ---- */

/* The last parts of the worker's directory; NULL: it can't be found any more. */
static char *place_of(const char *directory)
{
    char path[PATH_MAX];
    if (realpath(directory, path) == NULL) {
        return NULL;
    }
    const char *at = path + strlen(path);
    for (int parts = 0; parts < PLACE_PARTS && at > path; parts++) {
        do {
            at--;
        } while (at > path && *at != '/');
    }
    return memory_format("state/%s", at + (*at == '/'));
}

static int copy_into(struct backup *backup, const struct state_file *file, const char *place, struct err *err)
{
    char *target = memory_format("%s/%s", backup->incomplete, place);
    int result = directory_make(target, err);
    if (result == 0) {
        result = file != NULL ? state_copy(file->directory, target, advance, backup, err)
                              : local_copy(backup->config->data, target, advance, backup, err);
    }
    free(target);
    if (result == 0) {
        backup->copied += file != NULL;
        note_copied(backup, file, place);
    }
    return result;
}

/* State that was there a moment ago may be gone: its partition has moved, or it is being rebuilt. */
static int copy_worker(struct backup *backup, const struct state_file *file, struct err *err)
{
    char *place = place_of(file->directory);
    bool gone = place == NULL;
    int result = gone ? 0 : copy_into(backup, file, place, err);
    if (result != 0 && err->code == ERR_CONFIG && access(file->directory, F_OK) != 0) {
        gone = true;
        result = 0;
    }
    if (gone) {
        print_note("The state of worker %s of %s is gone meanwhile and not in the backup.", file->worker, file->app);
    }
    free(place);
    return result;
}

/* The stores first, the log last: what a store has is then in the log, and what it lacks is replayed from there. */
static int copy_all(struct backup *backup, struct err *err)
{
    const struct state_files *files = backup->config->files;
    for (size_t i = 0; i < files->count; i++) {
        if (copy_worker(backup, &files->list[i], err) != 0) {
            return -1;
        }
    }
    return backup->config->data != NULL ? copy_into(backup, NULL, "log", err) : 0;
}

/* ---- the directory ---- */

static int check_free(const char *path, const char *advice, struct err *err)
{
    return access(path, F_OK) != 0 ? 0
                                   : err_set(err, ERR_FATAL, ERR_CONFIG,
                                             "%s is there already, and a backup overwrites nothing. %s", path, advice);
}

static int sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash == NULL   ? memory_copy_text(".")
                   : slash == path ? memory_copy_text("/")
                                   : memory_format("%.*s", (int)(slash - path), path);
    int file = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = file >= 0 ? fsync(file) : -1;
    if (file >= 0) {
        close(file);
    }
    free(parent);
    return result;
}

static int publish(const struct backup *backup, struct err *err)
{
    const char *output = backup->config->output;
    if (rename(backup->incomplete, output) != 0 || sync_parent(output) != 0) {
        return err_set(err, ERR_FATAL, ERR_IO, "The backup %s can't be given its name %s: %s.", backup->incomplete,
                       output, strerror(errno));
    }
    return 0;
}

static int make(struct backup *backup, struct err *err)
{
    struct err ignored;
    if (check_free(backup->config->output, "Choose another --output.", err) != 0 ||
        check_free(backup->incomplete, "Another backup is at work, or was killed: then delete it.", err) != 0 ||
        directory_make(backup->incomplete, err) != 0) {
        return -1;
    }
    if (copy_all(backup, err) != 0 || publish(backup, err) != 0) {
        directory_remove(backup->incomplete, &ignored);
        return -1;
    }
    return 0;
}

int state_backup(const struct state_backup_config *config, struct bytes *out, struct err *err)
{
    size_t length = strlen(config->output);
    while (length > 1 && config->output[length - 1] == '/') {
        length--;
    }
    struct backup backup = {.config = config, .out = out};
    backup.incomplete = memory_format("%.*s.incomplete", (int)length, config->output);
    columns_begin(&backup.listed, "app worker directory bytes");
    progress_begin(&backup.progress, PROGRESS_ALWAYS);
    int result = make(&backup, err);
    progress_end(&backup.progress);
    if (result == 0 && !config->json) {
        columns_print(&backup.listed, out);
    }
    columns_free(&backup.listed);
    free(backup.incomplete);
    return result;
}
