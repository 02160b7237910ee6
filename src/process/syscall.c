/* SPDX-License-Identifier: Apache-2.0
 * System calls of the program: looked up in syscalls.def, their arguments checked as
 * the row says, and made. The host's kernel sees the program's memory at the addresses
 * that the program uses, so most calls need nothing else. What must hold is that a
 * pointer beyond the program's memory never reaches it: doppel lies there. */
#include "process/calls.h"

#include "base/log.h"

#include <fcntl.h>
#include <sys/syscall.h>

/* Calls that the headers of some hosts do not have yet. These numbers are the same
 * for all architectures. */
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef __NR_futex_wake
#define __NR_futex_wake 454
#endif
#ifndef __NR_futex_wait
#define __NR_futex_wait 455
#endif
#ifndef __NR_statmount
#define __NR_statmount 457
#endif
#ifndef __NR_listmount
#define __NR_listmount 458
#endif
#ifndef __NR_lsm_get_self_attr
#define __NR_lsm_get_self_attr 459
#endif
#ifndef __NR_lsm_set_self_attr
#define __NR_lsm_set_self_attr 460
#endif
#ifndef __NR_lsm_list_modules
#define __NR_lsm_list_modules 461
#endif

enum syscall_way {
    WAY_ABSENT,
    WAY_FORBIDDEN,
    WAY_DIRECT,
    WAY_QUICK,
    WAY_EMULATED,
};

#define SYSCALL(number, name, way, signature) [number] = {#name, signature, ROW_##way(name)},
#define ROW_DIRECT(name)                      NULL, __NR_##name, WAY_DIRECT
#define ROW_QUICK(name)                       NULL, __NR_##name, WAY_QUICK
#define ROW_EMULATED(name)                    sys_##name, 0, WAY_EMULATED
#define ROW_ABSENT(name)                      NULL, 0, WAY_ABSENT
#define ROW_FORBIDDEN(name)                   NULL, 0, WAY_FORBIDDEN
static const struct syscall_row rows[] = {
#include "process/syscalls.def"
};
#undef SYSCALL

const struct syscall_row *syscall_row(uint64_t number)
{
    if (number >= ARRAY_LEN(rows) || rows[number].name == NULL)
        return NULL;
    return &rows[number];
}

int signature_apply(const struct process *process, const char *signature, uint64_t args[6])
{
    for (unsigned i = 0; signature[i] != '\0'; i++) {
        switch (signature[i]) {
        case 's':
        case 'k':
        case 'n':
        case 'p':
        case 'v':
        case 'w':
        case 'b':
        case 'c':
            args[i] = guest_argument(args[i]);
            break;
        case 'r':
            args[i] = guest_range_argument(args[i], args[i + 1]);
            break;
        case 'f':
            if (UNLIKELY(own_fds_has(process, (int)args[i])))
                return -EBADF;
            break;
        default:
            break;
        }
    }
    return 0;
}

static bool names_a_path(char letter)
{
    return letter == 's' || letter == 'k';
}

/* Whether the call has an argument of AT_ flags with AT_SYMLINK_NOFOLLOW. */
static bool has_nofollow(const char *signature, const uint64_t args[6])
{
    for (unsigned i = 0; signature[i] != '\0'; i++)
        if (signature[i] == 'a' && (args[i] & AT_SYMLINK_NOFOLLOW) != 0)
            return true;
    return false;
}

static NOINLINE int64_t direct_in_sysroot(struct task *task, long number, const char *signature,
                                          const uint64_t args[6])
{
    NOT_CLEARED char paths[2][PATH_MAX]; /* no call has more */
    uint64_t changed[6];
    const bool follow = !has_nofollow(signature, args);
    unsigned used = 0;

    for (unsigned i = 0; i < 6; i++)
        changed[i] = args[i];
    for (unsigned i = 0; signature[i] != '\0'; i++) {
        if (!names_a_path(signature[i]) || args[i] == 0 || used == ARRAY_LEN(paths))
            continue;
        const int err = path_read_as(task, args[i], follow && signature[i] == 's', paths[used]);
        if (err != 0)
            return err;
        changed[i] = host_argument(paths[used++]);
    }
    return host_syscall(task, number, changed);
}

int64_t syscall_direct(struct task *task, long number, const char *signature,
                       const uint64_t args[6])
{
    if (UNLIKELY(task->process->config.sysroot != NULL))
        for (unsigned i = 0; signature[i] != '\0'; i++)
            if (names_a_path(signature[i]))
                return direct_in_sysroot(task, number, signature, args);
    return host_syscall(task, number, args);
}

static int64_t make_call(struct task *task, const struct syscall_row *row, const uint64_t args[6])
{
    const enum syscall_way way = (enum syscall_way)row->way;

    if (UNLIKELY(way == WAY_ABSENT))
        return -ENOSYS;
    if (UNLIKELY(way == WAY_FORBIDDEN))
        return -EPERM;
    uint64_t checked[6] = {args[0], args[1], args[2], args[3], args[4], args[5]};
    const int err = signature_apply(task->process, row->signature, checked);
    if (UNLIKELY(err != 0))
        return err;
    if (way == WAY_EMULATED)
        return row->handler(task, checked);
    if (way == WAY_QUICK)
        return host_syscall_quick(row->host, checked);
    return syscall_direct(task, row->host, row->signature, checked);
}

static COLD int64_t unknown_call(uint64_t number)
{
    log_guest("syscall", "unknown system call %llu", (unsigned long long)number);
    return -ENOSYS;
}

int64_t syscall_dispatch(struct task *task, uint64_t number, const uint64_t args[6])
{
    const bool strace = task->process->config.strace;
    const struct syscall_row *row = syscall_row(number);

    if (UNLIKELY(strace))
        trace_enter(task, number, args);
    const int64_t result = LIKELY(row != NULL) ? make_call(task, row, args) : unknown_call(number);
    if (UNLIKELY(strace))
        trace_exit(task, number, args, result);
    return result;
}
