/* SPDX-License-Identifier: Apache-2.0
 * prctl: options that prctls.def lists. */
#include "process/calls.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define GET_AUXV          0x41555856
/* linux/prctl.h of later kernels, for RISC-V */
#define ICACHE_FLUSH_CTX  71
#define ICACHE_FLUSH_OFF  1 /* 0: on */
#define ICACHE_PER_THREAD 1 /* 0: per process */

static const char *option_signature(int option)
{
#define PRCTL(name, signature) \
    case (name):               \
        return (signature);
    switch (option) {
#include "process/prctls.def"
    default:
        return "!";
    }
#undef PRCTL
}

/* Names a mapping, for those who look into /proc/.../maps. */
static int64_t name_mapping(struct task *task, const uint64_t args[6])
{
    if (args[1] != PR_SET_VMA_ANON_NAME || !guest_range(args[2], args[3]))
        return -EINVAL;
    return HOST_SYSCALL(task, __NR_prctl, args[0], args[1], args[2], args[3],
                        guest_argument(args[4]));
}

static int64_t auxiliary_vector(const struct process *process, const uint64_t args[6])
{
    uint8_t vector[512];
    const uint64_t size = process->auxv_end - process->auxv_start;

    if (args[3] != 0 || args[4] != 0)
        return -EINVAL;
    if (size > sizeof(vector))
        return -EINVAL;
    int err = guest_read(vector, process->auxv_start, size);
    if (err == 0)
        err = guest_write(args[1], vector, MIN(size, args[2]));
    return err != 0 ? err : (int64_t)size;
}

static int64_t own_option(struct task *task, const uint64_t args[6])
{
    switch ((int)args[0]) {
    case PR_SET_MM:
        return -EPERM;
    case PR_SET_VMA:
        return name_mapping(task, args);
    case PR_GET_TID_ADDRESS:
        return guest_write(args[1], &task->clear_child_tid, sizeof(task->clear_child_tid));
    case GET_AUXV:
        return auxiliary_vector(task->process, args);
    case ICACHE_FLUSH_CTX:
        /* A fence.i is seen by all our threads anyway. */
        return args[1] <= ICACHE_FLUSH_OFF && args[2] <= ICACHE_PER_THREAD ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

int64_t sys_prctl(struct task *task, const uint64_t args[6])
{
    const char *signature = option_signature((int)args[0]);
    uint64_t checked[6] = {args[0], args[1], args[2], args[3], args[4], args[5]};

    if (signature[0] == '!')
        return -EINVAL;
    if (signature[0] == '*')
        return own_option(task, args);
    const int err = signature_apply(task->process, signature, checked);
    return err != 0 ? err : host_syscall(task, __NR_prctl, checked);
}
