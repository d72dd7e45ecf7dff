#include "scripts/view_int.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "scripts/windowed_key.h"

/* Larger texts are a mistake of the script (a table that contains another many times over), not a record. */
#define MAX_TEXT ((size_t)256 * 1024 * 1024)
/* Up to so many fields are kept on the stack, more in the arena. */
#define FEW 24

/* Where a value is, from the inside out, for messages; and the containers around it, against cycles. */
struct place {
    const struct place *outer;
    const void *container; /* identity of the container the value is in */
    int depth;             /* of the value: 1 inside the outermost container */
    struct slice name;     /* of the field; null: an element */
    lua_Integer position;
};

struct encoder {
    lua_State *L;
    struct host *host;
    struct bytes *out;
    size_t start; /* of this value in out */
    bool suspect; /* raw text was put inside something that may make it too deep */
};

static void encode_value(struct encoder *encoder, int index, const struct place *place);

/* ---- errors ---- */

static bool is_identifier(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return name.size > 0;
}

static void add_place(luaL_Buffer *text, const struct place *place)
{
    if (place->outer != NULL) {
        add_place(text, place->outer);
    }
    char number[32];
    if (slice_is_null(place->name)) {
        snprintf(number, sizeof number, "[%lld]", (long long)place->position);
        luaL_addstring(text, number);
    } else if (is_identifier(place->name)) {
        luaL_addstring(text, place->outer != NULL ? "." : "");
        luaL_addlstring(text, (const char *)place->name.data, place->name.size);
    } else {
        luaL_addstring(text, "[\"");
        luaL_addlstring(text, (const char *)place->name.data, place->name.size);
        luaL_addstring(text, "\"]");
    }
}

/* Raises "field total.items[3] <what>". */
static void refuse(struct encoder *encoder, const struct place *place, const char *what)
{
    lua_State *L = encoder->L;
    luaL_Buffer text;
    luaL_where(L, 1);
    luaL_buffinit(L, &text);
    if (place != NULL) {
        luaL_addstring(&text, "field ");
        add_place(&text, place);
    } else {
        luaL_addstring(&text, "the value");
    }
    luaL_addstring(&text, " ");
    luaL_addstring(&text, what);
    luaL_pushresult(&text);
    lua_concat(L, 2);
    lua_error(L);
}

static void refuse_type(struct encoder *encoder, int index, const struct place *place)
{
    const char *type = view_is_tombstone(encoder->L, index) ? "tombstone" : luaL_typename(encoder->L, index);
    refuse(encoder, place, lua_pushfstring(encoder->L, "is a %s, which JSON can't hold", type));
}

/* ---- scalars ---- */

static void encode_string(struct encoder *encoder, int index, const struct place *place)
{
    size_t size;
    const char *text = lua_tolstring(encoder->L, index, &size);
    struct json_writer writer = json_writer(encoder->out);
    if (!json_string_checked(&writer, slice_of(text, size))) {
        refuse(encoder, place, "is not valid UTF-8, and JSON is; other bytes need tm.bytes or an encoding of your own");
    }
}

static void encode_number(struct encoder *encoder, int index, const struct place *place)
{
    struct json_writer writer = json_writer(encoder->out);
    if (lua_isinteger(encoder->L, index)) {
        json_integer(&writer, lua_tointeger(encoder->L, index));
    } else if (!json_real(&writer, lua_tonumber(encoder->L, index))) {
        refuse(encoder, place, "is NaN or infinite, which JSON can't hold");
    }
}

/* ---- containers ---- */

/* The place of a value inside the container at `index`; checks depth and size. */
static struct place enter(struct encoder *encoder, int index, const struct place *place)
{
    const void *container = lua_topointer(encoder->L, index);
    for (const struct place *around = place; around != NULL; around = around->outer) {
        if (around->container == container) {
            refuse(encoder, place, "contains itself, and JSON can't");
        }
    }
    int depth = place != NULL ? place->depth + 1 : 1;
    if (depth > JSON_MAX_DEPTH) {
        refuse(encoder, place, "is nested too deeply");
    }
    if (encoder->out->size - encoder->start > MAX_TEXT) {
        refuse(encoder, place, "makes the JSON larger than 256 MB");
    }
    luaL_checkstack(encoder->L, 8, "JSON nested too deeply");
    return (struct place){place, container, depth, SLICE_NULL, 0};
}

static void encode_list(struct encoder *encoder, int index, lua_Integer length, const struct place *place)
{
    struct place inside = enter(encoder, index, place);
    bytes_append_byte(encoder->out, '[');
    for (lua_Integer i = 1; i <= length; i++) {
        if (i > 1) {
            bytes_append_byte(encoder->out, ',');
        }
        inside.position = i;
        lua_rawgeti(encoder->L, index, i);
        encode_value(encoder, lua_gettop(encoder->L), &inside);
        lua_pop(encoder->L, 1);
    }
    bytes_append_byte(encoder->out, ']');
}

struct field {
    struct slice name;
    int slot; /* of the value on the stack; 0: it is looked up */
};

static int compare_fields(const void *one, const void *other)
{
    return slice_compare(((const struct field *)one)->name, ((const struct field *)other)->name);
}

static void sort_fields(struct field *fields, size_t count)
{
    if (count > FEW) {
        qsort(fields, count, sizeof *fields, compare_fields);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct field field = fields[i];
        size_t at = i;
        for (; at > 0 && slice_compare(fields[at - 1].name, field.name) > 0; at--) {
            fields[at] = fields[at - 1];
        }
        fields[at] = field;
    }
}

/* The key is below the top, as lua_next leaves it. */
static void refuse_key(struct encoder *encoder, const struct place *place, lua_Integer length)
{
    lua_State *L = encoder->L;
    const char *key = luaL_tolstring(L, -2, NULL);
    if (length > 0) {
        refuse(encoder, place,
               lua_pushfstring(L, "is neither a list nor an object: its keys are 1 to %I and also %s", length, key));
    }
    refuse(encoder, place,
           lua_pushfstring(L,
                           "is neither a list nor an object: its keys do not begin with 1, and the "
                           "key %s is not a string",
                           key));
}

/* Collects the first `room` fields of a table and returns how many there are. `keep`: the values of those stay on the
 * stack, which is cheaper than to look them up again. */
static size_t collect_fields(struct encoder *encoder, int index, struct field *fields, size_t room, bool keep,
                             const struct place *place)
{
    lua_State *L = encoder->L;
    size_t count = 0;
    lua_pushnil(L);
    for (; lua_next(L, index); count++) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            refuse_key(encoder, place, 0);
        }
        if (count >= room) {
            lua_pop(L, 1);
            continue;
        }
        fields[count].name.data = (const unsigned char *)lua_tolstring(L, -2, &fields[count].name.size);
        fields[count].slot = keep ? lua_gettop(L) - 1 : 0;
        if (keep) {
            lua_insert(L, -2);
        } else {
            lua_pop(L, 1);
        }
    }
    return count;
}

static void append_name(struct encoder *encoder, struct slice name, const struct place *place)
{
    struct json_writer writer = json_writer(encoder->out);
    if (!json_name_checked(&writer, name)) {
        refuse(encoder, place, "has a name that is not valid UTF-8, and JSON is");
    }
}

static void encode_field(struct encoder *encoder, int index, const struct field *field, struct place *inside)
{
    inside->name = field->name;
    append_name(encoder, field->name, inside->outer);
    if (field->slot != 0) {
        encode_value(encoder, field->slot, inside);
        return;
    }
    lua_pushlstring(encoder->L, (const char *)field->name.data, field->name.size);
    lua_rawget(encoder->L, index);
    encode_value(encoder, lua_gettop(encoder->L), inside);
    lua_pop(encoder->L, 1);
}

/* Names in byte order, so that equal tables give equal bytes whatever order Lua keeps them in: keys are compared and
 * placed by their bytes. */
static void encode_object(struct encoder *encoder, int index, const struct place *place)
{
    lua_State *L = encoder->L;
    struct place inside = enter(encoder, index, place);
    luaL_checkstack(L, FEW + 8, "JSON nested too deeply");
    struct field few[FEW];
    struct field *fields = few;
    int top = lua_gettop(L);
    size_t count = collect_fields(encoder, index, fields, FEW, true, place);
    if (count > FEW) {
        lua_settop(L, top);
        fields = arena_alloc(encoder->host->arena, count * sizeof *fields);
        collect_fields(encoder, index, fields, count, false, place);
    }
    sort_fields(fields, count);
    bytes_append_byte(encoder->out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            bytes_append_byte(encoder->out, ',');
        }
        encode_field(encoder, index, &fields[i], &inside);
    }
    bytes_append_byte(encoder->out, '}');
    lua_settop(L, top);
}

/* Every key must be one of 1 .. length, and none of these may be missing. */
static void require_list(struct encoder *encoder, int index, lua_Integer length, const struct place *place)
{
    lua_State *L = encoder->L;
    lua_Integer count = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
        if (key < 1 || key > length) {
            refuse_key(encoder, place, length);
        }
        count++;
        lua_pop(L, 1);
    }
    if (count < length) {
        refuse(encoder, place, "is a list with nil between its elements; use tm.null");
    }
}

static void encode_table(struct encoder *encoder, int index, const struct place *place)
{
    lua_Integer length = (lua_Integer)lua_rawlen(encoder->L, index);
    if (length > 0 || view_is_list(encoder->L, index)) {
        require_list(encoder, index, length, place);
        encode_list(encoder, index, length, place);
    } else {
        encode_object(encoder, index, place);
    }
}

/* ---- views ---- */

static void append_text(struct encoder *encoder, const struct view *view, uint32_t from, uint32_t to)
{
    bytes_append(encoder->out, view->data + from, to - from);
}

/* Offset behind the opening bracket. */
static uint32_t opening(const struct view *view)
{
    return (uint32_t)(json_walk(slice_of(view->data, view->size)).at - view->data);
}

/* Writes an array: runs of untouched elements are copied as they are, with what stands between them. */
static void encode_array_view(struct encoder *encoder, int index, struct view *view, const struct place *place)
{
    lua_State *L = encoder->L;
    struct place inside = enter(encoder, index, place);
    uint32_t behind = opening(view); /* of the last element of the text that was looked at */
    append_text(encoder, view, 0, behind);
    view_overlay_push(L, index, view);
    int overlay = lua_gettop(L);
    for (uint32_t i = 0; i < view->length; i++) {
        struct slice raw = i < view->count ? view_index_element(view, i) : SLICE_NULL;
        if (!slice_is_null(raw)) {
            append_text(encoder, view, behind, view->elements[i]); /* comma and white space */
            behind = view->elements[i] + (uint32_t)raw.size;
        } else if (i > 0) {
            bytes_append_byte(encoder->out, ',');
        }
        inside.position = i + 1;
        if (lua_rawgeti(L, overlay, i + 1) == LUA_TNIL) {
            bytes_append_slice(encoder->out, raw);
        } else {
            encode_value(encoder, lua_gettop(L), &inside);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (view->length < view->count) {
        behind = view->elements[view->count - 1] + (uint32_t)view_index_element(view, view->count - 1).size;
    }
    append_text(encoder, view, behind, view->size);
}

/* Writes the fields that were added, in the order of their first assignment; `comma`: something stands before them. */
static void write_added(struct encoder *encoder, int overlay, bool comma, struct place *inside)
{
    lua_State *L = encoder->L;
    lua_Integer count = view_overlay_added(L, overlay);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, overlay, i);
        inside->name.data = (const unsigned char *)lua_tolstring(L, -1, &inside->name.size);
        lua_pushvalue(L, -1);
        lua_rawget(L, overlay);
        if (!view_overlay_is_removed(L, -1)) {
            if (comma) {
                bytes_append_byte(encoder->out, ',');
            }
            comma = true;
            append_name(encoder, inside->name, inside->outer);
            encode_value(encoder, lua_gettop(L), inside);
        }
        lua_pop(L, 2);
    }
}

/* A field of the text whose value does not stay as it is; the name is a key of the overlay. */
struct edit {
    struct slice name;
    struct slice value;
};

struct edits {
    struct edit few[8];
    struct edit *list;
    size_t count;
    size_t capacity;
};

static void add_edit(struct encoder *encoder, struct edits *edits, struct edit edit)
{
    if (edits->count == edits->capacity) {
        struct edit *larger = arena_alloc(encoder->host->arena, edits->capacity * 2 * sizeof *larger);
        memcpy(larger, edits->list, edits->count * sizeof *larger);
        edits->list = larger;
        edits->capacity *= 2;
    }
    edits->list[edits->count++] = edit;
}

static int compare_edits(const void *one, const void *other)
{
    const unsigned char *a = ((const struct edit *)one)->value.data;
    const unsigned char *b = ((const struct edit *)other)->value.data;
    return (a > b) - (a < b);
}

/* False: a field of the text was removed. */
static bool collect_edits(struct encoder *encoder, struct view *view, int overlay, struct edits *edits)
{
    lua_State *L = encoder->L;
    lua_pushnil(L);
    while (lua_next(L, overlay)) {
        struct edit edit = {SLICE_NULL, SLICE_NULL};
        if (lua_type(L, -2) == LUA_TSTRING) {
            edit.name.data = (const unsigned char *)lua_tolstring(L, -2, &edit.name.size);
            edit.value = view_index_value(encoder->host->arena, view, edit.name);
        }
        if (!slice_is_null(edit.value)) {
            if (view_overlay_is_removed(L, -1)) {
                lua_pop(L, 2);
                return false;
            }
            add_edit(encoder, edits, edit);
        }
        lua_pop(L, 1);
    }
    if (edits->count > 1) {
        qsort(edits->list, edits->count, sizeof *edits->list, compare_edits);
    }
    return true;
}

/* Offset of what stands between the last member and the closing brace. */
static uint32_t closing(const struct view *view)
{
    struct slice text = json_trim(slice_of(view->data, view->size));
    uint32_t start = (uint32_t)(text.data - view->data);
    text = json_trim(slice_of(view->data, start + text.size - 1)); /* without the brace */
    return (uint32_t)(text.data - view->data + text.size);
}

/* The usual case: the text with other values in their places, and new fields at the end. */
static void replace_values(struct encoder *encoder, const struct view *view, int overlay, const struct edits *edits,
                           struct place *inside)
{
    lua_State *L = encoder->L;
    uint32_t done = 0;
    for (size_t i = 0; i < edits->count; i++) {
        const struct edit *edit = &edits->list[i];
        uint32_t value = (uint32_t)(edit->value.data - view->data);
        inside->name = edit->name;
        append_text(encoder, view, done, value);
        lua_pushlstring(L, (const char *)edit->name.data, edit->name.size);
        lua_rawget(L, overlay);
        encode_value(encoder, lua_gettop(L), inside);
        lua_pop(L, 1);
        done = value + (uint32_t)edit->value.size;
    }
    if (view_overlay_added(L, overlay) > 0) {
        uint32_t end = closing(view);
        append_text(encoder, view, done, end);
        write_added(encoder, overlay, end > opening(view), inside);
        done = end;
    }
    append_text(encoder, view, done, view->size);
}

/* Member number `number` of the text, whose value now is on top of the stack; nil: as it was. */
static void write_member(struct encoder *encoder, const struct view *view, uint32_t number, bool after_neighbour,
                         bool comma, struct place *inside)
{
    const struct json_member *member = &view->members[number];
    if (after_neighbour) {
        uint32_t from = number == 0 ? opening(view) : member[-1].value + member[-1].value_size;
        append_text(encoder, view, from, member->start);
    } else if (comma) {
        bytes_append_byte(encoder->out, ',');
    }
    append_text(encoder, view, member->start, member->value);
    inside->name = view_index_name(member);
    if (lua_isnil(encoder->L, -1)) {
        append_text(encoder, view, member->value, member->value + member->value_size);
    } else {
        encode_value(encoder, lua_gettop(encoder->L), inside);
    }
}

/* Where fields were removed: member by member. Earlier ones of a repeated name are left out. */
static void keep_members(struct encoder *encoder, struct view *view, int overlay, struct place *inside)
{
    lua_State *L = encoder->L;
    view_index_settle(encoder->host->arena, view);
    append_text(encoder, view, 0, opening(view));
    uint32_t next = 0; /* the neighbour of what was written last */
    bool comma = false;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct json_member *member = &view->members[i];
        lua_pushlstring(L, (const char *)member->name, member->name_size);
        lua_rawget(L, overlay);
        if (member->value_size > 0 && !view_overlay_is_removed(L, -1)) {
            write_member(encoder, view, i, i == next, comma, inside);
            comma = true;
            next = i + 1;
        }
        lua_pop(L, 1);
    }
    write_added(encoder, overlay, comma, inside);
    append_text(encoder, view, closing(view), view->size);
}

static void encode_object_view(struct encoder *encoder, int index, struct view *view, const struct place *place)
{
    struct place inside = enter(encoder, index, place);
    view_overlay_push(encoder->L, index, view);
    int overlay = lua_gettop(encoder->L);
    struct edits edits;
    edits.list = edits.few;
    edits.count = 0;
    edits.capacity = sizeof edits.few / sizeof edits.few[0];
    if (collect_edits(encoder, view, overlay, &edits)) {
        replace_values(encoder, view, overlay, &edits, &inside);
    } else {
        keep_members(encoder, view, overlay, &inside);
    }
    lua_pop(encoder->L, 1);
}

static void encode_view(struct encoder *encoder, int index, const struct place *place)
{
    struct view *view = view_require(encoder->L, index);
    if (!view_touched(encoder->L, index)) {
        encoder->suspect |= place != NULL && view->size / 2 > (uint32_t)(JSON_MAX_DEPTH - place->depth);
        append_text(encoder, view, 0, view->size);
    } else if (view->array) {
        encode_array_view(encoder, index, view, place);
    } else {
        encode_object_view(encoder, index, view, place);
    }
}

static void encode_windowed_key(struct encoder *encoder, int index, const struct place *place)
{
    int64_t start, end;
    struct place inside = enter(encoder, index, place);
    inside.name = slice_text("key");
    windowed_key_get(encoder->L, index, &start, &end);
    bytes_append_text(encoder->out, "{\"key\":");
    encode_value(encoder, lua_gettop(encoder->L), &inside);
    lua_pop(encoder->L, 1);
    bytes_append_format(encoder->out, ",\"window_start\":%" PRId64 ",\"window_end\":%" PRId64 "}", start, end);
}

static void encode_value(struct encoder *encoder, int index, const struct place *place)
{
    lua_State *L = encoder->L;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        bytes_append_text(encoder->out, lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TNUMBER:
        encode_number(encoder, index, place);
        break;
    case LUA_TSTRING:
        encode_string(encoder, index, place);
        break;
    case LUA_TTABLE:
        encode_table(encoder, index, place);
        break;
    default:
        if (view_is(L, index)) {
            encode_view(encoder, index, place);
        } else if (view_is_null(L, index)) {
            bytes_append_text(encoder->out, "null");
        } else if (windowed_key_is(L, index)) {
            encode_windowed_key(encoder, index, place);
        } else {
            refuse_type(encoder, index, place);
        }
    }
}

void view_encode(lua_State *L, int index, struct bytes *out)
{
    struct encoder encoder = {L, host_of(L), out, out->size, false};
    index = lua_absindex(L, index);
    luaL_checkstack(L, 8, "encoding JSON");
    encode_value(&encoder, index, NULL);
    struct slice text = slice_of(out->data + encoder.start, out->size - encoder.start);
    struct json_problem problem;
    if (encoder.suspect && !json_check(text, &problem)) {
        refuse(&encoder, NULL, lua_pushfstring(L, "can't be written as JSON: %s", problem.reason));
    }
}
