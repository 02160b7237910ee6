/* SPDX-License-Identifier: Apache-2.0
 * The event loop, over epoll. */
#include "host/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MAX_WATCHES 256
#define BATCH       16

struct watch {
    int fd; /* -1: free */
    loop_callback *callback;
    void *owner;
};

struct loop {
    int epoll_fd;
    int wake_fd;
    int signal_fd;
    bool is_stopped;
    loop_callback *wake_callback;
    void *wake_owner;
    loop_callback *signal_callback;
    void *signal_owner;
    struct watch watches[MAX_WATCHES];
};

static void on_wake(void *owner, unsigned events)
{
    struct loop *loop = owner;
    uint64_t count;

    (void)events;
    if (read(loop->wake_fd, &count, sizeof(count)) < 0)
        return;
    if (loop->wake_callback)
        loop->wake_callback(loop->wake_owner, 0);
}

static void on_signal(void *owner, unsigned events)
{
    struct loop *loop = owner;
    struct signalfd_siginfo info;

    (void)events;
    if (read(loop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        loop->signal_callback(loop->signal_owner, info.ssi_signo);
}

int loop_create(struct loop **out, struct error *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return error_set(err, -ENOMEM, "cannot create the event loop: out of memory");
    for (unsigned i = 0; i < MAX_WATCHES; i++)
        loop->watches[i].fd = -1;
    loop->signal_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        loop_add(loop, loop->wake_fd, LOOP_READ, on_wake, loop) < 0) {
        int result = error_set(err, -errno, "cannot create the event loop: %s", strerror(errno));
        loop_destroy(loop);
        return result;
    }
    *out = loop;
    return 0;
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop);
}

static struct watch *find_watch(struct loop *loop, int fd)
{
    for (unsigned i = 0; i < MAX_WATCHES; i++)
        if (loop->watches[i].fd == fd)
            return &loop->watches[i];
    return NULL;
}

static uint32_t epoll_bits(unsigned events)
{
    return (events & LOOP_READ ? EPOLLIN : 0u) | (events & LOOP_WRITE ? EPOLLOUT : 0u);
}

int loop_add(struct loop *loop, int fd, unsigned events, loop_callback *callback, void *owner)
{
    struct watch *watch = find_watch(loop, -1);

    if (!watch)
        return -EMFILE;
    struct epoll_event event = {.events = epoll_bits(events), .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    *watch = (struct watch){fd, callback, owner};
    return 0;
}

void loop_change(struct loop *loop, int fd, unsigned events)
{
    struct watch *watch = find_watch(loop, fd);

    if (!watch)
        return;
    struct epoll_event event = {.events = epoll_bits(events), .data.ptr = watch};
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

void loop_remove(struct loop *loop, int fd)
{
    struct watch *watch = find_watch(loop, fd);

    if (!watch)
        return;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    *watch = (struct watch){.fd = -1};
}

int loop_watch_signals(struct loop *loop, loop_callback *callback, void *owner, struct error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    loop->signal_callback = callback;
    loop->signal_owner = owner;
    loop->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop->signal_fd < 0 || loop_add(loop, loop->signal_fd, LOOP_READ, on_signal, loop) < 0)
        return error_set(err, -errno, "cannot watch signals: %s", strerror(errno));
    return 0;
}

void loop_set_wake(struct loop *loop, loop_callback *callback, void *owner)
{
    loop->wake_callback = callback;
    loop->wake_owner = owner;
}

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;

    /* Fails only when the counter is at its top, and then the loop wakes anyhow. */
    if (write(loop->wake_fd, &one, sizeof(one)) < 0)
        return;
}

void loop_run(struct loop *loop)
{
    struct epoll_event events[BATCH];

    loop->is_stopped = false;
    while (!loop->is_stopped) {
        int count = epoll_wait(loop->epoll_fd, events, BATCH, -1);
        for (int i = 0; i < count && !loop->is_stopped; i++) {
            struct watch *watch = events[i].data.ptr;
            unsigned bits = (events[i].events & EPOLLIN ? LOOP_READ : 0u) |
                            (events[i].events & EPOLLOUT ? LOOP_WRITE : 0u) |
                            (events[i].events & (EPOLLHUP | EPOLLERR) ? LOOP_HANGUP : 0u);
            /* An earlier callback of this batch may have removed it. */
            if (watch->fd >= 0)
                watch->callback(watch->owner, bits);
        }
    }
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
}
