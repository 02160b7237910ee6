/* SPDX-License-Identifier: Apache-2.0
 * The network that the guest sees, by libslirp: 10.0.2.0/24 and fec0::/64, with the
 * gateway (and host) at .2, names at .3, the guest from .15 on, as QEMU has it. */
#pragma once

#include "backend/net/forward.h"
#include "base/types.h"
#include "net_helper/wire.h"

#include <poll.h>

struct nat;

struct nat_config {
    const char *host_name;        /* of the guest, by DHCP; empty: none */
    const uint8_t *guest_address; /* of its network device; for this call */
    unsigned mtu;
    bool is_restricted;
    struct wire *wire;
    void (*log)(const char *text);
};

/* NULL: libslirp would not. */
struct nat *nat_create(const struct nat_config *config);

/* Fills `fds` from element `used` on with what is to be waited for, and lowers
 * *timeout_ms (UINT32_MAX: for ever). Returns how many there are in all. */
unsigned nat_prepare(struct nat *nat, struct pollfd *fds, unsigned used, unsigned room,
                     uint32_t *timeout_ms);
/* After poll. `is_blind`: the sockets were not looked at. */
void nat_work(struct nat *nat, const struct pollfd *fds, bool is_blind);
/* A frame of the guest's. `nat`: struct nat. */
void nat_input(void *nat, const uint8_t *frame, size_t size);

/* 0 or a negative errno. */
int nat_add(struct nat *nat, const struct net_forward *forward);
int nat_remove(struct nat *nat, const struct net_forward *forward);
