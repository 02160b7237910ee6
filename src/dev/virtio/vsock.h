/* SPDX-License-Identifier: Apache-2.0
 * virtio socket device (virtio 1.2, section 5.10): carries packets of stream sockets; connections and credit are
 * the back end's. */
#pragma once

#include "dev/device.h"
#include "dev/virtio/device.h"
#include "port/vsock.h"

struct virtio_vsock_config {
    const struct space *space;
    struct vsock_port port;
    uint64_t guest_cid; /* 3 and more */
};

struct virtio_vsock {
    struct virtio_device virtio;
    bool wants_room; /* send() found no buffer */
    bool owes_reset; /* the driver is to be told that all connections are gone */
    struct virtio_vsock_config config;
    uint8_t payload[VSOCK_PACKET_MOST]; /* scratch */
};

void virtio_vsock_init(struct virtio_vsock *vsock, const struct virtio_vsock_config *config);

/* For the back end. */
struct vsock_handler virtio_vsock_handler(struct virtio_vsock *vsock);

extern const struct device_ops virtio_vsock_ops;
