/* SPDX-License-Identifier: Apache-2.0
 * virtio network device (virtio 1.2, section 5.1). */
#pragma once

#include "dev/device.h"
#include "dev/virtio/device.h"
#include "port/net.h"

#define VIRTIO_NET_TABLE_SIZE 32

struct virtio_net_config {
    const struct space *space;
    struct net_port link;
    uint8_t address[NET_ADDRESS_SIZE];
    uint16_t mtu; /* largest packet of IP; 0: the driver's choice, feature not offered */
    /* Whatever makes the frames that come in does so on this host, checksums included:
     * the driver need not check them. */
    bool checksums_are_good;
};

/* Which addresses besides the device's own are received (5.1.6.5.1). */
enum virtio_net_mode {
    NET_MODE_PROMISCUOUS = 1 << 0,
    NET_MODE_ALL_MULTICAST = 1 << 1,
    NET_MODE_ALL_UNICAST = 1 << 2,
    NET_MODE_NO_MULTICAST = 1 << 3,
    NET_MODE_NO_UNICAST = 1 << 4,
    NET_MODE_NO_BROADCAST = 1 << 5,
    NET_MODES = (1 << 6) - 1,
};

struct virtio_net_table {
    uint8_t count;    /* at most VIRTIO_NET_TABLE_SIZE */
    uint8_t overflow; /* 1: the driver gave more than fit: all of this kind are received */
    uint8_t addresses[VIRTIO_NET_TABLE_SIZE * NET_ADDRESS_SIZE];
};

struct virtio_net {
    struct virtio_device virtio;
    uint8_t address[NET_ADDRESS_SIZE]; /* the driver may choose another */
    uint8_t modes;                     /* enum virtio_net_mode */
    uint8_t announce;                  /* 1: the driver is asked to announce itself */
    struct virtio_net_table unicast;
    struct virtio_net_table multicast;

    bool link_is_down;   /* not saved: the back end says it */
    bool transmit_waits; /* the back end has no room; not saved */
    bool receive_waits;  /* receive() refused a frame; not saved */
    struct virtio_net_config config;
    uint8_t frame[NET_FRAME_MOST]; /* scratch for the frame being sent */
};

void virtio_net_init(struct virtio_net *net, const struct virtio_net_config *config);
struct net_handler virtio_net_handler(struct virtio_net *net);

extern const struct device_ops virtio_net_ops;
