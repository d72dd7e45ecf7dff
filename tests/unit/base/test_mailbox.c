#include "base/mailbox.h"

#include "tests/support/unit.h"

#include <poll.h>
#include <pthread.h>
#include <stdint.h>

static bool readable(const struct mailbox *mailbox)
{
    struct pollfd look = {.fd = mailbox_fd(mailbox), .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

START_TEST(messages_come_in_order)
{
    int messages[3];
    struct mailbox *mailbox = mailbox_new(3);
    ck_assert_ptr_null(mailbox_receive(mailbox, 0));
    for (int i = 0; i < 3; i++) {
        ck_assert(mailbox_send(mailbox, &messages[i]));
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_eq(mailbox_receive(mailbox, 0), &messages[i]);
    }
    ck_assert_ptr_null(mailbox_receive(mailbox, 0));
    mailbox_free(mailbox);
    mailbox_free(NULL);
}
END_TEST

START_TEST(a_full_mailbox_refuses)
{
    int message;
    for (size_t capacity = 0; capacity < 20; capacity++) {
        struct mailbox *mailbox = mailbox_new(capacity);
        size_t sent = 0;
        while (mailbox_send(mailbox, &message)) {
            sent++;
        }
        ck_assert_uint_ge(sent, capacity);
        ck_assert_ptr_nonnull(mailbox_receive(mailbox, 0));
        ck_assert(mailbox_send(mailbox, &message));
        while (mailbox_receive(mailbox, 0) != NULL) {
        }
        mailbox_free(mailbox);
    }
}
END_TEST

START_TEST(the_descriptor_is_readable_while_messages_wait)
{
    int message;
    struct mailbox *mailbox = mailbox_new(10);
    ck_assert(!readable(mailbox));
    for (int round = 0; round < 3; round++) {
        mailbox_send(mailbox, &message);
        mailbox_send(mailbox, &message);
        ck_assert(readable(mailbox));
        ck_assert_ptr_nonnull(mailbox_receive(mailbox, 0));
        ck_assert(readable(mailbox));
        ck_assert_ptr_nonnull(mailbox_receive(mailbox, -1));
        ck_assert_ptr_null(mailbox_receive(mailbox, 0));
        ck_assert(!readable(mailbox));
    }
    mailbox_free(mailbox);
}
END_TEST

START_TEST(waiting_ends_without_a_message)
{
    struct mailbox *mailbox = mailbox_new(1);
    ck_assert_ptr_null(mailbox_receive(mailbox, 20));
    mailbox_free(mailbox);
}
END_TEST

enum { MESSAGES = 20000 };

struct message {
    int number;
};

static struct message messages[MESSAGES];

static void *send_all(void *mailbox)
{
    for (int i = 0; i < MESSAGES; i++) {
        messages[i].number = i;
        while (!mailbox_send(mailbox, &messages[i])) {
            poll(NULL, 0, 0);
        }
    }
    return NULL;
}

/* The receiver now and then waits by poll, as a thread with several sources does: no message may be overlooked. */
START_TEST(nothing_is_lost_between_threads)
{
    struct mailbox *mailbox = mailbox_new(16);
    pthread_t sender;
    pthread_create(&sender, NULL, send_all, mailbox);
    for (int i = 0; i < MESSAGES; i++) {
        struct message *message = mailbox_receive(mailbox, i % 3 == 0 ? -1 : 0);
        while (message == NULL) {
            struct pollfd wait = {.fd = mailbox_fd(mailbox), .events = POLLIN};
            poll(&wait, 1, -1);
            message = mailbox_receive(mailbox, 0);
        }
        ck_assert_int_eq(message->number, i);
    }
    pthread_join(sender, NULL);
    ck_assert_ptr_null(mailbox_receive(mailbox, 0));
    mailbox_free(mailbox);
}
END_TEST

enum { ROUNDS = 20000 };

struct pair {
    struct mailbox *orders;
    struct mailbox *answers;
};

static void *send_pairs(void *argument)
{
    static int order;
    struct pair *pair = argument;
    for (int i = 0; i < ROUNDS; i++) {
        mailbox_send(pair->orders, &order);
        mailbox_send(pair->orders, &order);
        mailbox_receive(pair->answers, -1);
    }
    return NULL;
}

/* The receiver takes one message each time the descriptor wakes it. No later message does so when the second of two is
 * overlooked: then both threads wait for ever. */
START_TEST(two_messages_at_once_are_not_overlooked)
{
    static int answer;
    struct pair pair = {mailbox_new(3), mailbox_new(3)};
    pthread_t sender;
    pthread_create(&sender, NULL, send_pairs, &pair);
    for (int i = 0; i < 2 * ROUNDS; i++) {
        do {
            struct pollfd wait = {.fd = mailbox_fd(pair.orders), .events = POLLIN};
            poll(&wait, 1, -1);
        } while (mailbox_receive(pair.orders, 0) == NULL);
        if (i % 2 == 1) {
            mailbox_send(pair.answers, &answer);
        }
    }
    pthread_join(sender, NULL);
    mailbox_free(pair.orders);
    mailbox_free(pair.answers);
}
END_TEST

UNIT_MAIN("mailbox", messages_come_in_order, a_full_mailbox_refuses, the_descriptor_is_readable_while_messages_wait,
          waiting_ends_without_a_message, nothing_is_lost_between_threads, two_messages_at_once_are_not_overlooked)
