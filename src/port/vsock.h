/* SPDX-License-Identifier: Apache-2.0
 * Packets between a vsock device and the connections behind it (virtio 1.2, section 5.10.6). All calls are made
 * with the device lock held and never block. */
#pragma once

#include "base/types.h"

#define VSOCK_HOST_CID    2u
/* The longest payload that a packet from the guest may have. */
#define VSOCK_PACKET_MOST 65536u

enum vsock_op {
    VSOCK_REQUEST = 1,
    VSOCK_RESPONSE = 2,
    VSOCK_RST = 3,
    VSOCK_SHUTDOWN = 4,
    VSOCK_RW = 5,
    VSOCK_CREDIT_UPDATE = 6,
    VSOCK_CREDIT_REQUEST = 7,
};

/* Flags of VSOCK_SHUTDOWN. */
enum {
    VSOCK_NO_RECEIVE = 1,
    VSOCK_NO_SEND = 2,
};

/* A header without what is the same for all: streams between the guest and CID 2. */
struct vsock_packet {
    uint32_t guest_port;
    uint32_t host_port;
    uint16_t op; /* from a guest: any value */
    uint32_t flags;
    uint32_t buf_alloc; /* the sender's buffer, bytes */
    uint32_t fwd_cnt;   /* bytes that have left it, ever; wraps */
};

/* What the device calls. */
struct vsock_port {
    /* A packet from the guest, of a stream and to CID 2. `payload` is the device's, for this call. */
    void (*receive)(void *owner, const struct vsock_packet *packet, const uint8_t *payload,
                    size_t size);
    /* The guest has room for packets again, after send() found none. */
    void (*writable)(void *owner);
    /* The device was reset: all connections are gone. */
    void (*reset)(void *owner);
    void *owner;
};

/* What the device offers. */
struct vsock_handler {
    /* Gives the guest a packet with as much of the payload as its buffer takes. Returns how many bytes that were; -1: it has no buffer
     * now. */
    int64_t (*send)(void *device, const struct vsock_packet *packet, const uint8_t *payload,
                    size_t size);
    void *device;
};
