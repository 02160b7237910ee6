/* SPDX-License-Identifier: Apache-2.0
 * Attempts to get out of the sandbox, made by this program itself and not by a guest: a
 * guest can overwrite doppel's memory, and is then as good as any code of the host.
 *
 * Each attempt runs in a sandbox of its own and ends with what it got: 0 when it succeeded,
 * else the error number. */
#include "harness/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <linux/vm_sockets.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/sandbox.h"

#define FAILED_TO_ENTER 200
#define OPEN_FD         77

/* Outside: a folder with a file, which the sandbox gets to read, and one to write. */
static char outside[] = "/tmp/doppel-sandbox-XXXXXX";
static char readable[64], writable[64], secret[64];
static pid_t outer;

typedef int attempt(void);

static void make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);

    assert_true(fd >= 0 && write(fd, "text", 4) == 4);
    close(fd);
}

static void make_outside(void)
{
    char path[96];

    assert_non_null(mkdtemp(outside));
    snprintf(readable, sizeof(readable), "%s/readable", outside);
    snprintf(writable, sizeof(writable), "%s/writable", outside);
    snprintf(secret, sizeof(secret), "%s/secret", outside);
    assert_int_equal(mkdir(readable, 0755) | mkdir(writable, 0755), 0);
    make_file(secret);
    snprintf(path, sizeof(path), "%s/file", readable);
    make_file(path);
}

static void enter_and(attempt *act)
{
    static char *const words[] = {NULL};
    struct process_config config = {
        .program = "/bin/true",
        .own_words = words,
        .self_fd = -1,
        .program_fd = -1,
        .sandbox = true,
        .shares = {{readable, "/share/readable", true}, {writable, "/share/writable", false}},
        .share_count = 2,
    };
    struct error err = {0};

    if (process_sandbox_enter(&config, &err) < 0) {
        fprintf(stderr, "# %s\n", err.text);
        _exit(FAILED_TO_ENTER);
    }
    _exit(act());
}

/* The wait status of the process outside. */
static int status_of(attempt *act)
{
    int status = 0;

    outer = getpid();
    pid_t pid = fork();
    if (pid == 0)
        enter_and(act);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int result_of(attempt *act)
{
    int status = status_of(act);

    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == FAILED_TO_ENTER)
        skip();
    return WEXITSTATUS(status);
}

/* What a call that returns -1 for errors got. */
static int got(long result)
{
    return result < 0 ? errno : 0;
}

/* ---- what works ---- */

static int end_with_7(void)
{
    return 7;
}

static int die(void)
{
    raise(SIGKILL);
    return 0;
}

TEST(sandbox, ends_as_the_program)
{
    CHECK_EQ(result_of(end_with_7), 7);
    int status = status_of(die);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int wait_for_sigusr1(void)
{
    sigset_t set;
    int signal = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (write(STDOUT_FILENO, "#\n", 2) != 2)
        return 1;
    alarm(10);
    sigwait(&set, &signal);
    return signal;
}

TEST(sandbox, signals_are_passed_on)
{
    int ready[2];
    int status;
    char byte;

    (void)result_of(end_with_7);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ready[1], STDOUT_FILENO);
        enter_and(wait_for_sigusr1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(pid, SIGUSR1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == SIGUSR1);
    close(ready[0]);
}

static int use_shares(void)
{
    char text[4];
    int from = open("/share/readable/file", O_RDONLY);
    int to = open("/share/writable/new", O_CREAT | O_RDWR, 0644);

    if (from < 0 || to < 0 || read(from, text, 4) != 4 || write(to, text, 4) != 4)
        return errno;
    if (mkdir("/share/writable/folder", 0755) < 0 ||
        rename("/share/writable/new", "/share/writable/folder/moved") < 0)
        return errno;
    return got(open("/tmp/mine", O_CREAT | O_RDWR, 0600)) | got(open("/dev/null", O_RDWR)) |
           got(open("/dev/urandom", O_RDONLY));
}

TEST(sandbox, shares_and_own_files_can_be_used)
{
    CHECK_EQ(result_of(use_shares), 0);
}

static int use_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(server, (struct sockaddr *)&address, size) < 0 || listen(server, 1) < 0 ||
        getsockname(server, (struct sockaddr *)&address, &size) < 0)
        return errno;
    return got(connect(client, (struct sockaddr *)&address, size));
}

TEST(sandbox, parts_of_a_program_can_talk)
{
    CHECK_EQ(result_of(use_loopback), 0);
}

/* ---- files ---- */

static int read_secret(void)
{
    return got(open(secret, O_RDONLY));
}

static int read_host(void)
{
    return got(open("/etc/passwd", O_RDONLY));
}

static int climb(void)
{
    char path[256] = "/share/readable";

    for (unsigned i = 0; i < 20; i++)
        strcat(path, "/.."); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy): it fits */
    return chdir(path) < 0 ? errno : got(open("etc/passwd", O_RDONLY));
}

static int use_root_of_init(void)
{
    return got(open("/proc/1/root/etc/passwd", O_RDONLY));
}

static int write_readable(void)
{
    return got(open("/share/readable/file", O_WRONLY));
}

static int make_in_readable(void)
{
    return got(open("/share/readable/new", O_CREAT | O_WRONLY, 0644));
}

static int make_in_root(void)
{
    return got(mkdir("/new", 0755));
}

static int write_self(void)
{
    return got(open(SANDBOX_SELF, O_WRONLY));
}

static int make_device(void)
{
    return got(mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0)));
}

static int link_out(void)
{
    return symlink(secret, "/tmp/link") < 0 ? errno : got(open("/tmp/link", O_RDONLY));
}

static int use_open_descriptor(void)
{
    return got(fcntl(OPEN_FD, F_GETFD));
}

static int open_by_handle(void)
{
    struct {
        struct file_handle handle;
        char space[64];
    } file = {.handle = {.handle_bytes = 8, .handle_type = 1}};

    return got(open_by_handle_at(AT_FDCWD, &file.handle, O_RDONLY));
}

TEST(sandbox, files_of_the_host_are_out_of_reach)
{
    CHECK_EQ(result_of(read_secret), ENOENT);
    CHECK_EQ(result_of(read_host), ENOENT);
    CHECK_EQ(result_of(climb), ENOENT);
    CHECK(result_of(use_root_of_init) != 0);
    CHECK_EQ(result_of(link_out), ENOENT);
    CHECK_EQ(result_of(open_by_handle), EPERM);
    assert_int_equal(dup2(STDIN_FILENO, OPEN_FD), OPEN_FD);
    CHECK_EQ(result_of(use_open_descriptor), EBADF);
}

TEST(sandbox, what_is_for_reading_is_not_written)
{
    CHECK(result_of(write_readable) != 0);
    CHECK(result_of(make_in_readable) != 0);
    CHECK(result_of(make_in_root) != 0);
    CHECK(result_of(write_self) != 0);
    CHECK(result_of(make_device) != 0);
}

/* ---- mounts and namespaces ---- */

static int mount_something(void)
{
    return got(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int make_writable(void)
{
    return got(mount("none", "/share/readable", NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int unmount(void)
{
    return got(umount2("/tmp", MNT_DETACH));
}

static int change_root(void)
{
    return got(chroot("/tmp"));
}

static int new_user(void)
{
    return got(unshare(CLONE_NEWUSER));
}

static int clone_user(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        _exit(0);
    return got(pid);
}

static int enter_namespace(void)
{
    int fd = open("/proc/1/ns/mnt", O_RDONLY);

    return got(setns(fd, 0));
}

TEST(sandbox, namespaces_stay_as_they_are)
{
    CHECK_EQ(result_of(mount_something), EPERM);
    CHECK_EQ(result_of(make_writable), EPERM);
    CHECK_EQ(result_of(unmount), EPERM);
    CHECK_EQ(result_of(change_root), EPERM);
    CHECK_EQ(result_of(new_user), EPERM);
    CHECK_EQ(result_of(clone_user), EPERM);
    CHECK_EQ(result_of(enter_namespace), EPERM);
}

/* ---- other processes ---- */

static int kill_outer(void)
{
    return got(kill(outer, 0));
}

static int kill_all(void)
{
    /* Init is not among "all": nobody is left. */
    return got(kill(-1, 0));
}

static int trace_init(void)
{
    return got(ptrace(PTRACE_ATTACH, 1, NULL, NULL));
}

static int read_init(void)
{
    char bytes[16];
    struct iovec to = {bytes, sizeof(bytes)};
    struct iovec from = {(void *)(uintptr_t)&outer, sizeof(bytes)};

    return got(process_vm_readv(1, &to, 1, &from, 1, 0));
}

static int find_memory(void)
{
    return got(shmget(0x646f7070, 4096, 0));
}

TEST(sandbox, other_processes_are_out_of_reach)
{
    int memory = shmget(0x646f7070, 4096, IPC_CREAT | 0600);

    CHECK_EQ(result_of(kill_outer), ESRCH);
    CHECK_EQ(result_of(kill_all), ESRCH);
    CHECK_EQ(result_of(trace_init), EPERM);
    CHECK_EQ(result_of(read_init), EPERM);
    CHECK_EQ(result_of(find_memory), ENOENT);
    shmctl(memory, IPC_RMID, NULL);
}

/* ---- the network ---- */

static int connect_out(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, "192.0.2.1", &address.sin_addr);
    return got(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static struct sockaddr_un abstract_name(void)
{
    return (struct sockaddr_un){.sun_family = AF_UNIX, .sun_path = "\0doppel-sandbox-test"};
}

static int connect_abstract(void)
{
    struct sockaddr_un address = abstract_name();
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    return got(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int connect_hypervisor(void)
{
    return got(socket(AF_VSOCK, SOCK_STREAM, 0));
}

static int sniff(void)
{
    return got(socket(AF_PACKET, SOCK_RAW, 0));
}

TEST(sandbox, there_is_no_network)
{
    struct sockaddr_un address = abstract_name();
    int server = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server, 1), 0);
    CHECK_EQ(result_of(connect_out), ENETUNREACH);
    CHECK_EQ(result_of(connect_abstract), ECONNREFUSED);
    CHECK_EQ(result_of(connect_hypervisor), EAFNOSUPPORT);
    CHECK_EQ(result_of(sniff), EAFNOSUPPORT);
    close(server);
}

/* ---- the kernel ---- */

static int count_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    int count = 0;

    syscall(SYS_capget, &header, data);
    for (unsigned i = 0; i < 2; i++)
        count += __builtin_popcount(data[i].effective | data[i].permitted | data[i].inheritable);
    for (unsigned long i = 0; i < 41; i++)
        count += prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1;
    return count;
}

static int has_no_new_rights(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

static int write_sysctl(void)
{
    return got(open("/proc/sys/kernel/core_pattern", O_WRONLY));
}

static int press_sysrq(void)
{
    return got(open("/proc/sysrq-trigger", O_WRONLY));
}

static int type_into_terminal(void)
{
    return got(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

static int name_host(void)
{
    return got(sethostname("x", 1));
}

static int call_bpf(void)
{
    return got(syscall(SYS_bpf, 0, NULL, 0));
}

static int call_keyctl(void)
{
    return got(syscall(SYS_keyctl, 0, -3, 0, 0, 0));
}

static int call_io_uring(void)
{
    return got(syscall(SYS_io_uring_setup, 1, NULL));
}

static int call_userfaultfd(void)
{
    return got(syscall(SYS_userfaultfd, 0));
}

static int call_unknown(void)
{
    return got(syscall(1000));
}

static int call_x32(void)
{
    return got(syscall(0x40000000 + SYS_getpid));
}

static int call_i386(void)
{
    int result = 20; /* getpid */

    signal(SIGSEGV, SIG_DFL);
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return 0;
}

TEST(sandbox, there_are_no_rights)
{
    CHECK_EQ(result_of(count_capabilities), 0);
    CHECK_EQ(result_of(has_no_new_rights), 0);
    CHECK(result_of(write_sysctl) != 0);
    CHECK(result_of(press_sysrq) != 0);
    CHECK_EQ(result_of(name_host), EPERM);
}

TEST(sandbox, calls_that_are_not_for_programs_fail)
{
    CHECK_EQ(result_of(type_into_terminal), EPERM);
    CHECK_EQ(result_of(call_bpf), EPERM);
    CHECK_EQ(result_of(call_keyctl), EPERM);
    CHECK_EQ(result_of(call_io_uring), ENOSYS);
    CHECK_EQ(result_of(call_userfaultfd), EPERM);
    CHECK_EQ(result_of(call_unknown), ENOSYS);
    CHECK_EQ(result_of(call_x32), ENOSYS);
    int status = status_of(call_i386);
    /* Kernels without the calls of i386 raise SIGSEGV. */
    CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TESTS(sandbox, ends_as_the_program),
        TESTS(sandbox, signals_are_passed_on),
        TESTS(sandbox, shares_and_own_files_can_be_used),
        TESTS(sandbox, parts_of_a_program_can_talk),
        TESTS(sandbox, files_of_the_host_are_out_of_reach),
        TESTS(sandbox, what_is_for_reading_is_not_written),
        TESTS(sandbox, namespaces_stay_as_they_are),
        TESTS(sandbox, other_processes_are_out_of_reach),
        TESTS(sandbox, there_is_no_network),
        TESTS(sandbox, there_are_no_rights),
        TESTS(sandbox, calls_that_are_not_for_programs_fail),
    };

    make_outside();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    nftw(outside, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return result;
}
