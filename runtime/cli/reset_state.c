#include "cli/reset_state.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/directory.h"
#include "engine/slot.h"

static bool is_entry(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN);
}

static int lock_slots(DIR *directory, const char *state_directory, const char *app, struct reset_state *state,
                      struct err *err)
{
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (!is_entry(entry)) {
            continue;
        }
        state->slots = memory_grow(state->slots, state->count, &state->capacity, sizeof(struct slot *));
        if (slot_open(state_directory, app, entry->d_name, &state->slots[state->count], err) != 0) {
            return err->code == ERR_LOCKED ? err_set(err, ERR_FATAL, ERR_LOCKED,
                                                     "The app %s runs now, with its state in %s/%s. Stop it first.",
                                                     app, state->directory, entry->d_name)
                                           : -1;
        }
        state->count++;
    }
    return 0;
}

int reset_state_lock(const char *state_directory, const char *app, struct reset_state *state, struct err *err)
{
    *state = (struct reset_state){.directory = memory_format("%s/%s", state_directory, app)};
    DIR *directory = opendir(state->directory);
    if (directory == NULL) {
        return errno == ENOENT ? 0
                               : err_set(err, ERR_FATAL, ERR_IO, "The directory %s can't be read: %s.",
                                         state->directory, strerror(errno));
    }
    int result = lock_slots(directory, state_directory, app, state, err);
    closedir(directory);
    return result;
}

int reset_state_delete(const struct reset_state *state, struct err *err)
{
    return directory_remove(state->directory, err) == 0 ? 0 : err_wrap(err, "deleting the state");
}

void reset_state_release(struct reset_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        slot_close(state->slots[i]);
    }
    free(state->slots);
    free(state->directory);
    *state = (struct reset_state){0};
}

void reset_state_apps(const char *state_directory, struct option_list *apps)
{
    DIR *directory = opendir(state_directory);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (is_entry(entry)) {
            option_list_add(apps, entry->d_name);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}
