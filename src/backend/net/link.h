/* SPDX-License-Identifier: Apache-2.0
 * A kind of network, as net.c sees it; only for backend/net. Loop thread. */
#pragma once

#include "backend/net/frame_ring.h"
#include "backend/net/net.h"

struct link {
    const struct link_ops *ops;
    struct net_traits traits;
    struct net *net; /* for net_ready and net_set_link */
};

struct link_ops {
    /* Sends frames in order; returns how many were sent or dropped for good. Fewer than
     * `count`: there is no room now, and LOOP_WRITE is waited for. */
    unsigned (*send)(struct link *link, const struct frame *frames, unsigned count);
    /* Reads up to `count` frames into frames[].bytes, which have room for
     * NET_FRAME_MOST; returns how many there were. */
    unsigned (*receive)(struct link *link, struct frame *frames, unsigned count);
    /* What to wait for from now on (LOOP_ bits); net_ready is called when it is there. */
    void (*watch)(struct link *link, unsigned events);
    /* net_connect; NULL: nothing to do. */
    int (*connect)(struct link *link, struct error *err);
    void (*close)(struct link *link);
    /* NULL: has no forwards. */
    int (*add_forward)(struct link *link, const struct net_forward *forward, struct error *err);
    int (*remove_forward)(struct link *link, const struct net_forward *forward, struct error *err);
    unsigned (*forwards)(const struct link *link, const struct net_forward **out);
    unsigned (*restarts)(const struct link *link);
    /* NULL: has none. */
    struct place *(*place)(struct link *link);
};

/* What was watched for is there. */
void net_ready(struct net *net, unsigned events);

/* The cable is in or out. */
void net_set_link(struct net *net, bool is_up);

/* Each gives a link to be closed by ops->close. `rest`: the spec behind the colon. */
MUST_CHECK int user_open(const struct net_config *config, struct link **out, struct error *err);
MUST_CHECK int switch_open(const struct net_config *config, const char *rest, struct link **out,
                           struct error *err);
MUST_CHECK int tap_open(const struct net_config *config, const char *rest, struct link **out,
                        struct error *err);
