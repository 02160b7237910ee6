/* SPDX-License-Identifier: Apache-2.0
 * What the kernel shall refuse to a sandboxed program: capabilities(7), landlock(7),
 * seccomp(2). Each makes up for mistakes in another. */
#include "process/sandbox.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(struct error *err, const char *what)
{
    return error_set(err, -errno, "--sandbox: cannot %s: %s", what, strerror(errno));
}

/* ---- capabilities ---- */

static int drop_capabilities(struct error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};

    /* Root inside is root by name only, also after execve. */
    if (prctl(PR_SET_SECUREBITS,
              SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                  SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                  SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
              0, 0, 0) < 0)
        return failed(err, "take root its rights");
    for (unsigned long i = 0; i < 64; i++)
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0 && errno != EINVAL)
            return failed(err, "bound capabilities");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_capset, &header, none) < 0)
        return failed(err, "drop capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return failed(err, "give up new rights");
    return 0;
}

/* ---- Landlock: what may be done to which files, whatever is mounted where ---- */

/* linux/landlock.h, of which systems have older ones. */
enum {
    ACCESS_EXECUTE = 1 << 0,
    ACCESS_WRITE_FILE = 1 << 1,
    ACCESS_READ_FILE = 1 << 2,
    ACCESS_READ_DIR = 1 << 3,
    ACCESS_MAKE_CHAR = 1 << 6,
    ACCESS_MAKE_BLOCK = 1 << 11,
    ACCESS_TRUNCATE = 1 << 14,
    ACCESS_IOCTL_DEVICE = 1 << 15,
};
#define ACCESS_READ (ACCESS_EXECUTE | ACCESS_READ_FILE | ACCESS_READ_DIR)
#define ACCESS_FILE (ACCESS_WRITE_FILE | ACCESS_READ_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEVICE)
#define ACCESS_SPECIAL \
    (ACCESS_READ_DIR | ACCESS_EXECUTE | ACCESS_FILE) /* folders of devices and the like */
#define ACCESS_WRITE (0xffffu & ~(unsigned)(ACCESS_MAKE_CHAR | ACCESS_MAKE_BLOCK))

#define SCOPES 3 /* abstract sockets and signals stay inside */

struct ruleset_attr {
    uint64_t files;
    uint64_t net;
    uint64_t scopes;
};

struct path_beneath_attr {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

#define RULESET_VERSION   1
#define RULE_PATH_BENEATH 1

/* Rights that version `abi` of Landlock knows of. */
static uint64_t known_rights(long abi)
{
    if (abi >= 5)
        return bits_mask(16);
    if (abi >= 3)
        return bits_mask(15);
    return bits_mask(abi == 2 ? 14 : 13);
}

static int allow_fd(int ruleset, int fd, uint64_t rights)
{
    const struct path_beneath_attr rule = {.allowed = rights, .fd = fd};

    return (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
}

/* What is not there needs no rule. */
static int allow(int ruleset, const char *path, uint64_t rights)
{
    int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    int result = allow_fd(ruleset, fd, rights);
    close(fd);
    return result;
}

static int add_rules(int ruleset, const struct sandbox_plan *plan, uint64_t known)
{
    int result = allow(ruleset, "/", ACCESS_READ & known);

    if (result == 0)
        result = allow(ruleset, "/dev", ACCESS_SPECIAL & known);
    if (result == 0)
        result = allow(ruleset, "/proc", ACCESS_SPECIAL & known);
    if (result == 0)
        result = allow(ruleset, "/tmp", ACCESS_WRITE & known);
    if (result == 0)
        result = allow(ruleset, "/dev/shm", ACCESS_WRITE & known);
    for (unsigned i = 0; result == 0 && i < plan->mount_count; i++) {
        const struct sandbox_mount *mount = &plan->mounts[i];
        uint64_t rights = mount->is_directory ? ACCESS_WRITE : ACCESS_FILE | ACCESS_EXECUTE;
        if (mount->fd >= 0 && mount->is_writable)
            result = allow(ruleset, mount->guest, rights & known);
    }
    /* What is open can be opened again as /dev/stdout; pipes need no rule and take none. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        (void)allow_fd(ruleset, fd, ACCESS_FILE & known);
    return result;
}

static int restrict_files(const struct sandbox_plan *plan, struct error *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);

    if (abi < 1)
        return 0; /* this kernel has none, or it is switched off */
    const struct ruleset_attr attr = {
        .files = known_rights(abi),
        .scopes = abi >= 6 ? SCOPES : 0,
    };
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (ruleset < 0)
        return failed(err, "create rules for files");
    int result = add_rules(ruleset, plan, attr.files);
    if (result == 0)
        result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    if (result < 0)
        result = failed(err, "restrict the use of files");
    close(ruleset);
    return result;
}

/* ---- seccomp: system calls ---- */

#define OFFSET(member)       offsetof(struct seccomp_data, member)
#define LOAD(member)         BPF_STMT(BPF_LD | BPF_W | BPF_ABS, OFFSET(member))
#define RETURN(value)        BPF_STMT(BPF_RET | BPF_K, (value))
#define REFUSE(error)        RETURN(SECCOMP_RET_ERRNO | (error))
#define ALLOW                RETURN(SECCOMP_RET_ALLOW)
/* Skips `count` instructions unless what was loaded is `value`. */
#define UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, (count))
/* The next instruction only if it is; if it is not below; if it has some of the bits. */
#define IF(value)            UNLESS(value, 1)
#define IF_FROM(value)       BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(value), 0, 1)
#define IF_ANY(bits)         BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (uint32_t)(bits), 0, 1)

#define DENIED(name, error) IF(SYS_##name), REFUSE(error),

/* Calls that came after those known when this was written: they wait to be looked at. */
#define FIRST_UNKNOWN 463
#define X32_CALLS     0x40000000

#define NEW_NAMESPACES                                                                            \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
     CLONE_NEWNET)

static const struct sock_filter filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
    IF_FROM(FIRST_UNKNOWN), /* X32_CALLS, too */
    REFUSE(ENOSYS),
#include "process/sandbox_calls.def"

    UNLESS(SYS_clone, 4),
    LOAD(args[0]),
    IF_ANY(NEW_NAMESPACES),
    REFUSE(EPERM),
    ALLOW,

    UNLESS(SYS_unshare, 4),
    LOAD(args[0]),
    IF_ANY(NEW_NAMESPACES | CLONE_NEWTIME),
    REFUSE(EPERM),
    ALLOW,

    /* Families that network namespaces do not divide, or that need not be reached: vsock,
     * alg, bluetooth ... */
    UNLESS(SYS_socket, 10),
    LOAD(args[0]),
    IF(AF_UNIX),
    ALLOW,
    IF(AF_INET),
    ALLOW,
    IF(AF_INET6),
    ALLOW,
    IF(AF_NETLINK),
    ALLOW,
    REFUSE(EAFNOSUPPORT),

    /* Typing into the terminal that we were started from. */
    UNLESS(SYS_ioctl, 6),
    LOAD(args[1]),
    IF(TIOCSTI),
    REFUSE(EPERM),
    IF(TIOCLINUX),
    REFUSE(EPERM),
    ALLOW,

    UNLESS(SYS_personality, 6),
    LOAD(args[0]),
    IF(0),
    ALLOW,
    IF(UINT32_MAX), /* asks */
    ALLOW,
    REFUSE(EPERM),

    ALLOW,
};
_Static_assert(X32_CALLS > FIRST_UNKNOWN, "one comparison");

static int restrict_calls(struct error *err)
{
    const struct sock_fprog program = {
        .len = ARRAY_LEN(filter),
        .filter = (struct sock_filter *)(uintptr_t)filter,
    };

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return failed(err, "filter system calls");
    return 0;
}

int sandbox_restrict(const struct sandbox_plan *plan, struct error *err)
{
    int result = drop_capabilities(err);

    if (result == 0)
        result = restrict_files(plan, err);
    return result == 0 ? restrict_calls(err) : result;
}
