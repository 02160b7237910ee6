/* SPDX-License-Identifier: Apache-2.0
 * What the kernel shall refuse to a sandboxed program: capabilities(7), landlock(7),
 * seccomp(2). Each makes up for mistakes in another. */
#include "process/sandbox.h"

#include "base/bits.h"
#include "host/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(struct error *err, const char *what)
{
    return error_set(err, -errno, "--sandbox: cannot %s: %s", what, strerror(errno));
}

/* ---- Landlock: what may be done to which files, whatever is mounted where ---- */

#define READ    (RIGHT_EXECUTE | RIGHT_READ)
#define FILE    (RIGHT_WRITE_FILE | RIGHT_READ_FILE | RIGHT_TRUNCATE | RIGHT_IOCTL_DEVICE)
/* Folders of devices and the like. */
#define SPECIAL (RIGHT_READ_DIRECTORY | RIGHT_EXECUTE | FILE)

/* What is not there needs no rule. */
static int allow(const struct file_rules *rules, const char *path, uint64_t rights,
                 struct error *err)
{
    int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : failed(err, "open what is allowed");
    int result = file_rules_allow(rules, fd, rights, err);
    close(fd);
    return result;
}

static const struct {
    const char *path;
    uint64_t rights;
} always[] = {
    {"/", READ},
    {"/dev", SPECIAL},
    {"/proc", SPECIAL},
    {"/tmp", RIGHT_TO_CHANGE},
    {"/dev/shm", RIGHT_TO_CHANGE},
};

static int add_rules(const struct file_rules *rules, const struct sandbox_plan *plan,
                     struct error *err)
{
    int result = 0;

    for (unsigned i = 0; result == 0 && i < ARRAY_LEN(always); i++)
        result = allow(rules, always[i].path, always[i].rights, err);
    for (unsigned i = 0; result == 0 && i < plan->mount_count; i++) {
        const struct sandbox_mount *mount = &plan->mounts[i];
        uint64_t rights = mount->is_directory ? RIGHT_TO_CHANGE : FILE | RIGHT_EXECUTE;
        if (mount->fd >= 0 && mount->is_writable)
            result = allow(rules, mount->guest, rights, err);
    }
    /* What is open can be opened again as /dev/stdout; pipes need no rule and take none. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        (void)!file_rules_allow(rules, fd, FILE, NULL);
    return result;
}

static int restrict_files(const struct sandbox_plan *plan, struct error *err)
{
    struct file_rules rules;
    int result = file_rules_begin(&rules, false, err);

    if (result == 0)
        result = add_rules(&rules, plan, err);
    if (result == 0)
        return file_rules_enforce(&rules, err);
    file_rules_drop(&rules);
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
    int result = rights_drop_capabilities(0, err);

    if (result == 0)
        result = restrict_files(plan, err);
    return result == 0 ? restrict_calls(err) : result;
}
