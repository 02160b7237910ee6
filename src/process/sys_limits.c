/* SPDX-License-Identifier: Apache-2.0
 * Limits of resources. Those on memory concern doppel itself more than the program:
 * its translations and its reserved ranges count. They are only kept; all others, and
 * those of other processes, are the host's. */
#include "process/calls.h"

#include <linux/capability.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* A limit on the stack that our own can live with: it is given to the host, too, for
 * the programs that this one executes. */
#define ENOUGH_STACK (1 * MIB)

static bool is_this_process(uint64_t pid)
{
    if ((int)pid == 0)
        return true;
    const int64_t own = host_syscall_quick(__NR_getpid, (const uint64_t[6]){0});
    const int64_t tid = host_syscall_quick(__NR_gettid, (const uint64_t[6]){0});
    return (int)pid == own || (int)pid == tid;
}

/* The limit that is only kept; NULL: it is the host's. */
static uint64_t *kept_limit(struct process *process, uint64_t resource)
{
    switch ((int)resource) {
    case RLIMIT_AS:
        return process->limits.address_space;
    case RLIMIT_DATA:
        return process->limits.data;
    case RLIMIT_STACK:
        return process->limits.stack;
    default:
        return NULL;
    }
}

static bool may_raise_limits(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    const uint64_t args[6] = {host_argument(&header), host_argument(data)};

    return host_syscall_quick(__NR_capget, args) == 0 &&
           (data[0].effective & CAP_TO_MASK(CAP_SYS_RESOURCE)) != 0;
}

static int64_t change_kept(struct process *process, uint64_t *kept, const uint64_t *new_limit,
                           uint64_t old_limit[2])
{
    int64_t result = 0;

    pthread_rwlock_wrlock(&process->memory.lock);
    old_limit[0] = kept[0];
    old_limit[1] = kept[1];
    if (new_limit != NULL && new_limit[0] > new_limit[1])
        result = -EINVAL;
    else if (new_limit != NULL && new_limit[1] > kept[1] && !may_raise_limits())
        result = -EPERM;
    if (result == 0 && new_limit != NULL) {
        kept[0] = new_limit[0];
        kept[1] = new_limit[1];
    }
    pthread_rwlock_unlock(&process->memory.lock);
    return result;
}

/* prlimit64 for this process, of whose pointers one may be NULL. */
static int64_t limit_here(struct task *task, uint64_t resource, uint64_t new_at, uint64_t old_at)
{
    uint64_t *kept = kept_limit(task->process, resource);
    uint64_t new_limit[2];
    uint64_t old_limit[2];

    if (kept == NULL)
        return HOST_SYSCALL(task, __NR_prlimit64, 0, resource, new_at, old_at);
    if (new_at != 0) {
        const int err = guest_read(new_limit, new_at, sizeof(new_limit));
        if (err != 0)
            return err;
    }
    const int64_t result =
        change_kept(task->process, kept, new_at != 0 ? new_limit : NULL, old_limit);
    if (result != 0)
        return result;
    if (new_at != 0 && kept == task->process->limits.stack && new_limit[0] >= ENOUGH_STACK)
        host_syscall_quick(__NR_prlimit64,
                           (const uint64_t[6]){0, resource, host_argument(new_limit), 0});
    if (old_at != 0)
        return guest_write(old_at, old_limit, sizeof(old_limit));
    return 0;
}

int64_t sys_prlimit64(struct task *task, const uint64_t args[6])
{
    if (is_this_process(args[0]))
        return limit_here(task, args[1], args[2], args[3]);
    return host_syscall(task, __NR_prlimit64, args);
}

int64_t sys_getrlimit(struct task *task, const uint64_t args[6])
{
    if (args[1] == 0)
        return (uint32_t)args[0] < RLIM_NLIMITS ? -EFAULT : -EINVAL;
    return limit_here(task, args[0], 0, args[1]);
}

int64_t sys_setrlimit(struct task *task, const uint64_t args[6])
{
    if (args[1] == 0)
        return -EFAULT;
    return limit_here(task, args[0], args[1], 0);
}
