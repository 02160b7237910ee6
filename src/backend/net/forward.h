/* SPDX-License-Identifier: Apache-2.0
 * Ports of the host that lead into the guest. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

#define NET_MAX_FORWARDS 32

struct net_forward {
    uint8_t host_address[16]; /* IPv4: the first four */
    uint16_t host_port;
    uint16_t guest_port;
    bool is_ipv6; /* on the guest's side as well */
    bool is_udp;
};

#define NET_FORWARD_TEXT 80

/* Reads "[ADDR:]HOST:GUEST[/tcp|/udp]"; an IPv6 ADDR stands in brackets, without ADDR it is 127.0.0.1. */
MUST_CHECK int net_forward_parse(const char *text, struct net_forward *out, struct error *err);
/* The host's side alone: "[ADDR:]HOST[/tcp|/udp]"; the guest's port is left out. */
MUST_CHECK int net_forward_parse_host(const char *text, struct net_forward *out, struct error *err);

/* "127.0.0.1:8080/tcp", "[::1]:8080/tcp": the host's side, which is what tells one from another. */
const char *net_forward_text(const struct net_forward *forward, char text[NET_FORWARD_TEXT]);
/* "127.0.0.1:8080->80/tcp": both sides. */
const char *net_forward_arrow(const struct net_forward *forward, char text[NET_FORWARD_TEXT]);
/* The host's address alone, without brackets. */
const char *net_forward_address(const struct net_forward *forward, char text[NET_FORWARD_TEXT]);

/* Whether the host's port can be had, without keeping it. */
MUST_CHECK int net_forward_probe(const struct net_forward *forward, struct error *err);
bool net_forward_is_same(const struct net_forward *a, const struct net_forward *b);

/* The address of the host's side for system calls; how many bytes of it. */
struct sockaddr_storage;
unsigned net_forward_sockaddr(const struct net_forward *forward, struct sockaddr_storage *out);
