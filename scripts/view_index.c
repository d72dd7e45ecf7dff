#include "scripts/view_int.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/json.h"

/* Objects larger than this get a hash table once they were asked a few times. */
#define LARGE 32
#define FINDS_WITHOUT_TABLE 4

/* An array in the arena that doubles when it is full. */
static void *grow(struct arena *arena, void *array, uint32_t count, uint32_t *capacity, size_t element_size)
{
    uint32_t larger = *capacity > 0 ? *capacity * 2 : 16;
    void *copy = arena_alloc(arena, larger * element_size);
    if (count > 0) {
        memcpy(copy, array, count * element_size);
    }
    *capacity = larger;
    return copy;
}

static void index_object(struct arena *arena, struct view *view, struct json_walk walk)
{
    uint32_t capacity = 0;
    uint32_t count = 0;
    struct view_member *members = NULL;
    struct slice name;
    struct slice value;
    bool escapes = memchr(view->data, '\\', view->size) != NULL;
    while (json_next_member(&walk, &name, &value)) {
        if (count == capacity) {
            members = grow(arena, members, count, &capacity, sizeof *members);
        }
        uint32_t start = (uint32_t)(name.data - view->data) - 1;
        if (escapes) {
            name = view_string(arena, slice_of(name.data - 1, name.size + 2));
        }
        members[count++] = (struct view_member){name.data, (uint32_t)name.size, start,
                                                (uint32_t)(value.data - view->data), (uint32_t)value.size};
    }
    view->members = members;
    view->count = count;
}

static void index_array(struct arena *arena, struct view *view, struct json_walk walk)
{
    uint32_t capacity = 0;
    uint32_t count = 0;
    uint32_t *elements = NULL;
    struct slice value;
    while (json_next_element(&walk, &value)) {
        if (count == capacity) {
            elements = grow(arena, elements, count, &capacity, sizeof *elements);
        }
        elements[count++] = (uint32_t)(value.data - view->data);
    }
    view->elements = elements;
    view->count = count;
    view->length = count;
}

void view_index_build(struct arena *arena, struct view *view)
{
    struct json_walk walk = json_walk(slice_of(view->data, view->size));
    if (view->array) {
        index_array(arena, view, walk);
    } else {
        index_object(arena, view, walk);
    }
    view->indexed = true;
}

struct slice view_index_element(const struct view *view, uint32_t element)
{
    struct json_walk walk = {view->data + view->elements[element], view->data + view->size};
    struct slice value = SLICE_NULL;
    json_next_element(&walk, &value);
    return value;
}

static bool is_named(const struct view_member *member, struct slice name)
{
    return member->name_size == name.size && memcmp(member->name, name.data, name.size) == 0;
}

/* The slot that holds a member of that name, or the free one where it belongs. */
static uint32_t *find_slot(const struct view *view, struct slice name)
{
    uint32_t slot = (uint32_t)hash_table64(name) & view->slot_mask;
    while (view->slots[slot] != 0 && !is_named(&view->members[view->slots[slot] - 1], name)) {
        slot = (slot + 1) & view->slot_mask;
    }
    return &view->slots[slot];
}

static void hash_members(struct arena *arena, struct view *view)
{
    uint32_t size = 64;
    while (size / 2 < view->count) {
        size *= 2;
    }
    view->slots = arena_alloc(arena, size * sizeof *view->slots);
    memset(view->slots, 0, size * sizeof *view->slots);
    view->slot_mask = size - 1;
    for (uint32_t i = 0; i < view->count; i++) {
        uint32_t *slot = find_slot(view, view_index_name(&view->members[i]));
        if (*slot != 0) {
            view->members[*slot - 1].value_size = 0;
            view->repeated = true;
        }
        *slot = i + 1;
    }
    view->settled = true;
}

struct view_member *view_index_find(struct arena *arena, struct view *view, struct slice name)
{
    if (!view->indexed) {
        view_index_build(arena, view);
    }
    if (view->slots == NULL && view->count > LARGE && ++view->finds > FINDS_WITHOUT_TABLE) {
        hash_members(arena, view);
    }
    if (view->slots != NULL) {
        uint32_t found = *find_slot(view, name);
        return found != 0 ? &view->members[found - 1] : NULL;
    }
    for (uint32_t i = view->count; i > 0; i--) { /* of repeated names the last one counts */
        if (is_named(&view->members[i - 1], name)) {
            return &view->members[i - 1];
        }
    }
    return NULL;
}

void view_index_settle(struct arena *arena, struct view *view)
{
    if (!view->indexed) {
        view_index_build(arena, view);
    }
    if (view->settled) {
        return;
    }
    if (view->count > LARGE) {
        hash_members(arena, view);
        return;
    }
    for (uint32_t i = 0; i < view->count; i++) {
        struct slice name = view_index_name(&view->members[i]);
        for (uint32_t later = i + 1; later < view->count; later++) {
            if (is_named(&view->members[later], name)) {
                view->members[i].value_size = 0;
                view->repeated = true;
            }
        }
    }
    view->settled = true;
}
