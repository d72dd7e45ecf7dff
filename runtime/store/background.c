#include "store/background.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct worker_thread {
    pthread_mutex_t lock; /* guards the queue, `stopping`, and the state, err and next of every job */
    pthread_cond_t work_came;
    pthread_cond_t work_ended;
    struct background_job *queue;
    struct background_job **queue_end; /* NULL: as if it pointed to `queue` */
    bool stopping;

    pthread_mutex_t lifecycle; /* guards start and end of the thread; taken before `lock` */
    pthread_t thread;
    size_t users;
};

#define NEW_THREAD                                                                                                     \
    {                                                                                                                  \
        .lock = PTHREAD_MUTEX_INITIALIZER, .work_came = PTHREAD_COND_INITIALIZER,                                      \
        .work_ended = PTHREAD_COND_INITIALIZER, .lifecycle = PTHREAD_MUTEX_INITIALIZER                                 \
    }

static struct worker_thread threads[BACKGROUND_COUNT] = {NEW_THREAD, NEW_THREAD};

static struct background_job *take_work(struct worker_thread *thread)
{
    while (thread->queue == NULL && !thread->stopping) {
        pthread_cond_wait(&thread->work_came, &thread->lock);
    }
    struct background_job *job = thread->queue;
    if (job != NULL) {
        thread->queue = job->next;
        thread->queue_end = thread->queue == NULL ? NULL : thread->queue_end;
        job->state = BACKGROUND_RUNNING;
    }
    return job;
}

static void *work(void *self)
{
    struct worker_thread *thread = self;
    pthread_mutex_lock(&thread->lock);
    for (struct background_job *job = take_work(thread); job != NULL; job = take_work(thread)) {
        pthread_mutex_unlock(&thread->lock);
        struct err err;
        err_clear(&err);
        int failed = job->run(job->self, &err);
        pthread_mutex_lock(&thread->lock);
        job->state = failed != 0 ? BACKGROUND_FAILED : BACKGROUND_DONE;
        job->err = err;
        pthread_cond_broadcast(&thread->work_ended);
    }
    pthread_mutex_unlock(&thread->lock);
    return NULL;
}

/* Signals are for the program's own threads. */
static void start_thread(struct worker_thread *thread)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread->thread, NULL, work, thread) != 0) {
        abort(); /* no thread can be had: as being out of memory, nothing is lost */
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void stop_thread(struct worker_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    thread->stopping = true;
    pthread_cond_signal(&thread->work_came);
    pthread_mutex_unlock(&thread->lock);
    pthread_join(thread->thread, NULL);
    thread->stopping = false;
}

void background_join(enum background_thread which)
{
    struct worker_thread *thread = &threads[which];
    pthread_mutex_lock(&thread->lifecycle);
    if (thread->users++ == 0) {
        start_thread(thread);
    }
    pthread_mutex_unlock(&thread->lifecycle);
}

void background_leave(enum background_thread which)
{
    struct worker_thread *thread = &threads[which];
    pthread_mutex_lock(&thread->lifecycle);
    if (--thread->users == 0) {
        stop_thread(thread);
    }
    pthread_mutex_unlock(&thread->lifecycle);
}

void background_start(enum background_thread which, struct background_job *job)
{
    struct worker_thread *thread = &threads[which];
    pthread_mutex_lock(&thread->lock);
    job->thread = which;
    job->state = BACKGROUND_WAITING;
    job->next = NULL;
    *(thread->queue_end != NULL ? thread->queue_end : &thread->queue) = job;
    thread->queue_end = &job->next;
    pthread_cond_signal(&thread->work_came);
    pthread_mutex_unlock(&thread->lock);
}

static enum background_state report(struct background_job *job, struct err *err)
{
    enum background_state state = job->state;
    if (state == BACKGROUND_FAILED) {
        *err = job->err;
    }
    if (state == BACKGROUND_DONE || state == BACKGROUND_FAILED) {
        job->state = BACKGROUND_IDLE;
    }
    return state;
}

enum background_state background_poll(struct background_job *job, struct err *err)
{
    struct worker_thread *thread = &threads[job->thread];
    pthread_mutex_lock(&thread->lock);
    enum background_state state = report(job, err);
    pthread_mutex_unlock(&thread->lock);
    return state;
}

enum background_state background_wait(struct background_job *job, struct err *err)
{
    struct worker_thread *thread = &threads[job->thread];
    pthread_mutex_lock(&thread->lock);
    while (job->state == BACKGROUND_WAITING || job->state == BACKGROUND_RUNNING) {
        pthread_cond_wait(&thread->work_ended, &thread->lock);
    }
    enum background_state state = report(job, err);
    pthread_mutex_unlock(&thread->lock);
    return state;
}

static void leave_queue(struct worker_thread *thread, struct background_job *job)
{
    for (struct background_job **link = &thread->queue; *link != NULL; link = &(*link)->next) {
        if (*link == job) {
            *link = job->next;
            thread->queue_end = *link == NULL ? link : thread->queue_end;
            return;
        }
    }
}

bool background_withdraw(struct background_job *job)
{
    struct worker_thread *thread = &threads[job->thread];
    pthread_mutex_lock(&thread->lock);
    bool waited = job->state == BACKGROUND_WAITING;
    if (waited) {
        leave_queue(thread, job);
        job->state = BACKGROUND_IDLE;
    }
    pthread_mutex_unlock(&thread->lock);
    return waited;
}
