/* SPDX-License-Identifier: Apache-2.0
 * virtio socket device. */
#include "dev/virtio/vsock.h"

#include "base/endian.h"
#include "base/memory.h"

enum {
    DEVICE_ID = 19,
    RECEIVE_QUEUE = 0, /* to the guest */
    TRANSMIT_QUEUE = 1,
    EVENT_QUEUE = 2,
    EVENT_SIZE = 4,
    QUEUE_SIZE = 128,
    PACKET_BUDGET = 4 * QUEUE_SIZE,

    CONFIG_CID = 0,
    CONFIG_SIZE = 8,
};

/* The header (5.10.6). */
enum {
    HEADER_SOURCE_CID = 0,
    HEADER_TARGET_CID = 8,
    HEADER_SOURCE_PORT = 16,
    HEADER_TARGET_PORT = 20,
    HEADER_LENGTH = 24,
    HEADER_TYPE = 28,
    HEADER_OP = 30,
    HEADER_FLAGS = 32,
    HEADER_BUF_ALLOC = 36,
    HEADER_FWD_CNT = 40,
    HEADER_SIZE = 44,

    TYPE_STREAM = 1,
};

static void store_header(const struct virtio_vsock *vsock, const struct vsock_packet *packet,
                         size_t size, uint8_t header[HEADER_SIZE])
{
    store_le64(header + HEADER_SOURCE_CID, VSOCK_HOST_CID);
    store_le64(header + HEADER_TARGET_CID, vsock->config.guest_cid);
    store_le32(header + HEADER_SOURCE_PORT, packet->host_port);
    store_le32(header + HEADER_TARGET_PORT, packet->guest_port);
    store_le32(header + HEADER_LENGTH, (uint32_t)size);
    store_le16(header + HEADER_TYPE, TYPE_STREAM);
    store_le16(header + HEADER_OP, packet->op);
    store_le32(header + HEADER_FLAGS, packet->flags);
    store_le32(header + HEADER_BUF_ALLOC, packet->buf_alloc);
    store_le32(header + HEADER_FWD_CNT, packet->fwd_cnt);
}

static int64_t send(void *device, const struct vsock_packet *packet, const uint8_t *payload,
                    size_t size)
{
    struct virtio_vsock *vsock = device;
    uint8_t header[HEADER_SIZE];
    const struct virtio_chain *chain = virtio_pop(&vsock->virtio, RECEIVE_QUEUE);

    if (!chain) {
        vsock->wants_room = true;
        return -1;
    }
    if (chain->writable_size < HEADER_SIZE) {
        virtio_needs_reset(&vsock->virtio, "receive buffer without room for a header");
        return -1;
    }
    size = (size_t)MIN(size, chain->writable_size - HEADER_SIZE);
    store_header(vsock, packet, size, header);
    virtio_chain_write(chain, vsock->config.space, 0, header, sizeof(header));
    virtio_chain_write(chain, vsock->config.space, HEADER_SIZE, payload, size);
    virtio_push(&vsock->virtio, RECEIVE_QUEUE, &chain->token, (uint32_t)(HEADER_SIZE + size));
    return (int64_t)size;
}

struct vsock_handler virtio_vsock_handler(struct virtio_vsock *vsock)
{
    return (struct vsock_handler){send, vsock};
}

/* A packet for nobody of ours: whoever sent it learns that (5.10.6.5). */
static void refuse(struct virtio_vsock *vsock, const uint8_t header[HEADER_SIZE])
{
    struct vsock_packet packet = {
        .guest_port = load_le32(header + HEADER_SOURCE_PORT),
        .host_port = load_le32(header + HEADER_TARGET_PORT),
        .op = VSOCK_RST,
    };

    if (load_le16(header + HEADER_OP) != VSOCK_RST)
        send(vsock, &packet, NULL, 0);
}

/* False: the driver broke a rule. */
static bool take_packet(struct virtio_vsock *vsock, const struct virtio_chain *chain)
{
    const struct vsock_port *port = &vsock->config.port;
    uint8_t header[HEADER_SIZE];

    if (virtio_chain_read(chain, 0, header, sizeof(header)) < sizeof(header))
        return false;
    uint32_t size = load_le32(header + HEADER_LENGTH);
    if (size > VSOCK_PACKET_MOST || size > chain->readable_size - HEADER_SIZE)
        return false;
    const struct vsock_packet packet = {
        .guest_port = load_le32(header + HEADER_SOURCE_PORT),
        .host_port = load_le32(header + HEADER_TARGET_PORT),
        .op = load_le16(header + HEADER_OP),
        .flags = load_le32(header + HEADER_FLAGS),
        .buf_alloc = load_le32(header + HEADER_BUF_ALLOC),
        .fwd_cnt = load_le32(header + HEADER_FWD_CNT),
    };
    virtio_chain_read(chain, HEADER_SIZE, vsock->payload, size);
    virtio_push(&vsock->virtio, TRANSMIT_QUEUE, &chain->token, 0);
    if (load_le16(header + HEADER_TYPE) != TYPE_STREAM ||
        load_le64(header + HEADER_TARGET_CID) != VSOCK_HOST_CID ||
        load_le64(header + HEADER_SOURCE_CID) != vsock->config.guest_cid)
        refuse(vsock, header);
    else
        port->receive(port->owner, &packet, vsock->payload, size);
    return true;
}

static void take_packets(struct virtio_vsock *vsock)
{
    for (unsigned served = 0; served < PACKET_BUDGET; served++) {
        const struct virtio_chain *chain = virtio_pop(&vsock->virtio, TRANSMIT_QUEUE);
        if (!chain)
            return;
        if (!take_packet(vsock, chain)) {
            virtio_needs_reset(&vsock->virtio, "packet without a whole header or payload");
            return;
        }
    }
    virtio_work_waits(&vsock->virtio);
}

/* VIRTIO_VSOCK_EVENT_TRANSPORT_RESET (5.10.6.7). */
static void tell_reset(struct virtio_vsock *vsock)
{
    static const uint8_t event[EVENT_SIZE] = {0};
    const struct virtio_chain *chain =
        vsock->owes_reset ? virtio_pop(&vsock->virtio, EVENT_QUEUE) : NULL;

    if (!chain)
        return;
    vsock->owes_reset = false;
    size_t written = virtio_chain_write(chain, vsock->config.space, 0, event, sizeof(event));
    virtio_push(&vsock->virtio, EVENT_QUEUE, &chain->token, (uint32_t)written);
}

static void vsock_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_vsock *vsock = CONTAINER_OF(device, struct virtio_vsock, virtio);
    const struct vsock_port *port = &vsock->config.port;

    if (queue == TRANSMIT_QUEUE)
        take_packets(vsock);
    if (queue == EVENT_QUEUE)
        tell_reset(vsock);
    if (queue == RECEIVE_QUEUE && vsock->wants_room) {
        vsock->wants_room = false;
        port->writable(port->owner);
    }
}

static void vsock_type_reset(struct virtio_device *device)
{
    struct virtio_vsock *vsock = CONTAINER_OF(device, struct virtio_vsock, virtio);

    vsock->wants_room = false;
    vsock->owes_reset = false;
    vsock->config.port.reset(vsock->config.port.owner);
}

static const struct virtio_type vsock_type = {
    .name = "virtio-vsock",
    .device_id = DEVICE_ID,
    .queue_count = 3,
    .queue_size = QUEUE_SIZE,
    .pci_class = 0x028000, /* network controller, other */
    .notify = vsock_notify,
    .reset = vsock_type_reset,
};

static void vsock_reset(void *object)
{
    struct virtio_vsock *vsock = object;

    virtio_device_reset(&vsock->virtio);
}

/* Connections are not saved: the guest is told that they are gone. */
static int vsock_loaded(void *object, struct error *err)
{
    struct virtio_vsock *vsock = object;
    int result = virtio_device_loaded(&vsock->virtio, err);

    if (result < 0)
        return result;
    vsock->owes_reset = true;
    tell_reset(vsock);
    return 0;
}

static const struct state_field vsock_fields[] = {
    STATE_STRUCT(struct virtio_vsock, virtio, &virtio_device_state),
};
static const struct state_table vsock_state = STATE_TABLE("virtio-vsock", 1, vsock_fields);

const struct device_ops virtio_vsock_ops = {vsock_reset, &vsock_state, vsock_loaded};

void virtio_vsock_init(struct virtio_vsock *vsock, const struct virtio_vsock_config *config)
{
    memset(vsock, 0, sizeof(*vsock));
    vsock->config = *config;
    virtio_device_init(&vsock->virtio, &vsock_type, config->space, 0);
    vsock->virtio.config_size = CONFIG_SIZE;
    store_le64(vsock->virtio.config + CONFIG_CID, config->guest_cid);
}
