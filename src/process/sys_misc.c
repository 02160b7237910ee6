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

int64_t sys_uname(struct task *task, const uint64_t args[6])
{
    const char *release = task->process->config.uname_release;
    struct utsname name = {0};
    const int64_t result =
        host_syscall_quick(__NR_uname, (const uint64_t[6]){host_argument(&name)});

    if (result < 0)
        return result;
    memset(name.machine, 0, sizeof(name.machine));
    memcpy(name.machine, "riscv64", sizeof("riscv64"));
    if (release != NULL) {
        memset(name.release, 0, sizeof(name.release));
        memcpy(name.release, release, MIN(strlen(release), sizeof(name.release) - 1));
    }
    return guest_write(args[0], &name, sizeof(name));
}

/* What the host's kernel may do for the program as it would do for doppel. The programs
 * that this one executes inherit it. */
#define HOST_PERSONA \
    (uint32_t)(ADDR_NO_RANDOMIZE | UNAME26 | STICKY_TIMEOUTS | SHORT_INODE | WHOLE_SECONDS)
#define PERSONA_QUERY 0xffffffff

/* The other flags mean nothing here, as for most kernels of RISC-V, and are only kept. */
int64_t sys_personality(struct task *task, const uint64_t args[6])
{
    const uint32_t wanted = (uint32_t)args[0];
    const int64_t host = host_syscall_quick(__NR_personality, (const uint64_t[6]){PERSONA_QUERY});
    const uint32_t kept = __atomic_load_n(&task->process->persona, __ATOMIC_RELAXED);

    if (host < 0)
        return host;
    if (wanted != PERSONA_QUERY) {
        const uint32_t changed = ((uint32_t)host & ~HOST_PERSONA) | (wanted & HOST_PERSONA);
        host_syscall_quick(__NR_personality, (const uint64_t[6]){changed});
        __atomic_store_n(&task->process->persona, wanted & ~HOST_PERSONA, __ATOMIC_RELAXED);
    }
    return ((uint32_t)host & HOST_PERSONA) | kept;
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

    return HOST_SYSCALL(task, __NR_reboot, args[0], args[1], args[2],
                        has_text ? guest_argument(args[3]) : 0);
}

int64_t sys_kcmp(struct task *task, const uint64_t args[6])
{
    const bool has_slot = (int)args[2] == KCMP_EPOLL_TFD;

    return HOST_SYSCALL(task, __NR_kcmp, args[0], args[1], args[2], args[3],
                        has_slot ? guest_argument(args[4]) : args[4]);
}
