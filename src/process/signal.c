/* SPDX-License-Identifier: Apache-2.0
 * Signals. What the program ignores or leaves to its default, the host's kernel ignores or
 * does; for the rest one handler of ours is installed:
 *
 *     kernel --> on_signal: notes one signal in the task, blocks all others, kicks
 *     task_run, at the next instruction where nothing is under way --> signals_deliver:
 *         frame on the program's stack, mask of the handler --> the kernel may send the next
 *
 * So the kernel keeps queues, masks and groups, and a signal is delivered between two
 * guest instructions. SIGSEGV and SIGBUS are never blocked for the host: they also tell
 * about accesses to guest memory that went wrong. */
#include "process/signal_frame.h"

#include "base/log.h"
#include "process/debugger.h"
#include "process/host_call.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define MODULE "process"

#define BIT_OF(signal) (UINT64_C(1) << ((signal)-1))
#define ALL_SIGNALS    UINT64_MAX
#define UNBLOCKABLE    (BIT_OF(SIGKILL) | BIT_OF(SIGSTOP))
/* Never blocked for the host. */
#define OURS           (BIT_OF(SIGSEGV) | BIT_OF(SIGBUS))

/* By default the end of the process: gdb is told before that. */
#define DEADLY                                                                               \
    (~(UNBLOCKABLE | BIT_OF(SIGCHLD) | BIT_OF(SIGCONT) | BIT_OF(SIGTSTP) | BIT_OF(SIGTTIN) | \
       BIT_OF(SIGTTOU) | BIT_OF(SIGURG) | BIT_OF(SIGWINCH)))

#define GUEST_SIG_DFL 0
#define GUEST_SIG_IGN 1
/* Bits of sa_flags that are the program's affair alone, or the kernel's. */
#define KERNEL_FLAGS  (SA_NOCLDSTOP | SA_NOCLDWAIT)
#define KNOWN_FLAGS                                                                           \
    ((uint64_t)(unsigned)(KERNEL_FLAGS | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER) | \
     (uint64_t)SA_RESETHAND)
#define HOST_SA_RESTORER 0x04000000u

#define GUEST_SS_ONSTACK    1
#define GUEST_SS_DISABLE    2
#define GUEST_SS_AUTODISARM (1u << 31)
#define GUEST_MINSIGSTKSZ   2048

/* The kernel's struct sigaction of x86-64. */
struct host_sigaction {
    uintptr_t handler;
    uint64_t flags;
    uintptr_t restorer;
    uint64_t mask;
};

void signal_restorer(void);
__asm__(".text\n"
        ".hidden signal_restorer\n"
        ".globl signal_restorer\n"
        "signal_restorer:\n"
        "    mov $15, %eax\n" /* rt_sigreturn */
        "    syscall\n");

/* The only thing that the handler of a signal knows of. */
static _Thread_local struct task *current;

struct task *task_current(void)
{
    return current;
}

void signals_adopt(struct task *task)
{
    current = task;
}

/* ---- the host's side ---- */

static void host_action(int signal, const struct host_sigaction *action, struct host_sigaction *old)
{
    const uint64_t args[6] = {(uint64_t)signal, (uint64_t)(uintptr_t)action,
                              (uint64_t)(uintptr_t)old, sizeof(uint64_t)};

    host_syscall_quick(SYS_rt_sigaction, args);
}

static void host_set_mask(uint64_t mask)
{
    const uint64_t args[6] = {SIG_SETMASK, (uint64_t)(uintptr_t)&mask, 0, sizeof(uint64_t)};

    host_syscall_quick(SYS_rt_sigprocmask, args);
}

uint64_t signals_host_mask(uint64_t mask)
{
    return mask & ~OURS;
}

static uint64_t *mask_of(ucontext_t *uc)
{
    return (uint64_t *)(void *)&uc->uc_sigmask;
}

/* An access to guest memory went wrong: true when the thread knows how to go on. */
static bool recover(struct task *task, const siginfo_t *info, ucontext_t *uc)
{
    greg_t *rip = &uc->uc_mcontext.gregs[REG_RIP];
    uintptr_t resume = guest_memory_fixup((uintptr_t)*rip);

    if (!task)
        return false;
    if (!resume &&
        (!task->process->translator ||
         !translator_recover(task->process->translator, task->hart, (uintptr_t)*rip, &resume)))
        return false;
    task->fault = *info;
    *rip = (greg_t)resume;
    return true;
}

static void note_pending(struct task *task, const siginfo_t *info, ucontext_t *uc)
{
    int signal = info->si_signo;
    greg_t *gregs = uc->uc_mcontext.gregs;

    if ((BIT_OF(signal) & OURS) && ((task->signal_mask & BIT_OF(signal)) || task->signal_pending)) {
        if (!(task->pending_blocked & BIT_OF(signal)))
            task->blocked_info[signal == SIGBUS] = *info;
        task->pending_blocked |= BIT_OF(signal);
        return;
    }
    task->pending_info = *info;
    atomic_store(&task->signal_pending, 1);
    hart_request(task->hart, HART_REQUEST_LOOK);
    *mask_of(uc) = signals_host_mask(ALL_SIGNALS);
    uintptr_t resume = host_call_fixup((uintptr_t)gregs[REG_RIP], (uintptr_t)gregs[REG_RCX]);
    if (resume)
        gregs[REG_RIP] = (greg_t)resume;
}

/* A fault that is ours: the default action, at the same instruction. */
static void die_of_own_fault(int signal, const ucontext_t *uc)
{
    static const struct host_sigaction fallback = {0};

    log_error(MODULE, "doppel itself got signal %d at %lx, guest pc %lx", signal,
              (unsigned long)uc->uc_mcontext.gregs[REG_RIP],
              current ? (unsigned long)current->hart->pc : 0ul);
    host_action(signal, &fallback, NULL);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    struct task *task = current;

    if ((BIT_OF(signal) & OURS) && info->si_code > 0) {
        if (!recover(task, info, uc))
            die_of_own_fault(signal, uc);
    } else if (task) {
        note_pending(task, info, uc);
    }
}

static void install(int signal, uint64_t flags)
{
    const struct host_sigaction action = {
        .handler = (uintptr_t)on_signal,
        .flags =
            (flags & (uint64_t)(unsigned)KERNEL_FLAGS) | SA_SIGINFO | SA_RESTART | HOST_SA_RESTORER,
        .restorer = (uintptr_t)signal_restorer,
        .mask = signals_host_mask(ALL_SIGNALS),
    };

    host_action(signal, &action, NULL);
}

/* The host's action for what the program wants. */
static void pass_on(int signal, const struct guest_sigaction *action, bool is_debugged)
{
    const struct host_sigaction plain = {.handler = action->handler,
                                         .flags = (action->flags & (uint64_t)KERNEL_FLAGS) |
                                                  HOST_SA_RESTORER,
                                         .restorer = (uintptr_t)signal_restorer};

    if (BIT_OF(signal) & OURS)
        return;
    if (is_debugged && action->handler == GUEST_SIG_DFL && (BIT_OF(signal) & DEADLY))
        install(signal, 0);
    else if (action->handler == GUEST_SIG_DFL || action->handler == GUEST_SIG_IGN)
        host_action(signal, &plain, NULL);
    else
        install(signal, action->flags);
}

/* Signals that the C library uses for its threads. */
#define FIRST_OF_THREADS 32
#define LAST_OF_THREADS  33

void signals_after_thread(struct process *process)
{
    pthread_mutex_lock(&process->actions_lock);
    for (int signal = FIRST_OF_THREADS; signal <= LAST_OF_THREADS; signal++)
        pass_on(signal, &process->actions[signal], process->debugger);
    pthread_mutex_unlock(&process->actions_lock);
}

int signals_start(struct process *process, struct error *err)
{
    (void)err;
    for (int signal = 1; signal <= GUEST_SIGNALS; signal++) {
        struct host_sigaction old = {0};
        host_action(signal, NULL, &old);
        process->actions[signal].handler =
            old.handler == (uintptr_t)SIG_IGN ? GUEST_SIG_IGN : GUEST_SIG_DFL;
        if (old.handler != (uintptr_t)SIG_IGN)
            process->actions[signal].flags = 0;
    }
    install(SIGSEGV, 0);
    install(SIGBUS, 0);
    return 0;
}

void signals_debug(struct process *process, bool is_debugged)
{
    pthread_mutex_lock(&process->actions_lock);
    for (int signal = 1; signal <= GUEST_SIGNALS; signal++)
        if (process->actions[signal].handler == GUEST_SIG_DFL && (BIT_OF(signal) & DEADLY))
            pass_on(signal, &process->actions[signal], is_debugged);
    pthread_mutex_unlock(&process->actions_lock);
}

/* ---- masks ---- */

void signals_adopt_mask(struct task *task)
{
    uint64_t mask = 0;
    const uint64_t args[6] = {SIG_SETMASK, 0, (uint64_t)(uintptr_t)&mask, sizeof(mask)};

    host_syscall_quick(SYS_rt_sigprocmask, args);
    task->signal_mask = mask;
    if (mask & OURS)
        host_set_mask(signals_host_mask(mask));
}

bool signals_block(struct task *task)
{
    host_set_mask(signals_host_mask(ALL_SIGNALS));
    return !atomic_load(&task->signal_pending);
}

/* SIGSEGV and SIGBUS that waited here, and may come now. */
static void take_blocked(struct task *task)
{
    uint64_t ready = task->pending_blocked & ~task->signal_mask;

    if (!ready || atomic_load(&task->signal_pending))
        return;
    int signal = ready & BIT_OF(SIGSEGV) ? SIGSEGV : SIGBUS;
    task->pending_blocked &= ~BIT_OF(signal);
    task->pending_info = task->blocked_info[signal == SIGBUS];
    host_set_mask(signals_host_mask(ALL_SIGNALS));
    atomic_store(&task->signal_pending, 1);
}

void signals_set_mask(struct task *task, uint64_t mask)
{
    task->signal_mask = mask & ~UNBLOCKABLE;
    task->has_saved_mask = false;
    take_blocked(task);
    if (!atomic_load(&task->signal_pending))
        host_set_mask(signals_host_mask(task->signal_mask));
}

bool signals_before_exec(struct task *task)
{
    static const struct host_sigaction ignore = {.handler = (uintptr_t)SIG_IGN};
    const struct process *process = task->process;

    if (!signals_block(task))
        return false;
    if (process->actions[SIGSEGV].handler == GUEST_SIG_IGN)
        host_action(SIGSEGV, &ignore, NULL);
    if (process->actions[SIGBUS].handler == GUEST_SIG_IGN)
        host_action(SIGBUS, &ignore, NULL);
    /* A signal that comes only now finds a program that is being replaced, or is taken
     * when it is not. */
    host_set_mask(task->signal_mask);
    return true;
}

void signals_after_exec(struct task *task)
{
    install(SIGSEGV, 0);
    install(SIGBUS, 0);
    signals_block(task);
    signals_set_mask(task, task->signal_mask);
}

int call_mask_begin(struct task *task, uint64_t at, uint64_t size, struct call_mask *mask)
{
    (void)task;
    mask->pointer = NULL;
    if (!at)
        return 0;
    if (size != sizeof(uint64_t))
        return -EINVAL;
    if (guest_read(&mask->mask, at, sizeof(mask->mask)) < 0)
        return -EFAULT;
    mask->mask = signals_host_mask(mask->mask & ~UNBLOCKABLE);
    mask->pointer = &mask->mask;
    return 0;
}

/* The handler, if one runs now, does so with the mask of the call. */
void call_mask_end(struct task *task, const struct call_mask *mask, int64_t result)
{
    if (!mask->pointer || result != -EINTR || !atomic_load(&task->signal_pending))
        return;
    task->saved_mask = task->signal_mask;
    task->signal_mask = mask->mask;
    task->has_saved_mask = true;
}

/* ---- frames ---- */

static bool is_on_altstack(const struct task *task, uint64_t sp)
{
    const struct guest_sigaltstack *stack = &task->altstack;

    if ((uint32_t)stack->flags & GUEST_SS_AUTODISARM)
        return false;
    return sp > stack->sp && sp - stack->sp <= stack->size;
}

static uint64_t frame_address(const struct task *task, const struct guest_sigaction *action)
{
    uint64_t sp = task->hart->x[2];

    if (is_on_altstack(task, sp)) {
        /* An overflow of the alternate stack must not be written below it. */
        if (sp - sizeof(struct guest_sigframe) <= task->altstack.sp)
            return 0;
    } else if ((action->flags & SA_ONSTACK) && task->altstack.size) {
        sp = task->altstack.sp + task->altstack.size;
    }
    return (sp - sizeof(struct guest_sigframe)) & ~UINT64_C(15);
}

static void save_context(const struct task *task, struct guest_ucontext *uc)
{
    const struct hart *hart = task->hart;

    uc->stack = task->altstack;
    if (is_on_altstack(task, hart->x[2]))
        uc->stack.flags |= GUEST_SS_ONSTACK;
    else if (!uc->stack.size)
        uc->stack.flags |= GUEST_SS_DISABLE;
    uc->sigmask = task->has_saved_mask ? task->saved_mask : task->signal_mask;
    uc->mcontext.pc = hart->pc;
    memcpy(uc->mcontext.x, &hart->x[1], sizeof(uc->mcontext.x));
    memcpy(uc->mcontext.f, hart->f, sizeof(uc->mcontext.f));
    uc->mcontext.fcsr = hart->fflags | hart->frm << 5;
}

/* Enters the handler. All signals are blocked, and stay so but for what the handler lets
 * through. */
static void enter_handler(struct task *task, const siginfo_t *info,
                          const struct guest_sigaction *action)
{
    struct guest_sigframe frame = {0};
    struct hart *hart = task->hart;
    uint64_t at = frame_address(task, action);
    int signal = info->si_signo;

    memcpy(frame.info, info, sizeof(frame.info));
    save_context(task, &frame.uc);
    if (!at || guest_write(at, &frame, sizeof(frame)) < 0)
        process_die(SIGSEGV);
    hart->x[1] = task->process->vdso_sigreturn;
    hart->x[2] = at;
    hart->x[10] = (uint64_t)signal;
    hart->x[11] = at + offsetof(struct guest_sigframe, info);
    hart->x[12] = at + offsetof(struct guest_sigframe, uc);
    hart->pc = action->handler;
    hart->reserved_at = 0;
    if ((uint32_t)task->altstack.flags & GUEST_SS_AUTODISARM)
        task->altstack = (struct guest_sigaltstack){.flags = GUEST_SS_DISABLE};
    uint64_t mask = task->signal_mask | action->mask;
    if (!(action->flags & SA_NODEFER))
        mask |= BIT_OF(signal);
    signals_set_mask(task, mask);
}

/* The program's action, which is over with SA_RESETHAND. */
static struct guest_sigaction take_action(struct process *process, int signal)
{
    pthread_mutex_lock(&process->actions_lock);
    struct guest_sigaction action = process->actions[signal];
    if (action.handler > GUEST_SIG_IGN && (action.flags & (uint64_t)SA_RESETHAND)) {
        process->actions[signal].handler = GUEST_SIG_DFL;
        pass_on(signal, &process->actions[signal], process->debugger);
    }
    pthread_mutex_unlock(&process->actions_lock);
    return action;
}

/* The program took its handler away while the signal was on its way. */
static void do_default(struct task *task, const siginfo_t *info)
{
    const uint64_t args[6] = {(uint64_t)getpid(), (uint64_t)gettid(), (uint64_t)info->si_signo,
                              (uint64_t)(uintptr_t)info};

    if (BIT_OF(info->si_signo) & (task->process->debugger ? OURS | DEADLY : OURS))
        process_die(info->si_signo);
    /* Again, and the host does what is due once it is unblocked. */
    host_syscall_quick(SYS_rt_tgsigqueueinfo, args);
}

/* How the interrupted call ends for the program that gets `action`. */
static void end_call(struct task *task, const struct guest_sigaction *action)
{
    struct hart *hart = task->hart;

    if (action->flags & SA_RESTART)
        return;
    hart->x[10] = (uint64_t)-EINTR;
    hart->pc += 4;
}

/* Lets gdb see the signal, and change it. False: the task does not get it. */
static bool ask_debugger(struct task *task, siginfo_t *info)
{
    if (LIKELY(!task->process->debugger))
        return true;
    int signal = debugger_on_signal(task, info->si_signo);
    if (signal != info->si_signo)
        *info = (siginfo_t){.si_signo = signal, .si_code = SI_USER};
    return signal != 0;
}

void signals_deliver(struct task *task, bool restart)
{
    while (atomic_load(&task->signal_pending)) {
        siginfo_t info = task->pending_info;
        atomic_store(&task->signal_pending, 0);
        if (task->process->config.strace)
            trace_signal(task, info.si_signo, &info);
        if (!ask_debugger(task, &info)) {
            signals_set_mask(task, task->has_saved_mask ? task->saved_mask : task->signal_mask);
            continue;
        }
        struct guest_sigaction action = take_action(task->process, info.si_signo);
        if (action.handler > GUEST_SIG_IGN) {
            if (restart)
                end_call(task, &action);
            restart = false;
            enter_handler(task, &info, &action);
            continue;
        }
        if (action.handler == GUEST_SIG_DFL)
            do_default(task, &info);
        signals_set_mask(task, task->has_saved_mask ? task->saved_mask : task->signal_mask);
    }
}

void signals_raise_fault(struct task *task, int signal, int code, uint64_t address)
{
    siginfo_t info = {.si_signo = signal, .si_code = code};

    info.si_addr = guest_host(address);
    /* What is pending besides is delivered next. */
    signals_block(task);
    if (task->process->config.strace)
        trace_signal(task, signal, &info);
    if (!ask_debugger(task, &info)) {
        signals_set_mask(task, task->signal_mask);
        return;
    }
    signal = info.si_signo;
    struct guest_sigaction action = take_action(task->process, signal);
    if (action.handler <= GUEST_SIG_IGN || (task->signal_mask & BIT_OF(signal)))
        process_die(signal);
    enter_handler(task, &info, &action);
}

/* ---- system calls ---- */

int64_t sys_rt_sigreturn(struct task *task, const uint64_t args[6])
{
    struct hart *hart = task->hart;
    struct guest_ucontext uc;

    (void)args;
    if (!signals_block(task))
        return SYSCALL_AGAIN;
    if (guest_read(&uc, hart->x[2] + offsetof(struct guest_sigframe, uc), sizeof(uc)) < 0)
        process_die(SIGSEGV);
    hart->pc = uc.mcontext.pc & ~UINT64_C(1);
    memcpy(&hart->x[1], uc.mcontext.x, sizeof(uc.mcontext.x));
    memcpy(hart->f, uc.mcontext.f, sizeof(uc.mcontext.f));
    hart->fflags = uc.mcontext.fcsr & 0x1f;
    hart->frm = uc.mcontext.fcsr >> 5 & 7;
    if (!is_on_altstack(task, hart->x[2]) || (uc.stack.flags & (int32_t)GUEST_SS_AUTODISARM)) {
        task->altstack = uc.stack;
        task->altstack.flags &= ~(GUEST_SS_ONSTACK | GUEST_SS_DISABLE);
        if (uc.stack.flags & GUEST_SS_DISABLE)
            task->altstack = (struct guest_sigaltstack){0};
    }
    signals_set_mask(task, uc.sigmask);
    return SYSCALL_NO_RESULT;
}

int64_t sys_rt_sigaction(struct task *task, const uint64_t args[6])
{
    struct process *process = task->process;
    uint64_t signal = args[0];
    struct guest_sigaction action;

    if (args[3] != sizeof(action.mask))
        return -EINVAL;
    if (args[1] && guest_read(&action, args[1], sizeof(action)) < 0)
        return -EFAULT;
    if (signal < 1 || signal > GUEST_SIGNALS || (args[1] && (BIT_OF(signal) & UNBLOCKABLE)))
        return -EINVAL;
    pthread_mutex_lock(&process->actions_lock);
    struct guest_sigaction old = process->actions[signal];
    if (args[1]) {
        action.mask &= ~UNBLOCKABLE;
        action.flags &= KNOWN_FLAGS;
        process->actions[signal] = action;
        pass_on((int)signal, &action, process->debugger);
    }
    pthread_mutex_unlock(&process->actions_lock);
    return args[2] ? guest_write(args[2], &old, sizeof(old)) : 0;
}

int64_t sys_rt_sigprocmask(struct task *task, const uint64_t args[6])
{
    uint64_t old = task->signal_mask;
    uint64_t mask;

    if (args[3] != sizeof(mask))
        return -EINVAL;
    if (args[1]) {
        if (guest_read(&mask, args[1], sizeof(mask)) < 0)
            return -EFAULT;
        if (args[0] != SIG_BLOCK && args[0] != SIG_UNBLOCK && args[0] != SIG_SETMASK)
            return -EINVAL;
        if (!signals_block(task))
            return SYSCALL_AGAIN;
        if (args[0] == SIG_BLOCK)
            mask |= old;
        else if (args[0] == SIG_UNBLOCK)
            mask = old & ~mask;
        signals_set_mask(task, mask);
    }
    return args[2] ? guest_write(args[2], &old, sizeof(old)) : 0;
}

int64_t sys_rt_sigpending(struct task *task, const uint64_t args[6])
{
    uint64_t mask = 0;
    const uint64_t values[6] = {(uint64_t)(uintptr_t)&mask, sizeof(mask)};

    if (args[1] > sizeof(mask))
        return -EINVAL;
    int64_t result = host_syscall_quick(SYS_rt_sigpending, values);
    if (result < 0)
        return result;
    mask = (mask & task->signal_mask) | task->pending_blocked;
    return guest_write(args[0], &mask, args[1]);
}

int64_t sys_rt_sigsuspend(struct task *task, const uint64_t args[6])
{
    struct call_mask mask;

    if (args[1] != sizeof(mask.mask) || !args[0])
        return args[1] != sizeof(mask.mask) ? -EINVAL : -EFAULT;
    int result = call_mask_begin(task, args[0], args[1], &mask);
    if (result < 0)
        return result;
    int64_t answer =
        HOST_SYSCALL(task, SYS_rt_sigsuspend, (uint64_t)(uintptr_t)mask.pointer, sizeof(mask.mask));
    call_mask_end(task, &mask, answer);
    return answer;
}

int64_t sys_sigaltstack(struct task *task, const uint64_t args[6])
{
    struct guest_sigaltstack stack;
    struct guest_sigaltstack old = task->altstack;
    bool is_active = is_on_altstack(task, task->hart->x[2]);

    old.flags |= is_active ? GUEST_SS_ONSTACK : old.size ? 0 : GUEST_SS_DISABLE;
    if (args[0]) {
        if (guest_read(&stack, args[0], sizeof(stack)) < 0)
            return -EFAULT;
        uint32_t mode = (uint32_t)stack.flags & ~GUEST_SS_AUTODISARM;
        if (is_active)
            return -EPERM;
        if (mode != GUEST_SS_DISABLE && mode != GUEST_SS_ONSTACK && mode != 0)
            return -EINVAL;
        if (mode == GUEST_SS_DISABLE)
            stack = (struct guest_sigaltstack){.flags = stack.flags & (int32_t)GUEST_SS_AUTODISARM};
        else if (stack.size < GUEST_MINSIGSTKSZ)
            return -ENOMEM;
        stack.flags &= (int32_t)GUEST_SS_AUTODISARM;
        stack.pad = 0;
        task->altstack = stack;
    }
    return args[1] ? guest_write(args[1], &old, sizeof(old)) : 0;
}
