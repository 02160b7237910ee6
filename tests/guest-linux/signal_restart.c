/* SPDX-License-Identifier: Apache-2.0
 * System calls that a signal interrupts: which go on behind a handler with SA_RESTART,
 * which return EINTR in any case, and what they tell then.
 *
 * In each case, a timer sends SIGALRM while the call waits, and a child that was forked
 * before makes the call's wait end after the handler, if it goes on. */
#include "check.h"

#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define SIGNAL_MS 25
#define END_MS    10

static volatile sig_atomic_t handled;
/* What children have, too: a futex, how often the handler ran, a semaphore. */
static int *shared;
enum { FUTEX = 0, HANDLED = 8, SEMAPHORE = 16 };

static void on_alarm(int number)
{
    (void)number;
    handled++;
    __atomic_store_n(&shared[HANDLED], handled, __ATOMIC_RELEASE);
}

/* For the child: the call has been interrupted. */
static void wait_for_handler(void)
{
    while (__atomic_load_n(&shared[HANDLED], __ATOMIC_ACQUIRE) == 0)
        sleep_ms(1);
    sleep_ms(END_MS);
}

static void share(void)
{
    shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared == MAP_FAILED ? -1 : 0, "mmap of shared memory");
}

/* The signal comes again: one that comes before the call would not interrupt it. */
static void arm(int flags)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
    MUST(sigaction(SIGALRM, &action, NULL));
    handled = 0;
    struct itimerval time = {{0, SIGNAL_MS * 1000}, {0, SIGNAL_MS * 1000}};
    MUST(setitimer(ITIMER_REAL, &time, NULL));
}

static void disarm(void)
{
    int error = errno;
    struct itimerval none = {{0, 0}, {0, 0}};
    MUST(setitimer(ITIMER_REAL, &none, NULL));
    errno = error;
}

/* ---- the calls; each returns its result ---- */

static int fds[2]; /* a pipe or a pair of sockets */
static int object; /* an ipc object, a file */

static long call_read(void)
{
    char byte;
    return read(fds[0], &byte, 1);
}

static long call_readv(void)
{
    char byte[2];
    struct iovec part = {byte, 1};
    return syscall(SYS_readv, fds[0], &part, 1);
}

static void end_read(void)
{
    MUST(write(fds[1], "x", 1));
}

static long call_write(void)
{
    return write(fds[1], "x", 1);
}

static void end_write(void)
{
    char block[4096];
    MUST(read(fds[0], block, sizeof(block)));
}

static long call_recv(void)
{
    char byte;
    return recv(fds[0], &byte, 1, 0);
}

static long call_recvmsg(void)
{
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return recvmsg(fds[0], &message, 0);
}

static long call_accept(void)
{
    long fd = accept(object, NULL, NULL);
    if (fd >= 0)
        close((int)fd);
    return fd >= 0 ? 0 : fd;
}

static void end_accept(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "listener"};
    int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(connect(fd, (void *)&name, sizeof(name)));
}

static long call_futex(void)
{
    return syscall(SYS_futex, shared, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static long call_futex_time(void)
{
    struct timespec time = {5, 0};
    return syscall(SYS_futex, shared, FUTEX_WAIT, 0, &time, NULL, 0);
}

static long call_futex_lock(void)
{
    return syscall(SYS_futex, shared, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

/* Who is in the handler just then does not wait, and would not be woken. */
static void end_futex(void)
{
    while (syscall(SYS_futex, shared, FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
        sleep_ms(1);
}

static long call_semaphore(void)
{
    return sem_wait((sem_t *)(shared + SEMAPHORE));
}

static void end_semaphore(void)
{
    sem_post((sem_t *)(shared + SEMAPHORE));
}

static pid_t helper;

static long call_wait(void)
{
    return waitpid(helper, NULL, 0) == helper ? 0 : -1;
}

static long call_waitid(void)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)helper, &info, WEXITED | WNOWAIT);
}

static void end_nothing(void)
{
}

static long call_lock(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(object, F_OFD_SETLKW, &lock);
}

static long call_flock(void)
{
    return flock(object, LOCK_EX);
}

static long call_open(void)
{
    int fd = open("fifo", O_RDONLY);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : -1;
}

static void end_open(void)
{
    MUST(open("fifo", O_WRONLY));
}

static long call_eventfd(void)
{
    uint64_t value;
    return read(object, &value, 8);
}

static void end_eventfd(void)
{
    MUST(eventfd_write(object, 1));
}

static long call_nanosleep(void)
{
    struct timespec time = {5, 0};
    return nanosleep(&time, NULL);
}

static long call_clock_nanosleep(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += 5;
    errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
    return errno ? -1 : 0;
}

static long call_poll(void)
{
    struct pollfd set = {fds[0], POLLIN, 0};
    return poll(&set, 1, 5000);
}

static long call_ppoll(void)
{
    struct pollfd set = {fds[0], POLLIN, 0};
    struct timespec time = {5, 0};
    return ppoll(&set, 1, &time, NULL);
}

static long call_select(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fds[0], &set);
    return select(fds[0] + 1, &set, NULL, NULL, NULL);
}

static long call_epoll(void)
{
    struct epoll_event event;
    return epoll_wait(object, &event, 1, 5000);
}

static long call_pause(void)
{
    return pause();
}

static long call_sigtimedwait(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    struct timespec time = {5, 0};
    return sigtimedwait(&set, NULL, &time);
}

static long call_msgrcv(void)
{
    char message[64];
    return msgrcv(object, message, 8, 0, 0);
}

static long call_semop(void)
{
    struct sembuf operation = {0, -1, 0};
    return semop(object, &operation, 1);
}

static long call_mq_receive(void)
{
    char message[64];
    return mq_receive(object, message, sizeof(message), NULL);
}

static void end_mq_receive(void)
{
    MUST(mq_send(object, "x", 1, 0));
}

/* ---- what they need ---- */

static void with_pipe(void)
{
    MUST(pipe(fds));
}

static void with_full_pipe(void)
{
    with_pipe();
    char block[4096] = "";
    long room = MUST(fcntl(fds[1], F_GETPIPE_SZ));
    for (long at = 0; at < room; at += 4096)
        MUST(write(fds[1], block, 4096));
}

static void with_sockets(void)
{
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
}

static void with_timeout(void)
{
    with_sockets();
    struct timeval time = {5, 0};
    MUST(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)));
}

static void with_listener(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "listener"};
    unlink("listener");
    object = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(object, (void *)&name, sizeof(name)));
    MUST(listen(object, 1));
}

static void with_semaphore(void)
{
    MUST(sem_init((sem_t *)(shared + SEMAPHORE), 1, 0));
}

static void with_zero(void)
{
    *shared = 0;
}

static void with_locked_file(void)
{
    int other = must_make_file("locked", "");
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    MUST(fcntl(other, F_OFD_SETLK, &lock));
    MUST(flock(other, LOCK_EX));
    object = (int)MUST(open("locked", O_RDWR));
    fds[0] = other;
}

static void with_fifo(void)
{
    unlink("fifo");
    MUST(mkfifo("fifo", 0600));
}

static void with_eventfd(void)
{
    object = (int)MUST(eventfd(0, 0));
}

static void with_epoll(void)
{
    object = (int)MUST(epoll_create1(0));
}

static void with_message_queue(void)
{
    object = (int)MUST(msgget(IPC_PRIVATE, 0600));
}

static void with_semaphores(void)
{
    object = (int)MUST(semget(IPC_PRIVATE, 1, 0600));
}

static void with_posix_queue(void)
{
    char name[64];
    snprintf(name, sizeof(name), "/guest-linux-%d", getpid());
    struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 64};
    object = (int)MUST(mq_open(name, O_RDWR | O_CREAT, 0600, &attributes));
    MUST(mq_unlink(name));
}

struct restart_case {
    const char *name;
    long (*call)(void);
    void (*prepare)(void);
    void (*end)(void); /* NULL: such calls never restart */
};

static const struct restart_case cases[] = {
    {"read of a pipe", call_read, with_pipe, end_read},
    {"readv of a pipe", call_readv, with_pipe, end_read},
    {"write to a full pipe", call_write, with_full_pipe, end_write},
    {"read of a socket", call_read, with_sockets, end_read},
    {"recv", call_recv, with_sockets, end_read},
    {"recvmsg", call_recvmsg, with_sockets, end_read},
    {"recv with SO_RCVTIMEO", call_recv, with_timeout, NULL},
    {"accept", call_accept, with_listener, end_accept},
    {"futex", call_futex, with_zero, end_futex},
    {"futex with a time", call_futex_time, with_zero, NULL},
    {"sem_wait", call_semaphore, with_semaphore, end_semaphore},
    {"waitpid", call_wait, with_zero, end_nothing},
    {"waitid", call_waitid, with_zero, end_nothing},
    {"F_OFD_SETLKW", call_lock, with_locked_file, end_nothing},
    {"flock", call_flock, with_locked_file, end_nothing},
    {"open of a FIFO", call_open, with_fifo, end_open},
    {"read of an eventfd", call_eventfd, with_eventfd, end_eventfd},
    {"mq_receive", call_mq_receive, with_posix_queue, end_mq_receive},
    {"nanosleep", call_nanosleep, with_zero, NULL},
    {"clock_nanosleep to a time", call_clock_nanosleep, with_zero, NULL},
    {"poll", call_poll, with_pipe, NULL},
    {"ppoll", call_ppoll, with_pipe, NULL},
    {"select", call_select, with_pipe, NULL},
    {"epoll_wait", call_epoll, with_epoll, NULL},
    {"pause", call_pause, with_zero, NULL},
    {"sigtimedwait", call_sigtimedwait, with_zero, NULL},
    {"msgrcv", call_msgrcv, with_message_queue, NULL},
    {"semop", call_semop, with_semaphores, NULL},
};

/* A file that is locked by an open file that a child shares becomes free when both have
 * closed it. */
static bool needs_closing(const struct restart_case *c)
{
    return c->prepare == with_locked_file;
}

static void remove_objects(const struct restart_case *c)
{
    if (c->prepare == with_message_queue)
        msgctl(object, IPC_RMID, NULL);
    if (c->prepare == with_semaphores)
        semctl(object, 0, IPC_RMID);
}

/* Returns what the call returned; errno as it left it. */
static long run_case(const struct restart_case *c, int flags, bool ending)
{
    c->prepare();
    shared[HANDLED] = 0;
    helper = check_fork();
    if (helper == 0) {
        while (!ending)
            pause();
        wait_for_handler();
        c->end();
        _exit(0);
    }
    if (needs_closing(c))
        close(fds[0]);
    arm(flags);
    long result = c->call();
    disarm();
    int error = errno;
    if (!ending)
        kill(helper, SIGKILL);
    while (waitpid(helper, NULL, 0) == -1 && errno == EINTR)
        ;
    remove_objects(c);
    errno = error;
    return result;
}

static void run_group(size_t from, size_t step)
{
    for (size_t i = from; i < COUNT(cases); i += step) {
        const struct restart_case *c = &cases[i];
        long result = run_case(c, 0, false);
        check_fails(result, EINTR, check_name("%s returns EINTR without SA_RESTART", c->name));
        CHECK(handled >= 1, check_name("%s: the handler ran", c->name));
        if (c->end) {
            result = run_case(c, SA_RESTART, true);
            CHECK(result >= 0, check_name("%s goes on with SA_RESTART", c->name));
        } else {
            result = run_case(c, SA_RESTART, false);
            check_fails(result, EINTR,
                        check_name("%s returns EINTR even with SA_RESTART", c->name));
        }
        CHECK(handled >= 1, check_name("%s: the handler ran again", c->name));
        for (int fd = 3; fd < 16; fd++)
            close(fd);
    }
}

/* Each group of cases in a child: they do nothing but wait. */
static void test_cases(void)
{
    enum { GROUPS = 7 };
    pid_t children[GROUPS];
    for (size_t i = 0; i < GROUPS; i++) {
        children[i] = check_fork();
        if (children[i] == 0) {
            char folder[16];
            snprintf(folder, sizeof(folder), "group%zu", i);
            MUST(mkdir(folder, 0700));
            MUST(chdir(folder));
            share();
            run_group(i, GROUPS);
            _exit(check_status());
        }
    }
    for (size_t i = 0; i < GROUPS; i++)
        check_equal(check_wait(children[i]), 0, check_name("group %zu of calls is content", i));
}

/* ---- details ---- */

static void test_remaining_time(void)
{
    struct timespec time = {2, 0}, left = {77, 77};
    arm(0);
    check_fails(nanosleep(&time, &left), EINTR, "nanosleep is interrupted");
    disarm();
    long left_ms = left.tv_sec * 1000 + left.tv_nsec / 1000000;
    check_between(left_ms, 1000, 1999, "and tells what is left");
    arm(0);
    left = (struct timespec){77, 77};
    check_equal(clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &left), EINTR,
                "clock_nanosleep as well");
    disarm();
    check_between(left.tv_sec * 1000 + left.tv_nsec / 1000000, 1000, 1999, "with what is left");
    arm(0);
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += 2;
    left = (struct timespec){77, 77};
    check_equal(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, &left), EINTR,
                "and to an absolute time");
    disarm();
    check_equal(left.tv_sec, 77, "of which nothing is left to tell");
}

static void test_partial_transfer(void)
{
    with_sockets();
    static char block[1 << 20];
    arm(SA_RESTART);
    long sent = write(fds[1], block, sizeof(block));
    disarm();
    check_between(sent, 1, sizeof(block) - 1, "a write that has begun returns what it did");
    close(fds[0]);
    close(fds[1]);
    with_sockets();
    MUST(write(fds[1], "123", 3));
    arm(SA_RESTART);
    check_equal(recv(fds[0], block, 10, MSG_WAITALL), 3, "so does a MSG_WAITALL that has begun");
    disarm();
    close(fds[0]);
    close(fds[1]);
}

/* What has no handler does not interrupt. */
static void test_ignored(void)
{
    with_pipe();
    signal(SIGUSR1, SIG_IGN);
    pid_t child = check_fork();
    if (child == 0) {
        for (int i = 0; i < 3; i++) {
            sleep_ms(10);
            kill(getppid(), SIGUSR1);
            kill(getppid(), SIGWINCH);
            kill(getppid(), SIGCHLD);
            kill(getppid(), SIGCONT);
        }
        _exit(0);
    }
    struct pollfd set = {fds[0], POLLIN, 0};
    long start = now_ms();
    check_equal(poll(&set, 1, 100), 0, "ignored signals do not interrupt poll");
    check_between(now_ms() - start, 99, 5000, "which waits for its whole time");
    check_wait(child);
}

static void test_stopping(void)
{
    with_pipe();
    int results[2];
    MUST(pipe(results));
    pid_t child = check_fork();
    if (child == 0) {
        char byte;
        long got = read(fds[0], &byte, 1);
        MUST(write(results[1], &got, sizeof(got)));
        long start = now_ms();
        struct timespec time = {0, 150000000};
        got = nanosleep(&time, NULL);
        long took = now_ms() - start;
        MUST(write(results[1], &got, sizeof(got)));
        MUST(write(results[1], &took, sizeof(took)));
        _exit(0);
    }
    sleep_ms(20);
    kill(child, SIGSTOP);
    int status = 0;
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGCONT);
    sleep_ms(20);
    MUST(write(fds[1], "x", 1));
    long got = -2;
    MUST(read(results[0], &got, sizeof(got)));
    check_equal(got, 1, "stopping and continuing does not interrupt read");
    sleep_ms(50);
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGCONT);
    MUST(read(results[0], &got, sizeof(got)));
    check_equal(got, 0, "nor nanosleep");
    MUST(read(results[0], &got, sizeof(got)));
    check_between(got, 149, 5000, "which sleeps for its whole time");
    check_wait(child);
}

/* A futex with a time that is stopped goes on with what is left (restart_syscall). */
static void test_stopped_futex(void)
{
    static int word;
    pid_t child = check_fork();
    if (child == 0) {
        struct timespec time = {0, 120000000};
        long start = now_ms();
        long got = syscall(SYS_futex, &word, FUTEX_WAIT, 0, &time, NULL, 0);
        long took = now_ms() - start;
        _exit(got == -1 && errno == ETIMEDOUT && took >= 119 ? 0 : 1);
    }
    sleep_ms(30);
    kill(child, SIGSTOP);
    int status = 0;
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGCONT);
    check_equal(check_wait(child), 0, "stopping does not interrupt a futex with a time");
}

/* Many signals against one long read: no byte is lost, no signal either. */
static void test_storm(void)
{
    with_pipe();
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    MUST(sigaction(SIGALRM, &action, NULL));
    pid_t child = check_fork();
    if (child == 0) {
        for (int i = 0; i < 200; i++) {
            sleep_ms(1);
            MUST(write(fds[1], &i, sizeof(i)));
        }
        _exit(0);
    }
    struct itimerval every = {{0, 300}, {0, 300}};
    MUST(setitimer(ITIMER_REAL, &every, NULL));
    long wrong = 0;
    for (int i = 0; i < 200; i++) {
        int got = -1;
        wrong += read(fds[0], &got, sizeof(got)) != sizeof(got) || got != i;
    }
    every = (struct itimerval){{0, 0}, {0, 0}};
    MUST(setitimer(ITIMER_REAL, &every, NULL));
    check_equal(wrong, 0, "a storm of signals loses nothing of a pipe");
    check_wait(child);
}

static void test_priority_lock(void)
{
    share();
    pid_t child = check_fork();
    if (child == 0) {
        *shared = getpid();
        wait_for_handler();
        syscall(SYS_futex, shared, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
        sleep_ms(END_MS);
        _exit(0);
    }
    while (*(volatile int *)shared == 0)
        sleep_ms(1);
    arm(0);
    long result = call_futex_lock();
    disarm();
    check_equal(result, 0, "FUTEX_LOCK_PI goes on even without SA_RESTART");
    CHECK(handled >= 1, "after the handler");
    check_equal(*shared & 0x3fffffff, gettid(), "and has the lock then");
    check_wait(child);
}

int main(void)
{
    check_enter_scratch();
    share();
    test_cases();
    test_remaining_time();
    test_partial_transfer();
    test_ignored();
    test_stopping();
    test_stopped_futex();
    test_storm();
    test_priority_lock();
    return check_status();
}
