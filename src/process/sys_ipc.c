/* SPDX-License-Identifier: Apache-2.0
 * System V semaphores and notifications of POSIX message queues: where a structure
 * differs or holds a pointer. */
#include "process/calls.h"

#include "process/convert.h"

#include <asm/sembuf.h>
#include <linux/sem.h>
#include <string.h>
#include <sys/syscall.h>

/* linux/ipc.h; only the C library sets it. */
#define IPC_64_FLAG 0x100

static int64_t semaphore_status(struct task *task, const uint64_t args[6])
{
    struct semid64_ds status = {0};
    const int64_t result =
        HOST_SYSCALL(task, __NR_semctl, args[0], args[1], args[2], host_argument(&status));

    if (result < 0)
        return result;
    const int err = convert_write(STRUCT_semid64_ds, args[3], &status);
    return err != 0 ? err : result;
}

static int64_t semaphore_set(struct task *task, const uint64_t args[6])
{
    struct semid64_ds status;
    const int err = convert_read(STRUCT_semid64_ds, &status, args[3]);

    if (err != 0)
        return err;
    return HOST_SYSCALL(task, __NR_semctl, args[0], args[1], args[2], host_argument(&status));
}

int64_t sys_semctl(struct task *task, const uint64_t args[6])
{
    switch ((int)args[2] & ~IPC_64_FLAG) {
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY:
        return semaphore_status(task, args);
    case IPC_SET:
        return semaphore_set(task, args);
    case IPC_INFO:
    case SEM_INFO:
    case GETALL:
    case SETALL:
        return HOST_SYSCALL(task, __NR_semctl, args[0], args[1], args[2], guest_argument(args[3]));
    case SETVAL: /* the argument is a number */
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT:
    case IPC_RMID:
        return host_syscall(task, __NR_semctl, args);
    default:
        return -EINVAL;
    }
}

/* With SIGEV_THREAD, the value is a pointer to what the kernel sends to a socket. */
#define NOTIFY_COOKIE_SIZE 32

int64_t sys_mq_notify(struct task *task, const uint64_t args[6])
{
    uint8_t cookie[NOTIFY_COOKIE_SIZE];
    sigevent_t event;

    if (args[1] == 0)
        return host_syscall(task, __NR_mq_notify, args);
    int err = guest_read(&event, args[1], sizeof(event));
    if (err != 0)
        return err;
    if (event.sigev_notify == SIGEV_THREAD) {
        err = guest_read(cookie, host_argument(event.sigev_value.sival_ptr), sizeof(cookie));
        if (err != 0)
            return err;
        event.sigev_value.sival_ptr = cookie;
    }
    return HOST_SYSCALL(task, __NR_mq_notify, args[0], host_argument(&event));
}
