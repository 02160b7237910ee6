/* SPDX-License-Identifier: Apache-2.0
 * Calls with arrays of struct iovec. The pointers in such an array must be checked, and
 * another thread could change it afterwards, so the kernel gets our copy. */
#include "process/calls.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

int vector_read(struct iovec vectors[UIO_MAXIOV], uint64_t at, uint64_t count)
{
    if (count > UIO_MAXIOV)
        return -EINVAL;
    if (!guest_range(at, count * sizeof(*vectors)))
        return -EFAULT;
    const int err = guest_read(vectors, at, count * sizeof(*vectors));
    if (err != 0)
        return err;
    for (uint64_t i = 0; i < count; i++) {
        if ((int64_t)vectors[i].iov_len < 0)
            return -EINVAL;
        if (!guest_range(host_argument(vectors[i].iov_base), vectors[i].iov_len))
            return -EFAULT;
    }
    return 0;
}

int64_t error_unless_bad_fd(uint64_t fd, int error)
{
    const int64_t result = host_syscall_quick(__NR_fcntl, (const uint64_t[6]){fd, F_GETFD});

    return result < 0 ? result : error;
}

/* All of them have the array and its length as the second and third argument. */
static int64_t vector_call(struct task *task, long number, const uint64_t args[6])
{
    NOT_CLEARED struct iovec vectors[UIO_MAXIOV];
    const int err = vector_read(vectors, args[1], args[2]);

    if (err != 0)
        return error_unless_bad_fd(args[0], err);
    return HOST_SYSCALL(task, number, args[0], host_argument(vectors), args[2], args[3], args[4],
                        args[5]);
}

int64_t sys_readv(struct task *task, const uint64_t args[6])
{
    return vector_call(task, __NR_readv, args);
}

int64_t sys_writev(struct task *task, const uint64_t args[6])
{
    return vector_call(task, __NR_writev, args);
}

int64_t sys_preadv(struct task *task, const uint64_t args[6])
{
    return vector_call(task, __NR_preadv, args);
}

int64_t sys_pwritev(struct task *task, const uint64_t args[6])
{
    return vector_call(task, __NR_pwritev, args);
}

int64_t sys_preadv2(struct task *task, const uint64_t args[6])
{
    return vector_call(task, __NR_preadv2, args);
}

int64_t sys_pwritev2(struct task *task, const uint64_t args[6])
{
    return vector_call(task, __NR_pwritev2, args);
}

int64_t sys_vmsplice(struct task *task, const uint64_t args[6])
{
    return vector_call(task, __NR_vmsplice, args);
}

/* Of the other process, too, only what can be a riscv64 program's memory: it may be
 * this process, or another doppel. */
static int64_t process_vm(struct task *task, long number, const uint64_t args[6])
{
    NOT_CLEARED struct iovec local[UIO_MAXIOV];
    NOT_CLEARED struct iovec remote[UIO_MAXIOV];

    if (args[5] != 0)
        return -EINVAL;
    int err = vector_read(local, args[1], args[2]);
    if (err == 0)
        err = vector_read(remote, args[3], args[4]);
    if (err != 0)
        return err;
    return HOST_SYSCALL(task, number, args[0], host_argument(local), args[2], host_argument(remote),
                        args[4], 0);
}

int64_t sys_process_vm_readv(struct task *task, const uint64_t args[6])
{
    return process_vm(task, __NR_process_vm_readv, args);
}

int64_t sys_process_vm_writev(struct task *task, const uint64_t args[6])
{
    return process_vm(task, __NR_process_vm_writev, args);
}

/* Later kernels take more kinds of advice for the calling process; those would change
 * memory behind the list of mappings. */
int64_t sys_process_madvise(struct task *task, const uint64_t args[6])
{
    NOT_CLEARED struct iovec vectors[UIO_MAXIOV];
    const int advice = (int)args[3];

    if (args[4] != 0)
        return -EINVAL;
    const int err = vector_read(vectors, args[1], args[2]);
    if (err != 0)
        return err;
    if (advice != MADV_COLD && advice != MADV_PAGEOUT && advice != MADV_WILLNEED &&
        advice != MADV_COLLAPSE)
        return -EINVAL;
    return HOST_SYSCALL(task, __NR_process_madvise, args[0], host_argument(vectors), args[2],
                        args[3], 0);
}

int64_t sys_mbind(struct task *task, const uint64_t args[6])
{
    if (!guest_range(args[0], args[1]))
        return -EFAULT;
    return host_syscall(task, __NR_mbind, args);
}

int64_t sys_set_mempolicy_home_node(struct task *task, const uint64_t args[6])
{
    if (!guest_range(args[0], args[1]))
        return -EFAULT;
    return host_syscall(task, __NR_set_mempolicy_home_node, args);
}
