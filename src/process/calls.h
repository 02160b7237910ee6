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

/* Checks arguments as the letters of syscalls.def say: 0 or -errno. */
MUST_CHECK int signature_check(const struct process *process, const char *signature,
                               const uint64_t args[6]);
/* Makes the host's call `number`, with the paths of the signature looked up. The
 * arguments have been checked. */
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

/* A null pointer, or one that the host's kernel may be given. */
static inline bool guest_pointer_or_null(uint64_t at)
{
    return guest_pointer(at); /* zero is below the end, too */
}

/* ---- paths ---- */

/* path_read() for a call that is about a last link itself, if not `follow`. */
MUST_CHECK int path_read_as(struct task *task, uint64_t at, bool follow, char path[PATH_MAX]);

/* ---- vectors.c ---- */

/* Copies an array of struct iovec: its entries lie in the program's memory. 0; -EINVAL:
 * more than UIO_MAXIOV; -EFAULT. */
MUST_CHECK int vector_read(struct iovec vectors[UIO_MAXIOV], uint64_t at, uint64_t count);
/* What a call returns that found its arguments wrong, if fd is open: Linux looks at
 * the descriptor first. */
int64_t error_unless_bad_fd(uint64_t fd, int error);

/* ---- own_fds.c: descriptors that are ours in a process whose others are the program's ---- */

/* Opens what execve needs when /proc is out of reach; before that may happen. */
void own_fds_keep_self(struct process *process);
