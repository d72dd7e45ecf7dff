#include "base/mailbox.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <assert.h>
#include <ck_ring.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ThreadSanitizer does not see the barriers of libck's assembler: it is told what they order, namely everything that
 * the sender did before with everything that the receiver does after, and looks away from the ring's own slots. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_THREAD_SANITIZER
#endif
#elif defined(__SANITIZE_THREAD__)
#define WITH_THREAD_SANITIZER
#endif
#ifdef WITH_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#define RING_BEGIN() (AnnotateIgnoreReadsBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__))
#define RING_END() (AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreReadsEnd(__FILE__, __LINE__))
#define RING_RELEASE(ring) __tsan_release(ring)
#define RING_ACQUIRE(ring) __tsan_acquire(ring)
#else
#define RING_BEGIN() ((void)0)
#define RING_END() ((void)0)
#define RING_RELEASE(ring) ((void)0)
#define RING_ACQUIRE(ring) ((void)0)
#endif

/* The eventfd wakes, the ring carries: the sender first puts the message into the ring and then raises the eventfd,
 * the receiver first lowers the eventfd and then looks into the ring. So a message is never there without either the
 * eventfd raised or the receiver about to look. */
struct mailbox {
    struct ck_ring ring;
    struct ck_ring_buffer *slots;
    int fd;
};

struct mailbox *mailbox_new(size_t capacity)
{
    size_t size = 4; /* the ring holds one message less than its size, a power of two that is at least 4 */
    while (size - 1 < capacity) {
        size *= 2;
    }
    struct mailbox *mailbox = memory_alloc(sizeof *mailbox);
    mailbox->slots = memory_alloc(size * sizeof *mailbox->slots);
    ck_ring_init(&mailbox->ring, (unsigned)size);
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->fd < 0) {
        log_event(LOG_ERROR, "No file descriptor for a mailbox; raise the limit of open files (ulimit -n)",
                  log_text("reason", strerror(errno)));
        abort();
    }
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (mailbox == NULL) {
        return;
    }
    assert(ck_ring_size(&mailbox->ring) == 0);
    close(mailbox->fd);
    free(mailbox->slots);
    free(mailbox);
}

/* Neither can fail: reading gives up at once when the eventfd is not raised, writing when its counter is at its
 * maximum, and then it is raised already. */
static void lower(struct mailbox *mailbox)
{
    eventfd_t count;
    (void)eventfd_read(mailbox->fd, &count);
}

static void raise_fd(struct mailbox *mailbox)
{
    (void)eventfd_write(mailbox->fd, 1);
}

bool mailbox_send(struct mailbox *mailbox, void *message)
{
    RING_RELEASE(&mailbox->ring);
    RING_BEGIN();
    bool sent = ck_ring_enqueue_spsc(&mailbox->ring, mailbox->slots, message);
    RING_END();
    if (sent) {
        raise_fd(mailbox);
    }
    return sent;
}

static void *take(struct mailbox *mailbox)
{
    void *message = NULL;
    RING_BEGIN();
    bool taken = ck_ring_dequeue_spsc(&mailbox->ring, mailbox->slots, &message);
    RING_END();
    if (!taken) {
        return NULL;
    }
    RING_ACQUIRE(&mailbox->ring);
    return message;
}

/* The eventfd is lowered only when the ring looked empty, and raised again when a message came in between: others may
 * have come with it. */
static void *take_or_lower(struct mailbox *mailbox)
{
    void *message = take(mailbox);
    if (message == NULL) {
        lower(mailbox);
        message = take(mailbox);
        if (message != NULL) {
            raise_fd(mailbox);
        }
    }
    return message;
}

static int64_t now_ms(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM) / 1000000;
}

void *mailbox_receive(struct mailbox *mailbox, int timeout_ms)
{
    void *message = take_or_lower(mailbox);
    if (message != NULL || timeout_ms == 0) {
        return message;
    }
    int64_t deadline = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
    int64_t left = timeout_ms;
    while (message == NULL && (timeout_ms < 0 || left > 0)) {
        struct pollfd wait = {.fd = mailbox->fd, .events = POLLIN};
        poll(&wait, 1, timeout_ms < 0 ? -1 : (int)left);
        message = take_or_lower(mailbox);
        left = deadline - now_ms();
    }
    return message;
}

int mailbox_fd(const struct mailbox *mailbox)
{
    return mailbox->fd;
}
