/* Only for builds with the thread sanitizer: librdkafka starts its threads with C11's thrd_create, which the sanitizer
 * does not know, so that its state for the new thread is missing and the process dies. These stand in front of the C
 * library's and use the calls that it knows. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

struct start {
    thrd_start_t run;
    void *argument;
};

static void *run_thread(void *data)
{
    struct start start = *(struct start *)data;
    free(data);
    return (void *)(intptr_t)start.run(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t run, void *argument)
{
    struct start *start = malloc(sizeof(*start));
    if (!start) {
        return thrd_nomem;
    }
    *start = (struct start){run, argument};
    pthread_t created;
    if (pthread_create(&created, NULL, run_thread, start)) {
        free(start);
        return thrd_error;
    }
    *thread = created;
    return thrd_success;
}

int thrd_join(thrd_t thread, int *result)
{
    void *returned;
    if (pthread_join(thread, &returned)) {
        return thrd_error;
    }
    if (result) {
        *result = (int)(intptr_t)returned;
    }
    return thrd_success;
}
