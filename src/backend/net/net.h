/* SPDX-License-Identifier: Apache-2.0
 * What a network device is plugged into: user-mode NAT, a switch between machines of
 * this host, or a TAP device.
 *
 * Frames from the device go through a ring to the loop thread; frames to it are read
 * from the link when the device has taken the ones before. So each side waits for the
 * other, and nothing piles up. Loop thread only, but for what the port does. */
#pragma once

#include "backend/net/forward.h"
#include "base/attributes.h"
#include "base/error.h"
#include "host/child.h"
#include "host/loop.h"
#include "host/place.h"
#include "port/lock.h"
#include "port/net.h"

struct net;

struct net_config {
    const char *spec;    /* "user", "tap:IF", "socket:PATH"; for this call */
    const char *machine; /* its name, given to the guest by DHCP; for this call */
    uint8_t address[NET_ADDRESS_SIZE];
    const struct net_forward *forwards; /* user: for this call */
    unsigned forward_count;
    uint64_t rate; /* net_set_rate */
    struct loop *loop;
    struct lock_port device_lock;
    struct child_port children;
};

/* A constant of the kind of link, for the device. */
struct net_traits {
    uint16_t mtu; /* 0: whatever the guest likes */
    bool checksums_are_good;
};

/* Checks what `spec` says and takes what only one can have: the name of a tap, the
 * place in a switch, ports of the host. On success the caller owns *out (net_close). */
MUST_CHECK int net_open(const struct net_config *config, struct net **out, struct error *err);
/* Accepts NULL. */
void net_close(struct net *net);

/* Of a socket that net_close removes, unless it is forgotten. NULL: nothing. */
struct place *net_place(struct net *net);

struct net_traits net_traits(const struct net *net);
/* The port for the device; the device lock is held in its calls. */
struct net_port net_port(struct net *net);

/* Connects the device. May wait for what net_open began: then it fails, with one line,
 * while nothing runs yet. */
MUST_CHECK int net_connect(struct net *net, const struct net_handler *handler, struct error *err);

/* Moves what can be moved; after loop_wake. Accepts NULL. */
void net_service(struct net *net);

/* Bytes a second each way from now on; 0: no limit. Long-run error below a hundredth. */
void net_set_rate(struct net *net, uint64_t rate);

/* Adds or removes a forward of a running machine; `user` only (-ENOTSUP). Waits, usually
 * below a millisecond and at most a second, for the answer. */
MUST_CHECK int net_add_forward(struct net *net, const struct net_forward *forward,
                               struct error *err);
MUST_CHECK int net_remove_forward(struct net *net, const struct net_forward *forward,
                                  struct error *err);
/* The forwards there are; how many. */
unsigned net_forwards(const struct net *net, const struct net_forward **out);

/* Whether `user` has what it needs on this host. */
bool net_user_is_available(void);

/* The address of network device `index` of a machine: the same for the same name and
 * number, and different from all others. Locally administered. */
void net_choose_address(const char *machine, uint64_t number, unsigned index,
                        uint8_t out[NET_ADDRESS_SIZE]);

/* Figures, since net_open. */
struct net_stats {
    uint64_t sent_frames;
    uint64_t sent_bytes;
    uint64_t received_frames;
    uint64_t received_bytes;
    unsigned restarts; /* of the process behind `user` */
};
struct net_stats net_stats(const struct net *net);
