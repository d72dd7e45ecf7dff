#include "base/gunzip.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/memory.h"

#define TEXT_SIZE ((size_t)256 * 1024)
#define GZIP_WINDOW (15 + 16)

struct gunzip {
    z_stream stream;
    struct bytes input;
    size_t at;    /* bytes of the input before it are used up */
    bool between; /* two members */
    bool pending; /* more text can be had without more input */
};

bool gunzip_recognizes(const unsigned char *data, size_t size)
{
    return size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

struct gunzip *gunzip_open(void)
{
    struct gunzip *gunzip = memory_alloc(sizeof(*gunzip));
    if (inflateInit2(&gunzip->stream, GZIP_WINDOW) != Z_OK) {
        free(gunzip);
        return NULL;
    }
    return gunzip;
}

void gunzip_close(struct gunzip *gunzip)
{
    if (gunzip) {
        inflateEnd(&gunzip->stream);
        bytes_free(&gunzip->input);
        free(gunzip);
    }
}

bool gunzip_hungry(const struct gunzip *gunzip)
{
    return gunzip->at == gunzip->input.size && !gunzip->pending;
}

struct bytes *gunzip_input(struct gunzip *gunzip)
{
    if (gunzip->at == gunzip->input.size) {
        bytes_clear(&gunzip->input);
        gunzip->at = 0;
    }
    return &gunzip->input;
}

bool gunzip_between(const struct gunzip *gunzip)
{
    return gunzip->between;
}

/* Zeros behind the last member are padding. */
bool gunzip_some(struct gunzip *gunzip, struct bytes *text)
{
    z_stream *stream = &gunzip->stream;
    if (gunzip->between && gunzip->input.data[gunzip->at] == 0) {
        gunzip->at++;
        return true;
    }
    if (gunzip->between) {
        inflateReset(stream);
    }
    bytes_reserve(text, TEXT_SIZE);
    stream->next_in = gunzip->input.data + gunzip->at;
    stream->avail_in = (uInt)(gunzip->input.size - gunzip->at);
    stream->next_out = text->data + text->size;
    stream->avail_out = (uInt)TEXT_SIZE;
    int code = inflate(stream, Z_NO_FLUSH);
    gunzip->at = gunzip->input.size - stream->avail_in;
    text->size += TEXT_SIZE - stream->avail_out;
    gunzip->between = code == Z_STREAM_END;
    gunzip->pending = stream->avail_out == 0 && !gunzip->between;
    return code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR;
}
