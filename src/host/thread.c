/* SPDX-License-Identifier: Apache-2.0
 * Threads and sleeping. */
#include "host/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* What a new thread needs; its own to free. */
struct beginning {
    void *(*run)(void *);
    void *argument;
    char name[16];
};

/* Its name it sets itself: others would need /proc. */
static void *begin(void *argument)
{
    struct beginning beginning = *(struct beginning *)argument;

    free(argument);
    prctl(PR_SET_NAME, beginning.name);
    return beginning.run(beginning.argument);
}

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument,
                 struct error *err)
{
    sigset_t all;
    sigset_t before;

    struct beginning *beginning = malloc(sizeof(*beginning));
    if (!beginning)
        return error_set(err, -ENOMEM, "cannot start thread '%s': out of memory", name);
    *beginning = (struct beginning){.run = run, .argument = argument};
    snprintf(beginning->name, sizeof(beginning->name), "%s", name);
    sigfillset(&all);
    /* What a thread does wrong itself must still end the process. */
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(thread, NULL, begin, beginning);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result == 0)
        return 0;
    free(beginning);
    return error_set(err, -result, "cannot start thread '%s': %s", name, strerror(result));
}

int thread_id(void)
{
    return gettid();
}

void parker_init(struct parker *parker)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&parker->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&parker->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    parker->is_woken = false;
}

void parker_fini(struct parker *parker)
{
    pthread_cond_destroy(&parker->wake);
    pthread_mutex_destroy(&parker->mutex);
}

void parker_wait(struct parker *parker, uint64_t deadline_ns)
{
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ns / UINT64_C(1000000000)),
        .tv_nsec = (long)(deadline_ns % UINT64_C(1000000000)),
    };

    pthread_mutex_lock(&parker->mutex);
    while (!parker->is_woken) {
        if (deadline_ns == UINT64_MAX)
            pthread_cond_wait(&parker->wake, &parker->mutex);
        else if (pthread_cond_timedwait(&parker->wake, &parker->mutex, &deadline) == ETIMEDOUT)
            break;
    }
    parker->is_woken = false;
    pthread_mutex_unlock(&parker->mutex);
}

void parker_wake(struct parker *parker)
{
    pthread_mutex_lock(&parker->mutex);
    parker->is_woken = true;
    pthread_cond_signal(&parker->wake);
    pthread_mutex_unlock(&parker->mutex);
}
