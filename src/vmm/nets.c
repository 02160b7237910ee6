/* SPDX-License-Identifier: Apache-2.0
 * The networks of a machine. */
#include "vmm/nets.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

/* Names are the users' to keep apart; who has none gets an address by chance. */
static uint64_t address_number(const struct vm_nets_config *config)
{
    uint64_t number = 0;

    if (config->config->name == vm_config_default_name)
        config->entropy.fill(config->entropy.owner, &number, sizeof(number));
    return number;
}

static int open_net(struct vm_nets *nets, const struct vm_nets_config *config, const char *spec,
                    struct machine_config *machine, struct error *err)
{
    const struct vm_config *vm = config->config;
    struct machine_net *device = &machine->nets[nets->count];
    /* Ports lead through the first user-mode network. */
    bool publishes = !nets->user && strcmp(spec, "user") == 0;
    struct net_config net = {
        .spec = spec,
        .machine = vm->name,
        .rate = vm->net_rate,
        .loop = config->loop,
        .device_lock = config->device_lock,
        .children = config->children,
    };

    if (publishes) {
        net.forwards = vm->forwards;
        net.forward_count = vm->forward_count;
    }
    net_choose_address(vm->name, address_number(config), nets->count, net.address);
    int result = net_open(&net, &nets->nets[nets->count], err);
    if (result < 0)
        return result;
    struct net *opened = nets->nets[nets->count++];
    if (publishes)
        nets->user = opened;
    *device = (struct machine_net){.port = net_port(opened),
                                   .mtu = net_traits(opened).mtu,
                                   .checksums_are_good = net_traits(opened).checksums_are_good};
    memcpy(device->address, net.address, sizeof(device->address));
    machine->net_count = nets->count;
    return 0;
}

static int open_default(struct vm_nets *nets, const struct vm_nets_config *config,
                        struct machine_config *machine, struct error *err)
{
    bool is_wanted = config->config->forward_count != 0;

    if (!is_wanted && !config->may_default)
        return 0;
    if (!is_wanted && !net_user_is_available()) {
        log_info("net", "there is no doppel-net beside doppel: the machine has no network");
        return 0;
    }
    return open_net(nets, config, "user", machine, err);
}

int nets_open(struct vm_nets *nets, const struct vm_nets_config *config,
              struct machine_config *machine, struct error *err)
{
    const struct vm_config *vm = config->config;

    for (unsigned i = 0; i < vm->net_count; i++) {
        int result = open_net(nets, config, vm->nets[i], machine, err);
        if (result < 0)
            return result;
    }
    return vm->net_given ? 0 : open_default(nets, config, machine, err);
}

int nets_connect(struct vm_nets *nets, struct machine *machine, struct error *err)
{
    for (unsigned i = 0; i < nets->count; i++) {
        struct net_handler handler = machine_net_handler(machine, i);
        int result = net_connect(nets->nets[i], &handler, err);
        if (result < 0)
            return result;
    }
    return 0;
}

void nets_service(struct vm_nets *nets)
{
    for (unsigned i = 0; i < nets->count; i++)
        net_service(nets->nets[i]);
}

static int has_no_user(struct error *err)
{
    return error_set(err, -ENODEV, "the machine has no user-mode network (--net user)");
}

int nets_publish(struct vm_nets *nets, const struct net_forward *forward, struct error *err)
{
    return nets->user ? net_add_forward(nets->user, forward, err) : has_no_user(err);
}

int nets_unpublish(struct vm_nets *nets, const struct net_forward *forward, struct error *err)
{
    return nets->user ? net_remove_forward(nets->user, forward, err) : has_no_user(err);
}

unsigned nets_ports(const struct vm_nets *nets, const struct net_forward **out)
{
    *out = NULL;
    return nets->user ? net_forwards(nets->user, out) : 0;
}

void nets_close(struct vm_nets *nets)
{
    for (unsigned i = 0; i < nets->count; i++)
        net_close(nets->nets[i]);
    nets->count = 0;
    nets->user = NULL;
}
