/* SPDX-License-Identifier: Apache-2.0
 * What a guest that has taken over one of a machine's threads can do: this program enters the sandbox in the role of
 * each and then acts for itself, as whoever can overwrite doppel's memory would.
 *
 * Every act runs in a process of its own, which ends with what the act got: 0 when it succeeded, else the error
 * number; the filter ends it by SIGSYS. All layers together must refuse every act; each layer alone those that
 * it claims, so that no layer is only believed to hold. */
#include "harness/harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/filter.h>
#include <linux/vm_sockets.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sandbox/sandbox.h"

enum {
    NAMESPACES = 1, /* and capabilities */
    LANDLOCK = 2,
    FILTER = 4,
    ALL = 7,

    FAILED_TO_ENTER = 200,
    LAYER_MISSING = 201,
    SHARE_FD = 70,
    READ_ONLY_FD = 71,
    SOCKET_FD = 72, /* a connected stream, as all roles could have one */
    FILE_FD = 73,   /* a file of the share */
    NAMES_FD = 74,  /* what is read by its path */
};

/* Roles, as bits. */
#define EVERY  ((1u << SANDBOX_ROLE_COUNT) - 1)
#define SERVER (1u << SANDBOX_SERVER)
#define NET    (1u << SANDBOX_NET)

/* Outside: secret; share/file, share/link -> secret, share/up -> ../secret; readonly/file; names. */
static char outside[] = "/tmp/doppel-takeover-XXXXXX";
static char secret[64], share[64], readonly[64], path_socket[64], names[64];
static pid_t victim;
static uint16_t tcp_port;
static int memory_id;

static int got(long result)
{
    return result < 0 ? errno : 0;
}

/* ---- files ---- */

static int read_secret(void)
{
    return got(syscall(SYS_openat, AT_FDCWD, secret, O_RDONLY, 0));
}

static int read_secret_the_old_way(void)
{
    return got(syscall(SYS_open, secret, O_RDONLY, 0));
}

static int read_secret_by_openat2(void)
{
    uint64_t how[3] = {O_RDONLY, 0, 0};

    return got(syscall(SYS_openat2, AT_FDCWD, secret, how, sizeof(how)));
}

static int write_secret(void)
{
    return got(syscall(SYS_openat, AT_FDCWD, secret, O_WRONLY | O_APPEND, 0));
}

static int create_in_tmp(void)
{
    char path[96];

    snprintf(path, sizeof(path), "%s/made", outside);
    return got(syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY, 0600));
}

static int read_memory_of_victim(void)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/mem", victim);
    return got(syscall(SYS_openat, AT_FDCWD, path, O_RDWR, 0));
}

/* From the server's working folder. */
static int read_environment_beside_self(void)
{
    char path[64];

    snprintf(path, sizeof(path), "../../%d/environ", victim);
    return got(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0));
}

static int use_root_of_init(void)
{
    return got(syscall(SYS_openat, AT_FDCWD, "/proc/1/root/etc/passwd", O_RDONLY, 0));
}

static int climb_out_of_share(void)
{
    return got(syscall(SYS_openat, SHARE_FD, "../secret", O_RDONLY, 0));
}

static int follow_link_out_of_share(void)
{
    return got(syscall(SYS_openat, SHARE_FD, "link", O_RDONLY, 0));
}

static int follow_link_up(void)
{
    return got(syscall(SYS_openat, SHARE_FD, "up", O_RDWR, 0));
}

static int link_secret_into_share(void)
{
    return got(syscall(SYS_linkat, SHARE_FD, "../secret", SHARE_FD, "stolen", 0));
}

static int move_secret_into_share(void)
{
    return got(syscall(SYS_renameat2, SHARE_FD, "../spare", SHARE_FD, "stolen", 0));
}

static int create_beside_share(void)
{
    return got(syscall(SYS_openat, SHARE_FD, "../made", O_CREAT | O_WRONLY, 0600));
}

static int remove_beside_share(void)
{
    return got(syscall(SYS_unlinkat, SHARE_FD, "../spare", 0));
}

static int write_to_read_only_share(void)
{
    return got(syscall(SYS_openat, READ_ONLY_FD, "file", O_WRONLY, 0));
}

static int create_in_read_only_share(void)
{
    return got(syscall(SYS_openat, READ_ONLY_FD, "new", O_CREAT | O_WRONLY, 0600));
}

static int make_device(void)
{
    return got(syscall(SYS_mknodat, SHARE_FD, "disk", S_IFBLK | 0600, makedev(254, 0)));
}

static int chmod_setuid(void)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", FILE_FD);
    return got(syscall(SYS_chmod, path, 04755));
}

static int fchmod_setuid(void)
{
    return got(syscall(SYS_fchmod, FILE_FD, 04755));
}

static int fchmodat_setgid(void)
{
    return got(syscall(SYS_fchmodat, SHARE_FD, "file", 02755));
}

static int create_setuid(void)
{
    return got(syscall(SYS_openat, SHARE_FD, "setuid", O_CREAT | O_WRONLY, 04755));
}

static int create_setuid_by_openat2(void)
{
    uint64_t how[3] = {O_CREAT | O_WRONLY, 04755, 0};

    return got(syscall(SYS_openat2, SHARE_FD, "setuid2", how, sizeof(how)));
}

static int make_setgid_folder(void)
{
    return got(syscall(SYS_mkdirat, SHARE_FD, "setgid", 02755));
}

static int open_by_handle(void)
{
    struct {
        struct file_handle handle;
        char space[64];
    } file = {.handle = {.handle_bytes = 8, .handle_type = 1}};

    return got(syscall(SYS_open_by_handle_at, SHARE_FD, &file.handle, O_RDONLY));
}

static int change_owner(void)
{
    return got(syscall(SYS_fchown, FILE_FD, 12345, 12345));
}

/* ---- programs and processes ---- */

static int execute(void)
{
    char name[] = "true";
    char *words[] = {name, NULL};

    syscall(SYS_execve, "/bin/true", words, words);
    return errno;
}

static int execute_memory(void)
{
    char name[] = "x";
    char *words[] = {name, NULL};
    int fd = (int)syscall(SYS_memfd_create, "x", 0);

    if (fd < 0 || write(fd, "#!/bin/true\n", 12) < 0)
        return errno;
    syscall(SYS_execveat, fd, "", words, words, AT_EMPTY_PATH);
    return errno;
}

static int fork_process(void)
{
    long pid = syscall(SYS_fork);

    if (pid == 0)
        _exit(0);
    return got(pid);
}

static int clone_process(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        _exit(0);
    return got(pid);
}

static int clone3_process(void)
{
    uint64_t arguments[11] = {[4] = SIGCHLD};
    long pid = syscall(SYS_clone3, arguments, sizeof(arguments));

    if (pid == 0)
        _exit(0);
    return got(pid);
}

static int trace(void)
{
    return got(ptrace(PTRACE_SEIZE, victim, NULL, NULL));
}

static int signal_victim(void)
{
    return got(syscall(SYS_kill, victim, SIGCONT));
}

static int signal_thread_of_victim(void)
{
    return got(syscall(SYS_tgkill, victim, victim, SIGCONT));
}

static int queue_signal(void)
{
    siginfo_t info = {.si_code = SI_QUEUE, .si_signo = SIGCONT};

    return got(syscall(SYS_rt_sigqueueinfo, victim, SIGCONT, &info));
}

static int signal_by_descriptor(void)
{
    int fd = (int)syscall(SYS_pidfd_open, victim, 0);

    return fd < 0 ? errno : got(syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0));
}

static int signal_by_owner(void)
{
    return got(syscall(SYS_fcntl, SOCKET_FD, F_SETOWN, victim));
}

static int read_victim(void)
{
    char bytes[16];
    struct iovec to = {bytes, sizeof(bytes)};
    struct iovec from = {&victim, sizeof(bytes)};

    return got(process_vm_readv(victim, &to, 1, &from, 1, 0));
}

static int take_descriptor_of_victim(void)
{
    int fd = (int)syscall(SYS_pidfd_open, victim, 0);

    return fd < 0 ? errno : got(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static int limit_victim(void)
{
    struct rlimit limit;

    return got(syscall(SYS_prlimit64, victim, RLIMIT_NOFILE, NULL, &limit));
}

static int slow_victim(void)
{
    return got(syscall(SYS_setpriority, PRIO_PROCESS, victim, 19));
}

static int move_victim(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return got(syscall(SYS_sched_setaffinity, victim, sizeof(set), &set));
}

static int find_memory(void)
{
    return got(syscall(SYS_shmat, memory_id, NULL, 0));
}

static int make_shared_memory(void)
{
    return got(syscall(SYS_shmget, 0x646f7071, 4096, 01600));
}

/* ---- memory ---- */

static int map_executable(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? errno : 0;
}

static int map_writable_and_executable(void)
{
    void *p =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? errno : 0;
}

static int make_executable(void)
{
    static char page[8192] __attribute__((aligned(4096)));

    return got(syscall(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC));
}

static int make_executable_by_key(void)
{
    static char page[8192] __attribute__((aligned(4096)));

    return got(syscall(SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_EXEC, -1));
}

static int use_personality(void)
{
    return got(syscall(SYS_personality, 0x0400000 /* READ_IMPLIES_EXEC */));
}

/* ---- the network ---- */

static int connect_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(tcp_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

    return fd < 0 ? errno : got(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int make_inet_socket(void)
{
    return got(syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0));
}

static int make_raw_socket(void)
{
    return got(syscall(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int make_raw_socket_by_ipv6(void)
{
    return got(syscall(SYS_socket, AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
}

static int make_sctp_socket(void)
{
    return got(syscall(SYS_socket, AF_INET, SOCK_STREAM, 132 /* IPPROTO_SCTP */));
}

static int make_unix_socket(void)
{
    return got(syscall(SYS_socket, AF_UNIX, SOCK_DGRAM, 0));
}

static int bind_socket_to_device(void)
{
    return got(syscall(SYS_setsockopt, SOCKET_FD, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
}

static int list_etc(void)
{
    return got(syscall(SYS_openat, AT_FDCWD, "/etc", O_RDONLY | O_DIRECTORY, 0));
}

static int write_names(void)
{
    return got(syscall(SYS_openat, AT_FDCWD, names, O_RDWR, 0));
}

static int replace_names(void)
{
    char path[96];

    snprintf(path, sizeof(path), "%s/spare", outside);
    return got(syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, names, 0));
}

static int make_vsock_socket(void)
{
    return got(syscall(SYS_socket, AF_VSOCK, SOCK_STREAM, 0));
}

static int make_netlink_socket(void)
{
    return got(syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0));
}

static int make_packet_socket(void)
{
    return got(syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0));
}

static int make_alg_socket(void)
{
    return got(syscall(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0));
}

static struct sockaddr_un abstract_name(void)
{
    return (struct sockaddr_un){.sun_family = AF_UNIX, .sun_path = "\0doppel-takeover-test"};
}

static int connect_abstract(void)
{
    struct sockaddr_un address = abstract_name();
    int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);

    return fd < 0 ? errno : got(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int connect_path(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);

    strcpy(address.sun_path, path_socket); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
    return fd < 0 ? errno : got(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int attach_socket_filter(void)
{
    struct sock_filter code = {BPF_RET | BPF_K, 0, 0, 0};
    struct sock_fprog program = {1, &code};

    return got(syscall(SYS_setsockopt, SOCKET_FD, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                       sizeof(program)));
}

/* ---- rights and namespaces ---- */

static int mount_something(void)
{
    return got(syscall(SYS_mount, "none", outside, "tmpfs", 0, NULL));
}

static int use_new_mount_calls(void)
{
    return got(syscall(SYS_fsopen, "tmpfs", 0));
}

static int clone_mounts(void)
{
    return got(syscall(SYS_open_tree, SHARE_FD, "..", 1 /* OPEN_TREE_CLONE */));
}

static int change_root(void)
{
    return got(syscall(SYS_chroot, "/"));
}

static int pivot(void)
{
    return got(syscall(SYS_pivot_root, ".", "."));
}

static int new_user_namespace(void)
{
    return got(syscall(SYS_unshare, CLONE_NEWUSER));
}

static int enter_namespace(void)
{
    int fd = (int)syscall(SYS_pidfd_open, victim, 0);

    return fd < 0 ? errno : got(syscall(SYS_setns, fd, CLONE_NEWNET));
}

static int become_other_user(void)
{
    return got(syscall(SYS_setresuid, 12345, 12345, 12345));
}

static int get_groups(void)
{
    gid_t group = 0;

    return got(syscall(SYS_setgroups, 1, &group));
}

static int gain_capabilities(void)
{
    struct {
        uint32_t version;
        int pid;
    } header = {0x20080522, 0};
    uint32_t data[6] = {1, 1, 0, 0, 0, 0}; /* CAP_CHOWN */

    return got(syscall(SYS_capset, &header, data));
}

static int become_dumpable(void)
{
    return got(syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int change_own_filter(void)
{
    struct sock_filter code = {BPF_RET | BPF_K, 0, 0, 0x7fff0000};
    struct sock_fprog program = {1, &code};

    return got(syscall(SYS_seccomp, 1, 0, &program));
}

static int name_host(void)
{
    return got(syscall(SYS_sethostname, "x", 1));
}

static int set_clock(void)
{
    const int zone[2] = {0, 0};

    return got(syscall(SYS_settimeofday, NULL, zone));
}

static int load_module(void)
{
    return got(syscall(SYS_init_module, NULL, 0, ""));
}

static int reboot_host(void)
{
    return got(syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* CAD off */, NULL));
}

static int use_ports(void)
{
    return got(syscall(SYS_ioperm, 0x80, 1, 1));
}

/* ---- parts of the kernel that nobody here needs ---- */

static int type_into_terminal(void)
{
    return got(syscall(SYS_ioctl, 0, TIOCSTI, "x"));
}

static int ask_for_signals_of_terminal(void)
{
    int on = 1;

    return got(syscall(SYS_ioctl, SOCKET_FD, FIOASYNC, &on));
}

static int call_bpf(void)
{
    return got(syscall(SYS_bpf, 0, NULL, 0));
}

static int call_keyctl(void)
{
    return got(syscall(SYS_keyctl, 0, -3, 1, 0, 0));
}

static int call_add_key(void)
{
    return got(syscall(SYS_add_key, "user", "x", "x", 1, -1));
}

static int call_io_uring(void)
{
    uint32_t parameters[30] = {0};

    return got(syscall(SYS_io_uring_setup, 1, parameters));
}

static int call_userfaultfd(void)
{
    return got(syscall(SYS_userfaultfd, 1 /* user mode only */));
}

static int call_perf(void)
{
    uint32_t attributes[28] = {1, sizeof(attributes)};

    return got(syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0));
}

static int make_message_queue(void)
{
    int id = (int)syscall(SYS_msgget, 0 /* IPC_PRIVATE */, 01600);

    return id < 0 ? errno : got(syscall(SYS_msgctl, id, 0 /* IPC_RMID */, NULL));
}

static int call_unknown(void)
{
    return got(syscall(1000));
}

static int call_x32(void)
{
    return got(syscall(0x40000000 + SYS_getpid));
}

static const struct act {
    const char *name;
    int (*run)(void);
    unsigned layers;   /* that refuse it alone; FILTER: for the roles of `filtered` */
    unsigned filtered; /* roles */
    bool is_anybodys;  /* without a sandbox every user can do it: the act itself is in order */
    unsigned works;    /* roles whose work it is */
} acts[] = {
#define WORK(name, layers, filtered, anybodys, works)  \
    {                                                  \
#name, name, layers, filtered, anybodys, works \
    }
#define ACT(name, layers, filtered, anybodys) WORK(name, layers, filtered, anybodys, 0)
    ACT(read_secret, ALL, EVERY & ~SERVER & ~NET, true),
    ACT(read_secret_the_old_way, ALL, EVERY, true),
    ACT(read_secret_by_openat2, ALL, EVERY, true),
    ACT(write_secret, ALL, EVERY & ~SERVER, true),
    ACT(create_in_tmp, ALL, EVERY & ~SERVER, true),
    ACT(read_memory_of_victim, ALL, EVERY & ~SERVER, false),
    ACT(read_environment_beside_self, NAMESPACES | LANDLOCK | FILTER, EVERY & ~SERVER & ~NET,
        false),
    ACT(use_root_of_init, ALL, EVERY & ~SERVER & ~NET, false),
    ACT(climb_out_of_share, LANDLOCK | FILTER, EVERY & ~SERVER & ~NET, true),
    ACT(follow_link_out_of_share, ALL, EVERY & ~SERVER & ~NET, true),
    ACT(follow_link_up, LANDLOCK | FILTER, EVERY & ~SERVER, true),
    ACT(link_secret_into_share, LANDLOCK | FILTER, EVERY & ~SERVER, true),
    ACT(move_secret_into_share, LANDLOCK | FILTER, EVERY & ~SERVER, true),
    ACT(create_beside_share, LANDLOCK | FILTER, EVERY & ~SERVER, true),
    ACT(remove_beside_share, LANDLOCK | FILTER, EVERY & ~SERVER, true),
    ACT(write_to_read_only_share, LANDLOCK | FILTER, EVERY & ~SERVER, true),
    ACT(create_in_read_only_share, LANDLOCK | FILTER, EVERY & ~SERVER, true),
    ACT(make_device, ALL, EVERY, false),
    ACT(chmod_setuid, FILTER, EVERY, true),
    ACT(fchmod_setuid, FILTER, EVERY, true),
    ACT(fchmodat_setgid, FILTER, EVERY, true),
    ACT(create_setuid, FILTER, EVERY, true),
    ACT(create_setuid_by_openat2, FILTER, EVERY, true),
    ACT(make_setgid_folder, FILTER, EVERY, true),
    ACT(open_by_handle, NAMESPACES | FILTER, EVERY, false),
    ACT(change_owner, NAMESPACES | FILTER, EVERY, false),
    ACT(execute, ALL, EVERY, false),
    ACT(execute_memory, FILTER, EVERY, false),
    ACT(fork_process, FILTER, EVERY, true),
    ACT(clone_process, FILTER, EVERY, true),
    ACT(clone3_process, FILTER, EVERY, true),
    ACT(trace, ALL, EVERY, false),
    ACT(signal_victim, LANDLOCK | FILTER, EVERY, true),
    ACT(signal_thread_of_victim, LANDLOCK | FILTER, EVERY, true),
    ACT(queue_signal, LANDLOCK | FILTER, EVERY, true),
    ACT(signal_by_descriptor, LANDLOCK | FILTER, EVERY, true),
    ACT(signal_by_owner, FILTER, EVERY, true),
    ACT(read_victim, ALL, EVERY, false),
    ACT(take_descriptor_of_victim, ALL, EVERY, false),
    ACT(limit_victim, FILTER, EVERY, true),
    ACT(slow_victim, FILTER, EVERY, true),
    ACT(move_victim, FILTER, EVERY, true),
    ACT(find_memory, NAMESPACES | FILTER, EVERY, true),
    ACT(make_shared_memory, FILTER, EVERY, true),
    ACT(map_executable, FILTER, EVERY, true),
    ACT(map_writable_and_executable, FILTER, EVERY, true),
    ACT(make_executable, FILTER, EVERY, true),
    ACT(make_executable_by_key, FILTER, EVERY, true),
    ACT(use_personality, FILTER, EVERY, true),
    WORK(connect_tcp, ALL, EVERY & ~NET, true, NET),
    WORK(make_inet_socket, FILTER, EVERY & ~NET, true, NET),
    ACT(make_raw_socket, NAMESPACES | FILTER, EVERY, false),
    ACT(make_raw_socket_by_ipv6, NAMESPACES | FILTER, EVERY, false),
    ACT(make_sctp_socket, FILTER, EVERY, false),
    ACT(make_unix_socket, FILTER, EVERY, true),
    ACT(make_vsock_socket, FILTER, EVERY, false),
    ACT(make_netlink_socket, FILTER, EVERY, true),
    ACT(make_packet_socket, NAMESPACES | FILTER, EVERY, false),
    ACT(make_alg_socket, FILTER, EVERY, false),
    ACT(connect_abstract, ALL, EVERY, true),
    ACT(connect_path, NAMESPACES | FILTER, EVERY, true),
    ACT(attach_socket_filter, FILTER, EVERY, true),
    ACT(bind_socket_to_device, FILTER, EVERY, false),
    ACT(list_etc, ALL, EVERY & ~SERVER, true),
    ACT(write_names, ALL, EVERY & ~SERVER, true),
    ACT(replace_names, ALL, EVERY & ~SERVER, false),
    ACT(mount_something, ALL, EVERY, false),
    ACT(use_new_mount_calls, NAMESPACES | FILTER, EVERY, false),
    ACT(clone_mounts, NAMESPACES | FILTER, EVERY, false),
    ACT(change_root, NAMESPACES | FILTER, EVERY, false),
    ACT(pivot, ALL, EVERY, false),
    ACT(new_user_namespace, FILTER, EVERY, false),
    ACT(enter_namespace, NAMESPACES | FILTER, EVERY, false),
    ACT(become_other_user, NAMESPACES | FILTER, EVERY, false),
    ACT(get_groups, NAMESPACES | FILTER, EVERY, false),
    ACT(gain_capabilities, NAMESPACES | FILTER, EVERY, false),
    ACT(become_dumpable, FILTER, EVERY, true),
    ACT(change_own_filter, FILTER, EVERY, false),
    ACT(name_host, FILTER, EVERY, false),
    ACT(set_clock, FILTER, EVERY, false),
    ACT(load_module, FILTER, EVERY, false),
    ACT(reboot_host, FILTER, EVERY, false),
    ACT(use_ports, FILTER, EVERY, false),
    ACT(type_into_terminal, FILTER, EVERY, false),
    ACT(ask_for_signals_of_terminal, FILTER, EVERY, true),
    ACT(call_bpf, FILTER, EVERY, false),
    ACT(call_keyctl, FILTER, EVERY, false),
    ACT(call_add_key, FILTER, EVERY, false),
    ACT(call_io_uring, FILTER, EVERY, false),
    ACT(call_userfaultfd, FILTER, EVERY, false),
    ACT(call_perf, FILTER, EVERY, false),
    ACT(make_message_queue, FILTER, EVERY, true),
    ACT(call_unknown, FILTER, EVERY, false),
    ACT(call_x32, FILTER, EVERY, false),
};

/* ---- the sandbox ---- */

static struct sandbox_config config_of(enum sandbox_role role)
{
    struct sandbox_config config = {0};

    if (role == SANDBOX_NET) {
        config.keeps_network = true;
        config.readable[config.readable_count++] = NAMES_FD;
    }
    if (role != SANDBOX_SERVER)
        return config;
    config.shared[0] = SHARE_FD;
    config.shared[1] = READ_ONLY_FD;
    config.shared_read_only[1] = true;
    config.shared_count = 2;
    config.serves_files = true;
    return config;
}

/* Returns 0, or the exit status that says why not. */
static int enter_layers(const struct sandbox_config *config, unsigned layers, struct error *err)
{
    int version;

    if (layers & NAMESPACES) {
        int result = sandbox_unshare(config, err);
        if (result == -ENOSYS)
            return LAYER_MISSING;
        if (result < 0 || sandbox_empty_root(config, err) < 0 ||
            sandbox_drop_capabilities(config, err) < 0)
            return FAILED_TO_ENTER;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return FAILED_TO_ENTER;
    if (layers & LANDLOCK) {
        if (sandbox_restrict_files(config, &version, err) < 0)
            return FAILED_TO_ENTER;
        /* Older ones do not keep signals and abstract sockets inside. */
        return version < 6 ? LAYER_MISSING : 0;
    }
    return 0;
}

static void enter_and(enum sandbox_role role, unsigned layers, int (*act)(void))
{
    struct sandbox_config config = config_of(role);
    struct sandbox *sandbox = NULL;
    struct sandbox_layers entered;
    struct error err = {0};

    if (role == SANDBOX_SERVER && chdir("/proc/self/fd") < 0)
        _exit(FAILED_TO_ENTER);
    unsigned filters = layers & FILTER ? 1u << role : 0;
    int result = sandbox_prepare(&config, filters, &sandbox, &err) < 0 ? FAILED_TO_ENTER : 0;
    if (result == 0 && layers == ALL)
        result = sandbox_enter(sandbox, &entered, &err) < 0 ? FAILED_TO_ENTER : 0;
    else if (result == 0)
        result = enter_layers(&config, layers, &err);
    if (result == 0 && layers & FILTER && sandbox_seal(sandbox, role, &err) < 0)
        result = FAILED_TO_ENTER;
    if (result == FAILED_TO_ENTER)
        fprintf(stderr, "# %s\n", err.text);
    _exit(result ? result : act());
}

/* The computer that tests run on is not harmed by an act that nothing refuses, though its user be root: mounts and
 * names stay here. */
static bool protect_host(void)
{
    return geteuid() != 0 || (unshare(CLONE_NEWNS | CLONE_NEWUTS) == 0 &&
                              mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
}

static int status_of(enum sandbox_role role, unsigned layers, int (*act)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        if (layers == 0)
            _exit(act());
        enter_and(role, layers, act);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == FAILED_TO_ENTER)
        fail_msg("the sandbox cannot be entered");
    return status;
}

static bool is_refused(int status)
{
    return WIFSIGNALED(status) ? WTERMSIG(status) == SIGSYS
                               : WEXITSTATUS(status) != 0 && WEXITSTATUS(status) < FAILED_TO_ENTER;
}

static const char *const role_names[] = {"HART", "IO", "LOOP", "FILES", "SERVER", "NET"};

static void check_refused(const struct act *act, enum sandbox_role role, unsigned layers)
{
    int status = status_of(role, layers, act->run);

    if (WIFEXITED(status) && WEXITSTATUS(status) == LAYER_MISSING)
        return;
    if (!is_refused(status))
        fail_msg("%s in role %s with layers %u: status 0x%x", act->name, role_names[role], layers,
                 status);
}

static void remove_made(void)
{
    static const char *const made[] = {"made", "share/stolen", "share/setuid", "share/setuid2"};
    char path[96];

    for (unsigned i = 0; i < ARRAY_LEN(made); i++) {
        snprintf(path, sizeof(path), "%s/%s", outside, made[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/share/setgid", outside);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/spare", outside);
    close(open(path, O_CREAT | O_WRONLY, 0600));
}

TEST(takeover, acts_are_in_order)
{
    for (unsigned i = 0; i < ARRAY_LEN(acts); i++) {
        if (!acts[i].is_anybodys)
            continue;
        remove_made();
        int status = status_of(SANDBOX_HART, 0, acts[i].run);
        if (status != 0)
            fail_msg("%s fails without a sandbox: status 0x%x", acts[i].name, status);
    }
    remove_made();
}

static void check_all(enum sandbox_role role)
{
    for (unsigned i = 0; i < ARRAY_LEN(acts); i++)
        if (!(acts[i].works >> role & 1))
            check_refused(&acts[i], role, ALL);
}

TEST(takeover, a_hart_can_do_nothing)
{
    check_all(SANDBOX_HART);
}

TEST(takeover, a_thread_of_disks_can_do_nothing)
{
    check_all(SANDBOX_IO);
}

TEST(takeover, the_loop_can_do_nothing)
{
    check_all(SANDBOX_LOOP);
}

TEST(takeover, a_thread_of_shares_can_do_nothing)
{
    check_all(SANDBOX_FILES);
}

TEST(takeover, the_server_can_do_nothing_outside_of_shares)
{
    check_all(SANDBOX_SERVER);
    CHECK_EQ(access(secret, F_OK), 0);
}

TEST(takeover, the_network_can_do_nothing_but_reach_the_network)
{
    check_all(SANDBOX_NET);
}

TEST(takeover, namespaces_hold_alone)
{
    for (unsigned i = 0; i < ARRAY_LEN(acts); i++)
        if (acts[i].layers & NAMESPACES)
            check_refused(&acts[i], SANDBOX_HART, NAMESPACES);
}

TEST(takeover, landlock_holds_alone)
{
    for (unsigned i = 0; i < ARRAY_LEN(acts); i++) {
        if (!(acts[i].layers & LANDLOCK))
            continue;
        check_refused(&acts[i], SANDBOX_HART, LANDLOCK);
        check_refused(&acts[i], SANDBOX_SERVER, LANDLOCK);
        if (!(acts[i].works & NET))
            check_refused(&acts[i], SANDBOX_NET, LANDLOCK);
    }
}

TEST(takeover, the_filters_hold_alone)
{
    for (unsigned i = 0; i < ARRAY_LEN(acts); i++)
        for (unsigned role = 0; role < SANDBOX_ROLE_COUNT; role++)
            if (acts[i].layers & FILTER && acts[i].filtered >> role & 1)
                check_refused(&acts[i], (enum sandbox_role)role, FILTER);
}

/* ---- what must go on working ---- */

static int look_at_root(void)
{
    DIR *root = opendir("/");
    unsigned count = 0;

    if (!root)
        return EIO;
    while (readdir(root))
        count++;
    return count == 2 ? 0 : EEXIST; /* itself and above */
}

static int write_to_root(void)
{
    return got(open("/new", O_CREAT | O_WRONLY, 0600));
}

TEST(sandbox, the_root_is_empty_and_stays_so)
{
    int status = status_of(SANDBOX_SERVER, NAMESPACES, look_at_root);

    if (WIFEXITED(status) && WEXITSTATUS(status) == LAYER_MISSING)
        skip();
    CHECK_EQ(status, 0);
    CHECK(is_refused(status_of(SANDBOX_SERVER, NAMESPACES, write_to_root)));
}

static void *do_nothing(void *argument)
{
    return argument;
}

/* As backend/files does: names of descriptors are paths below the working folder. */
static int serve(void)
{
    char path[16];
    char bytes[64];
    struct stat status;
    struct statvfs space;
    struct statx stx;
    struct rlimit limit;
    pthread_t thread;
    int fd = openat(SHARE_FD, "served", O_CREAT | O_EXCL | O_RDWR, 0644);

    if (fd < 0)
        return 1;
    snprintf(path, sizeof(path), "%d", fd);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    const struct timespec times[2] = {{1, 0}, {2, 0}};
    bool good = copy >= 0 && write(copy, "text", 4) == 4 && close(copy) == 0 &&
                pread(fd, bytes, 4, 0) == 4 && lseek(fd, 0, SEEK_SET) == 0 && fsync(fd) == 0 &&
                fdatasync(fd) == 0 && chmod(path, 0600) == 0 && truncate(path, 2) == 0 &&
                ftruncate(fd, 3) == 0 && utimensat(AT_FDCWD, path, times, 0) == 0 &&
                fstat(fd, &status) == 0 && status.st_size == 3 && syncfs(fd) == 0 &&
                statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &stx) == 0 &&
                fstatvfs(SHARE_FD, &space) == 0 && fallocate(fd, 0, 0, 8) == 0;
    good = good && (setxattr(path, "user.x", "y", 1, 0) == 0 || errno == EOPNOTSUPP) &&
           (getxattr(path, "user.x", bytes, 1) == 1 || errno == EOPNOTSUPP || errno == ENODATA) &&
           (listxattr(path, bytes, sizeof(bytes)) >= 0 || errno == EOPNOTSUPP) &&
           (removexattr(path, "user.x") == 0 || errno == EOPNOTSUPP || errno == ENODATA);
    good = good && mkdirat(SHARE_FD, "folder", 0755) == 0 &&
           symlinkat("x", SHARE_FD, "symlink") == 0 &&
           readlinkat(SHARE_FD, "symlink", bytes, sizeof(bytes)) == 1 &&
           linkat(SHARE_FD, "served", SHARE_FD, "again", 0) == 0 &&
           renameat2(SHARE_FD, "again", SHARE_FD, "moved", 0) == 0 &&
           unlinkat(SHARE_FD, "moved", 0) == 0 && unlinkat(SHARE_FD, "symlink", 0) == 0 &&
           unlinkat(SHARE_FD, "folder", AT_REMOVEDIR) == 0 &&
           unlinkat(SHARE_FD, "served", 0) == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0;
    good = good && pthread_create(&thread, NULL, do_nothing, NULL) == 0 &&
           pthread_join(thread, NULL) == 0;
    return good ? 0 : errno ? errno : 1;
}

TEST(sandbox, the_server_can_serve)
{
    CHECK_EQ(status_of(SANDBOX_SERVER, ALL, serve), 0);
}

/* Connects by `family` to a socket of its own, as libslirp does both. */
static bool reach(int family, const void *address, socklen_t size)
{
    struct sockaddr_storage bound;
    socklen_t bound_size = sizeof(bound);
    const int on = 1;
    int error = 0;
    socklen_t error_size = sizeof(error);
    int count = 0;
    int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(family, SOCK_STREAM, 0);
    bool good = setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                setsockopt(listener, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0 &&
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
                bind(listener, address, size) == 0 && listen(listener, 1) == 0 &&
                getsockname(listener, (struct sockaddr *)&bound, &bound_size) == 0 &&
                fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK) == 0 &&
                connect(fd, (struct sockaddr *)&bound, bound_size) == 0;
    int peer = good ? accept(listener, NULL, NULL) : -1;

    return peer >= 0 && send(fd, "text", 4, 0) == 4 && ioctl(peer, FIONREAD, &count) == 0 &&
           count == 4 && recv(peer, &count, sizeof(count), 0) == 4 && shutdown(fd, SHUT_WR) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) == 0 && close(fd) == 0;
}

static int be_network(void)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    char bytes[8];
    const int on = 1;
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    int udp6 = socket(AF_INET6, SOCK_DGRAM, 0);
    int file = open(names, O_RDONLY);
    bool good =
        file >= 0 && read(file, bytes, 4) == 4 &&
        setsockopt(udp, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)) == 0 &&
        setsockopt(udp6, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on)) == 0 &&
        bind(udp, (struct sockaddr *)&ipv4, sizeof(ipv4)) == 0 &&
        reach(AF_INET, &ipv4, sizeof(ipv4)) &&
        (reach(AF_INET6, &ipv6, sizeof(ipv6)) || errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT);

    /* Refused, but not the end: libslirp goes on without echoes. */
    good = good && socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == EPERM;
    return good ? 0 : errno ? errno : 1;
}

TEST(sandbox, the_network_can_be_reached)
{
    CHECK_EQ(status_of(SANDBOX_NET, ALL, be_network), 0);
}

static int crash(void)
{
    abort();
}

static int work(void)
{
    void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *q = malloc(1 << 22);
    struct timespec moment = {0, 1000};

    if (p == MAP_FAILED || !q || madvise(p, 4096, MADV_DONTNEED) < 0 || munmap(p, 1 << 20) < 0)
        return errno;
    free(q);
    nanosleep(&moment, NULL);
    return got(write(STDERR_FILENO, "", 0));
}

TEST(sandbox, every_role_can_work_and_crash)
{
    for (unsigned role = 0; role < SANDBOX_ROLE_COUNT; role++) {
        CHECK_EQ(status_of((enum sandbox_role)role, ALL, work), 0);
        int status = status_of((enum sandbox_role)role, ALL, crash);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

TEST(sandbox, a_role_without_a_filter_is_refused)
{
    struct sandbox_config config = {0};
    struct sandbox *sandbox = NULL;
    struct error err = {0};

    CHECK_EQ(sandbox_prepare(&config, 1u << SANDBOX_HART, &sandbox, &err), 0);
    CHECK_EQ(sandbox_seal(sandbox, SANDBOX_LOOP, &err), -EINVAL);
    sandbox_destroy(sandbox);
    sandbox_destroy(NULL);
}

/* ---- the outside ---- */

static void make_file(const char *folder, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    if (fd < 0 || write(fd, "text", 4) != 4 || close(fd) < 0)
        abort();
}

static void open_as(const char *path, int flags, int number)
{
    int fd = open(path, flags);

    if (fd < 0 || dup2(fd, number) != number || (fd != number && close(fd) < 0))
        abort();
}

static int listen_at(int family, const void *address, socklen_t size)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, address, size) < 0 || listen(fd, 100) < 0)
        abort();
    return fd;
}

static void make_listeners(void)
{
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_un abstract = abstract_name();
    socklen_t size = sizeof(tcp);

    strcpy(path.sun_path, path_socket); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
    listen_at(AF_UNIX, &path, sizeof(path));
    listen_at(AF_UNIX, &abstract, sizeof(abstract));
    int fd = listen_at(AF_INET, &tcp, sizeof(tcp));
    getsockname(fd, (struct sockaddr *)&tcp, &size);
    tcp_port = ntohs(tcp.sin_port);
}

static void make_outside(void)
{
    char path[128];
    int pair[2];

    if (!mkdtemp(outside))
        abort();
    snprintf(secret, sizeof(secret), "%s/secret", outside);
    snprintf(share, sizeof(share), "%s/share", outside);
    snprintf(readonly, sizeof(readonly), "%s/readonly", outside);
    snprintf(names, sizeof(names), "%s/names", outside);
    snprintf(path_socket, sizeof(path_socket), "%s/socket", outside);
    if (mkdir(share, 0755) < 0 || mkdir(readonly, 0755) < 0)
        abort();
    make_file(outside, "secret");
    make_file(outside, "names");
    open_as(names, O_PATH, NAMES_FD);
    make_file(share, "file");
    make_file(readonly, "file");
    snprintf(path, sizeof(path), "%s/link", share);
    if (symlink(secret, path) < 0)
        abort();
    snprintf(path, sizeof(path), "%s/up", share);
    if (symlink("../secret", path) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        abort();
    open_as(share, O_PATH | O_DIRECTORY, SHARE_FD);
    open_as(readonly, O_PATH | O_DIRECTORY, READ_ONLY_FD);
    dup2(pair[0], SOCKET_FD);
    snprintf(path, sizeof(path), "%s/file", share);
    open_as(path, O_RDWR, FILE_FD);
    make_listeners();
    memory_id = (int)syscall(SYS_shmget, 0x646f7071, 4096, 01600);
    victim = fork();
    if (victim == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
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
        TESTS(takeover, acts_are_in_order),
        TESTS(takeover, a_hart_can_do_nothing),
        TESTS(takeover, a_thread_of_disks_can_do_nothing),
        TESTS(takeover, the_loop_can_do_nothing),
        TESTS(takeover, a_thread_of_shares_can_do_nothing),
        TESTS(takeover, the_server_can_do_nothing_outside_of_shares),
        TESTS(takeover, the_network_can_do_nothing_but_reach_the_network),
        TESTS(takeover, namespaces_hold_alone),
        TESTS(takeover, landlock_holds_alone),
        TESTS(takeover, the_filters_hold_alone),
        TESTS(sandbox, the_root_is_empty_and_stays_so),
        TESTS(sandbox, the_server_can_serve),
        TESTS(sandbox, the_network_can_be_reached),
        TESTS(sandbox, every_role_can_work_and_crash),
        TESTS(sandbox, a_role_without_a_filter_is_refused),
    };

    if (!protect_host()) {
        printf("1..0 # SKIP root without mount namespaces: an act could harm this computer\n");
        return 0;
    }
    make_outside();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
    syscall(SYS_shmctl, memory_id, 0 /* IPC_RMID */, NULL);
    nftw(outside, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return result;
}
