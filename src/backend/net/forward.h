/* SPDX-License-Identifier: Apache-2.0
 * Ports of the host that lead into the guest. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

struct net_forward {
    uint8_t host_address[4]; /* IPv4 */
    uint16_t host_port;
    uint16_t guest_port;
    bool is_udp;
};

#define NET_FORWARD_TEXT 48

/* Reads "[ADDR:]HOST:GUEST[/tcp|/udp]"; without ADDR it is 127.0.0.1. */
MUST_CHECK int net_forward_parse(const char *text, struct net_forward *out, struct error *err);

/* "127.0.0.1:8080/tcp": the host's side, which is what tells one from another. */
const char *net_forward_text(const struct net_forward *forward, char text[NET_FORWARD_TEXT]);

/* Whether the host's port can be had, without keeping it. */
MUST_CHECK int net_forward_probe(const struct net_forward *forward, struct error *err);
bool net_forward_is_same(const struct net_forward *a, const struct net_forward *b);
