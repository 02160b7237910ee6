/* SPDX-License-Identifier: Apache-2.0
 * Waiting for descriptors: epoll, poll, select, and what makes events: eventfd, timerfd,
 * signalfd, inotify. On RISC-V, struct epoll_event has 16 bytes: it is packed on x86. */
#include "check.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static volatile sig_atomic_t signals_seen;

static void count_signal(int number)
{
    (void)number;
    signals_seen++;
}

static int make_event(unsigned value)
{
    return (int)MUST(eventfd(value, EFD_NONBLOCK | EFD_CLOEXEC));
}

static void drain(int fd)
{
    uint64_t value;
    MUST(read(fd, &value, 8));
}

static void test_epoll_data(void)
{
    int epoll = (int)check_ok(epoll_create1(EPOLL_CLOEXEC), "epoll_create1 makes one");
    check_equal(fcntl(epoll, F_GETFD), FD_CLOEXEC, "with O_CLOEXEC");
    check_equal(sizeof(struct epoll_event), 16, "an event has 16 bytes");
    int fds[5];
    for (int i = 0; i < 5; i++) {
        fds[i] = make_event(i != 2);
        struct epoll_event event = {EPOLLIN, {.u64 = 0x0123456789abcde0u + (unsigned)i}};
        MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event));
    }
    struct epoll_event events[8];
    memset(events, 0x5a, sizeof(events));
    check_equal(epoll_wait(epoll, events, 8, 1000), 4, "four of five are ready");
    unsigned found = 0;
    for (int i = 0; i < 4; i++)
        if (events[i].events == EPOLLIN && events[i].data.u64 >> 4 == 0x0123456789abcdeu)
            found |= 1u << (events[i].data.u64 & 15);
    check_equal(found, 0x1b, "with all 64 bits of their data");
    unsigned char untouched[16];
    memset(untouched, 0x5a, sizeof(untouched));
    check_bytes(&events[4], untouched, 16, "and nothing behind them is touched");
    check_equal(epoll_wait(epoll, events, 2, 1000), 2, "no more are told than wanted");
    for (int i = 0; i < 5; i++) {
        if (i != 2)
            drain(fds[i]);
    }
    check_equal(epoll_wait(epoll, events, 8, 0), 0, "when all are drained, none is ready");
    char *edge = must_map_edge();
    MUST(eventfd_write(fds[0], 1));
    check_equal(epoll_wait(epoll, (void *)(edge - 16), 1, 0), 1, "events may end with a page");
    check_fails(epoll_wait(epoll, (void *)(edge - 8), 1, 0), EFAULT, "but not leave it");
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    close(epoll);
}

static void test_epoll_modes(void)
{
    int epoll = (int)MUST(epoll_create1(0));
    int fd = make_event(1);
    struct epoll_event event = {EPOLLIN | EPOLLONESHOT, {.fd = fd}}, got;
    check_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0, "EPOLL_CTL_ADD adds");
    check_equal(epoll_wait(epoll, &got, 1, 0), 1, "EPOLLONESHOT tells once");
    check_equal(epoll_wait(epoll, &got, 1, 0), 0, "and not again");
    check_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event), 0, "EPOLL_CTL_MOD arms again");
    check_equal(epoll_wait(epoll, &got, 1, 0), 1, "and it tells again");
    event.events = EPOLLIN | EPOLLET;
    MUST(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
    check_equal(epoll_wait(epoll, &got, 1, 0), 1, "EPOLLET tells once");
    check_equal(epoll_wait(epoll, &got, 1, 0), 0, "until something changes");
    MUST(eventfd_write(fd, 1));
    check_equal(epoll_wait(epoll, &got, 1, 0), 1, "and then again");
    event.events = EPOLLOUT | EPOLLIN | EPOLLRDHUP;
    MUST(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
    check_equal(epoll_wait(epoll, &got, 1, 0), 1, "several events of a descriptor are one");
    check_equal(got.events, EPOLLIN | EPOLLOUT, "with several bits");
    check_fails(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), EEXIST, "nothing is added twice");
    check_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL), 0, "EPOLL_CTL_DEL removes");
    check_fails(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL), ENOENT, "but not twice");
    check_fails(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event), ENOENT, "what is gone cannot change");
    check_fails(epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &event), EINVAL, "epoll is not its own");
    check_fails(epoll_ctl(epoll, 77, fd, &event), EINVAL, "an unknown operation is refused");
    check_fails(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, NULL), EFAULT, "adding needs an event");
    check_fails(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, (void *)ADDRESSES_END), EFAULT,
                "and one in memory");
    check_fails(epoll_ctl(epoll, EPOLL_CTL_ADD, 999, &event), EBADF, "and a good descriptor");
    int file = must_make_file("file", "x");
    check_fails(epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event), EPERM, "files are always ready");
    check_fails(epoll_wait(epoll, &got, 0, 0), EINVAL, "no room for events is refused");
    check_fails(epoll_wait(file, &got, 1, 0), EINVAL, "what is no epoll is refused");
    close(file);
    unlink("file");
    close(fd);
    close(epoll);
}

static void test_epoll_time_and_mask(void)
{
    int epoll = (int)MUST(epoll_create1(0));
    struct epoll_event got;
    long start = now_ms();
    check_equal(epoll_wait(epoll, &got, 1, 50), 0, "epoll_wait ends after its time");
    check_between(now_ms() - start, 49, 2000, "which is milliseconds");
    struct timespec time = {0, 30000000};
    start = now_ms();
    long result = syscall(441, epoll, &got, 1, &time, NULL, 8);
    if (result == -1 && errno == ENOSYS) {
        check_skip("epoll_pwait2 ends after its time", "the kernel has none");
    } else {
        check_equal(result, 0, "epoll_pwait2 ends after its time");
        check_between(now_ms() - start, 29, 2000, "which has nanoseconds");
    }
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_BLOCK, &all, NULL);
    signals_seen = 0;
    raise(SIGUSR1);
    check_equal(epoll_wait(epoll, &got, 1, 0), 0, "a blocked signal does not interrupt epoll_wait");
    check_fails(epoll_pwait(epoll, &got, 1, 5000, &none), EINTR, "but epoll_pwait that lets it in");
    check_equal(signals_seen, 1, "whose handler ran");
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    check_equal(sigismember(&now, SIGUSR1), 1, "the mask is as before afterwards");
    check_fails(syscall(SYS_epoll_pwait, epoll, &got, 1, 0, &none, 16), EINVAL,
                "a mask has 8 bytes");
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    close(epoll);
}

static void test_eventfd(void)
{
    int fd = make_event(5);
    uint64_t value = 7;
    check_equal(write(fd, &value, 8), 8, "eventfd adds what is written");
    check_equal(read(fd, &value, 8), 8, "eventfd is read");
    check_equal((long)value, 12, "as a sum");
    check_fails(read(fd, &value, 8), EAGAIN, "and is empty then");
    check_fails(read(fd, &value, 4), EINVAL, "it has eight bytes");
    value = UINT64_MAX;
    check_fails(write(fd, &value, 8), EINVAL, "2^64-1 cannot be added");
    value = UINT64_MAX - 1;
    check_equal(write(fd, &value, 8), 8, "but 2^64-2");
    value = 1;
    check_fails(write(fd, &value, 8), EAGAIN, "and then nothing more");
    close(fd);
    fd = (int)check_ok(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK), "EFD_SEMAPHORE is understood");
    MUST(read(fd, &value, 8));
    check_equal((long)value, 1, "and counts down");
    drain(fd);
    drain(fd);
    check_fails(read(fd, &value, 8), EAGAIN, "to nothing");
    close(fd);
    check_fails(eventfd(0, 0x40000), EINVAL, "eventfd refuses unknown flags");
}

static void test_timerfd(void)
{
    int fd = (int)check_ok(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
                           "timerfd_create makes one");
    uint64_t count = 0;
    check_fails(read(fd, &count, 8), EAGAIN, "which has not expired");
    struct itimerspec time = {.it_value = {0, 10000000}, .it_interval = {0, 10000000}}, got;
    check_equal(timerfd_settime(fd, 0, &time, NULL), 0, "timerfd_settime arms it");
    sleep_ms(55);
    check_equal(read(fd, &count, 8), 8, "it expires");
    check_between((long)count, 4, 1000, "as often as it should have");
    check_equal(timerfd_gettime(fd, &got), 0, "timerfd_gettime works");
    check_equal(got.it_interval.tv_nsec, 10000000, "and tells the interval");
    check_between(got.it_value.tv_nsec, 1, 10000000, "and what is left");
    time = (struct itimerspec){{0, 0}, {1000, 0}};
    check_equal(timerfd_settime(fd, 0, &time, &got), 0, "it can be set again");
    check_equal(got.it_interval.tv_nsec, 10000000, "which tells the old interval");
    clock_gettime(CLOCK_MONOTONIC, &time.it_value);
    MUST(timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, NULL));
    struct pollfd poll_timer = {fd, POLLIN, 0};
    check_equal(poll(&poll_timer, 1, 1000), 1, "a time in the past expires at once");
    MUST(read(fd, &count, 8));
    check_equal((long)count, 1, "and once");
    time.it_value.tv_nsec = 1000000000;
    check_fails(timerfd_settime(fd, 0, &time, NULL), EINVAL, "a second has 10^9 nanoseconds");
    check_fails(syscall(SYS_timerfd_settime, fd, 0, ADDRESSES_END, NULL), EFAULT,
                "a time outside of memory is refused");
    close(fd);
    check_fails(timerfd_create(77, 0), EINVAL, "timerfd_create refuses an unknown clock");
}

static void test_signalfd(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = (int)check_ok(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), "signalfd makes one");
    struct signalfd_siginfo info[4];
    check_fails(read(fd, info, sizeof(info)), EAGAIN, "which has no signal");
    kill(getpid(), SIGUSR1);
    union sigval value = {.sival_ptr = (void *)0x1122334455667788};
    sigqueue(getpid(), SIGRTMIN + 3, value);
    value.sival_int = 99;
    sigqueue(getpid(), SIGRTMIN + 3, value);
    memset(info, 0x5a, sizeof(info));
    check_equal(read(fd, info, sizeof(info)), 3 * 128, "it has what was sent, 128 bytes each");
    check_equal(info[0].ssi_signo, SIGUSR1, "the first is SIGUSR1");
    check_equal(info[0].ssi_code, SI_USER, "from kill");
    check_equal(info[0].ssi_pid, getpid(), "by this process");
    check_equal(info[0].ssi_uid, getuid(), "by this user");
    check_equal(info[1].ssi_signo, SIGRTMIN + 3, "the second is a real-time signal");
    check_equal(info[1].ssi_code, SI_QUEUE, "from sigqueue");
    check_equal((long)info[1].ssi_ptr, 0x1122334455667788, "with its pointer");
    check_equal(info[2].ssi_int, 99, "the third with its number");
    check_fails(read(fd, info, 100), EINVAL, "less than 128 bytes are refused");
    struct pollfd poll_signal = {fd, POLLIN, 0};
    check_equal(poll(&poll_signal, 1, 0), 0, "poll finds nothing");
    kill(getpid(), SIGUSR1);
    check_equal(poll(&poll_signal, 1, 0), 1, "poll finds a signal");
    MUST(read(fd, info, sizeof(info)));
    sigdelset(&set, SIGUSR1);
    check_equal(signalfd(fd, &set, 0), fd, "a set can be changed");
    kill(getpid(), SIGUSR1);
    check_fails(read(fd, info, sizeof(info)), EAGAIN, "and then holds");
    check_fails(syscall(SYS_signalfd4, -1, &set, 16, 0), EINVAL, "a set has 8 bytes");
    check_fails(signalfd(0, &set, 0), EINVAL, "what is no signalfd is refused");
    signals_seen = 0;
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    check_equal(signals_seen, 1, "what was not read is delivered when unblocked");
    close(fd);
}

static void test_inotify(void)
{
    int fd = (int)check_ok(inotify_init1(IN_NONBLOCK | IN_CLOEXEC), "inotify_init1 makes one");
    MUST(mkdir("watched", 0700));
    int watch = (int)check_ok(
        inotify_add_watch(fd, "watched",
                          IN_CREATE | IN_MODIFY | IN_MOVE | IN_DELETE | IN_CLOSE_WRITE),
        "inotify_add_watch watches a folder");
    int file = must_make_file("watched/one", "text");
    close(file);
    MUST(rename("watched/one", "watched/two"));
    MUST(unlink("watched/two"));
    char buffer[4096] __attribute__((aligned(8)));
    ssize_t size = read(fd, buffer, sizeof(buffer));
    unsigned masks[8] = {0}, cookies[8] = {0}, count = 0;
    bool named = true;
    for (ssize_t at = 0; at < size && count < 8;) {
        const struct inotify_event *event = (const void *)(buffer + at);
        named &= event->wd == watch && event->len >= 4;
        masks[count] = event->mask;
        cookies[count++] = event->cookie;
        at += (ssize_t)(sizeof(*event) + event->len);
    }
    const unsigned wanted[6] = {IN_CREATE,     IN_MODIFY,   IN_CLOSE_WRITE,
                                IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE};
    check_equal(count, 6, "six things happen");
    check_bytes(masks, wanted, sizeof(wanted), "in order");
    CHECK(named, "each with a name");
    CHECK(cookies[3] != 0 && cookies[3] == cookies[4], "moving from and to belong together");
    check_equal(inotify_rm_watch(fd, watch), 0, "inotify_rm_watch ends it");
    check_equal(read(fd, buffer, sizeof(buffer)), 16, "which is told, too");
    check_equal(((struct inotify_event *)(void *)buffer)->mask, IN_IGNORED, "as IN_IGNORED");
    check_fails(inotify_rm_watch(fd, watch), EINVAL, "and only once");
    check_fails(inotify_add_watch(fd, "none", IN_CREATE), ENOENT, "nothing cannot be watched");
    check_fails(inotify_add_watch(fd, "watched", 0), EINVAL, "nor for nothing");
    MUST(rmdir("watched"));
    close(fd);
}

static void test_poll(void)
{
    int fds[2];
    MUST(pipe(fds));
    struct pollfd set[4] = {
        {fds[0], POLLIN, 0}, {fds[1], POLLOUT, 0}, {-1, POLLIN, 77}, {999, 0, 0}};
    check_equal(poll(set, 4, 0), 2, "poll counts what is ready");
    check_equal(set[0].revents, 0, "an empty pipe is not");
    check_equal(set[1].revents, POLLOUT, "its other end is");
    check_equal(set[2].revents, 0, "a negative descriptor is left out");
    check_equal(set[3].revents, POLLNVAL, "a bad one is told");
    close(fds[1]);
    check_equal(poll(set, 1, 1000), 1, "a closed end makes the other ready");
    check_equal(set[0].revents, POLLHUP, "with POLLHUP");
    check_equal(poll(NULL, 0, 20), 0, "poll can just wait");
    struct timespec time = {0, 20000000};
    check_equal(syscall(SYS_ppoll, NULL, 0, &time, NULL, 8), 0, "ppoll waits");
    check_equal(time.tv_sec * 1000000000 + time.tv_nsec, 0,
                "and takes what it waited off the time");
    check_fails(poll((void *)ADDRESSES_END, 1, 0), EFAULT, "poll refuses what is no memory");
    time = (struct timespec){0, -1};
    check_fails(syscall(SYS_ppoll, NULL, 0, &time, NULL, 8), EINVAL, "ppoll refuses negative time");
    sigset_t none, block;
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    signals_seen = 0;
    time = (struct timespec){5, 0};
    check_fails(syscall(SYS_ppoll, NULL, 0, &time, &none, 8), EINTR, "ppoll lets a signal in");
    check_equal(signals_seen, 1, "whose handler runs before it returns");
    check_between(time.tv_sec, 4, 4, "and tells what is left of the time");
    sigset_t now;
    sigprocmask(SIG_UNBLOCK, &block, &now);
    check_equal(sigismember(&now, SIGUSR1), 1, "and puts the mask back");
    close(fds[0]);
}

static void test_select(void)
{
    int low[2], high;
    MUST(pipe(low));
    high = (int)MUST(fcntl(low[0], F_DUPFD, 70));
    fd_set reading, writing;
    FD_ZERO(&reading);
    FD_ZERO(&writing);
    FD_SET(high, &reading);
    FD_SET(low[1], &writing);
    struct timeval time = {0, 20000};
    check_equal(select(high + 1, &reading, &writing, NULL, &time), 1, "select counts");
    CHECK(FD_ISSET(low[1], &writing) && !FD_ISSET(high, &reading), "and tells which");
    MUST(write(low[1], "x", 1));
    FD_SET(high, &reading);
    check_equal(select(high + 1, &reading, NULL, NULL, NULL), 1, "a readable one counts");
    CHECK(FD_ISSET(high, &reading), "even with a high number");
    FD_ZERO(&reading);
    FD_SET(high, &reading);
    MUST(read(low[0], &(char){0}, 1));
    struct timespec left = {0, 20000000};
    check_equal(syscall(SYS_pselect6, high + 1, &reading, NULL, NULL, &left, NULL), 0,
                "pselect ends after its time");
    check_equal(left.tv_sec * 1000000000 + left.tv_nsec, 0, "of which nothing is left");
    CHECK(!FD_ISSET(high, &reading), "and nothing in the set");
    FD_SET(high, &reading);
    close(high);
    check_fails(select(high + 1, &reading, NULL, NULL, &time), EBADF, "a bad descriptor fails");
    check_fails(select(-1, NULL, NULL, NULL, &time), EINVAL, "a negative number is refused");
    check_fails(select(10, (void *)ADDRESSES_END, NULL, NULL, &time), EFAULT,
                "a set outside of memory is refused");
    sigset_t none, block;
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    signals_seen = 0;
    FD_ZERO(&reading);
    FD_SET(low[0], &reading);
    left = (struct timespec){5, 0};
    check_fails(pselect(low[0] + 1, &reading, NULL, NULL, &left, &none), EINTR,
                "pselect lets a signal in");
    check_equal(signals_seen, 1, "whose handler has run");
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    close(low[0]);
    close(low[1]);
}

int main(void)
{
    check_enter_scratch();
    signal(SIGUSR1, count_signal);
    test_epoll_data();
    test_epoll_modes();
    test_epoll_time_and_mask();
    test_eventfd();
    test_timerfd();
    test_signalfd();
    test_inotify();
    test_poll();
    test_select();
    return check_status();
}
