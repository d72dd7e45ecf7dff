#include "scripts/view_int.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/json.h"

/* So many fields are searched for in the text before the object gets an index: most callbacks ask for one or two. */
#define SEARCHES_WITHOUT_INDEX 8
/* Objects larger than this get a hash table once their index was asked a few times. */
#define LARGE 32
#define FINDS_WITHOUT_TABLE 4

/* ---- the index: all members or elements of the text ---- */

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
    struct json_member *members = NULL;
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
        members[count++] = (struct json_member){name.data, (uint32_t)name.size, start,
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
    if (view->indexed) {
        return;
    }
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

/* ---- members by name ---- */

static bool is_named(const struct json_member *member, struct slice name)
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

struct json_member *view_index_find(struct arena *arena, struct view *view, struct slice name)
{
    view_index_build(arena, view);
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
    view_index_build(arena, view);
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

/* ---- searching in the text, without an index ----
 *
 * In JSON without a backslash a quote begins or ends a string wherever it stands, and behind one that ends a string
 * comes white space, a colon, a comma or a closing bracket. So a text that begins with something else, stands between
 * two quotes and before a colon is the name of a member of this object or of one inside it. */

static bool is_white(unsigned char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

/* Where the value of the member begins whose name stands at `at`; NULL: no name stands there. */
static const unsigned char *value_of_name(const unsigned char *at, const unsigned char *end, struct slice name)
{
    if (at[-1] != '"' || at[name.size] != '"' || memcmp(at, name.data, name.size) != 0) {
        return NULL;
    }
    at += name.size + 1;
    while (at < end && is_white(*at)) {
        at++;
    }
    return at < end && *at == ':' ? at + 1 : NULL;
}

/* The value of the first member of that name at one of `count` positions. */
static const unsigned char *try_positions(const unsigned char *at, size_t count, const unsigned char *end,
                                          struct slice name)
{
    const unsigned char *value = NULL;
    for (const unsigned char *behind = at + count; at < behind && value == NULL; at++) {
        value = *at == name.data[0] ? value_of_name(at, end, name) : NULL;
    }
    return value;
}

typedef unsigned char block __attribute__((vector_size(16)));

/* Whether at one of sixteen positions stands the first byte of the name, and a quote where the name would end. */
static inline bool may_match(const unsigned char *at, size_t size, block first, block quote)
{
    block heads;
    block tails;
    uint64_t halves[2];
    memcpy(&heads, at, sizeof heads);
    memcpy(&tails, at + size, sizeof tails);
    block hits = (block)(heads == first) & (block)(tails == quote);
    memcpy(halves, &hits, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

/* The value of the next member of that name at or behind `at`; NULL: none. */
static const unsigned char *next_value(const unsigned char *at, const unsigned char *end, struct slice name)
{
    if ((size_t)(end - at) < name.size + sizeof(block)) {
        return (size_t)(end - at) > name.size ? try_positions(at, (size_t)(end - at) - name.size, end, name) : NULL;
    }
    const unsigned char *last = end - name.size - sizeof(block);
    const unsigned char *value = NULL;
    block first;
    block quote;
    memset(&first, name.data[0], sizeof first);
    memset(&quote, '"', sizeof quote);
    for (; at < last && value == NULL; at += sizeof(block)) {
        if (may_match(at, name.size, first, quote)) {
            value = try_positions(at, sizeof(block), end, name);
        }
    }
    if (value == NULL && may_match(last, name.size, first, quote)) {
        value = try_positions(last, sizeof(block), end, name);
    }
    return value;
}

/* Names that the search is right for: not the empty one, none with a quote inside, none that may stand behind a string.
 */
static bool is_searchable(struct slice name)
{
    return name.size > 0 && !is_white(name.data[0]) && memchr(":,}]", name.data[0], 4) == NULL &&
           memchr(name.data, '"', name.size) == NULL;
}

/* True: *value is the member's value, or null when there is none. False: the text alone doesn't tell. */
static bool search(const struct view *view, struct slice name, struct slice *value)
{
    const unsigned char *end = view->data + view->size;
    const unsigned char *start = json_walk(slice_of(view->data, view->size)).at;
    if (!is_searchable(name) || memchr(start, '\\', (size_t)(end - start)) != NULL) {
        return false;
    }
    *value = SLICE_NULL;
    const unsigned char *at = start < end ? next_value(start + 1, end, name) : NULL;
    if (at == NULL) {
        return true;
    }
    size_t before = (size_t)(at - start);
    if (next_value(at, end, name) != NULL || memchr(start, '{', before) != NULL || memchr(start, '[', before) != NULL) {
        return false; /* there are several, or it is inside a member */
    }
    struct json_walk walk = {at, end};
    return json_next_element(&walk, value);
}

/* Remembers a field that was found: reading, assigning and writing it out ask for it in turn. */
static void remember(struct view *view, size_t name_size, struct slice value)
{
    const unsigned char *end = value.data - 1;
    while (*end != '"') {
        end--; /* over the colon and white space */
    }
    view->last.name = (uint32_t)(end - view->data - (ptrdiff_t)name_size);
    view->last.name_size = (uint32_t)name_size;
    view->last.value = (uint32_t)(value.data - view->data);
    view->last.value_size = (uint32_t)value.size;
}

static bool is_last(const struct view *view, struct slice name)
{
    return view->last.name_size == name.size && name.size > 0 &&
           memcmp(view->data + view->last.name, name.data, name.size) == 0;
}

struct slice view_index_value(struct arena *arena, struct view *view, struct slice name)
{
    struct slice value;
    if (is_last(view, name)) {
        return slice_of(view->data + view->last.value, view->last.value_size);
    }
    if (!view->indexed && ++view->searches <= SEARCHES_WITHOUT_INDEX && search(view, name, &value)) {
        if (!slice_is_null(value)) {
            remember(view, name.size, value);
        }
        return value;
    }
    const struct json_member *member = view_index_find(arena, view, name);
    return member != NULL ? slice_of(view->data + member->value, member->value_size) : SLICE_NULL;
}
