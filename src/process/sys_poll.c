/* SPDX-License-Identifier: Apache-2.0
 * Waiting for descriptors: epoll, ppoll and pselect6. Those with a signal mask wait
 * with the program's, by call_mask_begin() and call_mask_end(). */
#include "process/calls.h"

#include "process/convert.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

int64_t sys_epoll_ctl(struct task *task, const uint64_t args[6])
{
    struct epoll_event event;

    if ((int)args[1] == EPOLL_CTL_DEL)
        return HOST_SYSCALL(task, __NR_epoll_ctl, args[0], args[1], args[2], 0);
    const int err = convert_read(STRUCT_epoll_event, &event, args[3]);
    if (err != 0)
        return err;
    return HOST_SYSCALL(task, __NR_epoll_ctl, args[0], args[1], args[2], host_argument(&event));
}

/* Events that are taken at once. A program that asks for more gets the others by its
 * next call, as when they had come later. */
#define MAX_EVENTS  1024
/* How many of them are converted before they are written. */
#define EVENT_BATCH 64

/* The events that the host's call has returned: their number, or -errno. */
static int64_t write_events(uint64_t to, const struct epoll_event *events, int64_t count)
{
    uint8_t batch[EVENT_BATCH * GUEST_SIZE_epoll_event];

    for (int64_t done = 0; done < count; done += EVENT_BATCH) {
        const int64_t now = MIN(count - done, EVENT_BATCH);
        for (int64_t i = 0; i < now; i++)
            convert_to_guest(STRUCT_epoll_event, batch + i * GUEST_SIZE_epoll_event,
                             &events[done + i]);
        const int err = guest_write(to + (uint64_t)done * GUEST_SIZE_epoll_event, batch,
                                    (size_t)now * GUEST_SIZE_epoll_event);
        if (err != 0)
            return done > 0 ? done : err;
    }
    return count;
}

/* The two calls differ in the host's number and in the timeout. */
static int64_t epoll_wait_masked(struct task *task, long number, const uint64_t args[6])
{
    NOT_CLEARED struct epoll_event events[MAX_EVENTS];
    struct call_mask mask;
    const int wanted = (int)args[2];

    int err = call_mask_begin(task, args[4], args[5], &mask);
    if (err != 0)
        return err;
    /* The kernel's limit is that of the array's size in bytes. */
    int64_t result = -EINVAL;
    if (wanted > 0 && wanted <= INT_MAX / GUEST_SIZE_epoll_event) {
        result = -EFAULT;
        if (guest_range(args[1], (uint64_t)wanted * GUEST_SIZE_epoll_event))
            result = HOST_SYSCALL(task, number, args[0], host_argument(events),
                                  (uint64_t)MIN(wanted, MAX_EVENTS), args[3],
                                  host_argument(mask.pointer), sizeof(mask.mask));
    }
    call_mask_end(task, &mask, result);
    return result > 0 ? write_events(args[1], events, result) : result;
}

int64_t sys_epoll_pwait(struct task *task, const uint64_t args[6])
{
    return epoll_wait_masked(task, __NR_epoll_pwait, args);
}

int64_t sys_epoll_pwait2(struct task *task, const uint64_t args[6])
{
    return epoll_wait_masked(task, __NR_epoll_pwait2, args);
}

int64_t sys_ppoll(struct task *task, const uint64_t args[6])
{
    struct call_mask mask;
    const int err = call_mask_begin(task, args[3], args[4], &mask);

    if (err != 0)
        return err;
    const int64_t result = HOST_SYSCALL(task, __NR_ppoll, args[0], args[1], args[2],
                                        host_argument(mask.pointer), sizeof(mask.mask));
    call_mask_end(task, &mask, result);
    return result;
}

int64_t sys_pselect6(struct task *task, const uint64_t args[6])
{
    struct {
        uint64_t mask;
        uint64_t size;
    } sixth = {0, 0};
    struct call_mask mask;
    int err = 0;

    if (args[5] != 0)
        err = guest_read(&sixth, args[5], sizeof(sixth));
    if (err == 0)
        err = call_mask_begin(task, sixth.mask, sixth.size, &mask);
    if (err != 0)
        return err;
    sixth.mask = host_argument(mask.pointer);
    sixth.size = sizeof(mask.mask);
    const int64_t result = HOST_SYSCALL(task, __NR_pselect6, args[0], args[1], args[2], args[3],
                                        args[4], host_argument(&sixth));
    call_mask_end(task, &mask, result);
    return result;
}
