#include "cli/check_state.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "cli/progress.h"
#include "store/state_check.h"

/* One worker's directory that is being looked at. */
struct looking {
    struct check_state *state;
    const char *directory;
};

/* The name of the directory is no pattern. */
char *check_state_pattern(const char *state_directory, const char *app, const char *tail)
{
    struct bytes pattern = {0};
    const char *parts[] = {state_directory, "/", app};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        for (const char *at = parts[i]; *at != '\0'; at++) {
            bytes_append_format(&pattern, strchr("*?[\\", *at) != NULL ? "\\%c" : "%c", *at);
        }
    }
    bytes_append_text(&pattern, tail);
    char *text = memory_copy_text(bytes_text(&pattern));
    bytes_free(&pattern);
    return text;
}

static void note_damage(void *self, const char *file, const char *why)
{
    const struct looking *looking = self;
    struct check_state *state = looking->state;
    state->damages = memory_grow(state->damages, state->count, &state->capacity, sizeof *state->damages);
    state->damages[state->count++] =
        (struct check_damage){memory_format("%s/%s", looking->directory, file), memory_copy_text(why)};
}

static int check_worker(struct check_state *state, const char *directory, const char *app, struct err *err)
{
    struct looking looking = {state, directory};
    bool found = false;
    if (state_check(directory, app, &found, note_damage, &looking, err) != 0) {
        return access(directory, F_OK) == 0 ? -1 : 0; /* its partition has moved meanwhile */
    }
    state->workers += found;
    return 0;
}

int check_state(const char *state_directory, const char *app, struct check_state *state, struct err *err)
{
    glob_t paths = {0};
    struct progress progress;
    int result = 0;
    char *pattern = check_state_pattern(state_directory, app, "/*/*/");
    progress_begin(&progress, PROGRESS_ALWAYS);
    if (glob(pattern, 0, NULL, &paths) == 0) {
        for (size_t i = 0; i < paths.gl_pathc && result == 0; i++) {
            char *directory = paths.gl_pathv[i];
            directory[strlen(directory) - 1] = '\0'; /* the pattern's last slash */
            result = check_worker(state, directory, app, err);
            if (progress_due(&progress)) {
                progress_show(&progress, "%zu of %zu directories of state checked", i + 1, (size_t)paths.gl_pathc);
            }
        }
    }
    progress_end(&progress);
    globfree(&paths);
    free(pattern);
    return result;
}

void check_state_free(struct check_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        free(state->damages[i].file);
        free(state->damages[i].why);
    }
    free(state->damages);
    *state = (struct check_state){0};
}
