/* SPDX-License-Identifier: Apache-2.0
 * Processes: making them, waiting for them, their groups, limits and other properties.
 * Executing programs is in execution.c. */
#include "check.h"

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/times.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int global = 5;

static void test_fork(void)
{
    int *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t me = getpid(), child = check_fork();
    if (child == 0) {
        shared[0] = getppid();
        shared[1] = getpid();
        shared[2] = gettid();
        global = 6;
        _exit(0);
    }
    check_equal(check_wait(child), 0, "a forked child ends");
    check_equal(shared[0], me, "its parent is this process");
    check_equal(shared[1], child, "its pid is what fork returned");
    check_equal(shared[2], child, "and so is its thread's id");
    check_equal(global, 5, "its memory was its own");
    for (int code = 0; code < 300; code += 51) {
        child = check_fork();
        if (child == 0)
            _exit(code);
        check_equal(check_wait(child), (code & 0xff) << 8, check_name("exit code %d", code));
    }
    long failed = 0;
    for (int i = 0; i < 100; i++) {
        child = check_fork();
        if (child == 0)
            _exit(i);
        failed += check_wait(child) != i << 8;
    }
    check_equal(failed, 0, "100 children come and go");
    int fd = must_make_file("shared", "0123456789");
    lseek(fd, 0, SEEK_SET);
    child = check_fork();
    if (child == 0) {
        char bytes[4];
        _exit(read(fd, bytes, 4) != 4);
    }
    check_wait(child);
    check_equal(lseek(fd, 0, SEEK_CUR), 4, "files that are open share their offset");
    close(fd);
    unlink("shared");
    munmap(shared, PAGE);
}

/* A pipe's buffered text is not written twice; exit handlers run in exit, not _exit. */
static void leave_mark(void)
{
    close(must_make_file("mark", ""));
}

static void exit_with_handler(void)
{
    atexit(leave_mark);
    exit(3);
}

static void test_exit_handlers(void)
{
    check_equal(check_in_child(exit_with_handler), 3 << 8, "exit returns its code");
    check_equal(access("mark", F_OK), 0, "after its handlers");
    unlink("mark");
}

static void test_vfork(void)
{
    static volatile int changed;
    changed = 0;
    long start = now_ms();
    pid_t child = vfork();
    if (child == 0) {
        changed = getpid();
        sleep_ms(30);
        _exit(8);
    }
    long took = now_ms() - start;
    check_equal(changed, child, "vfork's child shares the memory");
    CHECK(took >= 29, "and the parent waits until it ends");
    check_equal(check_wait(child), 8 << 8, "its code is told");
    volatile long failed = 0;
    for (volatile int i = 0; i < 50; i++) {
        child = vfork();
        if (child == 0)
            _exit(i);
        failed += check_wait(child) != i << 8;
    }
    check_equal(failed, 0, "vfork can be called 50 times");
}

static char child_stack[65536] __attribute__((aligned(16)));
static volatile int child_argument;

static int run_on_stack(void *argument)
{
    child_argument = *(int *)argument;
    return 21;
}

static void test_clone(void)
{
    int value = 77, tid = 0;
    child_argument = 0;
    char *top = child_stack + sizeof(child_stack);
    pid_t child = clone(run_on_stack, top, CLONE_VM | CLONE_VFORK | SIGCHLD, &value);
    check_equal(check_wait(child), 21 << 8, "clone runs a function on a stack");
    check_equal(child_argument, 77, "which shares the memory with CLONE_VM");
    child_argument = 0;
    child = clone(run_on_stack, top, SIGCHLD, &value);
    check_equal(check_wait(child), 21 << 8, "also without");
    check_equal(child_argument, 0, "but then not its memory");
    child = clone(run_on_stack, top, CLONE_PARENT_SETTID | SIGCHLD, &value, &tid);
    check_equal(tid, child, "CLONE_PARENT_SETTID tells the pid");
    check_wait(child);
    child = clone(run_on_stack, top, 0, &value);
    int status = 0;
    check_fails(waitpid(child, &status, 0), ECHILD, "a child without signal is no usual child");
    check_equal(waitpid(child, &status, __WALL), child, "but can be waited for with __WALL");
    child = clone(run_on_stack, top, CLONE_FILES | CLONE_FS | SIGCHLD, &value);
    check_equal(check_wait(child), 21 << 8, "files and folders can be shared");
}

static void test_waiting(void)
{
    int status = 77;
    check_fails(waitpid(-1, &status, WNOHANG), ECHILD,
                "without children, there is nothing to wait");
    pid_t child = check_fork();
    if (child == 0) {
        for (volatile long i = 0; i < 3000000; i++)
            ;
        _exit(5);
    }
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    check_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0, "waitid waits");
    check_equal(info.si_pid, child, "for the child");
    check_equal(info.si_status * 100 + info.si_code, 500 + CLD_EXITED, "and tells how it ended");
    check_equal(info.si_signo, SIGCHLD, "as for SIGCHLD");
    struct rusage usage;
    memset(&usage, 0xff, sizeof(usage));
    check_equal(wait4(child, &status, 0, &usage), child, "WNOWAIT left it for wait4");
    long used_us = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    CHECK(usage.ru_utime.tv_sec < 10 && used_us > 0, "which tells the time it used");
    CHECK(usage.ru_maxrss > 0, "and its memory");
    check_fails(waitpid(child, &status, 0), ECHILD, "after that, it is gone");
    check_fails(waitpid(-1, &status, 0x40), EINVAL, "unknown options are refused");
    check_fails(waitid(P_PID, (id_t)child, &info, 0), EINVAL, "waitid wants something to wait for");

    pid_t children[3];
    int fds[2];
    MUST(pipe(fds));
    for (int i = 0; i < 3; i++) {
        children[i] = check_fork();
        if (children[i] == 0) {
            char byte;
            close(fds[1]);
            _exit(read(fds[0], &byte, 1) == 0 ? i : 99);
        }
    }
    check_equal(waitpid(-1, &status, WNOHANG), 0, "WNOHANG does not wait");
    close(fds[1]);
    close(fds[0]);
    int sum = 0;
    for (int i = 0; i < 3; i++) {
        pid_t got = wait(&status);
        for (int n = 0; n < 3; n++)
            sum += got == children[n] && status == n << 8 ? 1 << n : 0;
    }
    check_equal(sum, 7, "wait finds each of three children once");
    check_fails(syscall(SYS_wait4, -1, ADDRESSES_END, 0, NULL), ECHILD,
                "without children, no pointer matters");
    child = check_fork();
    if (child == 0)
        _exit(0);
    check_fails(syscall(SYS_wait4, child, ADDRESSES_END, 0, NULL), EFAULT,
                "with one, the status must go somewhere");
    struct rusage of_children;
    check_equal(getrusage(RUSAGE_CHILDREN, &of_children), 0, "RUSAGE_CHILDREN works");
    CHECK(of_children.ru_utime.tv_sec * 1000000 + of_children.ru_utime.tv_usec > 0,
          "and sums up what the children used");
}

static void test_groups(void)
{
    int fds[2];
    MUST(pipe(fds));
    pid_t child = check_fork();
    if (child == 0) {
        check_equal(setpgid(0, 0), 0, "setpgid makes a group");
        check_equal(getpgrp(), getpid(), "named like the process");
        check_equal(setsid(), -1, "its leader cannot make a session");
        pid_t grandchild = check_fork();
        if (grandchild == 0) {
            pid_t session = setsid();
            check_equal(session, getpid(), "its child can");
            check_equal(getsid(0), getpid(), "and getsid tells it");
            check_equal(getpgid(0), getpid(), "with a group of its own");
            _exit(check_status());
        }
        check_equal(check_wait(grandchild), 0, "the grandchild is content");
        MUST(write(fds[1], "x", 1));
        signal(SIGUSR1, SIG_DFL);
        for (;;)
            pause();
    }
    char byte;
    MUST(read(fds[0], &byte, 1));
    check_equal(getpgid(child), child, "getpgid tells another's group");
    check_equal(kill(-child, SIGUSR1), 0, "a signal can go to a group");
    int status = 0;
    check_equal(waitpid(-child, &status, 0), child, "one can wait for a group");
    check_equal(status, SIGUSR1, "that died of the signal");
    check_fails(getpgid(0x3fffffff), ESRCH, "nobody has no group");
    check_fails(setpgid(0, -1), EINVAL, "a group is not negative");
    close(fds[0]);
    close(fds[1]);
}

static void test_orphan(void)
{
    int fds[2];
    MUST(pipe(fds));
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t child = check_fork();
    if (child == 0) {
        if (check_fork() == 0) {
            pid_t parent = getppid();
            for (int i = 0; i < 2000 && getppid() == parent; i++)
                sleep_ms(1);
            pid_t now = getppid();
            MUST(write(fds[1], &now, sizeof(now)));
            _exit(12);
        }
        _exit(11);
    }
    check_equal(check_wait(child), 11 << 8, "a child ends before its own child");
    pid_t parent = 0;
    MUST(read(fds[0], &parent, sizeof(parent)));
    check_equal(parent, getpid(), "an orphan comes to the subreaper");
    int status = 0;
    MUST(wait(&status));
    check_equal(status, 12 << 8, "which waits for it");
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 0));
    int end[2]; /* what the child waits for, so that it does not end too early */
    MUST(pipe(end));
    child = check_fork();
    if (child == 0) {
        pid_t grandchild = check_fork();
        if (grandchild == 0) {
            prctl(PR_SET_PDEATHSIG, SIGUSR2);
            int number = 0;
            prctl(PR_GET_PDEATHSIG, &number);
            MUST(write(fds[1], &number, sizeof(number)));
            for (;;)
                pause();
        }
        MUST(prctl(PR_SET_CHILD_SUBREAPER, 0));
        char byte;
        MUST(read(end[0], &byte, 1));
        _exit(0);
    }
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
    int number = 0;
    MUST(read(fds[0], &number, sizeof(number)));
    check_equal(number, SIGUSR2, "PR_GET_PDEATHSIG tells the signal");
    MUST(write(end[1], "", 1));
    check_wait(child);
    MUST(wait(&status));
    check_equal(status, SIGUSR2, "PR_SET_PDEATHSIG: the child dies with its parent");
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 0));
    close(fds[0]);
    close(fds[1]);
    close(end[0]);
    close(end[1]);
}

static void test_pidfd(void)
{
    pid_t child = check_fork();
    if (child == 0)
        for (;;)
            pause();
    int fd = (int)syscall(SYS_pidfd_open, child, 0);
    if (fd == -1 && errno == ENOSYS) {
        check_skip("pidfd_open opens a process", "the kernel has none");
        kill(child, SIGKILL);
        check_wait(child);
        return;
    }
    check_ok(fd, "pidfd_open opens a process");
    struct pollfd set = {fd, POLLIN, 0};
    check_equal(poll(&set, 1, 0), 0, "which runs");
    check_equal(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), 0, "pidfd_send_signal sends");
    check_equal(poll(&set, 1, 5000), 1, "its end makes it readable");
    siginfo_t info;
    check_equal(waitid(P_PIDFD, (id_t)fd, &info, WEXITED), 0, "waitid takes it");
    check_equal(info.si_status, SIGTERM, "and tells the end");
    check_fails(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), ESRCH, "then it is nobody");
    close(fd);
    struct clone_args arguments = {
        .flags = CLONE_PIDFD, .exit_signal = SIGCHLD, .pidfd = (uint64_t)&fd};
    child = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (child == 0)
        _exit(0);
    if (child > 0) {
        set.fd = fd;
        check_equal(poll(&set, 1, 5000), 1, "CLONE_PIDFD gives one, too");
        check_wait(child);
        close(fd);
    }
}

static void limit_files(void)
{
    struct rlimit limit = {20, 20}, got;
    check_equal(setrlimit(RLIMIT_NOFILE, &limit), 0, "RLIMIT_NOFILE can be lowered");
    check_equal(getrlimit(RLIMIT_NOFILE, &got), 0, "and read");
    check_equal((long)(got.rlim_cur * 100 + got.rlim_max), 2020, "as it is");
    int fd, last = -1;
    while ((fd = dup(0)) >= 0)
        last = fd;
    check_fails(fd, EMFILE, "beyond it, there is no descriptor");
    check_equal(last, 19, "but up to it");
    check_fails(dup2(0, 20), EBADF, "dup2 does not go beyond either");
    check_fails(fcntl(0, F_DUPFD, 20), EINVAL, "nor F_DUPFD");
    struct rlimit size, old_size;
    for (int i = 3; i < 20; i++)
        close(i);
    fd = must_make_file("limited", "");
    signal(SIGXFSZ, SIG_IGN);
    char block[200] = "";
    MUST(getrlimit(RLIMIT_FSIZE, &old_size));
    size = (struct rlimit){100, old_size.rlim_max};
    MUST(setrlimit(RLIMIT_FSIZE, &size));
    long first = write(fd, block, 200), second = write(fd, block, 1);
    int error = errno;
    MUST(setrlimit(RLIMIT_FSIZE, &old_size)); /* our output may be a file */
    errno = error;
    check_fails(second, EFBIG, "beyond RLIMIT_FSIZE, nothing is written");
    check_equal(first, 100, "up to it, a part is");
    unlink("limited");
    limit.rlim_cur = 30;
    check_fails(setrlimit(RLIMIT_NOFILE, &limit), EINVAL, "a limit is not above its maximum");
    check_fails(getrlimit(77, &limit), EINVAL, "an unknown limit is refused");
    check_fails(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, ADDRESSES_END, NULL), EFAULT,
                "a limit comes from memory");
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

static void limit_time(void)
{
    struct rlimit none = {0, 0}, limit = {1, 2};
    setrlimit(RLIMIT_CORE, &none);
    MUST(setrlimit(RLIMIT_CPU, &limit));
    signal(SIGXCPU, SIG_DFL);
    for (volatile long i = 0;; i++)
        ;
}

static void test_limits(void)
{
    check_equal(check_in_child(limit_files), 0, "the child with limits is content");
    pid_t child = check_fork();
    if (child == 0)
        limit_time();
    check_equal(check_wait(child) & 0x7f, SIGXCPU, "RLIMIT_CPU ends a busy process after a second");
    struct rlimit limit;
    check_equal(prlimit(getpid(), RLIMIT_NOFILE, NULL, &limit), 0, "prlimit reads this process's");
    const int kept[] = {RLIMIT_STACK, RLIMIT_AS, RLIMIT_DATA};
    for (size_t i = 0; i < COUNT(kept); i++) {
        struct rlimit old, got;
        MUST(getrlimit((__rlimit_resource_t)kept[i], &old));
        limit = (struct rlimit){3ul << 30, old.rlim_max};
        MUST(setrlimit((__rlimit_resource_t)kept[i], &limit));
        MUST(getrlimit((__rlimit_resource_t)kept[i], &got));
        check_equal((long)got.rlim_cur, 3l << 30, check_name("limit %d is kept", kept[i]));
        MUST(setrlimit((__rlimit_resource_t)kept[i], &old));
    }
}

static void test_priorities(void)
{
    errno = 0;
    int before = getpriority(PRIO_PROCESS, 0);
    check_equal(errno, 0, "getpriority works");
    pid_t child = check_fork();
    if (child == 0) {
        check_equal(nice(3), before + 3, "nice lowers it");
        check_equal(getpriority(PRIO_PROCESS, 0), before + 3, "as getpriority tells");
        check_equal(setpriority(PRIO_PROCESS, 0, before + 5), 0, "setpriority lowers it more");
        check_equal(syscall(SYS_getpriority, PRIO_PROCESS, 0), 20 - (before + 5),
                    "the call itself returns 20 - nice");
        _exit(check_status());
    }
    check_equal(check_wait(child), 0, "the nice child is content");
    check_equal(getpriority(PRIO_PROCESS, 0), before, "the parent's is as it was");
    cpu_set_t set;
    CPU_ZERO(&set);
    check_equal(sched_getaffinity(0, sizeof(set), &set), 0, "sched_getaffinity works");
    CHECK(CPU_COUNT(&set) >= 1, "at least one processor is allowed");
    check_equal(sched_setaffinity(0, sizeof(set), &set), 0, "sched_setaffinity works");
    CPU_ZERO(&set);
    check_fails(sched_setaffinity(0, sizeof(set), &set), EINVAL, "no processor is refused");
    struct tms times_used;
    CHECK(times(&times_used) != -1, "times works");
}

int main(void)
{
    check_enter_scratch();
    test_fork();
    test_exit_handlers();
    test_vfork();
    test_clone();
    test_waiting();
    test_groups();
    test_orphan();
    test_pidfd();
    test_limits();
    test_priorities();
    return check_status();
}
