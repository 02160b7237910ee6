/* SPDX-License-Identifier: Apache-2.0
 * What programs ask so often that libraries do it by the vDSO. The program's vDSO comes
 * here (vdso.c), and here the host's is asked, which needs no kernel for most clocks. */
#include "process/calls.h"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

int64_t sys_clock_gettime(UNUSED struct task *task, const uint64_t args[6])
{
    struct timespec now;

    if (clock_gettime((clockid_t)args[0], &now) != 0)
        return -errno;
    return guest_write(args[1], &now, sizeof(now));
}

int64_t sys_clock_getres(UNUSED struct task *task, const uint64_t args[6])
{
    struct timespec resolution;

    if (clock_getres((clockid_t)args[0], &resolution) != 0)
        return -errno;
    return args[1] == 0 ? 0 : guest_write(args[1], &resolution, sizeof(resolution));
}

int64_t sys_gettimeofday(UNUSED struct task *task, const uint64_t args[6])
{
    struct timeval now;

    if (args[1] != 0) /* the C library has no time zone of the kernel's */
        return host_syscall_quick(__NR_gettimeofday, args);
    if (gettimeofday(&now, NULL) != 0)
        return -errno;
    return args[0] == 0 ? 0 : guest_write(args[0], &now, sizeof(now));
}

int64_t sys_getcpu(UNUSED struct task *task, const uint64_t args[6])
{
    unsigned cpu = 0;
    unsigned node = 0;
    int err = 0;

    if (getcpu(&cpu, &node) != 0)
        return -errno;
    if (args[0] != 0)
        err = guest_write(args[0], &cpu, sizeof(cpu));
    if (err == 0 && args[1] != 0)
        err = guest_write(args[1], &node, sizeof(node));
    return err;
}
