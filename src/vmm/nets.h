/* SPDX-License-Identifier: Apache-2.0
 * The networks of a machine. Loop thread. */
#pragma once

#include "backend/net/net.h"
#include "machine/machine.h"
#include "vmm/config.h"

struct vm_nets {
    struct net *nets[MACHINE_MAX_NETS];
    unsigned count;
    struct net *user; /* the first user-mode one, through which ports are published; NULL: none */
};

struct vm_nets_config {
    const struct vm_config *config;
    /* When nothing was said: the user-mode network, if this host can. */
    bool may_default;
    struct entropy_port entropy; /* addresses of machines without a name of their own */
    struct loop *loop;
    struct lock_port device_lock;
    struct child_port children;
};

/* Opens what is asked for and describes it in *machine. On failure, too, the caller
 * closes it. */
MUST_CHECK int nets_open(struct vm_nets *nets, const struct vm_nets_config *config,
                         struct machine_config *machine, struct error *err);
/* Before the machine runs. */
MUST_CHECK int nets_connect(struct vm_nets *nets, struct machine *machine, struct error *err);
/* After each wake of the loop. */
void nets_service(struct vm_nets *nets);

/* Ports of a running machine. -ENODEV: it has no user-mode network. */
MUST_CHECK int nets_publish(struct vm_nets *nets, const struct net_forward *forward,
                            struct error *err);
MUST_CHECK int nets_unpublish(struct vm_nets *nets, const struct net_forward *forward,
                              struct error *err);
/* How many there are. */
unsigned nets_ports(const struct vm_nets *nets, const struct net_forward **out);
void nets_close(struct vm_nets *nets);
