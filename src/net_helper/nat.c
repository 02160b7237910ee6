/* SPDX-License-Identifier: Apache-2.0
 * libslirp with what it asks of us: a clock, timers, descriptors to wait for. */
#include "net_helper/nat.h"

#include "base/bits.h"
#include "host/clock.h"
#include "port/net.h"

#include <errno.h>
#include <glib.h>
#include <net/if.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NEVER  INT64_MAX
#define PREFIX "fec0::"

enum { MAX_TIMERS = 8 };

struct nat_timer {
    bool is_used;
    SlirpTimerId id;
    void *argument;
    int64_t due_ms; /* NEVER: not set */
};

struct nat {
    Slirp *slirp;
    struct wire *wire;
    void (*log)(const char *text);
    struct nat_timer timers[MAX_TIMERS];

    /* By IPv6 the guest chooses its address itself. */
    struct in6_addr guest_ipv6;
    int64_t learned_ms;
    struct net_forward ipv6_forwards[NET_MAX_FORWARDS];
    unsigned ipv6_forward_count;

    /* Between nat_prepare and nat_work: */
    struct pollfd *fds;
    unsigned used;
    unsigned room;
    const struct pollfd *results;
};

static int64_t now_ms(void)
{
    return (int64_t)(clock_monotonic_ns() / 1000000);
}

/* ---- what libslirp calls ---- */

static ssize_t send_packet(const void *frame, size_t size, void *opaque)
{
    struct nat *nat = opaque;

    wire_put(nat->wire, frame, size);
    return (ssize_t)size;
}

static void guest_error(const char *text, void *opaque)
{
    struct nat *nat = opaque;

    nat->log(text);
}

/* GLib's own way to write a line leads through the time zone and tables of characters. */
static void glib_message(const char *domain, GLogLevelFlags level, const char *text, void *opaque)
{
    (void)domain;
    (void)level;
    guest_error(text, opaque);
}

static int64_t get_ns(void *opaque)
{
    (void)opaque;
    return (int64_t)clock_monotonic_ns();
}

static void *timer_new(SlirpTimerId id, void *argument, void *opaque)
{
    struct nat *nat = opaque;

    for (unsigned i = 0; i < MAX_TIMERS; i++) {
        if (nat->timers[i].is_used)
            continue;
        nat->timers[i] = (struct nat_timer){true, id, argument, NEVER};
        return &nat->timers[i];
    }
    abort(); /* it makes one */
}

static void timer_free(void *timer, void *opaque)
{
    (void)opaque;
    ((struct nat_timer *)timer)->is_used = false;
}

static void timer_set(void *timer, int64_t due_ms, void *opaque)
{
    (void)opaque;
    ((struct nat_timer *)timer)->due_ms = due_ms;
}

static void ignore_fd(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void ignore(void *opaque)
{
    (void)opaque;
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = get_ns,
    .timer_new_opaque = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_set,
    .register_poll_fd = ignore_fd,
    .unregister_poll_fd = ignore_fd,
    .notify = ignore,
};

/* ---- waiting ---- */

static const struct {
    int slirp;
    short host;
} event_bits[] = {
    {SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
    {SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};

static int add_fd(int fd, int events, void *opaque)
{
    struct nat *nat = opaque;
    short bits = 0;

    if (nat->used == nat->room)
        return -1;
    for (unsigned i = 0; i < ARRAY_LEN(event_bits); i++)
        if (events & event_bits[i].slirp)
            bits = (short)(bits | event_bits[i].host);
    nat->fds[nat->used] = (struct pollfd){.fd = fd, .events = bits};
    return (int)nat->used++;
}

static int get_events(int index, void *opaque)
{
    const struct nat *nat = opaque;
    int events = 0;

    if (index < 0)
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(event_bits); i++)
        if (nat->results[index].revents & event_bits[i].host)
            events |= event_bits[i].slirp;
    return events;
}

unsigned nat_prepare(struct nat *nat, struct pollfd *fds, unsigned used, unsigned room,
                     uint32_t *timeout_ms)
{
    int64_t now = now_ms();

    nat->fds = fds;
    nat->used = used;
    nat->room = room;
    slirp_pollfds_fill(nat->slirp, timeout_ms, add_fd, nat);
    for (unsigned i = 0; i < MAX_TIMERS; i++) {
        const struct nat_timer *timer = &nat->timers[i];
        if (timer->is_used && timer->due_ms != NEVER)
            *timeout_ms = (uint32_t)MIN(*timeout_ms, (uint64_t)MAX(timer->due_ms - now, 0));
    }
    return nat->used;
}

void nat_work(struct nat *nat, const struct pollfd *fds, bool is_blind)
{
    int64_t now = now_ms();

    for (unsigned i = 0; i < MAX_TIMERS; i++) {
        struct nat_timer *timer = &nat->timers[i];
        if (!timer->is_used || timer->due_ms > now)
            continue;
        timer->due_ms = NEVER;
        slirp_handle_timer(nat->slirp, timer->id, timer->argument);
    }
    nat->results = fds;
    slirp_pollfds_poll(nat->slirp, is_blind, get_events, nat);
}

/* ---- what libslirp would get from the C library ---- */

/* Which interface a name server with a link-local address is on. The C library asks by a socket of AF_UNIX, which this
 * process cannot have. */
__attribute__((visibility("default"))) unsigned if_nametoindex(const char *name)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_there = false;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (fd >= 0) {
        is_there = ioctl(fd, SIOCGIFINDEX, &request) == 0;
        close(fd);
    }
    return is_there ? (unsigned)request.ifr_ifindex : 0;
}

/* ---- forwards ---- */

static int add(struct nat *nat, const struct net_forward *forward)
{
    const struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6,
                                      .sin6_addr = nat->guest_ipv6,
                                      .sin6_port = htons(forward->guest_port)};
    /* No address: of the first that asked by DHCP. */
    const struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(forward->guest_port)};
    struct sockaddr_storage guest = {0};
    struct sockaddr_storage host;
    unsigned size = net_forward_sockaddr(forward, &host);
    int flags =
        (forward->is_udp ? SLIRP_HOSTFWD_UDP : 0) | (forward->is_ipv6 ? SLIRP_HOSTFWD_V6ONLY : 0);

    if (forward->is_ipv6)
        memcpy(&guest, &ipv6, sizeof(ipv6));
    else
        memcpy(&guest, &ipv4, sizeof(ipv4));
    errno = EINVAL;
    return slirp_add_hostxfwd(nat->slirp, (const struct sockaddr *)&host, size,
                              (const struct sockaddr *)&guest, size, flags) < 0
               ? -errno
               : 0;
}

static int drop(struct nat *nat, const struct net_forward *forward)
{
    struct sockaddr_storage host;
    unsigned size = net_forward_sockaddr(forward, &host);
    int flags =
        (forward->is_udp ? SLIRP_HOSTFWD_UDP : 0) | (forward->is_ipv6 ? SLIRP_HOSTFWD_V6ONLY : 0);

    return slirp_remove_hostxfwd(nat->slirp, (const struct sockaddr *)&host, size, flags) < 0
               ? -ENOENT
               : 0;
}

int nat_add(struct nat *nat, const struct net_forward *forward)
{
    if (forward->is_ipv6 && nat->ipv6_forward_count == NET_MAX_FORWARDS)
        return -ENOSPC;
    int result = add(nat, forward);
    if (result == 0 && forward->is_ipv6)
        nat->ipv6_forwards[nat->ipv6_forward_count++] = *forward;
    return result;
}

int nat_remove(struct nat *nat, const struct net_forward *forward)
{
    for (unsigned i = 0; i < nat->ipv6_forward_count; i++) {
        if (!net_forward_is_same(&nat->ipv6_forwards[i], forward))
            continue;
        nat->ipv6_forwards[i] = nat->ipv6_forwards[--nat->ipv6_forward_count];
        break;
    }
    return drop(nat, forward);
}

/* ---- the guest's frames ---- */

enum {
    ETHERNET_HEADER = 14,
    IPV6_HEADER = 40,
    IPV6_SOURCE = 8,
    /* A guest that changes its address all the time has forwards that follow slowly. */
    LEARN_MS = 1000,
};

/* The address that a guest makes of its device's, as long as it has not shown another: RFC 4291, appendix A. */
static struct in6_addr guess_address(const uint8_t device[NET_ADDRESS_SIZE])
{
    struct in6_addr address = {0};
    uint8_t *bytes = address.s6_addr;

    inet_pton(AF_INET6, PREFIX, &address);
    memcpy(bytes + 8, device, 3);
    bytes[8] ^= 2;
    bytes[11] = 0xff;
    bytes[12] = 0xfe;
    memcpy(bytes + 13, device + 3, 3);
    return address;
}

/* The guest sends by IPv6 from an address of our prefix: that is where forwards lead from now on. */
static void learn_address(struct nat *nat, const uint8_t *frame, size_t size)
{
    const uint8_t *source = frame + ETHERNET_HEADER + IPV6_SOURCE;
    const struct in6_addr *known = &nat->guest_ipv6;

    if (size < ETHERNET_HEADER + IPV6_HEADER || frame[12] != 0x86 || frame[13] != 0xdd ||
        memcmp(source, known, 8) != 0 || memcmp(source, known, sizeof(*known)) == 0 ||
        now_ms() - nat->learned_ms < LEARN_MS)
        return;
    nat->learned_ms = now_ms();
    memcpy(&nat->guest_ipv6, source, sizeof(nat->guest_ipv6));
    for (unsigned i = 0; i < nat->ipv6_forward_count; i++)
        if (drop(nat, &nat->ipv6_forwards[i]) < 0 || add(nat, &nat->ipv6_forwards[i]) < 0)
            nat->log("a forward does not follow the guest's address");
}

void nat_input(void *owner, const uint8_t *frame, size_t size)
{
    struct nat *nat = owner;

    learn_address(nat, frame, size);
    slirp_input(nat->slirp, frame, (int)size);
}

/* ---- life ---- */

struct nat *nat_create(const struct nat_config *config)
{
    struct nat *nat = calloc(1, sizeof(*nat));
    SlirpConfig slirp = {
        .version = 4,
        .restricted = config->is_restricted,
        .in_enabled = true,
        .vnetwork.s_addr = htonl(0x0a000200),
        .vnetmask.s_addr = htonl(0xffffff00),
        .vhost.s_addr = htonl(0x0a000202),
        .vdhcp_start.s_addr = htonl(0x0a00020f),
        .vnameserver.s_addr = htonl(0x0a000203),
        .in6_enabled = true,
        .vprefix_len = 64,
        .vhostname = config->host_name[0] ? config->host_name : NULL,
        .if_mtu = config->mtu,
        .if_mru = config->mtu,
    };

    if (!nat)
        return NULL;
    nat->wire = config->wire;
    nat->log = config->log;
    g_log_set_default_handler(glib_message, nat);
    nat->guest_ipv6 = guess_address(config->guest_address);
    nat->learned_ms = now_ms() - LEARN_MS;
    inet_pton(AF_INET6, PREFIX, &slirp.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &slirp.vhost6);
    inet_pton(AF_INET6, "fec0::3", &slirp.vnameserver6);
    nat->slirp = slirp_new(&slirp, &callbacks, nat);
    if (!nat->slirp) {
        free(nat);
        return NULL;
    }
    return nat;
}
