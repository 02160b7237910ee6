/* SPDX-License-Identifier: Apache-2.0
 * Filters of system calls, from calls.def, by libseccomp. */
#include "sandbox/sandbox.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HART = 1 << SANDBOX_HART,
    IO = 1 << SANDBOX_IO,
    LOOP = 1 << SANDBOX_LOOP,
    FILES = 1 << SANDBOX_FILES,
    SERVER = 1 << SANDBOX_SERVER,
    NET = 1 << SANDBOX_NET,
    ALL = HART | IO | LOOP | FILES | SERVER | NET,
};

static const struct call {
    int number;
    unsigned roles;
} calls[] = {
#define ALLOW(name, roles) {SCMP_SYS(name), roles},
#include "sandbox/calls.def"
#undef ALLOW
};

/* Calls that libseccomp knows no number of, as it is older than they are, are negative there: nobody here makes them on
 * such a system. */
static int allow(scmp_filter_ctx context, int number)
{
    return number < 0 ? 0 : seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 0);
}

/* Memory, but none that can be executed. */
static int allow_memory(scmp_filter_ctx context)
{
    int result = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

    return result < 0 ? result
                      : seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                         SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* abort(), and what ends us when a handler is done. */
static int allow_signals(scmp_filter_ctx context)
{
    return seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

enum { CONDITION_ARGUMENTS = 3 };

/* A call all of whose `arguments` are as they say; those left out may be anything. */
struct condition {
    int number;
    unsigned roles;
    struct scmp_arg_cmp arguments[CONDITION_ARGUMENTS];
};

#define MASKED(index, mask, value)             \
    {                                          \
        index, SCMP_CMP_MASKED_EQ, mask, value \
    }
#define IS(index, value) MASKED(index, UINT32_MAX, value)
/* A socket's type has flags beside it. */
#define IS_SOCKET(family, type, protocol)                                                       \
    {                                                                                           \
        IS(0, family), MASKED(1, UINT32_MAX & ~(unsigned)(SOCK_NONBLOCK | SOCK_CLOEXEC), type), \
            IS(2, protocol)                                                                     \
    }
#define IS_OPTION(level, name)    \
    {                             \
        IS(1, level), IS(2, name) \
    }

/* Bits of setuid and setgid: files of shares never get them on the host (backend/files/owner.c). */
#define SET_ID            06000u
/* Of open(2): a file that is there, to be read. */
#define MORE_THAN_READING (unsigned)(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | O_PATH | O_TMPFILE)

/* clang-format off */
static const struct condition conditions[] = {
    /* isatty(), and whoever crashes gives the terminal back. TIOCSTI would type into it. */
    {SCMP_SYS(ioctl), ALL, {IS(1, TCGETS)}},
    {SCMP_SYS(ioctl), ALL, {IS(1, TCSETS)}},
    /* To a helper that is started again; they lead nowhere by themselves. */
    {SCMP_SYS(socketpair), LOOP, {IS(0, AF_UNIX)}},
    {SCMP_SYS(setsockopt), LOOP, {IS(2, SO_SNDBUF)}},
    /* F_SETOWN would send signals. */
    {SCMP_SYS(fcntl), LOOP | SERVER | NET, {IS(1, F_GETFL)}},
    {SCMP_SYS(fcntl), LOOP | SERVER, {IS(1, F_OFD_SETLK)}},
    {SCMP_SYS(fcntl), SERVER, {IS(1, F_OFD_GETLK)}},
    {SCMP_SYS(fcntl), SERVER, {IS(1, F_DUPFD_CLOEXEC)}},
    /* Of gdb's connections. */
    {SCMP_SYS(setsockopt), LOOP, {IS(1, IPPROTO_TCP)}},
    {SCMP_SYS(openat), SERVER, {MASKED(3, SET_ID, 0)}},
    {SCMP_SYS(mkdirat), SERVER, {MASKED(2, SET_ID, 0)}},
    {SCMP_SYS(chmod), SERVER, {MASKED(1, SET_ID, 0)}},
    {SCMP_SYS(prlimit64), SERVER, {IS(0, 0)}},
    /* The host's network: TCP, UDP, and echoes of ICMP; the host's resolv.conf. */
    {SCMP_SYS(socket), NET, IS_SOCKET(AF_INET, SOCK_STREAM, 0)},
    {SCMP_SYS(socket), NET, IS_SOCKET(AF_INET6, SOCK_STREAM, 0)},
    {SCMP_SYS(socket), NET, IS_SOCKET(AF_INET, SOCK_DGRAM, 0)},
    {SCMP_SYS(socket), NET, IS_SOCKET(AF_INET6, SOCK_DGRAM, 0)},
    {SCMP_SYS(socket), NET, IS_SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)},
    {SCMP_SYS(setsockopt), NET, IS_OPTION(SOL_SOCKET, SO_REUSEADDR)},
    {SCMP_SYS(setsockopt), NET, IS_OPTION(SOL_SOCKET, SO_OOBINLINE)},
    {SCMP_SYS(setsockopt), NET, IS_OPTION(IPPROTO_TCP, TCP_NODELAY)},
    {SCMP_SYS(setsockopt), NET, IS_OPTION(IPPROTO_IP, IP_RECVERR)},
    {SCMP_SYS(setsockopt), NET, IS_OPTION(IPPROTO_IP, IP_TTL)},
    {SCMP_SYS(setsockopt), NET, IS_OPTION(IPPROTO_IPV6, IPV6_RECVERR)},
    {SCMP_SYS(setsockopt), NET, IS_OPTION(IPPROTO_IPV6, IPV6_V6ONLY)},
    {SCMP_SYS(setsockopt), NET, IS_OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS)},
    {SCMP_SYS(fcntl), NET, {IS(1, F_SETFL), MASKED(2, O_ASYNC, 0)}},
    {SCMP_SYS(ioctl), NET, {IS(1, FIONREAD)}},
    {SCMP_SYS(ioctl), NET, {IS(1, SIOCGIFINDEX)}},
    {SCMP_SYS(openat), NET, {MASKED(2, MORE_THAN_READING, 0)}},
};

/* Calls that libraries try and that fail; without a condition they would end the process. */
static const struct refusal {
    struct condition condition;
    unsigned error;
} refusals[] = {
    /* A raw one, where the host lets the user have no other for echoes. */
    {{SCMP_SYS(socket), NET, IS_SOCKET(AF_INET, SOCK_RAW, IPPROTO_ICMP)}, EPERM},
};
/* clang-format on */

static int add_condition(scmp_filter_ctx context, const struct condition *condition,
                         uint32_t action)
{
    unsigned count = 0;

    while (count < CONDITION_ARGUMENTS && condition->arguments[count].op != 0)
        count++;
    return seccomp_rule_add_array(context, action, condition->number, count, condition->arguments);
}

static int allow_conditions(scmp_filter_ctx context, unsigned roles)
{
    int result = 0;

    for (unsigned i = 0; i < ARRAY_LEN(conditions) && result == 0; i++)
        if (conditions[i].roles & roles)
            result = add_condition(context, &conditions[i], SCMP_ACT_ALLOW);
    for (unsigned i = 0; i < ARRAY_LEN(refusals) && result == 0; i++)
        if (refusals[i].condition.roles & roles)
            result =
                add_condition(context, &refusals[i].condition, SCMP_ACT_ERRNO(refusals[i].error));
    return result;
}

/* Threads of the file server begin after it is sealed. */
static int allow_threads(scmp_filter_ctx context)
{
    static const int numbers[] = {SCMP_SYS(clone3), SCMP_SYS(prctl)};
    int result = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, 0x10000 /* CLONE_THREAD */, 0x10000));

    /* Its arguments lie in memory, so that a filter cannot tell: libraries then use clone. */
    if (result == 0)
        result = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), numbers[0], 0);
    return result == 0 ? seccomp_rule_add(context, SCMP_ACT_ALLOW, numbers[1], 1,
                                          SCMP_A0(SCMP_CMP_EQ, 15 /* PR_SET_NAME */))
                       : result;
}

static unsigned role_bits(const struct sandbox_config *config, enum sandbox_role role)
{
    unsigned bits = 1u << role;

    if (role == SANDBOX_HART && config->harts_do_everything)
        bits |= IO | FILES;
    return bits;
}

static int add_rules(scmp_filter_ctx context, const struct sandbox_config *config,
                     enum sandbox_role role)
{
    unsigned bits = role_bits(config, role);
    int result = 0;

    for (unsigned i = 0; i < ARRAY_LEN(calls) && result == 0; i++)
        if (calls[i].roles & bits)
            result = allow(context, calls[i].number);
    if (result == 0)
        result = allow_memory(context);
    if (result == 0)
        result = allow_conditions(context, bits);
    if (result == 0)
        result = allow_signals(context);
    if (result == 0 && role == SANDBOX_SERVER)
        result = allow_threads(context);
    return result;
}

/* libseccomp 2.5 writes its programs to descriptors only. */
static int export_filter(scmp_filter_ctx context, struct sock_filter **filter, size_t *count)
{
    struct stat status;
    int fd = memfd_create("seccomp", MFD_CLOEXEC);
    int result = fd < 0 ? -errno : seccomp_export_bpf(context, fd);

    if (result == 0 && fstat(fd, &status) < 0)
        result = -errno;
    *filter = result == 0 ? malloc((size_t)status.st_size) : NULL;
    if (result == 0 && !*filter)
        result = -ENOMEM;
    if (result == 0 && pread(fd, *filter, (size_t)status.st_size, 0) != (ssize_t)status.st_size)
        result = -EIO;
    if (result == 0)
        *count = (size_t)status.st_size / sizeof(**filter);
    if (fd >= 0)
        close(fd);
    return result;
}

int sandbox_make_filter(const struct sandbox_config *config, enum sandbox_role role,
                        struct sock_filter **filter, size_t *count, struct error *err)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);

    if (!context)
        return error_set(err, -ENOMEM, "the sandbox: out of memory");
    int result = add_rules(context, config, role);
    if (result == 0)
        result = export_filter(context, filter, count);
    seccomp_release(context);
    return result < 0
               ? error_set(err, result, "the sandbox: cannot make a filter: %s", strerror(-result))
               : 0;
}
