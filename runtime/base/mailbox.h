/* A bounded queue of pointers between exactly two threads, with a way to sleep on it.
 *
 * Ownership: a message belongs to the sender until mailbox_send returns true, then to the receiver. One thread sends,
 * one receives (ck_ring, single producer, single consumer). @locks none.
 */
#ifndef TIDEMILL_BASE_MAILBOX_H
#define TIDEMILL_BASE_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>

struct mailbox;

struct mailbox *mailbox_new(size_t capacity); /* at least that many messages; rounded up to a power of two minus one */
void mailbox_free(struct mailbox *mailbox);   /* must be empty */
bool mailbox_send(struct mailbox *mailbox, void *message); /* @thread sender; false: full */
void *mailbox_receive(struct mailbox *mailbox,
                      int timeout_ms);         /* @thread receiver; NULL: nothing came; -1 waits for ever */
int mailbox_fd(const struct mailbox *mailbox); /* readable when something may be there */

#endif
