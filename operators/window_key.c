#include "operators/window_key.h"

struct datum window_key(const struct codec *codec, bool sessions, const struct store_window *window,
                        struct arena *arena)
{
    return datum_of_bytes(codec, store_form_windowed(sessions, window, arena));
}

struct slice window_key_place(const struct store_spec *spec, struct slice key, struct arena *arena)
{
    struct store_window window;
    if (!store_form_parse_windowed(spec->kind == STORE_SESSION, key, &window)) {
        return SLICE_NULL;
    }
    return store_form_key(spec, &window, arena);
}

struct slice window_key_of_row(const struct store_spec *spec, struct slice row, struct arena *arena)
{
    struct store_window window;
    if (!store_form_window(spec, row, &window)) {
        return SLICE_NULL;
    }
    return store_form_windowed(spec->kind == STORE_SESSION, &window, arena);
}
