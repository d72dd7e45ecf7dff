#include "cli/consume_show.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/json.h"

/* In the order of the enum. */
const char *const consume_codecs[] = {"string",           "json", "int64", "double", "bytes", "windowed",
                                      "session_windowed", NULL};

static void show_base64(struct slice data, struct bytes *out)
{
    bytes_append_text(out, "{\"base64\":\"");
    json_base64_encode(data, out);
    bytes_append_text(out, "\"}");
}

static int64_t integer_at(const unsigned char *at)
{
    struct bytes_reader reader = bytes_reader_of(slice_of(at, 8));
    return (int64_t)bytes_take_u64(&reader);
}

static void show_double(struct slice data, struct bytes *out)
{
    int64_t bits = integer_at(data.data);
    double number;
    memcpy(&number, &bits, sizeof number);
    struct json_writer writer = json_writer(out);
    if (!json_real(&writer, number)) {
        bytes_append_format(out, "%f", number);
    }
}

/* Kafka Streams' binary key of a window: the inner key, then start, or end and start of a session. */
static void show_window(struct slice data, size_t times, struct bytes *out)
{
    char text[CLOCK_TEXT_SIZE];
    const unsigned char *end = data.data + data.size;
    bytes_append(out, data.data, data.size - 8 * times);
    clock_format_time(integer_at(end - 8), text);
    bytes_append_format(out, "@%s", text);
    if (times == 2) {
        clock_format_time(integer_at(end - 16), text);
        bytes_append_format(out, "/%s", text);
    }
}

static bool fits(enum consume_codec codec, struct slice data)
{
    switch (codec) {
    case CONSUME_INT64:
    case CONSUME_DOUBLE:
        return data.size == 8;
    case CONSUME_WINDOWED:
        return data.size >= 8;
    case CONSUME_SESSION_WINDOWED:
        return data.size >= 16;
    case CONSUME_BYTES:
        return false;
    default:
        return true;
    }
}

void consume_show(enum consume_codec codec, struct slice data, struct bytes *out)
{
    if (slice_is_null(data)) {
        bytes_append_text(out, "null");
        return;
    }
    if (!fits(codec, data)) {
        show_base64(data, out);
        return;
    }
    switch (codec) {
    case CONSUME_INT64:
        bytes_append_format(out, "%" PRId64, integer_at(data.data));
        break;
    case CONSUME_DOUBLE:
        show_double(data, out);
        break;
    case CONSUME_WINDOWED:
        show_window(data, 1, out);
        break;
    case CONSUME_SESSION_WINDOWED:
        show_window(data, 2, out);
        break;
    default:
        bytes_append_slice(out, data);
        break;
    }
}

void consume_show_safely(enum consume_codec codec, struct slice data, struct bytes *out)
{
    struct bytes text = {0};
    consume_show(codec, data, &text);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < ' ' || text.data[i] == 0x7f) {
            bytes_append_format(out, "\\x%02x", text.data[i]);
        } else {
            bytes_append_byte(out, text.data[i]);
        }
    }
    bytes_free(&text);
}
