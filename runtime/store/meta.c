#include "store/meta.h"

#define FORMAT 1
#define LEAST_POSITION 4 /* bytes of the shortest one: bounds what a count may claim */

static void append_text(struct bytes *out, const char *text)
{
    bytes_append_blob(out, text != NULL ? slice_text(text) : SLICE_NULL);
}

static void append_positions(struct bytes *out, const struct store_position *positions, size_t count)
{
    bytes_append_varint(out, count);
    for (size_t i = 0; i < count; i++) {
        append_text(out, positions[i].topic);
        bytes_append_zigzag(out, positions[i].partition);
        bytes_append_zigzag(out, positions[i].offset);
        append_text(out, positions[i].metadata);
    }
}

void meta_encode(const struct store_meta *meta, struct bytes *out)
{
    size_t start = out->size;
    bytes_append_byte(out, FORMAT);
    append_text(out, meta->app);
    append_text(out, meta->worker);
    bytes_append_zigzag(out, meta->partitions);
    bytes_append_zigzag(out, meta->committed_ms);
    append_positions(out, meta->inputs, meta->input_count);
    append_positions(out, meta->changelogs, meta->changelog_count);
    bytes_append_u32(out, bytes_crc32c(slice_of(out->data + start, out->size - start)));
}

static const char *take_text(struct bytes_reader *reader, struct arena *arena)
{
    struct slice text = bytes_take_blob(reader);
    if (slice_is_null(text)) {
        return NULL;
    }
    char *copy = arena_alloc(arena, text.size + 1);
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    copy[text.size] = '\0';
    return copy;
}

static const struct store_position *take_positions(struct bytes_reader *reader, struct arena *arena, size_t *count)
{
    uint64_t claimed = bytes_take_varint(reader);
    *count = 0;
    if (reader->failed || claimed > (size_t)(reader->end - reader->at) / LEAST_POSITION) {
        reader->failed = true;
        return NULL;
    }
    struct store_position *positions = arena_alloc(arena, (size_t)claimed * sizeof *positions);
    for (size_t i = 0; i < claimed; i++) {
        positions[i].topic = take_text(reader, arena);
        positions[i].partition = (int32_t)bytes_take_zigzag(reader);
        positions[i].offset = bytes_take_zigzag(reader);
        positions[i].metadata = take_text(reader, arena);
        reader->failed = reader->failed || positions[i].topic == NULL;
    }
    *count = (size_t)claimed;
    return positions;
}

static bool checksum_holds(struct slice bytes)
{
    if (bytes.size < 4) {
        return false;
    }
    struct bytes_reader crc = bytes_reader_of(slice_of(bytes.data + bytes.size - 4, 4));
    return bytes_take_u32(&crc) == bytes_crc32c(slice_of(bytes.data, bytes.size - 4));
}

int meta_decode(struct slice bytes, struct arena *arena, struct store_meta *meta, struct err *err)
{
    if (!checksum_holds(bytes)) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The meta row has a wrong checksum.");
    }
    struct bytes_reader reader = bytes_reader_of(slice_of(bytes.data, bytes.size - 4));
    uint8_t format = bytes_take_byte(&reader);
    meta->app = take_text(&reader, arena);
    meta->worker = take_text(&reader, arena);
    meta->partitions = (int32_t)bytes_take_zigzag(&reader);
    meta->committed_ms = bytes_take_zigzag(&reader);
    meta->inputs = take_positions(&reader, arena, &meta->input_count);
    meta->changelogs = take_positions(&reader, arena, &meta->changelog_count);
    if (reader.failed || reader.at != reader.end || format != FORMAT || meta->app == NULL || meta->worker == NULL) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The meta row is not one that this version writes.");
    }
    return 0;
}
