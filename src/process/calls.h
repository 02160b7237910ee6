/* SPDX-License-Identifier: Apache-2.0
 * What the files that make the program's system calls share. The calls themselves are
 * the functions sys_<name> of the EMULATED rows of syscalls.def. */
#pragma once

#include "process/internal.h"

#include <errno.h>
#include <sys/uio.h>

/* A row of syscalls.def. */
struct syscall_row {
    const char *name; /* NULL: there is no such call */
    const char *signature;
    syscall_handler *handler; /* of EMULATED */
    int16_t host;             /* number of DIRECT and QUICK */
    uint8_t way;
};
const struct syscall_row *syscall_row(uint64_t number);

#define SYSCALL(number, name, way, signature) SYSCALL_DECLARE_##way(name)
#define SYSCALL_DECLARE_DIRECT(name)
#define SYSCALL_DECLARE_QUICK(name)
#define SYSCALL_DECLARE_EMULATED(name) syscall_handler sys_##name;
#define SYSCALL_DECLARE_ABSENT(name)
#define SYSCALL_DECLARE_FORBIDDEN(name)
#include "process/syscalls.def"
#undef SYSCALL

/* Where nothing of any process is: what the host's kernel gets in place of a pointer
 * beyond the program's memory. It then says -EFAULT where it would use it, and whatever
 * else is wrong before. */
#define NOWHERE (UINT64_C(1) << 63)

/* A pointer for the host's kernel. */
static inline uint64_t guest_argument(uint64_t at)
{
    return guest_pointer(at) ? at : NOWHERE;
}

/* The start of a range of `size` bytes for the host's kernel. */
static inline uint64_t guest_range_argument(uint64_t at, uint64_t size)
{
    return guest_range(at, size) ? at : NOWHERE | (at & PAGE_MASK);
}

/* Checks arguments as the letters of syscalls.def say, and puts NOWHERE where they are
 * beyond the program's memory: 0 or -errno. */
MUST_CHECK int signature_apply(const struct process *process, const char *signature,
                               uint64_t args[6]);
/* Makes the host's call `number`, with the paths of the signature looked up. The
 * signature has been applied. */
int64_t syscall_direct(struct task *task, long number, const char *signature,
                       const uint64_t args[6]);

/* For arrays on the stack that are big and written before they are read: the compiler
 * is told to clear all others. */
#define NOT_CLEARED __attribute__((uninitialized))

/* Our memory as an argument of the host's call. */
static inline uint64_t host_argument(const void *at)
{
    return (uint64_t)(uintptr_t)at;
}

/* ---- paths ---- */

/* path_read() for a call that is about a last link itself, if not `follow`. */
MUST_CHECK int path_read_as(struct task *task, uint64_t at, bool follow, char path[PATH_MAX]);

/* ---- vectors.c ---- */

/* Copies an array of struct iovec, with NOWHERE for what is not in the program's memory.
 * Returns what to give to the host's kernel: `vectors`, or NOWHERE, if there is nothing
 * to be read or too much for the kernel. */
uint64_t vector_read(struct iovec vectors[UIO_MAXIOV], uint64_t at, uint64_t count);
/* What a call returns that we make no sense of, if fd is open: Linux looks at the
 * descriptor first. */
int64_t error_unless_bad_fd(uint64_t fd, int error);

/* ---- own_fds.c: descriptors that are ours in a process whose others are the program's ---- */

/* Opens what execve needs when /proc is out of reach; before that may happen. */
void own_fds_keep_self(struct process *process);
