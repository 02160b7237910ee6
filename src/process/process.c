/* SPDX-License-Identifier: Apache-2.0
 * One process VM from its configuration to its end. */
#include "process/internal.h"

#include "host/clock.h"
#include "process/debugger.h"
#include "process/sandbox.h"
#include "process/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For the engines: code that the program may execute. */
static bool fetch(void *owner, gva_t at, void *to, size_t size)
{
    struct process *process = owner;

    return at < USER_MEMORY_END && memory_fetch(&process->memory, at, to, size);
}

static void take_limit(int resource, uint64_t to[2])
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

    getrlimit((__rlimit_resource_t)resource, &limit);
    to[0] = limit.rlim_cur;
    to[1] = limit.rlim_max;
}

static int create(struct process *process, const struct process_config *config, struct error *err)
{
    process->config = *config;
    process->config.translator.user = true;
    process->self_fd = config->self_fd;
    process->started_ns = clock_monotonic_ns();
    take_limit(RLIMIT_AS, process->limits.address_space);
    take_limit(RLIMIT_DATA, process->limits.data);
    take_limit(RLIMIT_STACK, process->limits.stack);
    process->user_memory = (struct user_memory_port){
        .load = guest_load,
        .store = guest_store,
        .fetch = fetch,
        .probe = guest_probe,
        .owner = process,
    };
    pthread_mutex_init(&process->fork_lock, NULL);
    pthread_mutex_init(&process->tasks_lock, NULL);
    pthread_mutex_init(&process->actions_lock, NULL);
    if (memory_init(&process->memory) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    if (!config->translate)
        return 0;
    return translator_create(&process->config.translator, &process->translator, err);
}

/* Everything before the first instruction. */
static int prepare(struct process *process, struct process_config *config, struct task **out,
                   struct error *err)
{
    int result = config->sandbox ? process_sandbox_enter(config, err) : 0;

    if (result == 0)
        result = create(process, config, err);
    if (result < 0)
        return result;
    struct task *task = task_create(process);
    if (!task)
        return error_set(err, -ENOMEM, "cannot create the first thread: out of memory");
    task->tid = gettid();
    signals_adopt(task);
    result = signals_start(process, err);
    if (result == 0)
        result = process_load(process, task, err);
    if (result < 0)
        return result;
    proc_publish(process);
    *out = task;
    return config->gdb ? debugger_start(process, err) : 0;
}

int process_run(const struct process_config *config, struct error *err)
{
    struct process_config inside = *config;
    struct process *process = calloc(1, sizeof(*process));
    struct task *task = NULL;

    if (!process)
        return error_set(err, -ENOMEM, "out of memory");
    int result = prepare(process, &inside, &task, err);
    if (result < 0) {
        /* What it has besides ends with this process. */
        signals_adopt(NULL);
        free(process);
        return result;
    }
    signals_adopt_mask(task);
    task_run(task);
    task_leave_main(task);
}

void process_exit(struct process *process, int status)
{
    if (process->debugger)
        debugger_end(process, status, 0);
    if (process->config.stats)
        process_stats_print(process);
    for (;;)
        host_syscall_quick(SYS_exit_group, (const uint64_t[6]){(uint64_t)(unsigned)status});
}

void process_die(int signal)
{
    static const struct {
        uintptr_t handler;
        uint64_t flags;
        uintptr_t restorer;
        uint64_t mask;
    } fallback;
    uint64_t nothing = 0;
    const struct task *task = task_current();

    if (task && task->process->debugger)
        debugger_end(task->process, 0, signal);
    host_syscall_quick(
        SYS_rt_sigaction,
        (const uint64_t[6]){(uint64_t)signal, (uint64_t)(uintptr_t)&fallback, 0, sizeof(nothing)});
    host_syscall_quick(
        SYS_rt_sigprocmask,
        (const uint64_t[6]){SIG_SETMASK, (uint64_t)(uintptr_t)&nothing, 0, sizeof(nothing)});
    for (;;)
        host_syscall_quick(SYS_tgkill, (const uint64_t[6]){(uint64_t)getpid(), (uint64_t)gettid(),
                                                           (uint64_t)signal});
}
