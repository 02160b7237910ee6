/* SPDX-License-Identifier: Apache-2.0
 * No system call touches memory of what runs the program (host_ranges.h). On a real
 * kernel, there is no such memory.
 *
 * That system calls refuse addresses that nobody has mapped is in other programs; here,
 * the host's kernel would take the addresses gladly. */
#include "host_ranges.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

static int file, folder, pipe_fds[2], sockets[2], epoll, timer, null;

enum kind { READS, WRITES };

/* One call with the address; all of them fail with EFAULT. */
static const struct attempt {
    const char *name;
    enum kind kind; /* what the call would do with the memory */
    long number;
    long arguments[6]; /* ADDRESS stands for the address, others for descriptors */
} attempts[] = {
#define ADDRESS  (-1001l)
#define FILE_FD  (-1002l)
#define PIPE_IN  (-1003l)
#define SOCKET   (-1004l)
#define EPOLL    (-1005l)
#define TIMER    (-1006l)
#define NULL_FD  (-1007l)
#define PIPE_OUT (-1008l)
#define FOLDER   (-1009l)
#define LINK     (-1010l)
    {"write to a pipe", READS, SYS_write, {PIPE_OUT, ADDRESS, 8}},
    {"write to a file", READS, SYS_write, {FILE_FD, ADDRESS, 8}},
    {"write to /dev/null", READS, SYS_write, {NULL_FD, ADDRESS, 8}},
    {"pwrite64", READS, SYS_pwrite64, {FILE_FD, ADDRESS, 8, 0}},
    {"writev", READS, SYS_writev, {FILE_FD, ADDRESS, 1}},
    {"openat", READS, SYS_openat, {AT_FDCWD, ADDRESS, O_RDONLY}},
    {"faccessat", READS, SYS_faccessat, {AT_FDCWD, ADDRESS, 0}},
    {"chdir", READS, SYS_chdir, {ADDRESS}},
    {"execve", READS, SYS_execve, {ADDRESS, 0, 0}},
    {"sendto", READS, SYS_sendto, {SOCKET, ADDRESS, 8, MSG_DONTWAIT, 0, 0}},
    {"sendmsg", READS, SYS_sendmsg, {SOCKET, ADDRESS, MSG_DONTWAIT}},
    {"connect", READS, SYS_connect, {SOCKET, ADDRESS, 16}},
    {"setsockopt", READS, SYS_setsockopt, {SOCKET, SOL_SOCKET, SO_KEEPALIVE, ADDRESS, 4}},
    {"epoll_ctl", READS, SYS_epoll_ctl, {EPOLL, EPOLL_CTL_ADD, PIPE_IN, ADDRESS}},
    {"timerfd_settime", READS, SYS_timerfd_settime, {TIMER, 0, ADDRESS, 0}},
    {"nanosleep", READS, SYS_nanosleep, {ADDRESS, 0}},
    {"futex", READS, SYS_futex, {ADDRESS, FUTEX_WAIT, 0x7654321, 0}},
    {"rt_sigprocmask", READS, SYS_rt_sigprocmask, {SIG_BLOCK, ADDRESS, 0, 8}},
    {"rt_sigaction", READS, SYS_rt_sigaction, {SIGUSR1, ADDRESS, 0, 8}},
    {"sigaltstack", READS, SYS_sigaltstack, {ADDRESS, 0}},
    {"setitimer", READS, SYS_setitimer, {ITIMER_REAL, ADDRESS, 0}},
    {"utimensat", READS, SYS_utimensat, {FILE_FD, 0, ADDRESS, 0}},
    {"memfd_create", READS, SYS_memfd_create, {ADDRESS, 0}},
    {"ioctl of FIONBIO", READS, SYS_ioctl, {PIPE_IN, FIONBIO, ADDRESS}},
    {"fcntl of F_SETLK", READS, SYS_fcntl, {FILE_FD, F_SETLK, ADDRESS}},
    {"clone3", READS, SYS_clone3, {ADDRESS, 88}},
    {"read of a pipe", WRITES, SYS_read, {PIPE_IN, ADDRESS, 1}},
    {"read of a file", WRITES, SYS_read, {FILE_FD, ADDRESS, 8}},
    {"pread64", WRITES, SYS_pread64, {FILE_FD, ADDRESS, 8, 0}},
    {"readv", WRITES, SYS_readv, {FILE_FD, ADDRESS, 1}},
    {"recvfrom", WRITES, SYS_recvfrom, {SOCKET, ADDRESS, 1, MSG_DONTWAIT, 0, 0}},
    {"getrandom", WRITES, SYS_getrandom, {ADDRESS, 8, 0}},
    {"fstat", WRITES, SYS_fstat, {FILE_FD, ADDRESS}},
    {"newfstatat", WRITES, SYS_newfstatat, {AT_FDCWD, LINK, ADDRESS, 0}},
    {"statx", WRITES, SYS_statx, {AT_FDCWD, LINK, 0, 0x7ff, ADDRESS}},
    {"getcwd", WRITES, SYS_getcwd, {ADDRESS, 4096}},
    {"readlinkat", WRITES, SYS_readlinkat, {AT_FDCWD, LINK, ADDRESS, 100}},
    {"pipe2", WRITES, SYS_pipe2, {ADDRESS, 0}},
    {"clock_gettime", WRITES, SYS_clock_gettime, {CLOCK_MONOTONIC, ADDRESS}},
    {"gettimeofday", WRITES, SYS_gettimeofday, {ADDRESS, 0}},
    {"uname", WRITES, SYS_uname, {ADDRESS}},
    {"sysinfo", WRITES, SYS_sysinfo, {ADDRESS}},
    {"times", WRITES, SYS_times, {ADDRESS}},
    {"getrusage", WRITES, SYS_getrusage, {RUSAGE_SELF, ADDRESS}},
    {"prlimit64", WRITES, SYS_prlimit64, {0, RLIMIT_NOFILE, 0, ADDRESS}},
    {"getsockname", WRITES, SYS_getsockname, {SOCKET, ADDRESS, ADDRESS}},
    {"socketpair", WRITES, SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, ADDRESS}},
    {"getitimer", WRITES, SYS_getitimer, {ITIMER_REAL, ADDRESS}},
    {"timerfd_gettime", WRITES, SYS_timerfd_gettime, {TIMER, ADDRESS}},
    {"rt_sigpending", WRITES, SYS_rt_sigpending, {ADDRESS, 8}},
    {"sched_getaffinity", WRITES, SYS_sched_getaffinity, {0, 128, ADDRESS}},
    {"getcpu", WRITES, SYS_getcpu, {ADDRESS, 0, 0}},
    {"getdents64", WRITES, SYS_getdents64, {FOLDER, ADDRESS, 4096}},
    {"ioctl of FIONREAD", WRITES, SYS_ioctl, {PIPE_IN, FIONREAD, ADDRESS}},
    {"ppoll", WRITES, SYS_ppoll, {ADDRESS, 1, 0, 0, 0}},
};

static const char link_name[] = "link";

static long translate(long argument, unsigned long address)
{
    switch (argument) {
    case ADDRESS:
        return (long)address;
    case FILE_FD:
        return file;
    case PIPE_IN:
        return pipe_fds[0];
    case PIPE_OUT:
        return pipe_fds[1];
    case SOCKET:
        return sockets[0];
    case EPOLL:
        return epoll;
    case TIMER:
        return timer;
    case NULL_FD:
        return null;
    case FOLDER:
        return folder;
    case LINK:
        return (long)link_name;
    default:
        return argument;
    }
}

static bool is_refused(const struct attempt *attempt, unsigned long address)
{
    long a[6];
    for (int i = 0; i < 6; i++)
        a[i] = translate(attempt->arguments[i], address);
    lseek(file, 0, SEEK_SET);
    lseek(folder, 0, SEEK_SET);
    long result = syscall(attempt->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return result == -1 && errno == EFAULT;
}

static void test_attempts(void)
{
    for (size_t n = 0; n < COUNT(attempts); n++) {
        const struct attempt *attempt = &attempts[n];
        long accepted = 0;
        for (unsigned i = 0; i < host_range_count; i++) {
            const struct host_range *range = &host_ranges[i];
            if (attempt->kind == WRITES ? !range->can_write : !range->can_read)
                continue;
            const unsigned long places[] = {range->start, range->start + 1024, range->end - 256};
            for (size_t p = 0; p < COUNT(places) && !accepted; p++)
                accepted += !is_refused(attempt, places[p]);
        }
        check_equal(accepted, 0, check_name("%s refuses all addresses of the host", attempt->name));
    }
}

/* Vectors in the program's memory with parts in the host's. */
static void test_vectors(void)
{
    long accepted = 0;
    char own[8];
    for (unsigned i = 0; i < host_range_count; i++) {
        struct iovec parts[2] = {{own, 0}, {(void *)host_ranges[i].start, 8}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        if (!host_ranges[i].can_read)
            continue;
        accepted += writev(file, parts, 2) != -1;
        accepted += pwritev(null, parts, 2, 0) != -1;
        accepted += sendmsg(sockets[0], &message, MSG_DONTWAIT) != -1;
        accepted += vmsplice(pipe_fds[1], parts, 2, SPLICE_F_NONBLOCK) != -1;
        struct iovec here = {own, 8};
        accepted += process_vm_readv(getpid(), &here, 1, &parts[1], 1, 0) != -1;
        message = (struct msghdr){.msg_name = (void *)host_ranges[i].start, .msg_namelen = 16};
        accepted += sendmsg(sockets[0], &message, MSG_DONTWAIT) != -1;
        message =
            (struct msghdr){.msg_control = (void *)host_ranges[i].start, .msg_controllen = 64};
        accepted += sendmsg(sockets[0], &message, MSG_DONTWAIT) != -1;
        if (!host_ranges[i].can_write)
            continue;
        lseek(file, 0, SEEK_SET);
        accepted += readv(file, parts, 2) != -1;
        accepted += process_vm_writev(getpid(), &here, 1, &parts[1], 1, 0) != -1;
    }
    check_equal(accepted, 0, "no part of a vector is the host's");
}

static void test_mappings(void)
{
    long accepted = 0;
    for (unsigned i = 0; i < host_range_count; i++) {
        char *at = (char *)host_ranges[i].start;
        unsigned char resident;
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
        accepted += mprotect(at, PAGE, PROT_READ) == 0;
        accepted += madvise(at, PAGE, MADV_WILLNEED) == 0;
        accepted += mincore(at, PAGE, &resident) == 0;
        accepted += mlock(at, PAGE) == 0;
        accepted += msync(at, PAGE, MS_ASYNC) == 0;
        accepted += mremap(at, PAGE, PAGE, MREMAP_MAYMOVE) != MAP_FAILED;
        accepted += mmap(at, PAGE, PROT_READ, flags | MAP_FIXED, -1, 0) != MAP_FAILED;
        accepted += (unsigned long)mmap(at, PAGE, PROT_READ, flags, -1, 0) >= ADDRESSES_END;
        accepted += munmap(at, PAGE) == 0;
    }
    check_equal(accepted, 0, "no call on mappings takes the host's");
}

int main(void)
{
    read_host_ranges();
    if (host_range_count == 0) {
        check_skip("system calls refuse the host's memory", "there is no host");
        return 0;
    }
    check_enter_scratch();
    file = must_make_file("file", "contents of a file");
    folder = (int)MUST(open(".", O_RDONLY | O_DIRECTORY));
    MUST(symlink(".", link_name));
    MUST(pipe(pipe_fds));
    MUST(write(pipe_fds[1], "some", 4));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    MUST(write(sockets[1], "some", 4));
    epoll = (int)MUST(epoll_create1(0));
    timer = (int)MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    null = (int)MUST(open("/dev/null", O_WRONLY));
    test_attempts();
    test_vectors();
    test_mappings();
    return check_status();
}
