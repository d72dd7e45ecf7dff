#include "cli/produce_resume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

#define BEYOND_ALL (INT64_C(1) << 62)

static int64_t integer_member(struct slice object, const char *name)
{
    struct slice value;
    int64_t number = 0;
    double real;
    if (!json_member(object, slice_text(name), &value) || json_type(value) != JSON_NUMBER ||
        !json_number(value, &number, &real)) {
        return 0;
    }
    return number;
}

/* Two files whose paths have one checksum would share a group: the path itself decides. */
static int read_metadata(struct produce_resume *resume, const char *metadata, struct err *err)
{
    struct slice text = slice_text(metadata);
    struct slice value;
    struct bytes file = {0};
    if (metadata == NULL || !json_check(text, NULL) || json_type(text) != JSON_OBJECT ||
        !json_member(text, slice_text("file"), &value) || json_type(value) != JSON_STRING) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "What --resume remembers of %s can't be read; produce without it.",
                       resume->file);
    }
    json_decode_string(value, &file);
    bool same = slice_equal(bytes_slice(&file), slice_text(resume->file));
    bytes_free(&file);
    if (!same) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "What --resume remembers belongs to another file than %s; give this one another name.",
                       resume->file);
    }
    resume->line = integer_member(text, "line");
    resume->first = (uint32_t)integer_member(text, "first");
    return 0;
}

int produce_resume_open(const char *topic, const char *path, struct produce_resume *resume, struct err *err)
{
    *resume = (struct produce_resume){0};
    resume->file = realpath(path, NULL);
    if (resume->file == NULL) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "%s can't be opened: %s.", path, strerror(errno));
    }
    resume->group = memory_format("produce-%s-%08x", topic, bytes_crc32c(slice_text(resume->file)));
    return 0;
}

int produce_resume_read(const struct transport_class *transport, struct session *session, const char *topic,
                        struct produce_resume *resume, struct err *err)
{
    struct position position = {.topic = topic, .offset = OFFSET_NONE};
    if (transport->committed(session, &position, 1, err) != 0) {
        return -1;
    }
    return position.offset != OFFSET_NONE ? read_metadata(resume, position.metadata, err) : 0;
}

void produce_resume_free(struct produce_resume *resume)
{
    free(resume->group);
    free(resume->file);
    *resume = (struct produce_resume){0};
}

int produce_resume_first(struct produce_resume *resume, struct slice line, struct err *err)
{
    uint32_t checksum = bytes_crc32c(line);
    if (resume->line > 0 && checksum != resume->first) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "%s begins with another line than the file of which %lld lines were produced; produce it "
                       "without --resume, or under another name.",
                       resume->file, (long long)resume->line);
    }
    resume->first = checksum;
    return 0;
}

struct position produce_resume_position(const struct produce_resume *resume, const char *topic, int64_t line,
                                        struct bytes *metadata)
{
    bytes_clear(metadata);
    struct json_writer writer = json_writer(metadata);
    json_begin_object(&writer);
    json_name(&writer, slice_text("file"));
    json_text(&writer, resume->file);
    json_name(&writer, slice_text("line"));
    json_integer(&writer, line);
    json_name(&writer, slice_text("first"));
    json_integer(&writer, resume->first);
    json_end_object(&writer);
    return (struct position){topic, 0, BEYOND_ALL, bytes_text(metadata)};
}
