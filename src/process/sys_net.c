/* SPDX-License-Identifier: Apache-2.0
 * Sockets: messages and options. Addresses and control messages have no pointers in
 * them for the families that programs get, so the kernel reads and writes them in the
 * program's memory; the header of a message and its vector are copied and checked. */
#include "process/calls.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

/* RDS passes addresses of memory in its control messages and options. */
#define FAMILY_RDS 21

int64_t sys_socket(struct task *task, const uint64_t args[6])
{
    if ((int)args[0] == FAMILY_RDS)
        return -EAFNOSUPPORT;
    return host_syscall(task, __NR_socket, args);
}

/* What a call on a socket returns that fails by our decision, if fd is a socket: Linux
 * looks at the descriptor first. */
static int64_t error_of_socket(uint64_t fd, int error)
{
    int type = 0;
    int size = sizeof(type);
    const uint64_t args[6] = {fd, SOL_SOCKET, SO_TYPE, host_argument(&type), host_argument(&size)};
    const int64_t result = host_syscall_quick(__NR_getsockopt, args);

    return result < 0 ? result : error;
}

/* ---- messages ---- */

/* Copies a header and its vector. Returns what to give to the host's kernel. */
static uint64_t message_read(struct msghdr *message, struct iovec vectors[UIO_MAXIOV], uint64_t at)
{
    if (guest_read(message, at, sizeof(*message)) != 0)
        return NOWHERE;
    message->msg_name = guest_host(guest_argument(host_argument(message->msg_name)));
    message->msg_control = guest_host(guest_argument(host_argument(message->msg_control)));
    message->msg_iov =
        guest_host(vector_read(vectors, host_argument(message->msg_iov), message->msg_iovlen));
    return host_argument(message);
}

static int64_t send_message(struct task *task, uint64_t fd, uint64_t at, uint64_t flags)
{
    NOT_CLEARED struct iovec vectors[UIO_MAXIOV];
    struct msghdr message;
    const uint64_t message_at = message_read(&message, vectors, at);

    return HOST_SYSCALL(task, __NR_sendmsg, fd, message_at, flags);
}

/* Writes back what the kernel has written into the header. */
static int message_write_back(uint64_t at, const struct msghdr *message)
{
    int err = 0;

    if (message->msg_name != NULL)
        err = guest_write(at + offsetof(struct msghdr, msg_namelen), &message->msg_namelen,
                          sizeof(message->msg_namelen));
    if (err == 0)
        err = guest_write(at + offsetof(struct msghdr, msg_flags), &message->msg_flags,
                          sizeof(message->msg_flags));
    if (err == 0)
        err = guest_write(at + offsetof(struct msghdr, msg_controllen), &message->msg_controllen,
                          sizeof(message->msg_controllen));
    return err;
}

static int64_t receive_message(struct task *task, uint64_t fd, uint64_t at, uint64_t flags)
{
    NOT_CLEARED struct iovec vectors[UIO_MAXIOV];
    struct msghdr message;
    const uint64_t message_at = message_read(&message, vectors, at);
    const int64_t result = HOST_SYSCALL(task, __NR_recvmsg, fd, message_at, flags);

    if (result < 0)
        return result;
    const int err = message_write_back(at, &message);
    return err != 0 ? err : result;
}

int64_t sys_sendmsg(struct task *task, const uint64_t args[6])
{
    return send_message(task, args[0], args[1], args[2]);
}

int64_t sys_recvmsg(struct task *task, const uint64_t args[6])
{
    return receive_message(task, args[0], args[1], args[2]);
}

/* ---- several messages: one by one, as the kernel does ---- */

#define MMSG_SIZE 64 /* struct mmsghdr: the message, and the result behind it */
_Static_assert(sizeof(struct mmsghdr) == MMSG_SIZE, "mmsghdr");

static int write_message_length(uint64_t at, int64_t result)
{
    const uint32_t length = (uint32_t)result;

    return guest_write(at + offsetof(struct mmsghdr, msg_len), &length, sizeof(length));
}

static uint64_t message_count(uint64_t asked)
{
    return MIN((uint32_t)asked, (uint32_t)UIO_MAXIOV);
}

int64_t sys_sendmmsg(struct task *task, const uint64_t args[6])
{
    const uint64_t count = message_count(args[2]);
    int64_t result = 0;
    uint64_t sent = 0;

    if (count == 0)
        return error_of_socket(args[0], 0);
    while (sent < count) {
        const uint64_t at = args[1] + sent * MMSG_SIZE;
        result = send_message(task, args[0], at, args[3]);
        if (result >= 0)
            result = write_message_length(at, result);
        if (result < 0)
            break;
        sent++;
    }
    return sent > 0 ? (int64_t)sent : result;
}

static int64_t monotonic_ns(void)
{
    struct timespec now = {0};

    host_syscall_quick(__NR_clock_gettime,
                       (const uint64_t[6]){CLOCK_MONOTONIC, host_argument(&now)});
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* The timeout of recvmmsg, which Linux looks at after each message only. */
struct receive_timeout {
    uint64_t at; /* where it is read and written; 0: there is none */
    int64_t end_ns;
};

static int timeout_read(struct receive_timeout *timeout, uint64_t at)
{
    struct timespec value;

    timeout->at = at;
    timeout->end_ns = INT64_MAX;
    if (at == 0)
        return 0;
    const int err = guest_read(&value, at, sizeof(value));
    if (err != 0)
        return err;
    if (value.tv_sec < 0 || value.tv_nsec < 0 || value.tv_nsec >= 1000000000)
        return -EINVAL;
    const int64_t now = monotonic_ns();
    if (value.tv_sec < (INT64_MAX - now) / 1000000000 - 1)
        timeout->end_ns = now + value.tv_sec * INT64_C(1000000000) + value.tv_nsec;
    return 0;
}

static int64_t timeout_left(const struct receive_timeout *timeout)
{
    if (timeout->at == 0)
        return INT64_MAX;
    const int64_t left = timeout->end_ns - monotonic_ns();
    return left < 0 ? 0 : left;
}

static int64_t timeout_write(const struct receive_timeout *timeout, int64_t result)
{
    const int64_t left = timeout_left(timeout);
    const struct timespec value = {left / 1000000000, left % 1000000000};

    if (timeout->at != 0 && result > 0 && guest_write(timeout->at, &value, sizeof(value)) != 0)
        return -EFAULT;
    return result;
}

int64_t sys_recvmmsg(struct task *task, const uint64_t args[6])
{
    const uint64_t count = message_count(args[2]);
    uint64_t flags = args[3] & ~(uint64_t)MSG_WAITFORONE;
    struct receive_timeout timeout;
    uint64_t received = 0;
    int64_t result = timeout_read(&timeout, args[4]);

    if (result != 0)
        return result;
    if (count == 0)
        return error_of_socket(args[0], 0);
    while (received < count) {
        const uint64_t at = args[1] + received * MMSG_SIZE;
        result = receive_message(task, args[0], at, flags);
        if (result >= 0)
            result = write_message_length(at, result);
        if (result < 0)
            break;
        received++;
        if ((args[3] & MSG_WAITFORONE) != 0)
            flags |= MSG_DONTWAIT;
        if (timeout_left(&timeout) == 0 || (flags & MSG_OOB) != 0)
            break;
    }
    return timeout_write(&timeout, received > 0 ? (int64_t)received : result);
}

/* ---- options ---- */

enum option_kind {
    OPTION_FLAT,    /* without pointers, as nearly all: left to the kernel */
    OPTION_FILTER,  /* struct sock_fprog */
    OPTION_FANOUT,  /* struct sock_fprog, or a number if it is shorter */
    OPTION_UMEM,    /* struct xdp_umem_reg */
    OPTION_REFUSED, /* has pointers, which next to nobody uses: as an older kernel */
};

struct option {
    int level;
    int name;
    enum option_kind set;
    enum option_kind get;
};

/* Numbers, because the headers that name them exclude each other. */
static const struct option options[] = {
    {SOL_SOCKET, SO_ATTACH_FILTER, OPTION_FILTER, OPTION_FLAT},
    {SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, OPTION_FILTER, OPTION_FLAT},
    {SOL_PACKET, PACKET_FANOUT_DATA, OPTION_FANOUT, OPTION_FLAT},
    {SOL_XDP, XDP_UMEM_REG, OPTION_UMEM, OPTION_FLAT},
    {6 /* TCP */, 35 /* TCP_ZEROCOPY_RECEIVE */, OPTION_REFUSED, OPTION_REFUSED},
    {132 /* SCTP */, 111 /* SCTP_SOCKOPT_CONNECTX3 */, OPTION_REFUSED, OPTION_REFUSED},
    {284 /* MPTCP */, 4 /* MPTCP_FULL_INFO */, OPTION_REFUSED, OPTION_REFUSED},
    /* The tables of iptables, arptables and ebtables before nftables. */
    {0 /* IP */, 64 /* IPT_SO_SET_REPLACE */, OPTION_REFUSED, OPTION_FLAT},
    {41 /* IPv6 */, 64 /* IP6T_SO_SET_REPLACE */, OPTION_REFUSED, OPTION_FLAT},
    {0 /* IP */, 96 /* ARPT_SO_SET_REPLACE */, OPTION_REFUSED, OPTION_FLAT},
    {0 /* IP */, 128 /* EBT_SO_SET_ENTRIES, _GET_INFO */, OPTION_REFUSED, OPTION_REFUSED},
    {0 /* IP */, 129 /* EBT_SO_SET_COUNTERS, _GET_ENTRIES */, OPTION_REFUSED, OPTION_REFUSED},
    {0 /* IP */, 130 /* EBT_SO_GET_INIT_INFO */, OPTION_REFUSED, OPTION_REFUSED},
    {0 /* IP */, 131 /* EBT_SO_GET_INIT_ENTRIES */, OPTION_REFUSED, OPTION_REFUSED},
};

static const struct option *find_option(int level, int name)
{
    for (unsigned i = 0; i < ARRAY_LEN(options); i++)
        if (options[i].level == level && options[i].name == name)
            return &options[i];
    return NULL;
}

static int64_t set_filter(struct task *task, const uint64_t args[6])
{
    struct sock_fprog program;

    /* Linux refuses every other size, unseen. */
    if ((int)args[4] != sizeof(program))
        return host_syscall(task, __NR_setsockopt, args);
    if (guest_read(&program, args[3], sizeof(program)) != 0)
        return HOST_SYSCALL(task, __NR_setsockopt, args[0], args[1], args[2], NOWHERE, args[4]);
    program.filter = guest_host(guest_argument(host_argument(program.filter)));
    return HOST_SYSCALL(task, __NR_setsockopt, args[0], args[1], args[2], host_argument(&program),
                        args[4]);
}

static int64_t set_umem(struct task *task, const uint64_t args[6])
{
    struct xdp_umem_reg umem = {0};
    const int size = (int)args[4];

    if (size < 0 || guest_read(&umem, args[3], MIN((size_t)size, sizeof(umem))) != 0)
        return HOST_SYSCALL(task, __NR_setsockopt, args[0], args[1], args[2], NOWHERE, args[4]);
    umem.addr = guest_range_argument(umem.addr, umem.len);
    return HOST_SYSCALL(task, __NR_setsockopt, args[0], args[1], args[2], host_argument(&umem),
                        MIN((size_t)size, sizeof(umem)));
}

int64_t sys_setsockopt(struct task *task, const uint64_t args[6])
{
    const struct option *option = find_option((int)args[1], (int)args[2]);

    switch (option != NULL ? option->set : OPTION_FLAT) {
    case OPTION_FLAT:
        break;
    case OPTION_FANOUT:
        if ((int)args[4] != sizeof(struct sock_fprog))
            break;
        return set_filter(task, args);
    case OPTION_FILTER:
        return set_filter(task, args);
    case OPTION_UMEM:
        return set_umem(task, args);
    case OPTION_REFUSED:
        return error_of_socket(args[0], -ENOPROTOOPT);
    }
    return host_syscall(task, __NR_setsockopt, args);
}

int64_t sys_getsockopt(struct task *task, const uint64_t args[6])
{
    const struct option *option = find_option((int)args[1], (int)args[2]);

    if (option != NULL && option->get == OPTION_REFUSED)
        return error_of_socket(args[0], -ENOPROTOOPT);
    return host_syscall(task, __NR_getsockopt, args);
}
