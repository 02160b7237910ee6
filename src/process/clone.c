/* SPDX-License-Identifier: Apache-2.0
 * New threads and processes, and their end.
 *
 * A thread gets a host thread. A process is made by the host's fork: by the C library's,
 * which knows about its own locks, where the program asks for nothing special. A child of
 * vfork shares all memory with its parent, which sleeps meanwhile: it goes on with the
 * parent's task on a stack of its own, and the parent then takes back what it left. */
#include "process/internal.h"

#include "host/map.h"
#include "process/debugger.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREAD_STACK_BYTES (256u << 10)

/* The arguments of clone and clone3. */
struct clone_request {
    uint64_t flags; /* without the signal */
    uint64_t exit_signal;
    uint64_t stack; /* the child's stack pointer; 0: as it is */
    uint64_t tls;
    uint64_t parent_tid;
    uint64_t child_tid;
    uint64_t pidfd;
};

#define THREAD_FLAGS ((uint64_t)(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD))
#define NEW_SPACES                                                                            \
    ((uint64_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
                CLONE_NEWPID | CLONE_NEWNET))
/* What the C library's fork does not offer. */
#define SPECIAL_FLAGS \
    (NEW_SPACES | (uint64_t)(CLONE_FS | CLONE_FILES | CLONE_PARENT | CLONE_IO | CLONE_PIDFD))
/* What is done here, not by the host. */
#define OWN_FLAGS                                                                                \
    ((uint64_t)(CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | \
                CLONE_DETACHED | CLONE_UNTRACED | CLONE_SYSVSEM | CLONE_PTRACE))

/* ---- the child's registers ---- */

static void enter_child(struct task *task, const struct clone_request *request)
{
    struct hart *hart = task->hart;

    hart->pc += 4;
    hart->x[10] = 0;
    if (request->stack)
        hart->x[2] = request->stack;
    if (request->flags & CLONE_SETTLS)
        hart->x[4] = request->tls;
}

/* What the kernel does for the child once it has an identity; faults do not matter. */
static void announce_child(struct task *task, const struct clone_request *request)
{
    int32_t tid = task->tid;

    if ((request->flags & CLONE_CHILD_SETTID) &&
        guest_write(request->child_tid, &tid, sizeof(tid)) < 0)
        return;
    if (request->flags & CLONE_CHILD_CLEARTID)
        task->clear_child_tid = request->child_tid;
}

static void announce_to_parent(const struct clone_request *request, int64_t pid)
{
    int32_t tid = (int32_t)pid;

    /* As in the kernel, a fault does not undo the child. */
    if ((request->flags & CLONE_PARENT_SETTID) &&
        guest_write(request->parent_tid, &tid, sizeof(tid)) < 0)
        return;
}

/* ---- threads ---- */

struct new_thread {
    struct task *task;
    const struct clone_request *request;
    uint64_t mask;
    sem_t started;
    int64_t result;
};

/* The lists of robust futexes and the thread's own futex, in the order of the kernel, which
 * does it later than whoever joins the thread would notice. */
static void release_futex(uint64_t at, uint32_t tid)
{
    uint32_t word;

    if ((at & 3) || guest_read(&word, at, sizeof(word)) < 0 ||
        !guest_probe(NULL, at, sizeof(word), true))
        return;
    uint32_t *host = guest_host(at);
    while ((word & FUTEX_TID_MASK) == tid) {
        uint32_t dead = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        if (!__atomic_compare_exchange_n(host, &word, dead, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_SEQ_CST))
            continue;
        if (word & FUTEX_WAITERS)
            host_syscall_quick(SYS_futex, (const uint64_t[6]){at, FUTEX_WAKE, 1});
        return;
    }
}

#define ROBUST_LIST_MOST 2048

static void release_robust_futexes(const struct task *task)
{
    uint64_t head = 0;
    size_t size = 0;
    uint64_t fields[3]; /* first entry, offset of the futex, the one under way */

    if (host_syscall_quick(SYS_get_robust_list, (const uint64_t[6]){0, (uint64_t)(uintptr_t)&head,
                                                                    (uint64_t)(uintptr_t)&size}) <
            0 ||
        !guest_pointer(head) || guest_read(fields, head, sizeof(fields)) < 0)
        return;
    uint64_t entry = fields[0];
    for (unsigned i = 0; i < ROBUST_LIST_MOST && (entry & ~UINT64_C(1)) != head; i++) {
        uint64_t next;
        bool is_pi = entry & 1;
        uint64_t at = entry & ~UINT64_C(1);
        if (guest_read(&next, at, sizeof(next)) < 0)
            return;
        /* Those that inherit priority are the kernel's. */
        if (!is_pi && at != (fields[2] & ~UINT64_C(1)))
            release_futex(at + fields[1], (uint32_t)task->tid);
        entry = next;
    }
    if (fields[2] && !(fields[2] & 1))
        release_futex((fields[2] & ~UINT64_C(1)) + fields[1], (uint32_t)task->tid);
}

static void leave_thread(struct task *task)
{
    static const int32_t zero;

    release_robust_futexes(task);
    if (!task->clear_child_tid || guest_write(task->clear_child_tid, &zero, sizeof(zero)) < 0)
        return;
    host_syscall_quick(SYS_futex, (const uint64_t[6]){task->clear_child_tid, FUTEX_WAKE, 1});
}

static void *thread_main(void *argument)
{
    struct new_thread *new_thread = argument;
    struct task *task = new_thread->task;
    int64_t result = 0;

    signals_adopt(task);
    task->tid = gettid();
    /* Threads that share less than all. */
    uint64_t apart = ~new_thread->request->flags & (uint64_t)(CLONE_FS | CLONE_FILES);
    if (apart)
        result = host_syscall_quick(SYS_unshare, (const uint64_t[6]){apart});
    announce_child(task, new_thread->request);
    enter_child(task, new_thread->request);
    uint64_t mask = new_thread->mask;
    new_thread->result = result < 0 ? result : task->tid;
    bool runs = new_thread->result > 0;
    if (runs)
        announce_to_parent(new_thread->request, task->tid);
    sem_post(&new_thread->started); /* new_thread is gone from here on */
    if (runs) {
        signals_set_mask(task, mask);
        task_run(task);
        signals_block(task);
        leave_thread(task);
    }
    /* Later signals find no task: they are blocked. */
    signals_adopt(NULL);
    task_destroy(task);
    return NULL;
}

static void copy_registers(struct hart *to, const struct hart *from)
{
    memcpy(to->x, from->x, sizeof(to->x));
    memcpy(to->f, from->f, sizeof(to->f));
    to->pc = from->pc;
    to->fflags = from->fflags;
    to->frm = from->frm;
}

static int start_thread(void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;

    if (pthread_attr_init(&attributes) != 0)
        return -EAGAIN;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    int result = pthread_create(&thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return result ? -EAGAIN : 0;
}

static int64_t clone_thread(struct task *task, const struct clone_request *request)
{
    struct process *process = task->process;
    struct new_thread new_thread = {.request = request, .mask = task->signal_mask};

    new_thread.task = task_create(process);
    if (!new_thread.task)
        return -EAGAIN;
    copy_registers(new_thread.task->hart, task->hart);
    sem_init(&new_thread.started, 0, 0);
    /* The thread begins with all signals blocked, and so is this one. */
    pthread_mutex_lock(&process->fork_lock);
    int result = start_thread(thread_main, &new_thread);
    pthread_mutex_unlock(&process->fork_lock);
    signals_after_thread(process);
    if (result < 0) {
        task_destroy(new_thread.task);
    } else {
        while (sem_wait(&new_thread.started) < 0)
            ;
    }
    sem_destroy(&new_thread.started);
    return result < 0 ? result : new_thread.result;
}

/* ---- processes ---- */

/* What another thread might hold, and the child would wait for. */
static void lock_all(struct process *process)
{
    pthread_mutex_lock(&process->fork_lock);
    pthread_mutex_lock(&process->tasks_lock);
    if (process->translator)
        translator_before_fork(process->translator);
    pthread_rwlock_wrlock(&process->memory.lock);
    pthread_mutex_lock(&process->actions_lock);
}

static void unlock_all(struct process *process)
{
    pthread_mutex_unlock(&process->actions_lock);
    pthread_rwlock_unlock(&process->memory.lock);
    if (process->translator)
        translator_after_fork(process->translator);
    pthread_mutex_unlock(&process->tasks_lock);
    pthread_mutex_unlock(&process->fork_lock);
}

static void renew_locks(struct process *process)
{
    pthread_mutex_init(&process->fork_lock, NULL);
    pthread_mutex_init(&process->tasks_lock, NULL);
    pthread_rwlock_init(&process->memory.lock, NULL);
    pthread_mutex_init(&process->actions_lock, NULL);
}

struct pending_at_fork {
    uint32_t signal;
    uint64_t blocked;
};

/* The child of a fork has one thread. */
static void become_child(struct task *task, const struct clone_request *request,
                         const struct pending_at_fork *before)
{
    struct process *process = task->process;
    struct error err = {0};

    renew_locks(process);
    for (struct task *other = process->tasks; other;) {
        struct task *next = other->next;
        if (other != task)
            task_free(other);
        other = next;
    }
    process->tasks = task;
    task->next = NULL;
    process->task_count = 1;
    task->tid = gettid();
    task->clear_child_tid = 0;
    if (process->translator &&
        translator_after_fork_in_child(process->translator, task->hart, &err) < 0)
        process_die(SIGKILL);
    if (process->debugger)
        debugger_after_fork(task);
    announce_child(task, request);
    enter_child(task, request);
    /* SIGSEGV and SIGBUS can come at any time: what came before is the parent's. */
    if (before->signal)
        atomic_store(&task->signal_pending, 0);
    task->pending_blocked &= ~before->blocked;
    signals_set_mask(task, task->signal_mask);
}

/* Only with this thread left can malloc's locks be free in the child. */
static int64_t fork_host(const struct clone_request *request)
{
    bool is_special = (request->flags & SPECIAL_FLAGS) || request->exit_signal != SIGCHLD;

    if (!is_special) {
        pid_t pid = fork();
        return pid < 0 ? -errno : pid;
    }
    uint64_t flags =
        (request->flags & ~(OWN_FLAGS | (uint64_t)(CLONE_VM | CLONE_VFORK))) | request->exit_signal;
    return host_syscall_quick(SYS_clone, (const uint64_t[6]){flags, 0, request->pidfd, 0, 0});
}

static int64_t clone_process(struct task *task, const struct clone_request *request)
{
    struct process *process = task->process;

    lock_all(process);
    const struct pending_at_fork before = {atomic_load(&task->signal_pending),
                                           task->pending_blocked};
    int64_t pid = fork_host(request);
    if (pid == 0) {
        become_child(task, request, &before);
        return SYSCALL_NO_RESULT;
    }
    unlock_all(process);
    if (pid > 0)
        announce_to_parent(request, pid);
    return pid;
}

/* ---- vfork ---- */

struct vfork_child {
    struct task *task;
    const struct clone_request *request;
};

/* What the child changes of what it shares with its parent, though it should not. */
struct vfork_saved {
    struct task task;
    struct guest_limits limits;
    const char *sysroot;
    int self_fd;
    uint32_t persona;
    struct guest_sigaction actions[GUEST_SIGNALS + 1];
    uint64_t x[33];
    uint64_t f[32];
    uint64_t pc;
    uint32_t fflags;
    uint32_t frm;
};

static int vfork_main(void *argument)
{
    const struct vfork_child *child = argument;
    struct task *task = child->task;

    task->tid = gettid();
    task->is_vfork_child = true;
    task->clear_child_tid = 0;
    task->has_saved_mask = false;
    task->vfork_stack = NULL; /* this one; children of its own need another */
    announce_child(task, child->request);
    enter_child(task, child->request);
    atomic_store(&task->signal_pending, 0);
    task->pending_blocked = 0;
    signals_set_mask(task, task->signal_mask);
    task_run(task);
    _exit(0); /* not reached: such a task ends its process */
}

static void save(const struct task *task, struct vfork_saved *saved)
{
    const struct hart *hart = task->hart;

    saved->task = *task;
    saved->limits = task->process->limits;
    saved->sysroot = task->process->config.sysroot;
    saved->self_fd = task->process->self_fd;
    saved->persona = (uint32_t)task->process->persona;
    memcpy(saved->actions, task->process->actions, sizeof(saved->actions));
    memcpy(saved->x, hart->x, sizeof(saved->x));
    memcpy(saved->f, hart->f, sizeof(saved->f));
    saved->pc = hart->pc;
    saved->fflags = hart->fflags;
    saved->frm = hart->frm;
}

static void restore(struct task *task, const struct vfork_saved *saved)
{
    struct hart *hart = task->hart;
    struct task *next = task->next;

    if (task->vfork_stack)
        map_free(task->vfork_stack, VFORK_STACK_BYTES);
    *task = saved->task;
    task->process->limits = saved->limits;
    task->process->config.sysroot = saved->sysroot;
    task->process->self_fd = saved->self_fd;
    task->process->persona = saved->persona;
    task->next = next;
    memcpy(task->process->actions, saved->actions, sizeof(saved->actions));
    memcpy(hart->x, saved->x, sizeof(saved->x));
    memcpy(hart->f, saved->f, sizeof(saved->f));
    hart->pc = saved->pc;
    hart->fflags = saved->fflags;
    hart->frm = saved->frm;
}

static int64_t clone_vfork(struct task *task, const struct clone_request *request)
{
    struct vfork_child child = {task, request};
    struct vfork_saved saved;
    struct error err = {0};

    if (!task->vfork_stack)
        task->vfork_stack = map_lazy(VFORK_STACK_BYTES, "a stack for children", &err);
    if (!task->vfork_stack)
        return -ENOMEM;
    save(task, &saved);
    uint64_t flags = (request->flags & ~OWN_FLAGS) | request->exit_signal;
    int32_t pidfd = -1;
    int pid = clone(vfork_main, (uint8_t *)task->vfork_stack + VFORK_STACK_BYTES,
                    (int)(uint32_t)flags, &child, &pidfd);
    int64_t result = pid < 0 ? -errno : pid;
    restore(task, &saved);
    if (pid > 0 && (request->flags & CLONE_PIDFD) &&
        guest_write(request->pidfd, &pidfd, sizeof(pidfd)) < 0)
        return result;
    if (pid > 0)
        announce_to_parent(request, pid);
    return result;
}

/* ---- processes that share memory, and run beside their parent ---- */

/* The child executes our code, too, and needs what the C library keeps for a thread: that
 * of a thread of the parent which sleeps, as the parent of a vfork does, until the child
 * has ended or executed another program. */
struct sharing_child {
    struct task *task;
    const struct clone_request *request;
    uint64_t mask;
    sem_t started;
    int64_t result;
    int32_t pidfd;
};

static int sharing_main(void *argument)
{
    struct sharing_child *child = argument;
    struct task *task = child->task;
    uint64_t mask = child->mask;

    signals_adopt(task);
    task->tid = gettid();
    task->is_vfork_child = true;
    announce_child(task, child->request);
    enter_child(task, child->request);
    child->result = task->tid;
    sem_post(&child->started); /* child is gone from here on */
    signals_set_mask(task, mask);
    task_run(task);
    _exit(0); /* not reached */
}

static void *sharing_thread(void *argument)
{
    struct sharing_child *child = argument;
    struct task *task = child->task;
    struct error err = {0};
    uint64_t flags =
        (child->request->flags & ~OWN_FLAGS) | child->request->exit_signal | (uint64_t)CLONE_VFORK;
    uint8_t *stack = map_lazy(VFORK_STACK_BYTES, "a stack for a child", &err);
    int pid = -1;

    if (stack)
        pid = clone(sharing_main, stack + VFORK_STACK_BYTES, (int)(uint32_t)flags, child,
                    &child->pidfd);
    if (pid < 0) {
        child->result = stack ? -errno : -ENOMEM;
        sem_post(&child->started);
    }
    map_free(stack, VFORK_STACK_BYTES);
    task_destroy(task);
    return NULL;
}

static int64_t clone_sharing(struct task *task, const struct clone_request *request)
{
    struct process *process = task->process;
    struct sharing_child child = {.request = request, .mask = task->signal_mask};

    child.task = task_create(process);
    if (!child.task)
        return -ENOMEM;
    copy_registers(child.task->hart, task->hart);
    child.task->altstack = task->altstack;
    sem_init(&child.started, 1, 0);
    pthread_mutex_lock(&process->fork_lock);
    int result = start_thread(sharing_thread, &child);
    pthread_mutex_unlock(&process->fork_lock);
    signals_after_thread(process);
    if (result < 0) {
        task_destroy(child.task);
    } else {
        while (sem_wait(&child.started) < 0)
            ;
        result = 0;
    }
    sem_destroy(&child.started);
    if (result < 0 || child.result < 0)
        return result < 0 ? result : child.result;
    announce_to_parent(request, child.result);
    /* As for the pid: a fault does not undo the child. */
    if ((request->flags & CLONE_PIDFD) &&
        guest_write(request->pidfd, &child.pidfd, sizeof(child.pidfd)) < 0)
        return child.result;
    return child.result;
}

/* ---- the calls ---- */

static int64_t check(const struct clone_request *request)
{
    uint64_t flags = request->flags;
    uint64_t shared = flags & THREAD_FLAGS;

    if (((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND)) ||
        ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM)))
        return -EINVAL;
    if ((flags & CLONE_THREAD) && (flags & (NEW_SPACES | (uint64_t)CLONE_PIDFD)))
        return -EINVAL;
    /* Processes that share handlers, too, are no use to anyone. */
    return shared && shared != THREAD_FLAGS && shared != (uint64_t)CLONE_VM ? -EINVAL : 0;
}

static int64_t clone_task(struct task *task, const struct clone_request *request)
{
    int64_t result = check(request);

    if (result < 0)
        return result;
    if (!signals_block(task))
        return SYSCALL_AGAIN;
    if (request->flags & CLONE_THREAD)
        result = clone_thread(task, request);
    else if ((request->flags & CLONE_VM) && (request->flags & CLONE_VFORK))
        result = clone_vfork(task, request);
    else if (request->flags & CLONE_VM)
        result = clone_sharing(task, request);
    else
        result = clone_process(task, request);
    if (result != SYSCALL_NO_RESULT)
        signals_set_mask(task, task->signal_mask);
    return result;
}

int64_t sys_clone(struct task *task, const uint64_t args[6])
{
    struct clone_request request = {
        .flags = args[0] & UINT64_C(0xffffff00),
        .exit_signal = args[0] & 0xff,
        .stack = args[1],
        .parent_tid = args[2],
        .tls = args[3],
        .child_tid = args[4],
    };

    if (request.flags & CLONE_PIDFD)
        request.pidfd = args[2];
    return clone_task(task, &request);
}

int64_t sys_clone3(struct task *task, const uint64_t args[6])
{
    struct clone_args given = {0};
    size_t size = args[1];

    if (size < CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    if (size > PAGE_SIZE)
        return -E2BIG;
    for (uint64_t at = sizeof(given); at < size; at++) {
        uint8_t byte;
        if (guest_read(&byte, args[0] + at, 1) < 0)
            return -EFAULT;
        if (byte)
            return -E2BIG;
    }
    if (guest_read(&given, args[0], size < sizeof(given) ? size : sizeof(given)) < 0)
        return -EFAULT;
    if ((given.flags & 0xff) || given.exit_signal > GUEST_SIGNALS ||
        !given.stack != !given.stack_size)
        return -EINVAL;
    /* In a cgroup of one's choice, or with pids of one's choice: as kernels without. */
    if (given.flags & ~UINT64_C(0xffffffff))
        return -EINVAL;
    if (given.set_tid_size)
        return -EPERM;
    const struct clone_request request = {
        .flags = given.flags,
        .exit_signal = given.exit_signal,
        .stack = given.stack ? given.stack + given.stack_size : 0,
        .parent_tid = given.parent_tid,
        .tls = given.tls,
        .child_tid = given.child_tid,
        .pidfd = given.pidfd,
    };
    return clone_task(task, &request);
}

int64_t sys_set_tid_address(struct task *task, const uint64_t args[6])
{
    task->clear_child_tid = args[0];
    return task->tid;
}

int64_t sys_exit(struct task *task, const uint64_t args[6])
{
    struct process *process = task->process;

    if (task->is_vfork_child)
        host_syscall_quick(SYS_exit_group, args);
    pthread_mutex_lock(&process->tasks_lock);
    bool is_last = process->task_count == 1;
    pthread_mutex_unlock(&process->tasks_lock);
    if (is_last) {
        leave_thread(task);
        process_exit(process, (int)args[0]);
    }
    task->must_exit = true;
    task->exit_status = (int)args[0];
    return 0;
}

int64_t sys_exit_group(struct task *task, const uint64_t args[6])
{
    if (task->is_vfork_child)
        host_syscall_quick(SYS_exit_group, args);
    process_exit(task->process, (int)args[0]);
}

void task_leave_main(struct task *task)
{
    uint64_t status = (uint64_t)(unsigned)task->exit_status;

    signals_block(task);
    leave_thread(task);
    signals_adopt(NULL);
    task_destroy(task);
    /* The thread only: the others go on. */
    for (;;)
        host_syscall_quick(SYS_exit, (const uint64_t[6]){status});
}
