/* SPDX-License-Identifier: Apache-2.0
 * What signals do without a handler, stopping and continuing as parents see it, and what
 * sends signals when time has passed: alarm, setitimer, timer_create. */
#include "check.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static const struct rlimit no_core = {0, 0};

/* ---- default actions ---- */

static int action_of(int number)
{
    switch (number) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
    case SIGCONT:
        return 0; /* ignored */
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
        return 1; /* stops */
    default:
        return 2; /* kills */
    }
}

static void test_one_default(int number, int how)
{
    pid_t child = check_fork();
    if (child == 0) {
        /* A group of its own that is no orphan, or else it would not stop. */
        setpgid(0, 0);
        setrlimit(RLIMIT_CORE, &no_core);
        signal(number, SIG_DFL);
        if (how == 0)
            syscall(SYS_kill, getpid(), number);
        else
            syscall(SYS_tgkill, getpid(), gettid(), number);
        _exit(55);
    }
    int status = -1, wanted = 55 << 8;
    waitpid(child, &status, WUNTRACED);
    if (action_of(number) == 1)
        wanted = number << 8 | 0x7f;
    else if (action_of(number) == 2)
        wanted = number;
    check_equal(status, wanted,
                check_name("signal %d by %s without a handler", number, how ? "tgkill" : "kill"));
    if (WIFSTOPPED(status)) {
        kill(child, SIGKILL);
        check_wait(child);
    }
}

static void test_defaults(void)
{
    for (int number = 1; number <= 64; number++) {
        if (number == 32 || number == 33)
            continue; /* the C library's own */
        test_one_default(number, number & 1);
    }
    pid_t child = check_fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        raise(SIGTERM);
        raise(SIGABRT);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        _exit(55);
    }
    check_equal(check_wait(child), SIGABRT, "of blocked signals, the lowest kills when unblocked");
    child = check_fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        abort();
    }
    check_equal(check_wait(child), SIGABRT, "abort kills by SIGABRT, without a core at limit 0");
    child = check_fork();
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        for (;;)
            pause();
    }
    sleep_ms(10);
    kill(child, SIGTERM);
    check_equal(check_wait(child), SIGTERM, "a waiting process dies");
    child = check_fork();
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        for (volatile long i = 0;; i++)
            ;
    }
    sleep_ms(10);
    kill(child, SIGTERM);
    check_equal(check_wait(child), SIGTERM, "a busy process dies");
}

/* ---- stopping ---- */

static volatile sig_atomic_t child_signals;
static siginfo_t child_info;

static void on_child(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    child_info = *info;
    child_signals++;
}

static void wait_for_signals(int count)
{
    for (int i = 0; i < 2000 && child_signals < count; i++)
        sleep_ms(1);
}

static void test_stopping(void)
{
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
    MUST(sigaction(SIGCHLD, &action, NULL));
    pid_t child = check_fork();
    if (child == 0)
        for (;;)
            pause();
    /* A group of its own that is no orphan, or else SIGTSTP would be ignored. */
    MUST(setpgid(child, child));
    int status = -1;
    check_equal(waitpid(child, &status, WNOHANG | WUNTRACED), 0, "a running child has no status");
    kill(child, SIGSTOP);
    check_equal(waitpid(child, &status, WUNTRACED), child, "a stopped child has one");
    check_equal(status, 0x137f, "that tells SIGSTOP");
    wait_for_signals(1);
    check_equal(child_info.si_code, CLD_STOPPED, "SIGCHLD tells CLD_STOPPED");
    check_equal(child_info.si_status, SIGSTOP, "and the signal");
    check_equal(child_info.si_pid, child, "and the child");
    check_equal(waitpid(child, &status, WNOHANG | WUNTRACED), 0, "a status is told once");
    kill(child, SIGCONT);
    check_equal(waitpid(child, &status, WCONTINUED), child, "a continued child has a status");
    check_equal(status, 0xffff, "that says so");
    wait_for_signals(2);
    check_equal(child_info.si_code, CLD_CONTINUED, "SIGCHLD tells CLD_CONTINUED");
    check_equal(child_info.si_status, SIGCONT, "and SIGCONT");

    siginfo_t info;
    memset(&info, 0, sizeof(info));
    kill(child, SIGTSTP);
    check_equal(waitid(P_PID, (id_t)child, &info, WSTOPPED), 0, "waitid waits for stops");
    check_equal(info.si_code * 100 + info.si_status, CLD_STOPPED * 100 + SIGTSTP, "by SIGTSTP");
    kill(child, SIGTERM);
    sleep_ms(5);
    check_equal(waitpid(child, &status, WNOHANG), 0, "a stopped child does not die of SIGTERM");
    kill(child, SIGKILL);
    check_equal(check_wait(child), SIGKILL, "but of SIGKILL");

    child_signals = 0;
    action.sa_flags |= SA_NOCLDSTOP;
    MUST(sigaction(SIGCHLD, &action, NULL));
    child = check_fork();
    if (child == 0) {
        raise(SIGSTOP);
        _exit(3);
    }
    waitpid(child, &status, WUNTRACED);
    check_equal(child_signals, 0, "SA_NOCLDSTOP: no SIGCHLD for a stop");
    kill(child, SIGCONT);
    check_equal(check_wait(child), 3 << 8, "a child goes on behind its SIGSTOP");
    wait_for_signals(1);
    check_equal(child_info.si_code, CLD_EXITED, "SA_NOCLDSTOP: SIGCHLD for the end");

    action = (struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    MUST(sigaction(SIGCHLD, &action, NULL));
    child = check_fork();
    if (child == 0)
        _exit(0);
    check_fails(waitpid(child, &status, 0), ECHILD, "SA_NOCLDWAIT leaves nothing to wait for");
    action.sa_flags = 0;
    MUST(sigaction(SIGCHLD, &action, NULL));
}

/* A handler for SIGCONT runs when the process goes on; one for SIGTSTP instead of a stop. */
static volatile sig_atomic_t noted;

static void note(int number)
{
    noted = noted * 100 + number;
}

static void test_handled_stops(void)
{
    pid_t child = check_fork();
    if (child == 0) {
        setpgid(0, 0);
        signal(SIGCONT, note);
        signal(SIGTSTP, note);
        raise(SIGTSTP);
        raise(SIGSTOP);
        _exit(noted == SIGTSTP * 100 + SIGCONT ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, WUNTRACED);
    check_equal(status, 0x137f, "a handler for SIGTSTP runs and does not stop");
    kill(child, SIGCONT);
    check_equal(check_wait(child), 0, "a handler for SIGCONT runs after a stop");
}

/* ---- timers ---- */

static volatile sig_atomic_t fired;
static siginfo_t fired_info;

static void fire(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    fired++;
    fired_info = *info;
}

static void catch_timer(int number)
{
    struct sigaction action = {.sa_sigaction = fire, .sa_flags = SA_SIGINFO | SA_RESTART};
    MUST(sigaction(number, &action, NULL));
    fired = 0;
}

static void wait_for_fire(int count, long limit_ms)
{
    long end = now_ms() + limit_ms;
    while (fired < count && now_ms() < end)
        sleep_ms(1);
}

static void test_alarm(void)
{
    catch_timer(SIGALRM);
    check_equal(alarm(100), 0, "alarm tells that none was set");
    check_between(alarm(1), 99, 100, "and what was left");
    wait_for_fire(1, 3000);
    check_equal(fired, 1, "it comes after a second");
    check_equal(fired_info.si_code, SI_KERNEL, "from the kernel");
    struct itimerval time = {{0, 20000}, {0, 10000}}, old;
    check_equal(setitimer(ITIMER_REAL, &time, NULL), 0, "setitimer sets a timer");
    fired = 0;
    wait_for_fire(3, 3000);
    CHECK(fired >= 3, "that comes again and again");
    check_equal(getitimer(ITIMER_REAL, &old), 0, "getitimer works");
    check_equal(old.it_interval.tv_usec, 20000, "and tells the interval");
    pid_t child = check_fork();
    if (child == 0) {
        getitimer(ITIMER_REAL, &old);
        _exit(old.it_value.tv_sec != 0 || old.it_value.tv_usec != 0);
    }
    check_equal(check_wait(child), 0, "a child has no timer");
    time = (struct itimerval){{0, 0}, {0, 0}};
    MUST(setitimer(ITIMER_REAL, &time, &old));
    check_equal(old.it_interval.tv_usec, 20000, "setitimer tells the old interval");
    check_fails(setitimer(77, &time, NULL), EINVAL, "setitimer refuses an unknown timer");
    time.it_value.tv_usec = 1000000;
    check_fails(setitimer(ITIMER_REAL, &time, NULL), EINVAL, "a second has 10^6 microseconds");
    check_fails(syscall(SYS_setitimer, ITIMER_REAL, ADDRESSES_END, NULL), EFAULT,
                "a time comes from memory");
    const struct {
        int which, number;
        const char *name;
    } others[] = {{ITIMER_VIRTUAL, SIGVTALRM, "ITIMER_VIRTUAL"},
                  {ITIMER_PROF, SIGPROF, "ITIMER_PROF"}};
    for (size_t i = 0; i < COUNT(others); i++) {
        catch_timer(others[i].number);
        time = (struct itimerval){{0, 0}, {0, 10000}};
        MUST(setitimer(others[i].which, &time, NULL));
        long end = now_ms() + 3000;
        while (!fired && now_ms() < end)
            ;
        check_equal(fired, 1, check_name("%s comes when time was used", others[i].name));
    }
}

static void test_posix_timers(void)
{
    int number = SIGRTMIN + 5;
    catch_timer(number);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                             .sigev_signo = number,
                             .sigev_value.sival_ptr = (void *)0x123456789abc};
    timer_t timer;
    check_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0, "timer_create makes a timer");
    struct itimerspec time = {{0, 0}, {0, 10000000}}, left;
    check_equal(timer_settime(timer, 0, &time, NULL), 0, "timer_settime sets it");
    wait_for_fire(1, 3000);
    check_equal(fired_info.si_code, SI_TIMER, "it sends SI_TIMER");
    check_equal((long)fired_info.si_value.sival_ptr, 0x123456789abc, "with its value");
    check_equal(fired_info.si_overrun, 0, "and no overrun");
    check_equal(timer_gettime(timer, &left), 0, "timer_gettime works");
    check_equal(left.it_value.tv_sec + left.it_value.tv_nsec, 0, "nothing is left");

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, NULL);
    time = (struct itimerspec){{0, 5000000}, {0, 5000000}};
    MUST(timer_settime(timer, 0, &time, NULL));
    sleep_ms(60);
    siginfo_t info;
    MUST(sigwaitinfo(&set, &info));
    check_between(info.si_overrun, 5, 100, "what a blocked signal missed is overrun");
    check_equal(timer_getoverrun(timer), info.si_overrun, "timer_getoverrun tells it, too");
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    check_equal(timer_delete(timer), 0, "timer_delete removes it");
    check_fails(syscall(SYS_timer_delete, 12345), EINVAL, "but not what is none");

    event = (struct sigevent){.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number};
    event.sigev_notify_thread_id = gettid();
    check_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0, "SIGEV_THREAD_ID is understood");
    fired = 0;
    clock_gettime(CLOCK_MONOTONIC, &time.it_value);
    time.it_interval = (struct timespec){0, 0};
    MUST(timer_settime(timer, TIMER_ABSTIME, &time, NULL));
    wait_for_fire(1, 3000);
    check_equal(fired, 1, "an absolute time in the past comes at once");
    MUST(timer_delete(timer));
    event.sigev_notify = SIGEV_NONE;
    MUST(timer_create(CLOCK_REALTIME, &event, &timer));
    time = (struct itimerspec){{0, 0}, {100, 0}};
    MUST(timer_settime(timer, 0, &time, NULL));
    MUST(timer_gettime(timer, &left));
    check_between(left.it_value.tv_sec, 98, 100, "SIGEV_NONE counts only");
    MUST(timer_delete(timer));
    catch_timer(SIGALRM);
    MUST(timer_create(CLOCK_PROCESS_CPUTIME_ID, NULL, &timer));
    time = (struct itimerspec){{0, 0}, {0, 10000000}};
    MUST(timer_settime(timer, 0, &time, NULL));
    long end = now_ms() + 3000;
    while (!fired && now_ms() < end)
        ;
    check_equal(fired, 1, "a timer can count the process's time; its default is SIGALRM");
    check_equal(fired_info.si_code, SI_TIMER, "as SI_TIMER");
    MUST(timer_delete(timer));
    event.sigev_notify = 77;
    check_fails(timer_create(CLOCK_MONOTONIC, &event, &timer), EINVAL, "other ways are refused");
    check_fails(syscall(SYS_timer_create, CLOCK_MONOTONIC, ADDRESSES_END, &timer), EFAULT,
                "an event comes from memory");
}

int main(void)
{
    test_defaults();
    test_stopping();
    test_handled_stops();
    test_alarm();
    test_posix_timers();
    return check_status();
}
