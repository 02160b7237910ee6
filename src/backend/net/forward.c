/* SPDX-License-Identifier: Apache-2.0
 * Ports of the host that lead into the guest. */
#include "backend/net/forward.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_MOST = 72 };

/* What is read, for messages. */
struct form {
    const char *option;
    const char *wanted;
};

static const struct form whole = {"publish", "[ADDR:]HOST:GUEST[/udp], as in 8080:80"};
static const struct form host_only = {"unpublish", "[ADDR:]HOST[/udp], as in 8080"};

static int bad_forward(const struct form *form, const char *text, const char *why,
                       struct error *err)
{
    return error_set(err, -EINVAL, "--%s '%s': %s; wanted is %s", form->option, text, why,
                     form->wanted);
}

static bool parse_port(const char *text, uint16_t *out)
{
    uint64_t port;

    if (!text_parse_u64(text, UINT16_MAX, &port) || port == 0)
        return false;
    *out = (uint16_t)port;
    return true;
}

/* Cuts "/udp" off. False: it is another protocol. */
static bool parse_protocol(char *text, bool *is_udp)
{
    char *protocol = strchr(text, '/');

    *is_udp = false;
    if (!protocol)
        return true;
    *protocol++ = 0;
    *is_udp = strcmp(protocol, "udp") == 0;
    return *is_udp || strcmp(protocol, "tcp") == 0;
}

/* "ADDR:HOST" or "HOST". Returns what is wrong with it, or NULL. */
static const char *parse_host(char *text, struct net_forward *forward)
{
    char *port = strrchr(text, ':');
    char *end = port ? port - 1 : NULL;

    if (*text == '[' && (!port || *end != ']'))
        return "the address ends with ']', and a port follows";
    forward->is_ipv6 = *text == '[';
    if (port)
        *port++ = 0;
    if (forward->is_ipv6) {
        *end = 0;
        if (inet_pton(AF_INET6, text + 1, forward->host_address) != 1)
            return "ADDR is no IPv6 address";
    } else if (port && inet_pton(AF_INET, text, forward->host_address) != 1)
        return "ADDR is no IPv4 address, and no IPv6 address in brackets";
    return parse_port(port ? port : text, &forward->host_port)
               ? NULL
               : "a port is a number from 1 to 65535";
}

int net_forward_parse(const char *text, struct net_forward *out, struct error *err)
{
    struct net_forward forward = {.host_address = {127, 0, 0, 1}};
    char copy[TEXT_MOST];

    if (strlen(text) >= sizeof(copy))
        return bad_forward(&whole, text, "it is too long", err);
    memcpy(copy, text, strlen(text) + 1);
    if (!parse_protocol(copy, &forward.is_udp))
        return bad_forward(&whole, text, "the protocol is neither tcp nor udp", err);
    char *guest = strrchr(copy, ':');
    if (!guest || strchr(guest, ']'))
        return bad_forward(&whole, text, "the guest's port is missing", err);
    *guest++ = 0;
    const char *wrong = parse_host(copy, &forward);
    if (wrong)
        return bad_forward(&whole, text, wrong, err);
    if (!parse_port(guest, &forward.guest_port))
        return bad_forward(&whole, text, "a port is a number from 1 to 65535", err);
    *out = forward;
    return 0;
}

int net_forward_parse_host(const char *text, struct net_forward *out, struct error *err)
{
    struct net_forward forward = {.host_address = {127, 0, 0, 1}};
    char copy[TEXT_MOST];

    if (strlen(text) >= sizeof(copy))
        return bad_forward(&host_only, text, "it is too long", err);
    memcpy(copy, text, strlen(text) + 1);
    if (!parse_protocol(copy, &forward.is_udp))
        return bad_forward(&host_only, text, "the protocol is neither tcp nor udp", err);
    const char *wrong = parse_host(copy, &forward);
    if (wrong)
        return bad_forward(&host_only, text, wrong, err);
    *out = forward;
    return 0;
}

const char *net_forward_address(const struct net_forward *forward, char text[NET_FORWARD_TEXT])
{
    inet_ntop(forward->is_ipv6 ? AF_INET6 : AF_INET, forward->host_address, text, NET_FORWARD_TEXT);
    return text;
}

static void print_host(const struct net_forward *forward, char text[NET_FORWARD_TEXT])
{
    char address[NET_FORWARD_TEXT];

    snprintf(text, NET_FORWARD_TEXT, forward->is_ipv6 ? "[%.45s]:%u" : "%.45s:%u",
             net_forward_address(forward, address), forward->host_port);
}

static const char *protocol_of(const struct net_forward *forward)
{
    return forward->is_udp ? "udp" : "tcp";
}

const char *net_forward_text(const struct net_forward *forward, char text[NET_FORWARD_TEXT])
{
    print_host(forward, text);
    size_t length = strlen(text);
    snprintf(text + length, NET_FORWARD_TEXT - length, "/%s", protocol_of(forward));
    return text;
}

const char *net_forward_arrow(const struct net_forward *forward, char text[NET_FORWARD_TEXT])
{
    print_host(forward, text);
    size_t length = strlen(text);
    snprintf(text + length, NET_FORWARD_TEXT - length, "->%u/%s", forward->guest_port,
             protocol_of(forward));
    return text;
}

unsigned net_forward_sockaddr(const struct net_forward *forward, struct sockaddr_storage *out)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(forward->host_port)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(forward->host_port)};

    memcpy(&ipv4.sin_addr, forward->host_address, sizeof(ipv4.sin_addr));
    memcpy(&ipv6.sin6_addr, forward->host_address, sizeof(ipv6.sin6_addr));
    memset(out, 0, sizeof(*out));
    if (forward->is_ipv6)
        memcpy(out, &ipv6, sizeof(ipv6));
    else
        memcpy(out, &ipv4, sizeof(ipv4));
    return forward->is_ipv6 ? sizeof(ipv6) : sizeof(ipv4);
}

int net_forward_probe(const struct net_forward *forward, struct error *err)
{
    struct sockaddr_storage address;
    unsigned size = net_forward_sockaddr(forward, &address);
    char text[NET_FORWARD_TEXT];
    int on = 1;
    int fd =
        socket(address.ss_family, (forward->is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

    if (fd >= 0 && !forward->is_udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* The IPv4 port of the same number may be another's. */
    if (fd >= 0 && forward->is_ipv6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    bool is_free = fd >= 0 && bind(fd, (const struct sockaddr *)&address, size) == 0 &&
                   (forward->is_udp || listen(fd, 1) == 0);
    int result = is_free ? 0 : -errno;
    if (fd >= 0)
        close(fd);
    if (result == 0)
        return 0;
    const char *remedy = result == -EADDRINUSE      ? "; choose another port of the host"
                         : result == -EACCES        ? "; ports below 1024 need privileges"
                         : result == -EADDRNOTAVAIL ? "; the host has no such address"
                                                    : "";
    return error_set(err, result, "cannot publish %s: %s%s", net_forward_text(forward, text),
                     strerror(-result), remedy);
}

bool net_forward_is_same(const struct net_forward *a, const struct net_forward *b)
{
    return a->host_port == b->host_port && a->is_udp == b->is_udp && a->is_ipv6 == b->is_ipv6 &&
           memcmp(a->host_address, b->host_address, sizeof(a->host_address)) == 0;
}
