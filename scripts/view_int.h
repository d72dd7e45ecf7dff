/* The insides of a JSON view. Private to view*.c.
 *
 * Ownership: a struct view is the content of a userdata and belongs to Lua; its index lives in the record's arena and
 * is read only while the view's epoch is the host's. The overlay is a Lua table in the userdata's user value: of an
 * object: name -> value now, or the mark of a removed field; 1, 2, ... -> names of added fields in their order; of an
 * array: position -> value now. Children that were handed out are kept there too, so that a change inside them is seen
 * through the parent.
 */
#ifndef TIDEMILL_SCRIPTS_VIEW_INT_H
#define TIDEMILL_SCRIPTS_VIEW_INT_H

#include "base/json.h"
#include "scripts/host.h"
#include "scripts/view.h"

/* One is made for every record whose value a callback looks at, and cleared as a whole: up to 80 bytes the compilers do
 * that without a loop. Offsets and sizes are of the text. */
struct view {
    const void *tag;           /* tells views from other userdata */
    const unsigned char *data; /* the container's text, with the white space around it */
    uint64_t epoch;
    union {
        struct json_member *members; /* of an object; value_size 0: a later member has this name */
        uint32_t *elements;          /* of an array: offset of each */
    };
    uint32_t *slots; /* hash table of a large object: number of the member + 1, or 0 */
    uint32_t slot_mask;
    uint32_t size;
    uint32_t count;  /* of members or elements in the text, once it is indexed */
    uint32_t length; /* of an array, as it is now */
    struct {
        uint32_t name, name_size, value, value_size;
    } last;           /* the field that was found last without an index; name_size 0: none */
    uint8_t searches; /* each at most one more than its limit in view_index.c */
    uint8_t finds;
    bool array;
    bool indexed;
    bool settled;  /* repeated names are marked */
    bool repeated; /* and there are some */
    bool overlaid; /* the user value is a table */
    bool changed;  /* something was assigned to this very view */
};
_Static_assert(sizeof(struct view) <= 80, "a view is cleared without a loop");

/* ---- view.c ---- */

/* The view at `index` (which must be one), or an error when its record is done. [-0, +0, e] */
struct view *view_require(lua_State *L, int index);
/* Pushes the value of `key` (absolute index; of an array an integer, of an object a string): from the overlay or the
 * text; a container is kept in the overlay. [-0, +1, e] */
void view_get(lua_State *L, int index, struct view *view, int key);
/* The decoded text of a string value (quotes included), in the arena when it has escapes. */
struct slice view_string(struct arena *arena, struct slice json);

/* ---- view_index.c: pure, no Lua ---- */

void view_index_build(struct arena *arena, struct view *view); /* unless there is one */
/* The value of a member, without an index as long as that is cheaper; null: there is no such member. */
struct slice view_index_value(struct arena *arena, struct view *view, struct slice name);
struct json_member *view_index_find(struct arena *arena, struct view *view, struct slice name); /* NULL: none */
/* Marks members whose name comes again later. */
void view_index_settle(struct arena *arena, struct view *view);
struct slice view_index_element(const struct view *view, uint32_t element); /* 0 .. count-1 */
static inline struct slice view_index_name(const struct json_member *member)
{
    return slice_of(member->name, member->name_size);
}

/* ---- view_overlay.c ---- */

/* Pushes the overlay, made when there is none. [-0, +1, e] */
void view_overlay_push(lua_State *L, int index, struct view *view);
/* Pushes what the overlay says about `key` and returns true, nil for a removed field; false: nothing, nothing pushed.
 */
bool view_overlay_get(lua_State *L, int index, struct view *view, int key);
/* view[key] = value (absolute indices). [-0, +0, e] */
void view_overlay_set(lua_State *L, int index, struct view *view, int key, int value);
bool view_overlay_is_removed(lua_State *L, int index);     /* whether the value is the mark of a removed field */
lua_Integer view_overlay_added(lua_State *L, int overlay); /* how many names of added fields the overlay lists */

#endif
