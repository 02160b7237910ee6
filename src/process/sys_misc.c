/* SPDX-License-Identifier: Apache-2.0
 * What the program asks about the system, and calls whose last argument is a pointer or
 * not. */
#include "process/calls.h"

#include <linux/kcmp.h>
#include <linux/reboot.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

int64_t sys_uname(UNUSED struct task *task, const uint64_t args[6])
{
    struct utsname name = {0};
    const int64_t result =
        host_syscall_quick(__NR_uname, (const uint64_t[6]){host_argument(&name)});

    if (result < 0)
        return result;
    memset(name.machine, 0, sizeof(name.machine));
    memcpy(name.machine, "riscv64", sizeof("riscv64"));
    return guest_write(args[0], &name, sizeof(name));
}

/* The persona of programs that this one executes is the host's, so only those flags are
 * taken that mean the same for doppel and for what it runs. */
int64_t sys_personality(struct task *task, const uint64_t args[6])
{
    const uint32_t persona = (uint32_t)args[0];
    const uint32_t query = 0xffffffff;

    if (persona != query && (persona & ~(uint32_t)(ADDR_NO_RANDOMIZE | UNAME26)) != PER_LINUX)
        return -EINVAL;
    return host_syscall(task, __NR_personality, args);
}

/* For calls with a timeout that a signal interrupts: the kernel itself goes on with
 * those, and nobody else has a reason for this call. */
int64_t sys_restart_syscall(UNUSED struct task *task, UNUSED const uint64_t args[6])
{
    return -EINTR;
}

int64_t sys_reboot(struct task *task, const uint64_t args[6])
{
    const bool has_text = (uint32_t)args[2] == LINUX_REBOOT_CMD_RESTART2;

    if (has_text && !guest_pointer(args[3]))
        return -EFAULT;
    return HOST_SYSCALL(task, __NR_reboot, args[0], args[1], args[2], has_text ? args[3] : 0);
}

int64_t sys_kcmp(struct task *task, const uint64_t args[6])
{
    if ((int)args[2] == KCMP_EPOLL_TFD && !guest_pointer(args[4]))
        return -EFAULT;
    return host_syscall(task, __NR_kcmp, args);
}
