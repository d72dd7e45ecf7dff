#include "store/order.h"

#include "base/memory.h"
#include "store/table.h"

#include <stdlib.h>

#define BLOCK_ITEMS 256
#define BLOCK_FILL 192 /* of a block made by order_new: leaves room for the first insertions */

/* The first eight bytes of the key decide most comparisons without touching the entry. */
struct item {
    uint64_t prefix;
    struct table_entry *entry;
};

struct order_block {
    size_t count;
    struct item items[BLOCK_ITEMS];
};

static uint64_t prefix_of(struct slice key)
{
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++) {
        prefix = prefix << 8 | (i < key.size ? key.data[i] : 0);
    }
    return prefix;
}

static struct item item_of(struct table_entry *entry)
{
    return (struct item){prefix_of(table_key(entry)), entry};
}

/* A shorter key padded with zeros may equal a longer one's prefix, so equal prefixes say nothing yet. */
static int compare(const struct item *item, uint64_t prefix, struct slice key)
{
    if (item->prefix != prefix) {
        return item->prefix < prefix ? -1 : 1;
    }
    return slice_compare(table_key(item->entry), key);
}

static int compare_items(const void *a, const void *b)
{
    const struct item *one = a;
    const struct item *other = b;
    return compare(one, other->prefix, table_key(other->entry));
}

static struct order_block *add_block(struct order *order, size_t at)
{
    order->blocks = memory_grow(order->blocks, order->count, &order->capacity, sizeof *order->blocks);
    memmove(&order->blocks[at + 1], &order->blocks[at], (order->count - at) * sizeof *order->blocks);
    struct order_block *block = memory_resize(NULL, sizeof *block);
    block->count = 0;
    order->blocks[at] = block;
    order->count++;
    return block;
}

struct order *order_new(struct table_entry **entries, size_t count)
{
    struct order *order = memory_alloc(sizeof *order);
    struct item *items = memory_resize(NULL, count * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        items[i] = item_of(entries[i]);
    }
    qsort(items, count, sizeof *items, compare_items);
    for (size_t i = 0; i < count; i += BLOCK_FILL) {
        struct order_block *block = add_block(order, order->count);
        block->count = count - i < BLOCK_FILL ? count - i : BLOCK_FILL;
        memcpy(block->items, &items[i], block->count * sizeof *items);
    }
    free(items);
    return order;
}

void order_free(struct order *order)
{
    if (order == NULL) {
        return;
    }
    for (size_t i = 0; i < order->count; i++) {
        free(order->blocks[i]);
    }
    free(order->blocks);
    free(order);
}

/* Index of the last block whose first key is <= `key`, or 0. */
static size_t find_block(const struct order *order, uint64_t prefix, struct slice key)
{
    size_t low = 0;
    size_t high = order->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (compare(&order->blocks[middle]->items[0], prefix, key) <= 0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t find_item(const struct order_block *block, uint64_t prefix, struct slice key, bool after)
{
    size_t low = 0;
    size_t high = block->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int result = compare(&block->items[middle], prefix, key);
        if (result < 0 || (after && result == 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct order_place settle(const struct order *order, struct order_place place)
{
    if (place.block < order->count && place.item == order->blocks[place.block]->count) {
        place = (struct order_place){place.block + 1, 0};
    }
    return place;
}

struct order_place order_seek(const struct order *order, struct slice key, bool after)
{
    if (order->count == 0) {
        return order_end(order);
    }
    uint64_t prefix = prefix_of(key);
    size_t block = find_block(order, prefix, key);
    return settle(order, (struct order_place){block, find_item(order->blocks[block], prefix, key, after)});
}

static void split(struct order *order, size_t at)
{
    struct order_block *upper = add_block(order, at + 1);
    struct order_block *lower = order->blocks[at];
    upper->count = lower->count / 2;
    lower->count -= upper->count;
    memcpy(upper->items, &lower->items[lower->count], upper->count * sizeof *upper->items);
}

void order_insert(struct order *order, struct table_entry *entry)
{
    struct item item = item_of(entry);
    struct slice key = table_key(entry);
    order->version++;
    if (order->count == 0) {
        add_block(order, 0);
    }
    size_t at = find_block(order, item.prefix, key);
    if (order->blocks[at]->count == BLOCK_ITEMS) {
        split(order, at);
        at = find_block(order, item.prefix, key);
    }
    struct order_block *block = order->blocks[at];
    size_t place = find_item(block, item.prefix, key, false);
    memmove(&block->items[place + 1], &block->items[place], (block->count - place) * sizeof item);
    block->items[place] = item;
    block->count++;
}

void order_remove(struct order *order, struct slice key)
{
    struct order_place place = order_seek(order, key, false);
    struct order_block *block = order->blocks[place.block];
    order->version++;
    block->count--;
    memmove(&block->items[place.item], &block->items[place.item + 1],
            (block->count - place.item) * sizeof *block->items);
    if (block->count == 0) {
        free(block);
        order->count--;
        memmove(&order->blocks[place.block], &order->blocks[place.block + 1],
                (order->count - place.block) * sizeof *order->blocks);
    }
}

void order_remove_below(struct order *order, struct slice key)
{
    if (order->count == 0) {
        return; /* there may be no array yet */
    }
    struct order_place place = order_seek(order, key, false);
    order->version++;
    for (size_t i = 0; i < place.block; i++) {
        free(order->blocks[i]);
    }
    order->count -= place.block;
    memmove(order->blocks, order->blocks + place.block, order->count * sizeof *order->blocks);
    if (place.item > 0) {
        struct order_block *block = order->blocks[0];
        block->count -= place.item;
        memmove(block->items, &block->items[place.item], block->count * sizeof *block->items);
    }
}

void order_replace(struct order *order, struct table_entry *entry)
{
    struct order_place place = order_seek(order, table_key(entry), false);
    order->blocks[place.block]->items[place.item].entry = entry;
}

struct order_place order_end(const struct order *order)
{
    return (struct order_place){order->count, 0};
}

struct table_entry *order_entry(const struct order *order, struct order_place place)
{
    return place.block < order->count ? order->blocks[place.block]->items[place.item].entry : NULL;
}

struct order_place order_next(const struct order *order, struct order_place place)
{
    place.item++;
    return settle(order, place);
}

bool order_previous(const struct order *order, struct order_place *place)
{
    if (place->item > 0) {
        place->item--;
        return true;
    }
    if (place->block == 0) {
        return false;
    }
    place->block--;
    place->item = order->blocks[place->block]->count - 1;
    return true;
}

size_t order_bytes(const struct order *order)
{
    return order == NULL ? 0 : order->count * sizeof(struct order_block) + order->capacity * sizeof *order->blocks;
}
