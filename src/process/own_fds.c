/* SPDX-License-Identifier: Apache-2.0
 * Descriptors that are ours. The program shares the table of descriptors with us and
 * expects the lowest free number from every open, so ours lie high; but not so high
 * that the kernel would have to grow the table for them. */
#include "process/calls.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Programs that use select() do not reach beyond. */
#define HIGHEST_FD 1023
/* Room for all of ours and some of others. */
#define OWN_RANGE  (UINT64_C(2) * OWN_FDS)

static int64_t quick(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return host_syscall_quick(number, (const uint64_t[6]){a, b, c, d});
}

static int move_up(int fd)
{
    struct rlimit limit = {0};
    uint64_t lowest = HIGHEST_FD - OWN_RANGE;

    if (quick(__NR_prlimit64, 0, RLIMIT_NOFILE, 0, host_argument(&limit)) == 0 &&
        limit.rlim_cur <= HIGHEST_FD)
        lowest = limit.rlim_cur > 2 * OWN_RANGE ? limit.rlim_cur - OWN_RANGE : 0;
    const int64_t moved = quick(__NR_fcntl, (uint64_t)fd, F_DUPFD_CLOEXEC, lowest, 0);
    if (moved < 0)
        return fd;
    quick(__NR_close, (uint64_t)fd, 0, 0, 0);
    return (int)moved;
}

int own_fds_add(struct process *process, int fd)
{
    for (unsigned i = 0; i < OWN_FDS; i++) {
        if (process->own_fds[i] != 0)
            continue;
        const int moved = move_up(fd);
        process->own_fds[i] = moved + 1;
        return moved;
    }
    return fd;
}

void own_fds_remove(struct process *process, int fd)
{
    for (unsigned i = 0; i < OWN_FDS; i++)
        if (process->own_fds[i] == fd + 1)
            process->own_fds[i] = 0;
    quick(__NR_close, (uint64_t)fd, 0, 0, 0);
}

bool own_fds_has(const struct process *process, int fd)
{
    if (fd < 0)
        return false;
    if (fd == process->self_fd)
        return true;
    for (unsigned i = 0; i < OWN_FDS; i++)
        if (process->own_fds[i] == fd + 1)
            return true;
    return false;
}

void own_fds_keep_self(struct process *process)
{
    if (process->self_fd >= 0)
        return;
    const int64_t fd = quick(__NR_openat, (uint64_t)AT_FDCWD, host_argument("/proc/self/exe"),
                             O_PATH | O_CLOEXEC, 0);
    if (fd >= 0)
        process->self_fd = move_up((int)fd);
}

/* Calls `close_range` for what lies between our own. With CLOSE_RANGE_UNSHARE the first
 * call gives this thread a table of its own, and for the others there is nothing left
 * to unshare. */
int64_t sys_close_range(struct task *task, const uint64_t args[6])
{
    uint64_t first = (uint32_t)args[0];
    const uint64_t last = (uint32_t)args[1];
    int64_t result = 0;

    if (first > last)
        return -EINVAL;
    while (result == 0 && first <= last) {
        uint64_t end = last;
        uint64_t next = last + 1;
        for (unsigned i = 0; i <= OWN_FDS; i++) {
            const int own = i < OWN_FDS ? task->process->own_fds[i] - 1 : task->process->self_fd;
            if (own >= 0 && (uint64_t)own >= first && (uint64_t)own <= end) {
                end = (uint64_t)own - 1; /* may be below first */
                next = (uint64_t)own + 1;
            }
        }
        if (end + 1 > first)
            result = quick(__NR_close_range, first, end, args[2], 0);
        first = next;
    }
    return result;
}
