#include "cli/dev_watch.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/memory.h"

#define REST_MS 60 /* editors write a file in several steps */

/* Times are compared and not only sizes; one that is gone is a change too. */
static void look_at(const char *path, struct bytes *out)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        bytes_append_format(out, "%s is not there\n", path);
        return;
    }
    bytes_append_format(out, "%s %" PRId64 " %" PRId64 ".%09ld\n", path, (int64_t)status.st_size,
                        (int64_t)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

static int is_script(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".lua") == 0;
}

static char *folder_of(const char *script)
{
    const char *slash = strrchr(script, '/');
    return slash == NULL ? memory_copy_text(".") : memory_format("%.*s", (int)(slash - script) + 1, script);
}

/* Modules are in the folder of the script. */
static void look_at_folder(const char *script, struct bytes *out)
{
    char *folder = folder_of(script);
    struct dirent **entries;
    int count = scandir(folder, &entries, is_script, alphasort);
    for (int i = 0; i < count; i++) {
        char *path = memory_format("%s/%s", folder, entries[i]->d_name);
        look_at(path, out);
        free(path);
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
    free(folder);
}

static void look(const struct dev_watch *watch, struct bytes *out)
{
    bytes_clear(out);
    look_at(watch->script, out);
    look_at_folder(watch->script, out);
    for (size_t i = 0; i < watch->files->count; i++) {
        look_at(watch->files->items[i], out);
    }
}

void dev_watch_note(struct dev_watch *watch)
{
    look(watch, &watch->seen);
}

bool dev_watch_changed(struct dev_watch *watch)
{
    struct bytes now = {0};
    look(watch, &now);
    bool changed = !slice_equal(bytes_slice(&now), bytes_slice(&watch->seen));
    for (bool rests = !changed; !rests;) {
        bytes_clear(&watch->seen);
        bytes_append_slice(&watch->seen, bytes_slice(&now));
        clock_sleep_ms(REST_MS);
        look(watch, &now);
        rests = slice_equal(bytes_slice(&now), bytes_slice(&watch->seen));
    }
    bytes_free(&now);
    return changed;
}

void dev_watch_free(struct dev_watch *watch)
{
    bytes_free(&watch->seen);
}
