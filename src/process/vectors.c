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

uint64_t vector_read(struct iovec vectors[UIO_MAXIOV], uint64_t at, uint64_t count)
{
    if (count > UIO_MAXIOV || guest_read(vectors, at, count * sizeof(*vectors)) != 0)
        return NOWHERE;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t base = host_argument(vectors[i].iov_base);
        vectors[i].iov_base = guest_host(guest_range_argument(base, vectors[i].iov_len));
    }
    return host_argument(vectors);
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
    const uint64_t vectors_at = vector_read(vectors, args[1], args[2]);

    return HOST_SYSCALL(task, number, args[0], vectors_at, args[2], args[3], args[4], args[5]);
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

    const uint64_t local_at = vector_read(local, args[1], args[2]);
    const uint64_t remote_at = vector_read(remote, args[3], args[4]);

    return HOST_SYSCALL(task, number, args[0], local_at, args[2], remote_at, args[4], args[5]);
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

    if (advice != MADV_COLD && advice != MADV_PAGEOUT && advice != MADV_WILLNEED &&
        advice != MADV_COLLAPSE)
        return -EINVAL;
    return HOST_SYSCALL(task, __NR_process_madvise, args[0], vector_read(vectors, args[1], args[2]),
                        args[2], args[3], args[4]);
}
