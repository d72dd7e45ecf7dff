#include "operators/foreign_key_message.h"

#define VERSION 0
#define HEAD_ROOM 32 /* of what stands before the last field */

/* ---- versions ---- */

struct foreign_key_version foreign_key_version_of(struct slice value)
{
    struct foreign_key_version version = {false, {0, 0}};
    if (value.data) {
        version.exists = true;
        version.hash = hash_murmur3(value);
    }
    return version;
}

bool foreign_key_version_equal(const struct foreign_key_version *one, const struct foreign_key_version *other)
{
    return one->exists == other->exists &&
           (!one->exists || (one->hash.low == other->hash.low && one->hash.high == other->hash.high));
}

static void append_version(struct bytes *out, const struct foreign_key_version *version)
{
    bytes_append_byte(out, version->exists);
    if (version->exists) {
        bytes_append_u64(out, version->hash.low);
        bytes_append_u64(out, version->hash.high);
    }
}

static struct foreign_key_version take_version(struct bytes_reader *reader)
{
    struct foreign_key_version version = {false, {0, 0}};
    uint8_t exists = bytes_take_byte(reader);
    reader->failed = reader->failed || exists > 1;
    if (exists == 1) {
        version.exists = true;
        version.hash.low = bytes_take_u64(reader);
        version.hash.high = bytes_take_u64(reader);
    }
    return version;
}

static struct slice rest(const struct bytes_reader *reader)
{
    return slice_of(reader->at, (size_t)(reader->end - reader->at));
}

/* ---- messages ---- */

static struct bytes begin(struct arena *arena, size_t size)
{
    struct bytes out = {arena_alloc(arena, HEAD_ROOM + size), 0, HEAD_ROOM + size};
    return out;
}

struct slice foreign_key_registration_encode(struct arena *arena, const struct foreign_key_registration *registration)
{
    struct bytes out = begin(arena, registration->primary_key.size);
    bytes_append_byte(&out, VERSION);
    bytes_append_byte(&out, (unsigned char)registration->instruction);
    append_version(&out, &registration->version);
    bytes_append_u32(&out, (uint32_t)registration->partition);
    bytes_append_slice(&out, registration->primary_key);
    return bytes_slice(&out);
}

struct slice foreign_key_response_encode(struct arena *arena, const struct foreign_key_response *response)
{
    struct bytes out = begin(arena, response->value.size);
    bytes_append_byte(&out, VERSION);
    append_version(&out, &response->version);
    bytes_append_byte(&out, (unsigned char)response->found);
    bytes_append_slice(&out, response->value);
    return bytes_slice(&out);
}

static int refuse(const char *what, struct err *err)
{
    return err_set(err, ERR_SKIP, ERR_RECORD, "The %s of a foreign-key join is malformed.", what);
}

int foreign_key_registration_parse(struct slice bytes, struct foreign_key_registration *registration, struct err *err)
{
    struct bytes_reader reader = bytes_reader_of(bytes);
    uint8_t version = bytes_take_byte(&reader);
    uint8_t instruction = bytes_take_byte(&reader);
    registration->instruction = (enum foreign_key_instruction)instruction;
    registration->version = take_version(&reader);
    uint32_t partition = bytes_take_u32(&reader);
    registration->partition = (int32_t)(partition & INT32_MAX);
    registration->primary_key = rest(&reader);
    bool good =
        !reader.failed && version == VERSION && instruction < FOREIGN_KEY_INSTRUCTIONS && partition <= INT32_MAX;
    return good ? 0 : refuse("registration", err);
}

int foreign_key_response_parse(struct slice bytes, struct foreign_key_response *response, struct err *err)
{
    struct bytes_reader reader = bytes_reader_of(bytes);
    uint8_t version = bytes_take_byte(&reader);
    response->version = take_version(&reader);
    uint8_t found = bytes_take_byte(&reader);
    response->found = (enum foreign_key_found)found;
    response->value = found == FOUND_ROW ? rest(&reader) : SLICE_NULL;
    bool good = !reader.failed && version == VERSION && found < FOREIGN_KEY_FOUND &&
                (found == FOUND_ROW || rest(&reader).size == 0);
    return good ? 0 : refuse("response", err);
}

struct slice foreign_key_subscription_key(struct arena *arena, struct slice foreign_key, struct slice primary_key)
{
    struct bytes out = begin(arena, foreign_key.size + primary_key.size);
    bytes_append_u32(&out, (uint32_t)foreign_key.size);
    bytes_append_slice(&out, foreign_key);
    bytes_append_slice(&out, primary_key);
    return bytes_slice(&out);
}
