#include "engine/dead_letter.h"

#include <inttypes.h>
#include <stdio.h>

#define CONTEXT_HEADERS 9

static struct slice number_text(struct arena *arena, int64_t number)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "%" PRId64, number);
    return arena_copy(arena, slice_of(text, (size_t)size));
}

struct record dead_letter_make(const struct record *source, const struct dead_letter_context *context,
                               struct arena *arena)
{
    struct header added[CONTEXT_HEADERS] = {
        {slice_text("__connect.errors.topic"), slice_text(source->topic)},
        {slice_text("__connect.errors.partition"), number_text(arena, source->partition)},
        {slice_text("__connect.errors.offset"), number_text(arena, source->offset)},
        {slice_text("__connect.errors.connector.name"), slice_text(context->app)},
        {slice_text("__connect.errors.task.id"), slice_text(context->worker)},
        {slice_text("__connect.errors.stage"), slice_text("PROCESS")},
        {slice_text("__connect.errors.class.name"), slice_text(context->node)},
        {slice_text("__connect.errors.exception.class.name"), slice_text(err_code_name(context->cause->code))},
        {slice_text("__connect.errors.exception.message"), slice_text(context->cause->text)},
    };
    size_t count = source->headers.count + CONTEXT_HEADERS;
    struct header *list = arena_alloc(arena, count * sizeof(*list));
    if (source->headers.count > 0) {
        memcpy(list, source->headers.list, source->headers.count * sizeof(*list));
    }
    memcpy(list + source->headers.count, added, sizeof(added));
    struct record letter = *source;
    letter.headers = (struct headers){list, count};
    letter.offset = -1;
    return letter;
}
