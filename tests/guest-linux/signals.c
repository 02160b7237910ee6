/* SPDX-License-Identifier: Apache-2.0
 * Signals: what handlers are told, masks, queues, stacks, waiting. Interrupted calls are
 * in signal_restart.c, default actions and timers in signal_defaults.c. */
#include "probe.h"

#include <pthread.h>
#include <ucontext.h>

/* The kernel's structure of RISC-V: without a restorer. */
struct kernel_sigaction {
    void *handler;
    unsigned long flags;
    unsigned long mask;
};

#define SEEN_MAX 64
static struct {
    int number;
    siginfo_t info;
    unsigned long mask;    /* blocked while the handler runs */
    unsigned long uc_mask; /* blocked before */
} seen[SEEN_MAX];
static volatile sig_atomic_t seen_count;

static unsigned long blocked(void)
{
    unsigned long mask = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
    return mask;
}

static unsigned long bit(int number)
{
    return 1ul << (number - 1);
}

static void set_blocked(unsigned long mask)
{
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
}

static void note(int number, siginfo_t *info, void *context)
{
    int i = seen_count++;
    if (i >= SEEN_MAX)
        return;
    seen[i].number = number;
    seen[i].info = *info;
    seen[i].mask = blocked();
    memcpy(&seen[i].uc_mask, &((ucontext_t *)context)->uc_sigmask, 8);
}

static void handle(int number, int flags, unsigned long mask)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = flags | SA_SIGINFO};
    memcpy(&action.sa_mask, &mask, 8);
    MUST(sigaction(number, &action, NULL));
    seen_count = 0;
}

/* ---- what a handler is told ---- */

static void test_information(void)
{
    handle(SIGUSR1, 0, 0);
    handle(SIGRTMIN + 1, 0, 0);
    kill(getpid(), SIGUSR1);
    check_equal(seen_count, 1, "kill of oneself delivers before it returns");
    check_equal(seen[0].number, SIGUSR1, "the handler gets the number");
    check_equal(seen[0].info.si_signo, SIGUSR1, "also in the information");
    check_equal(seen[0].info.si_code, SI_USER, "kill: SI_USER");
    check_equal(seen[0].info.si_pid, getpid(), "kill: the sender");
    check_equal(seen[0].info.si_uid, getuid(), "kill: its user");
    check_equal(seen[0].info.si_errno, 0, "kill: no errno");

    union sigval value = {.sival_ptr = (void *)0x1122334455667788};
    seen_count = 0;
    sigqueue(getpid(), SIGRTMIN + 1, value);
    check_equal(seen[0].number, SIGRTMIN + 1, "sigqueue sends a real-time signal");
    check_equal(seen[0].info.si_code, SI_QUEUE, "sigqueue: SI_QUEUE");
    check_equal((long)seen[0].info.si_value.sival_ptr, 0x1122334455667788, "sigqueue: its value");
    check_equal(seen[0].info.si_pid, getpid(), "sigqueue: the sender");

    seen_count = 0;
    syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
    check_equal(seen_count, 1, "tgkill delivers");
    check_equal(seen[0].info.si_code, SI_TKILL, "tgkill: SI_TKILL");
    check_equal(seen[0].info.si_pid, getpid(), "tgkill: the sender");

    siginfo_t own;
    memset(&own, 0, sizeof(own));
    own.si_signo = SIGUSR1;
    own.si_code = -77;
    own.si_value.sival_int = 1234;
    seen_count = 0;
    check_equal(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &own), 0,
                "any information can be sent to oneself");
    check_equal(seen[0].info.si_code, -77, "its code arrives");
    check_equal(seen[0].info.si_value.sival_int, 1234, "and its value");

    handle(SIGCHLD, 0, 0);
    pid_t child = check_fork();
    if (child == 0)
        _exit(33);
    check_wait(child);
    check_equal(seen[0].number, SIGCHLD, "a child's end sends SIGCHLD");
    check_equal(seen[0].info.si_code, CLD_EXITED, "CLD_EXITED");
    check_equal(seen[0].info.si_pid, child, "its pid");
    check_equal(seen[0].info.si_status, 33, "and status");
    seen_count = 0;
    child = check_fork();
    if (child == 0)
        raise(SIGKILL);
    check_wait(child);
    check_equal(seen[0].info.si_code, CLD_KILLED, "CLD_KILLED");
    check_equal(seen[0].info.si_status, SIGKILL, "by SIGKILL");
    signal(SIGCHLD, SIG_DFL);
}

static void test_sending_errors(void)
{
    check_equal(kill(getpid(), 0), 0, "signal 0 only looks");
    check_fails(kill(getpid(), 65), EINVAL, "there is no signal 65");
    check_fails(kill(getpid(), -1), EINVAL, "nor -1");
    check_fails(kill(0x3fffffff, SIGUSR1), ESRCH, "nobody has a very high pid");
    check_fails(syscall(SYS_tgkill, getpid(), 0x3fffffff, SIGUSR1), ESRCH, "nor tid");
    check_fails(syscall(SYS_tgkill, -1, gettid(), SIGUSR1), EINVAL, "tgkill refuses group -1");
    check_fails(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, ADDRESSES_END), EFAULT,
                "information comes from memory");
    siginfo_t info = {.si_code = SI_USER};
    check_fails(syscall(SYS_rt_sigqueueinfo, 1, SIGUSR1, &info), EPERM,
                "nobody can claim that it was the kernel");
}

/* ---- actions ---- */

static void test_actions(void)
{
    handle(SIGUSR1, SA_RESTART | SA_NODEFER, bit(SIGUSR2) | bit(SIGKILL));
    struct kernel_sigaction raw = {0}, old = {0};
    check_equal(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8), 0, "sigaction tells the action");
    check_equal((long)old.handler, (long)note, "its handler");
    check_equal((long)old.flags, SA_RESTART | SA_NODEFER | SA_SIGINFO, "its flags");
    check_equal((long)old.mask, (long)bit(SIGUSR2), "and its mask, without SIGKILL");
    raw.handler = (void *)note;
    raw.flags = SA_SIGINFO | 0x400 | 0x200;
    MUST(syscall(SYS_rt_sigaction, SIGUSR1, &raw, NULL, 8));
    MUST(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8));
    check_equal((long)old.flags, SA_SIGINFO, "unknown flags are dropped");
    check_fails(syscall(SYS_rt_sigaction, SIGKILL, &raw, NULL, 8), EINVAL,
                "SIGKILL has no handler");
    check_fails(syscall(SYS_rt_sigaction, SIGSTOP, &raw, NULL, 8), EINVAL, "nor SIGSTOP");
    check_equal(syscall(SYS_rt_sigaction, SIGKILL, NULL, &old, 8), 0, "their action can be read");
    check_equal((long)old.handler, (long)SIG_DFL, "and is the default");
    check_fails(syscall(SYS_rt_sigaction, 0, &raw, NULL, 8), EINVAL, "signal 0 has no action");
    check_fails(syscall(SYS_rt_sigaction, 65, &raw, NULL, 8), EINVAL, "nor signal 65");
    check_equal(syscall(SYS_rt_sigaction, 64, NULL, &old, 8), 0, "but signal 64");
    check_fails(syscall(SYS_rt_sigaction, SIGUSR1, &raw, NULL, 16), EINVAL, "a mask has 8 bytes");
    check_fails(syscall(SYS_rt_sigaction, SIGUSR1, ADDRESSES_END, NULL, 8), EFAULT,
                "an action comes from memory");
    check_fails(syscall(SYS_rt_sigaction, SIGUSR1, NULL, ADDRESSES_END, 8), EFAULT,
                "and goes to memory");

    handle(SIGUSR1, SA_RESETHAND, 0);
    raise(SIGUSR1);
    MUST(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8));
    check_equal((long)old.handler, (long)SIG_DFL, "SA_RESETHAND restores the default");
    handle(SIGUSR1, 0, 0);
    set_blocked(bit(SIGUSR1));
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    set_blocked(0);
    check_equal(seen_count, 0, "ignoring drops what is pending");
}

static volatile sig_atomic_t depth, deepest, order;

static void nest(int number)
{
    if (++depth > deepest)
        deepest = depth;
    order = order * 10 + depth;
    if (depth < 4)
        raise(number);
    if (depth == 2)
        raise(SIGUSR2);
    depth--;
}

static void nest_other(int number)
{
    (void)number;
    order = order * 10 + 9;
}

static void test_masks(void)
{
    handle(SIGUSR1, 0, bit(SIGUSR2));
    set_blocked(bit(SIGHUP));
    raise(SIGUSR1);
    check_equal((long)seen[0].mask, (long)(bit(SIGHUP) | bit(SIGUSR1) | bit(SIGUSR2)),
                "a handler blocks its signal, its mask and what was blocked");
    check_equal((long)seen[0].uc_mask, (long)bit(SIGHUP), "its context has the mask before");
    check_equal((long)blocked(), (long)bit(SIGHUP), "which is back afterwards");
    handle(SIGUSR1, SA_NODEFER, 0);
    raise(SIGUSR1);
    check_equal((long)seen[0].mask, (long)bit(SIGHUP), "SA_NODEFER does not block its signal");
    set_blocked(bit(SIGKILL) | bit(SIGSTOP) | bit(SIGUSR2));
    check_equal((long)blocked(), (long)bit(SIGUSR2), "SIGKILL and SIGSTOP cannot be blocked");
    unsigned long mask = bit(SIGHUP);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, 8);
    check_equal((long)blocked(), (long)(bit(SIGUSR2) | bit(SIGHUP)), "SIG_BLOCK adds");
    unsigned long old = 0;
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, &old, 8);
    check_equal((long)blocked(), (long)bit(SIGUSR2), "SIG_UNBLOCK takes away");
    check_equal((long)old, (long)(bit(SIGUSR2) | bit(SIGHUP)), "and tells what was");
    check_fails(syscall(SYS_rt_sigprocmask, 9, &mask, NULL, 8), EINVAL, "there is no other way");
    check_fails(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, 4), EINVAL, "nor another size");
    check_fails(syscall(SYS_rt_sigprocmask, SIG_BLOCK, ADDRESSES_END, NULL, 8), EFAULT,
                "a mask comes from memory");
    set_blocked(0);

    struct sigaction action = {.sa_handler = nest, .sa_flags = SA_NODEFER};
    MUST(sigaction(SIGUSR1, &action, NULL));
    signal(SIGUSR2, nest_other);
    raise(SIGUSR1);
    check_equal(deepest, 4, "handlers nest with SA_NODEFER");
    check_equal(order, 12349, "in the order of sending");
    signal(SIGUSR1, nest);
    depth = deepest = order = 0;
    depth = 3;
    raise(SIGUSR1);
    check_equal(order, 4, "and do not without");
}

/* ---- queues ---- */

static void test_queues(void)
{
    int rt = SIGRTMIN + 2;
    handle(rt, 0, ~0ul);
    handle(rt + 1, 0, ~0ul);
    handle(SIGUSR1, 0, ~0ul);
    set_blocked(~0ul);
    for (int i = 0; i < 5; i++) {
        union sigval value = {.sival_int = i};
        sigqueue(getpid(), rt + 1, value);
        value.sival_int = 100 + i;
        sigqueue(getpid(), rt, value);
        kill(getpid(), SIGUSR1);
    }
    unsigned long pending = 0;
    check_equal(syscall(SYS_rt_sigpending, &pending, 8), 0, "sigpending works");
    check_equal((long)pending, (long)(bit(rt) | bit(rt + 1) | bit(SIGUSR1)),
                "and tells what is pending");
    set_blocked(0);
    check_equal(seen_count, 11, "real-time signals queue, others do not");
    /* All frames are pushed before the first handler runs, so the highest number, whose
     * frame is pushed last, would run first without sa_mask; with it, one after the other. */
    check_equal(seen[0].number, SIGUSR1, "the lowest number comes first");
    int wrong = 0;
    for (int i = 0; i < 5; i++) {
        wrong += seen[1 + i].number != rt || seen[1 + i].info.si_value.sival_int != 100 + i;
        wrong += seen[6 + i].number != rt + 1 || seen[6 + i].info.si_value.sival_int != i;
    }
    check_equal(wrong, 0, "each in the order of sending");
    /* sent to a thread before what is sent to the process */
    set_blocked(~0ul);
    seen_count = 0;
    union sigval value = {.sival_int = 1};
    sigqueue(getpid(), rt, value);
    syscall(SYS_tgkill, getpid(), gettid(), rt + 1);
    set_blocked(0);
    check_equal(seen[0].number, rt + 1, "the thread's signals come before the process's");
}

static void test_waiting(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 4);
    handle(SIGUSR2, 0, 0);
    set_blocked(bit(SIGUSR1) | bit(SIGRTMIN + 4));
    siginfo_t info;
    struct timespec time = {0, 30000000};
    long start = now_ms();
    check_fails(sigtimedwait(&set, &info, &time), EAGAIN, "sigtimedwait gives up");
    check_between(now_ms() - start, 29, 2000, "after its time");
    union sigval value = {.sival_int = 55};
    sigqueue(getpid(), SIGRTMIN + 4, value);
    raise(SIGUSR1);
    /* The C library would change the code. */
    check_equal(syscall(SYS_rt_sigtimedwait, &set, &info, &time, 8), SIGUSR1,
                "it takes the lowest");
    check_equal(info.si_code, SI_TKILL, "with its information");
    check_equal(sigwaitinfo(&set, &info), SIGRTMIN + 4, "and then the next");
    check_equal(info.si_value.sival_int, 55, "with its value");
    check_equal(seen_count, 0, "no handler runs");
    pid_t child = check_fork();
    if (child == 0) {
        sleep_ms(30);
        kill(getppid(), SIGUSR2);
        _exit(0);
    }
    time.tv_sec = 5;
    check_fails(sigtimedwait(&set, &info, &time), EINTR, "another signal interrupts it");
    check_equal(seen_count, 1, "after its handler");
    check_wait(child);
    check_fails(syscall(SYS_rt_sigtimedwait, &set, &info, &time, 4), EINVAL, "a set has 8 bytes");
    check_fails(syscall(SYS_rt_sigtimedwait, ADDRESSES_END, &info, &time, 8), EFAULT,
                "and comes from memory");
    time.tv_nsec = -1;
    check_fails(sigtimedwait(&set, &info, &time), EINVAL, "a time is not negative");

    handle(SIGUSR1, 0, 0);
    raise(SIGUSR1);
    unsigned long wait_mask = bit(SIGHUP);
    check_fails(syscall(SYS_rt_sigsuspend, &wait_mask, 8), EINTR, "sigsuspend returns EINTR");
    check_equal(seen_count, 1, "after the handler");
    check_equal((long)seen[0].mask, (long)(bit(SIGHUP) | bit(SIGUSR1)),
                "which runs with the mask of sigsuspend");
    check_equal((long)seen[0].uc_mask, (long)(bit(SIGUSR1) | bit(SIGRTMIN + 4)),
                "and returns to the one before");
    check_equal((long)blocked(), (long)(bit(SIGUSR1) | bit(SIGRTMIN + 4)), "as it does");
    set_blocked(0);
}

/* ---- stacks ---- */

static char stack_memory[65536] __attribute__((aligned(16)));
static struct {
    unsigned long sp;
    int flags;
    stack_t context_stack;
    int change_error;
} on_stack[4];
static volatile int stack_depth;

static void look_at_stack(int number, siginfo_t *info, void *context)
{
    (void)info;
    char here;
    int i = stack_depth++;
    stack_t now = {.ss_sp = NULL};
    sigaltstack(NULL, &now);
    on_stack[i].sp = (unsigned long)&here;
    on_stack[i].flags = now.ss_flags;
    on_stack[i].context_stack = ((ucontext_t *)context)->uc_stack;
    stack_t other = {.ss_sp = stack_memory, .ss_size = 8192};
    on_stack[i].change_error = sigaltstack(&other, NULL) == 0 ? 0 : errno;
    if (i == 0)
        raise(number);
}

static bool is_inside(unsigned long sp)
{
    return sp - (unsigned long)stack_memory < sizeof(stack_memory);
}

static void test_stacks(void)
{
    stack_t stack = {.ss_sp = stack_memory, .ss_size = sizeof(stack_memory)}, old;
    check_equal(sigaltstack(&stack, &old), 0, "sigaltstack sets a stack");
    check_equal(old.ss_flags, SS_DISABLE, "there was none before");
    struct sigaction action = {.sa_sigaction = look_at_stack,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    MUST(sigaction(SIGUSR1, &action, NULL));
    stack_depth = 0;
    raise(SIGUSR1);
    CHECK(is_inside(on_stack[0].sp), "SA_ONSTACK switches to it");
    check_equal(on_stack[0].flags, SS_ONSTACK, "as sigaltstack tells");
    check_equal(on_stack[0].change_error, EPERM, "and it cannot be changed then");
    CHECK(is_inside(on_stack[1].sp) && on_stack[1].sp < on_stack[0].sp,
          "a nested handler goes on below");
    check_equal((long)on_stack[0].context_stack.ss_sp, (long)stack_memory, "the context names it");
    check_equal((long)on_stack[0].context_stack.ss_size, sizeof(stack_memory), "with its size");
    sigaltstack(NULL, &old);
    check_equal(old.ss_flags, 0, "afterwards, it is not in use");
    action.sa_flags = SA_SIGINFO;
    MUST(sigaction(SIGUSR1, &action, NULL));
    stack_depth = 1;
    raise(SIGUSR1);
    CHECK(!is_inside(on_stack[1].sp), "without SA_ONSTACK, the handler stays");
    MUST(sigaltstack(&stack, NULL));
    stack.ss_size = 1000;
    check_fails(sigaltstack(&stack, NULL), ENOMEM, "a stack of 1000 bytes is too small");
    stack.ss_flags = 0x1234;
    check_fails(sigaltstack(&stack, NULL), EINVAL, "unknown flags are refused");
    check_fails(syscall(SYS_sigaltstack, ADDRESSES_END, NULL), EFAULT, "a stack_t is in memory");

    stack = (stack_t){
        .ss_sp = stack_memory, .ss_size = sizeof(stack_memory), .ss_flags = (int)(1u << 31)};
    check_equal(sigaltstack(&stack, NULL), 0, "SS_AUTODISARM is understood");
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    MUST(sigaction(SIGUSR1, &action, NULL));
    stack_depth = 1;
    raise(SIGUSR1);
    CHECK(is_inside(on_stack[1].sp), "the handler runs there");
    check_equal(on_stack[1].flags, SS_DISABLE, "and finds it disabled");
    check_equal(on_stack[1].change_error, 0, "so that it can be changed");
    sigaltstack(NULL, &old);
    check_equal((long)old.ss_size, sizeof(stack_memory), "it is back afterwards");
    check_equal(old.ss_flags, (int)(1u << 31), "with its flag");
    stack.ss_flags = SS_DISABLE;
    check_equal(sigaltstack(&stack, NULL), 0, "SS_DISABLE takes it away");
    stack_depth = 1;
    raise(SIGUSR1);
    CHECK(!is_inside(on_stack[1].sp), "then SA_ONSTACK has no effect");
}

static void *stack_of_thread(void *flags)
{
    stack_t now;
    sigaltstack(NULL, &now);
    *(int *)flags = now.ss_flags;
    return NULL;
}

static void test_stack_inheritance(void)
{
    stack_t stack = {.ss_sp = stack_memory, .ss_size = sizeof(stack_memory)}, now;
    MUST(sigaltstack(&stack, NULL));
    pthread_t thread;
    int flags = -1;
    MUST(-(pthread_create(&thread, NULL, stack_of_thread, &flags) != 0));
    pthread_join(thread, NULL);
    check_equal(flags, SS_DISABLE, "a new thread has no such stack");
    pid_t child = check_fork();
    if (child == 0) {
        sigaltstack(NULL, &now);
        _exit(now.ss_sp != stack_memory || now.ss_flags != 0);
    }
    check_equal(check_wait(child), 0, "a child has its parent's");
    stack.ss_flags = SS_DISABLE;
    MUST(sigaltstack(&stack, NULL));
}

/* ---- frames ---- */

static unsigned long frame_sp, frame_ra;
static bool change_mask;

__attribute__((noinline)) static void look_at_frame(int number, siginfo_t *info, void *context)
{
    (void)number;
    frame_ra = (unsigned long)__builtin_return_address(0);
    frame_sp = (unsigned long)info;
    if (change_mask) {
        unsigned long mask = bit(SIGUSR2);
        memcpy(&((ucontext_t *)context)->uc_sigmask, &mask, 8);
    }
}

static void test_frames(void)
{
    struct sigaction action = {.sa_sigaction = look_at_frame, .sa_flags = SA_SIGINFO};
    MUST(sigaction(SIGUSR1, &action, NULL));
    raise(SIGUSR1);
    check_equal(frame_sp % 16, 0, "frames are aligned to 16 bytes");
    char here;
    CHECK((unsigned long)&here - frame_sp < 8192, "and are on the stack");
    const unsigned char *trampoline = (const unsigned char *)frame_ra;
    check_bytes(trampoline, "\x93\x08\xb0\x08\x73\x00\x00\x00", 8,
                "handlers return to: li a7, 139; ecall");
    change_mask = true;
    raise(SIGUSR1);
    check_equal((long)blocked(), (long)bit(SIGUSR2),
                "a handler can change the mask by its context");
    set_blocked(0);
    handle(SIGUSR1, 0, 0);
    for (int i = 0; i < 20000; i++)
        raise(SIGUSR1);
    check_equal(seen_count, 20000, "20000 signals in a row arrive");
}

/* ---- faults and their signals, sent ---- */

static void test_sent_faults(void)
{
    const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        int number = numbers[i];
        handle(number, 0, 0);
        kill(getpid(), number);
        check_equal(seen_count * 100 + seen[0].info.si_code, 100 + SI_USER,
                    check_name("signal %d that is sent is like others", number));
        seen_count = 0;
        set_blocked(bit(number));
        kill(getpid(), number);
        unsigned long pending = 0;
        syscall(SYS_rt_sigpending, &pending, 8);
        check_equal((long)pending, (long)bit(number),
                    check_name("signal %d that is sent can be blocked", number));
        check_equal(seen_count, 0, check_name("signal %d waits", number));
        set_blocked(0);
        check_equal(seen_count, 1, check_name("signal %d comes when unblocked", number));
        check_equal(seen[0].info.si_pid, getpid(), check_name("signal %d has its sender", number));
        signal(number, SIG_IGN);
        kill(getpid(), number);
        signal(number, SIG_DFL);
    }
    probe_start();
    long good = 0;
    for (int i = 0; i < 2000; i++)
        good += probe(probe_read, (void *)PAGE) == MAPERR;
    check_equal(good, 2000, "siglongjmp leaves a fault's handler 2000 times");
}

static void test_division(void)
{
    handle(SIGFPE, 0, 0);
    volatile long zero = 0, one = 1, minus = -1, least = LONG_MIN;
    long quotient, rest;
    asm volatile("div %0, %1, %2" : "=r"(quotient) : "r"(one), "r"(zero));
    check_equal(quotient, -1, "1 / 0 is -1");
    asm volatile("rem %0, %1, %2" : "=r"(rest) : "r"(one), "r"(zero));
    check_equal(rest, 1, "1 mod 0 is 1");
    asm volatile("div %0, %1, %2" : "=r"(quotient) : "r"(least), "r"(minus));
    check_equal(quotient, LONG_MIN, "the least number / -1 is itself");
    asm volatile("remw %0, %1, %2" : "=r"(rest) : "r"((long)INT_MIN), "r"(minus));
    check_equal(rest, 0, "and leaves nothing");
    volatile double none = 0, some = 1;
    volatile double infinite = some / none;
    CHECK(infinite > 1e308, "1.0 / 0.0 is infinite");
    check_equal(seen_count, 0, "none of it sends SIGFPE");
}

int main(void)
{
    test_information();
    test_sending_errors();
    test_actions();
    test_masks();
    test_queues();
    test_waiting();
    test_stacks();
    test_stack_inheritance();
    test_frames();
    test_sent_faults();
    test_division();
    return check_status();
}
