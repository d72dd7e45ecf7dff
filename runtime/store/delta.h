/* The blob of one commit: every entry that changed, packed, with a checksum. Pure.
 *
 * Form: magic (4 bytes, big-endian), CRC-32C of what follows (4 bytes), then items. An item is either the byte 0 with
 * the name of a store (blob) and the time below which its entries are gone (varint, 0: none), which says what the
 * entries behind it belong to, or an entry: varint of key size + 1, key, value (blob; null: deleted), and the
 * zigzag difference of its timestamp to that of the entry before.
 * Blobs and integers are those of base/bytes.h.
 * Ownership: entries and names that are read borrow from the blob.
 */
#ifndef TIDEMILL_STORE_DELTA_H
#define TIDEMILL_STORE_DELTA_H

#include "base/bytes.h"
#include "base/err.h"

struct delta_writer {
    struct bytes blob;
    int64_t timestamp; /* of the last entry */
};

void delta_begin(struct delta_writer *delta); /* empties the blob first */
void delta_add_store(struct delta_writer *delta, const char *name, uint64_t expired);
void delta_add_entry(struct delta_writer *delta, struct slice key, struct slice value, int64_t timestamp);
void delta_finish(struct delta_writer *delta);

enum delta_item { DELTA_STORE, DELTA_ENTRY, DELTA_END };

struct delta_reader {
    struct bytes_reader reader;
    struct slice store; /* of the items that come */
    uint64_t expired;   /* with DELTA_STORE: entries of earlier times are gone; 0: none */
    struct slice key;   /* with DELTA_ENTRY */
    struct slice value;
    int64_t timestamp;
};

/* Checks magic and checksum. Fails with ERR_CORRUPT. */
int delta_open(struct delta_reader *delta, struct slice blob, struct err *err);
int delta_next(struct delta_reader *delta, enum delta_item *item, struct err *err);

#endif
