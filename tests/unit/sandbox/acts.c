/* SPDX-License-Identifier: Apache-2.0 */
#include "acts.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>

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

struct sockaddr_un abstract_name(void)
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

const struct act acts[] = {
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

const unsigned act_count = sizeof(acts) / sizeof(acts[0]);
