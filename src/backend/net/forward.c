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

static int bad_forward(const char *text, const char *why, struct error *err)
{
    return error_set(err, -EINVAL,
                     "--publish '%s': %s; wanted is [ADDR:]HOST:GUEST[/udp], as in 8080:80", text,
                     why);
}

static bool parse_port(const char *text, uint16_t *out)
{
    uint64_t port;

    if (!text_parse_u64(text, UINT16_MAX, &port) || port == 0)
        return false;
    *out = (uint16_t)port;
    return true;
}

int net_forward_parse(const char *text, struct net_forward *out, struct error *err)
{
    struct net_forward forward = {.host_address = {127, 0, 0, 1}};
    char copy[64];

    if (strlen(text) >= sizeof(copy))
        return bad_forward(text, "it is too long", err);
    memcpy(copy, text, strlen(text) + 1);
    char *protocol = strchr(copy, '/');
    if (protocol) {
        *protocol++ = 0;
        forward.is_udp = strcmp(protocol, "udp") == 0;
        if (!forward.is_udp && strcmp(protocol, "tcp") != 0)
            return bad_forward(text, "the protocol is neither tcp nor udp", err);
    }
    char *guest = strrchr(copy, ':');
    if (!guest)
        return bad_forward(text, "the guest's port is missing", err);
    *guest++ = 0;
    char *host = strrchr(copy, ':');
    if (host)
        *host++ = 0;
    if (host && inet_pton(AF_INET, copy, forward.host_address) != 1)
        return bad_forward(text, "ADDR is no IPv4 address", err);
    if (!parse_port(host ? host : copy, &forward.host_port) ||
        !parse_port(guest, &forward.guest_port))
        return bad_forward(text, "a port is a number from 1 to 65535", err);
    *out = forward;
    return 0;
}

const char *net_forward_text(const struct net_forward *forward, char text[NET_FORWARD_TEXT])
{
    const uint8_t *a = forward->host_address;

    snprintf(text, NET_FORWARD_TEXT, "%u.%u.%u.%u:%u/%s", a[0], a[1], a[2], a[3],
             forward->host_port, forward->is_udp ? "udp" : "tcp");
    return text;
}

int net_forward_probe(const struct net_forward *forward, struct error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(forward->host_port)};
    char text[NET_FORWARD_TEXT];
    int on = 1;
    int fd = socket(AF_INET, (forward->is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

    memcpy(&address.sin_addr, forward->host_address, sizeof(forward->host_address));
    if (fd >= 0 && !forward->is_udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool is_free = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
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
    return a->host_port == b->host_port && a->is_udp == b->is_udp &&
           memcmp(a->host_address, b->host_address, sizeof(a->host_address)) == 0;
}
