/* SPDX-License-Identifier: Apache-2.0
 * Calls of many kinds, and those that a program cannot have here. */
#include "check.h"

#include <linux/membarrier.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <termios.h>

static void test_random(void)
{
    unsigned char first[64] = {0}, second[64] = {0};
    check_equal(getrandom(first, 64, 0), 64, "getrandom fills a buffer");
    check_equal(getrandom(second, 64, GRND_NONBLOCK), 64, "also without waiting");
    CHECK(memcmp(first, second, 64) != 0, "with something else each time");
    check_fails(getrandom(first, 64, 0x80), EINVAL, "unknown flags are refused");
    check_fails(syscall(SYS_getrandom, ADDRESSES_END, 64, 0), EFAULT, "a buffer is in memory");
    check_equal(getrandom(first, 0, 0), 0, "nothing can be had, too");
    char *edge = must_map_edge();
    check_equal(getrandom(edge - 16, 16, 0), 16, "a buffer may end with a page");
}

static void test_system(void)
{
    struct {
        struct sysinfo info;
        unsigned char behind[64];
    } system;
    memset(&system, 0x5a, sizeof(system));
    check_equal(sysinfo(&system.info), 0, "sysinfo works");
    CHECK(system.info.totalram > system.info.freeram && system.info.mem_unit >= 1,
          "there is more memory than is free");
    CHECK(system.info.procs > 0 && system.info.uptime > 0, "something runs since a while");
    check_equal(system.behind[0], 0x5a, "and nothing behind is touched");
    check_fails(syscall(SYS_sysinfo, ADDRESSES_END), EFAULT, "sysinfo wants memory");
    check_between(sysconf(_SC_NPROCESSORS_ONLN), 1, 4096, "there are processors");
    unsigned long groups[64];
    CHECK(getgroups(64, (gid_t *)groups) >= 0, "getgroups works");
    uid_t ids[3] = {9, 9, 9};
    check_equal(getresuid(&ids[0], &ids[1], &ids[2]), 0, "getresuid works");
    check_equal(ids[0], getuid(), "and tells the user");
    check_equal(ids[1], geteuid(), "and the effective one");
    check_fails(syscall(SYS_getresuid, ADDRESSES_END, &ids[0], &ids[1]), EFAULT, "to memory");
    check_equal(syscall(SYS_personality, 0xffffffff), 0, "the personality is Linux's");
}

static void test_prctl(void)
{
    check_equal(prctl(PR_GET_DUMPABLE), 1, "a program is dumpable");
    check_equal(prctl(PR_SET_DUMPABLE, 0), 0, "and need not be");
    check_equal(prctl(PR_GET_DUMPABLE), 0, "as is told then");
    prctl(PR_SET_DUMPABLE, 1);
    check_equal(prctl(PR_GET_KEEPCAPS), 0, "capabilities are not kept");
    check_equal(prctl(PR_SET_TIMERSLACK, 123456), 0, "the timers' slack can be set");
    check_equal(prctl(PR_GET_TIMERSLACK), 123456, "and read");
    int value = 77;
    check_equal(prctl(PR_GET_PDEATHSIG, &value), 0, "there is a signal for a parent's death");
    check_equal(value, 0, "which is none");
    check_fails(prctl(PR_SET_PDEATHSIG, 100), EINVAL, "and a valid one");
    check_fails(prctl(9999, 0), EINVAL, "unknown things are refused");
    check_fails(prctl(PR_SET_NAME, ADDRESSES_END), EFAULT, "a name is in memory");
    pid_t child = check_fork();
    if (child == 0) {
        check_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0, "new privileges are possible");
        check_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0, "and can be given up");
        check_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1, "for ever");
        _exit(check_status());
    }
    check_equal(check_wait(child), 0, "the child without privileges is content");
}

static void test_scheduling(void)
{
    check_equal(sched_getscheduler(0), SCHED_OTHER, "the usual scheduler is used");
    struct sched_param parameter = {77};
    check_equal(sched_getparam(0, &parameter), 0, "sched_getparam works");
    check_equal(parameter.sched_priority, 0, "and tells priority 0");
    check_equal(sched_get_priority_max(SCHED_FIFO) * 100 + sched_get_priority_min(SCHED_FIFO), 9901,
                "SCHED_FIFO has priorities 1 to 99");
    pid_t child = check_fork();
    if (child == 0) {
        parameter.sched_priority = 0;
        check_equal(sched_setscheduler(0, SCHED_BATCH, &parameter), 0, "SCHED_BATCH can be chosen");
        check_equal(sched_getscheduler(0), SCHED_BATCH, "and is told");
        parameter.sched_priority = 1000;
        check_fails(sched_setscheduler(0, SCHED_FIFO, &parameter), EINVAL, "1000 is no priority");
        _exit(check_status());
    }
    check_equal(check_wait(child), 0, "the child with another scheduler is content");
    struct timespec interval;
    check_equal(sched_rr_get_interval(0, &interval), 0, "sched_rr_get_interval works");
    check_equal(sched_yield(), 0, "sched_yield works");
    check_fails(sched_getscheduler(-1), EINVAL, "there is no process -1");
    unsigned long mask[128];
    CHECK(syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask) >= 8,
          "sched_getaffinity tells the size of its mask");
    check_fails(syscall(SYS_sched_getaffinity, 0, 4, mask), EINVAL, "which must have room");
    check_fails(syscall(SYS_sched_getaffinity, 0, 1024, ADDRESSES_END), EFAULT, "in memory");
}

static void test_membarrier(void)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands == -1) {
        check_skip("membarrier tells what it can", "the kernel has none");
        return;
    }
    CHECK(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED, "membarrier can do what is private");
    check_equal(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0), 0,
                "one registers for it");
    check_equal(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), 0, "and does it");
    check_fails(syscall(SYS_membarrier, 1 << 30, 0, 0), EINVAL, "unknown commands are refused");
    check_fails(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 77, 0), EINVAL, "flags, too");
    if (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) {
        check_equal(
            syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0), 0,
            "one registers for synchronised code");
        check_equal(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0), 0,
                    "and does it, too");
    }
}

static void test_memfd(void)
{
    int fd = (int)check_ok(memfd_create("a name", MFD_CLOEXEC | MFD_ALLOW_SEALING),
                           "memfd_create makes a file");
    MUST(ftruncate(fd, 100));
    check_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0, "seals can be added");
    check_fails(ftruncate(fd, 50), EPERM, "F_SEAL_SHRINK forbids to shorten");
    check_equal(ftruncate(fd, 200), 0, "but not to lengthen");
    MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE));
    check_fails(ftruncate(fd, 300), EPERM, "as F_SEAL_GROW does");
    check_fails(write(fd, "x", 1), EPERM, "F_SEAL_WRITE forbids to write");
    check_fails((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM,
                "and to map for writing");
    check_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
                "F_GET_SEALS tells the seals");
    char path[64], target[64] = "";
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    MUST(readlink(path, target, sizeof(target) - 1));
    check_string(target, "/memfd:a name (deleted)", "its name can be seen");
    close(fd);
    check_fails(memfd_create("x", 0x4000), EINVAL, "unknown flags make none");
    check_fails(syscall(SYS_memfd_create, ADDRESSES_END, 0), EFAULT, "a file's name is in memory");
}

static void test_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master == -1) {
        check_skip("a pseudo terminal can be made", "there is none");
        return;
    }
    check_ok(master, "a pseudo terminal can be made");
    char name[64];
    check_equal(grantpt(master) | unlockpt(master), 0, "and unlocked");
    check_equal(ptsname_r(master, name, sizeof(name)), 0, "it has a name");
    int slave = (int)check_ok(open(name, O_RDWR | O_NOCTTY), "and another end");
    check_equal(isatty(slave), 1, "which is a terminal");
    struct {
        struct termios settings;
        unsigned char behind[32];
    } terminal;
    check_equal(tcgetattr(slave, &terminal.settings), 0, "its settings can be read");
    CHECK(terminal.settings.c_lflag & ECHO, "it echoes");
    terminal.settings.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
    terminal.settings.c_oflag &= ~(tcflag_t)OPOST;
    check_equal(tcsetattr(slave, TCSANOW, &terminal.settings), 0, "and set");
    struct winsize size = {11, 22, 33, 44}, got;
    check_equal(ioctl(master, TIOCSWINSZ, &size), 0, "it has a size");
    check_equal(ioctl(slave, TIOCGWINSZ, &got), 0, "that both ends see");
    check_equal(got.ws_row * 100 + got.ws_col, 1122, "the same");
    MUST(write(master, "key", 3));
    char text[16] = "";
    check_equal(read(slave, text, sizeof(text)), 3, "what is typed is read");
    MUST(write(slave, "a\nb", 3));
    check_equal(read(master, text, sizeof(text)), 3, "what is written is seen");
    check_bytes(text, "a\nb", 3, "as it is, without OPOST");
    int flags = 77;
    check_fails(ioctl(slave, 0x12345678, &flags), ENOTTY, "an unknown request is refused");
    check_fails(ioctl(slave, TIOCGWINSZ, ADDRESSES_END), EFAULT, "an answer goes to memory");
    check_fails(tcgetattr(STDIN_FILENO + 200, &terminal.settings), EBADF, "of a terminal");
    close(slave);
    close(master);
}

/* Numbers that no kernel of RISC-V has, or none that programs meet here. */
static void test_unknown(void)
{
    const long numbers[] = {244, 245, 257, 270 + 1000, 9999, 0x7fffffff, LONG_MAX};
    for (size_t i = 0; i < COUNT(numbers); i++)
        check_fails(syscall(numbers[i], 0, 0, 0, 0, 0, 0), ENOSYS,
                    check_name("call %ld does not exist", numbers[i]));
}

/* What the process VM does not offer; a kernel has it. */
static void test_not_offered(void)
{
    if (!getenv("DOPPEL_GUEST_LINUX"))
        return;
    check_fails(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM, "ptrace is refused");
    check_fails(syscall(425, 8, NULL), ENOSYS, "io_uring does not exist");
    check_fails(syscall(SYS_rseq, NULL, 32, 0, 0), ENOSYS, "rseq does not exist");
}

int main(void)
{
    test_random();
    test_system();
    test_prctl();
    test_scheduling();
    test_membarrier();
    test_memfd();
    test_terminal();
    test_unknown();
    test_not_offered();
    return check_status();
}
