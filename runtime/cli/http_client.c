#include "cli/http_client.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/memory.h"

#define HOST_DEFAULT "127.0.0.1"
#define TIMEOUT_S 30

static int no_answer(const char *address, const char *why, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_UNREACHABLE,
                   "No app answers at %s: %s. Start it with `tidemill run PIPELINE.lua --http PORT`.", address, why);
}

/* The caller frees the host. */
static void split(const char *address, char **host, const char **port)
{
    const char *colon = strrchr(address, ':');
    size_t length = colon != NULL ? (size_t)(colon - address) : 0;
    *port = colon != NULL ? colon + 1 : address;
    if (length > 1 && address[0] == '[' && address[length - 1] == ']') {
        *host = memory_format("%.*s", (int)length - 2, address + 1);
    } else {
        *host = length > 0 ? memory_format("%.*s", (int)length, address) : memory_copy_text(HOST_DEFAULT);
    }
}

static int open_socket(const char *address, struct err *err)
{
    char *host;
    const char *port;
    struct addrinfo *found;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    split(address, &host, &port);
    int code = getaddrinfo(host, port, &hints, &found);
    free(host);
    if (code != 0) {
        return no_answer(address, gai_strerror(code), err);
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    code = connect(fd, found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
    freeaddrinfo(found);
    if (code != 0) {
        close(fd);
        return no_answer(address, strerror(code), err);
    }
    return fd;
}

static int send_request(int fd, const char *address, const char *path, struct err *err)
{
    char *request = memory_format("GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address);
    size_t size = strlen(request);
    bool sent = send(fd, request, size, MSG_NOSIGNAL) == (ssize_t)size;
    free(request);
    return sent ? 0 : no_answer(address, strerror(errno), err);
}

static int receive(int fd, const char *address, struct bytes *answer, struct err *err)
{
    for (;;) {
        ssize_t got = recv(fd, bytes_reserve(answer, 16384), 16384, 0);
        if (got < 0) {
            return no_answer(address, strerror(errno), err);
        }
        if (got == 0) {
            return 0;
        }
        answer->size += (size_t)got;
    }
}

static int take_body(const char *address, struct bytes *answer, struct bytes *body, struct err *err)
{
    const char *text = bytes_text(answer);
    const char *end = strstr(text, "\r\n\r\n");
    if (strncmp(text, "HTTP/1.", 7) != 0 || end == NULL) {
        return no_answer(address, "what is there does not speak HTTP", err);
    }
    const char *start = end + 4;
    size_t size = answer->size - (size_t)(start - text);
    if (strtol(text + 9, NULL, 10) != 200) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "%.*s", (int)strcspn(start, "\n"), start);
    }
    bytes_append(body, start, size);
    return 0;
}

int http_client_get(const char *address, const char *path, struct bytes *body, struct err *err)
{
    struct bytes answer = {0};
    int fd = open_socket(address, err);
    if (fd < 0) {
        return -1;
    }
    int result = send_request(fd, address, path, err) != 0 || receive(fd, address, &answer, err) != 0 ||
                         take_body(address, &answer, body, err) != 0
                     ? -1
                     : 0;
    close(fd);
    bytes_free(&answer);
    return result;
}

void http_client_escape(struct slice text, struct bytes *out)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = text.data[i];
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || memchr("-._~", c, 4) != NULL;
        if (plain) {
            bytes_append_byte(out, c);
        } else {
            bytes_append_format(out, "%%%02X", c);
        }
    }
}
