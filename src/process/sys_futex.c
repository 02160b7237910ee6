/* SPDX-License-Identifier: Apache-2.0
 * Futexes are the host's, at the program's addresses. The operation says which of the
 * arguments are pointers; some of the others share their places. */
#include "process/calls.h"

#include <linux/futex.h>
#include <sys/syscall.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

/* The signature of an operation; NULL: there is none. */
static const char *futex_signature(uint32_t operation)
{
    switch (operation & (uint32_t)FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
        return "pxdp"; /* the fourth is a time */
    case FUTEX_WAIT_REQUEUE_PI:
        return "pxdpp";
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
    case FUTEX_CMP_REQUEUE_PI:
    case FUTEX_WAKE_OP:
        return "pxddp"; /* the fourth is a number */
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
    case FUTEX_UNLOCK_PI:
    case FUTEX_TRYLOCK_PI:
        return "pxd";
    default:
        return NULL;
    }
}

static bool is_pi_lock(uint32_t op)
{
    const uint32_t command = op & FUTEX_CMD_MASK;

    return command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2;
}

int64_t sys_futex(struct task *task, const uint64_t args[6])
{
    const char *signature = futex_signature((uint32_t)args[1]);
    uint64_t checked[6] = {args[0], args[1], args[2], args[3], args[4], args[5]};

    if (signature == NULL)
        return -ENOSYS;
    const int err = signature_apply(task->process, signature, checked);
    if (err != 0)
        return err;
    const int64_t result = host_syscall(task, __NR_futex, checked);
    /* Taking such a lock goes on after any handler. */
    return result == SYSCALL_RESTART && is_pi_lock((uint32_t)args[1]) ? SYSCALL_AGAIN : result;
}

/* Copies an array of struct futex_waitv. */
static int waiters_read(struct futex_waitv *waiters, uint64_t at, uint64_t count)
{
    const int err = guest_read(waiters, at, count * sizeof(*waiters));

    if (err != 0)
        return err;
    for (uint64_t i = 0; i < count; i++)
        waiters[i].uaddr = guest_argument(waiters[i].uaddr);
    return 0;
}

int64_t sys_futex_waitv(struct task *task, const uint64_t args[6])
{
    NOT_CLEARED struct futex_waitv waiters[FUTEX_WAITV_MAX];
    const uint64_t count = (uint32_t)args[1];

    if ((uint32_t)args[2] != 0 || count == 0 || count > FUTEX_WAITV_MAX || args[0] == 0)
        return -EINVAL;
    const int err = waiters_read(waiters, args[0], count);
    if (err != 0)
        return err;
    return HOST_SYSCALL(task, __NR_futex_waitv, host_argument(waiters), count, args[2], args[3],
                        args[4]);
}

/* The headers of some hosts do not have it yet. */
#define FUTEX_REQUEUE_NUMBER 456

int64_t sys_futex_requeue(struct task *task, const uint64_t args[6])
{
    struct futex_waitv waiters[2];

    if ((uint32_t)args[1] != 0 || args[0] == 0)
        return -EINVAL;
    const int err = waiters_read(waiters, args[0], ARRAY_LEN(waiters));
    if (err != 0)
        return err;
    return HOST_SYSCALL(task, FUTEX_REQUEUE_NUMBER, host_argument(waiters), args[1], args[2],
                        args[3]);
}
