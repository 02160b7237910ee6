/* SPDX-License-Identifier: Apache-2.0
 * virtio network device, one pair of queues and a control queue (virtio 1.2,
 * section 5.1).
 *
 * Nothing is kept here for long: a frame to send stays in the driver's queue until
 * the back end takes it, and one that comes in stays with the back end until the
 * driver has buffers for all of it. So a driver or a peer that does not listen costs
 * nothing, and there is nothing in flight to save. */
#include "dev/virtio/net.h"

#include "base/endian.h"
#include "format/checksum.h"
#include "mem/dma.h"

enum {
    DEVICE_ID = 1,
    QUEUE_SIZE = 256,
    RECEIVE = 0,
    TRANSMIT = 1,
    CONTROL = 2,
    /* Work for one notification; the rest waits for the driver's next access. */
    CHAIN_BUDGET = 4 * QUEUE_SIZE,
    BYTE_BUDGET = 4 << 20,
};

#define VIRTIO_NET_F_CSUM           BIT(0)
#define VIRTIO_NET_F_GUEST_CSUM     BIT(1)
#define VIRTIO_NET_F_MTU            BIT(3)
#define VIRTIO_NET_F_MAC            BIT(5)
#define VIRTIO_NET_F_MRG_RXBUF      BIT(15)
#define VIRTIO_NET_F_STATUS         BIT(16)
#define VIRTIO_NET_F_CTRL_VQ        BIT(17)
#define VIRTIO_NET_F_CTRL_RX        BIT(18)
#define VIRTIO_NET_F_CTRL_RX_EXTRA  BIT(20)
#define VIRTIO_NET_F_GUEST_ANNOUNCE BIT(21)
#define VIRTIO_NET_F_CTRL_MAC_ADDR  BIT(23)

/* Configuration space (5.1.4). */
enum {
    CONFIG_ADDRESS = 0,
    CONFIG_STATUS = 6,
    CONFIG_PAIRS = 8,
    CONFIG_MTU = 10,
    CONFIG_SIZE = 12,
    STATUS_LINK_UP = 1,
    STATUS_ANNOUNCE = 2,
};

/* What stands before each frame (5.1.6). */
enum {
    HEADER_FLAGS = 0,
    HEADER_SEGMENTATION = 1,
    HEADER_CHECKSUM_START = 6,
    HEADER_CHECKSUM_OFFSET = 8,
    HEADER_BUFFERS = 10,
    HEADER_SIZE = 12,
    HEADER_NEEDS_CHECKSUM = 1,
    HEADER_DATA_VALID = 2,
};

/* Commands (5.1.6.5). */
enum {
    CLASS_RECEIVE = 0,
    CLASS_ADDRESS = 1,
    CLASS_ANNOUNCE = 3,
    COMMAND_TABLES = 0,
    COMMAND_ADDRESS = 1,
    COMMAND_ACKNOWLEDGE = 0,
    COMMAND_HEAD = 2, /* class, command */
    ANSWER_OK = 0,
    ANSWER_ERROR = 1,
};

static bool has(const struct virtio_net *net, uint64_t feature)
{
    return virtio_has_feature(&net->virtio, feature);
}

/* Before version 1 the count of buffers was there only when it was needed. */
static size_t header_size(const struct virtio_net *net)
{
    return has(net, VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF) ? HEADER_SIZE : HEADER_BUFFERS;
}

/* ---- sending ---- */

/* The driver left the sum of the pseudo header in the field; all from `start` on is
 * added to it (5.1.6.2). False: the header points beside the frame. */
static bool complete_checksum(const struct virtio_net *net, const uint8_t *header, uint8_t *frame,
                              size_t size)
{
    size_t start = load_le16(header + HEADER_CHECKSUM_START);
    size_t at = start + load_le16(header + HEADER_CHECKSUM_OFFSET);

    if (!(header[HEADER_FLAGS] & HEADER_NEEDS_CHECKSUM))
        return true;
    if (!has(net, VIRTIO_NET_F_CSUM) || at + 2 > size)
        return false;
    uint16_t sum = (uint16_t)~checksum_sum(frame + start, size - start);
    store_be16(frame + at, sum ? sum : 0xffff);
    return true;
}

/* Copies the frame out of guest memory, once. Returns its size; 0: it cannot be sent. */
static size_t take_frame(struct virtio_net *net, const struct virtio_chain *chain)
{
    uint8_t header[HEADER_SIZE];
    size_t head = header_size(net);
    uint64_t size = chain->readable_size - head;

    virtio_chain_read(chain, 0, header, head);
    if (size < NET_HEADER_SIZE || size > NET_FRAME_MOST || header[HEADER_SEGMENTATION] != 0)
        return 0;
    virtio_chain_read(chain, head, net->frame, (size_t)size);
    return complete_checksum(net, header, net->frame, (size_t)size) ? (size_t)size : 0;
}

static bool send_out(const struct virtio_net *net, size_t size)
{
    const struct net_port *link = &net->config.link;

    if (net->link_is_down || !link->transmit)
        return true;
    return link->transmit(link->owner, net->frame, size);
}

static void transmit(struct virtio_net *net)
{
    struct virtio_device *device = &net->virtio;
    size_t bytes = 0;

    if (net->transmit_waits)
        return;
    for (unsigned chains = 0; chains < CHAIN_BUDGET && bytes < BYTE_BUDGET; chains++) {
        const struct virtio_chain *chain = virtio_pop(device, TRANSMIT);
        if (!chain)
            return;
        if (chain->readable_size < header_size(net)) {
            virtio_needs_reset(device, "frame without a header");
            return;
        }
        size_t size = take_frame(net, chain);
        if (size && !send_out(net, size)) {
            virtqueue_unpop(&device->queues[TRANSMIT], &chain->token);
            net->transmit_waits = true;
            return;
        }
        virtio_push(device, TRANSMIT, &chain->token, 0);
        bytes += size;
    }
    virtio_work_waits(device);
}

static void net_writable(void *object)
{
    struct virtio_net *net = object;

    if (!net->transmit_waits)
        return;
    net->transmit_waits = false;
    virtio_notify(&net->virtio, TRANSMIT);
}

/* ---- receiving ---- */

static bool table_has(const struct virtio_net_table *table, const uint8_t *address)
{
    if (table->overflow)
        return true;
    for (unsigned i = 0; i < table->count; i++)
        if (memcmp(table->addresses + (size_t)NET_ADDRESS_SIZE * i, address, NET_ADDRESS_SIZE) == 0)
            return true;
    return false;
}

static bool is_for_driver(const struct virtio_net *net, const uint8_t *frame)
{
    static const uint8_t broadcast[NET_ADDRESS_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    unsigned modes = net->modes;

    if (modes & NET_MODE_PROMISCUOUS)
        return true;
    if (memcmp(frame, broadcast, NET_ADDRESS_SIZE) == 0)
        return !(modes & NET_MODE_NO_BROADCAST);
    if (frame[0] & 1)
        return !(modes & NET_MODE_NO_MULTICAST) &&
               ((modes & NET_MODE_ALL_MULTICAST) || table_has(&net->multicast, frame));
    return !(modes & NET_MODE_NO_UNICAST) &&
           ((modes & NET_MODE_ALL_UNICAST) || memcmp(frame, net->address, NET_ADDRESS_SIZE) == 0 ||
            table_has(&net->unicast, frame));
}

enum delivery {
    DELIVERED,
    NO_BUFFERS,
    TOO_LARGE, /* for what the driver offers: it would wait for ever */
};

static size_t write_header(const struct virtio_net *net, const struct virtio_chain *chain)
{
    uint8_t header[HEADER_SIZE] = {0};
    size_t head = header_size(net);

    if (has(net, VIRTIO_NET_F_GUEST_CSUM) && net->config.checksums_are_good)
        header[HEADER_FLAGS] = HEADER_DATA_VALID;
    store_le16(header + HEADER_BUFFERS, 1);
    return virtio_chain_write(chain, net->virtio.space, 0, header, head);
}

/* The count of buffers is known last, when the chain that holds the header is no more
 * in the scratch: where its two bytes lie. */
struct buffers_field {
    uint8_t *bytes[2];
    gpa_t at[2];
};

static void find_buffers_field(const struct virtio_chain *chain, struct buffers_field *field)
{
    uint64_t offset = HEADER_BUFFERS;
    unsigned found = 0;

    for (unsigned i = chain->readable_count; i < chain->count && found < 2; i++) {
        const struct virtio_segment *segment = &chain->segments[i];
        for (; found < 2 && offset < segment->size; offset++) {
            field->bytes[found] = segment->bytes + offset;
            field->at[found++] = segment->at + offset;
        }
        offset -= MIN(offset, segment->size);
    }
}

static void write_buffers_field(const struct virtio_net *net, const struct buffers_field *field,
                                unsigned count)
{
    for (unsigned i = 0; i < 2; i++) {
        *field->bytes[i] = (uint8_t)(count >> (8 * i));
        dma_written(net->virtio.space, field->at[i], 1);
    }
}

static void give_back(struct virtqueue *queue, const struct virtio_used *taken, unsigned count)
{
    while (count > 0)
        virtqueue_unpop(queue, &taken[--count].token);
}

/* Fills as many chains as the frame needs, and shows the driver all of them or none. */
static enum delivery deliver(struct virtio_net *net, const uint8_t *frame, size_t size)
{
    struct virtio_device *device = &net->virtio;
    struct virtqueue *queue = &device->queues[RECEIVE];
    struct virtio_used used[VIRTQUEUE_MAX_SIZE];
    struct buffers_field field = {0};
    unsigned most = has(net, VIRTIO_NET_F_MRG_RXBUF) ? queue->size : 1;
    unsigned count = 0;
    size_t done = 0;

    while (count < most && done < size) {
        const struct virtio_chain *chain = virtio_pop(device, RECEIVE);
        size_t head = count == 0 ? header_size(net) : 0;
        if (!chain) {
            give_back(queue, used, count);
            return NO_BUFFERS;
        }
        if (chain->writable_size <= head) {
            virtio_needs_reset(device, "receive buffer without room for a frame");
            return NO_BUFFERS;
        }
        if (count == 0)
            write_header(net, chain);
        if (count == 0 && most > 1)
            find_buffers_field(chain, &field);
        size_t part = virtio_chain_write(chain, device->space, head, frame + done, size - done);
        used[count++] = (struct virtio_used){chain->token, (uint32_t)(head + part)};
        done += part;
    }
    if (done < size) {
        give_back(queue, used, count);
        return TOO_LARGE;
    }
    if (count > 1)
        write_buffers_field(net, &field, count);
    virtio_push_all(device, RECEIVE, used, count);
    return DELIVERED;
}

static bool net_receive(void *object, const uint8_t *frame, size_t size)
{
    struct virtio_net *net = object;
    struct virtio_device *device = &net->virtio;

    if (size < NET_HEADER_SIZE || size > NET_FRAME_MOST || net->link_is_down)
        return true;
    /* A driver that is not there hears nothing, as with any cable. */
    if (!virtio_is_running(device) || !device->queues[RECEIVE].ready || !is_for_driver(net, frame))
        return true;
    if (deliver(net, frame, size) != NO_BUFFERS || !virtio_is_running(device))
        return true;
    net->receive_waits = true;
    return false;
}

static void invite_frames(struct virtio_net *net)
{
    if (!net->receive_waits)
        return;
    net->receive_waits = false;
    if (net->config.link.readable)
        net->config.link.readable(net->config.link.owner);
}

/* ---- control ---- */

/* One table of addresses from byte *at of the command on; moves *at behind it. */
static bool read_table(const struct virtio_chain *chain, uint64_t *at,
                       struct virtio_net_table *table)
{
    uint8_t bytes[4];

    if (virtio_chain_read(chain, *at, bytes, sizeof(bytes)) != sizeof(bytes))
        return false;
    uint64_t count = load_le32(bytes);
    *at += sizeof(bytes);
    if (count * NET_ADDRESS_SIZE > chain->readable_size - *at)
        return false;
    table->overflow = count > VIRTIO_NET_TABLE_SIZE;
    table->count = table->overflow ? 0 : (uint8_t)count;
    virtio_chain_read(chain, *at, table->addresses, (size_t)table->count * NET_ADDRESS_SIZE);
    *at += count * NET_ADDRESS_SIZE;
    return true;
}

static bool set_tables(struct virtio_net *net, const struct virtio_chain *chain)
{
    struct virtio_net_table unicast = {0};
    struct virtio_net_table multicast = {0};
    uint64_t at = COMMAND_HEAD;

    if (!read_table(chain, &at, &unicast) || !read_table(chain, &at, &multicast))
        return false;
    net->unicast = unicast;
    net->multicast = multicast;
    return true;
}

static bool set_address(struct virtio_net *net, const struct virtio_chain *chain)
{
    uint8_t address[NET_ADDRESS_SIZE];

    if (virtio_chain_read(chain, COMMAND_HEAD, address, sizeof(address)) != sizeof(address))
        return false;
    memcpy(net->address, address, sizeof(address));
    memcpy(net->virtio.config + CONFIG_ADDRESS, address, sizeof(address));
    return true;
}

/* Commands 0-5 switch the modes in the order of enum virtio_net_mode. */
static bool set_mode(struct virtio_net *net, const struct virtio_chain *chain, unsigned command)
{
    bool is_extra = command >= 2;
    uint8_t on;

    if (!has(net, is_extra ? VIRTIO_NET_F_CTRL_RX_EXTRA : VIRTIO_NET_F_CTRL_RX) || command > 5)
        return false;
    if (virtio_chain_read(chain, COMMAND_HEAD, &on, 1) != 1)
        return false;
    net->modes = (uint8_t)bits_deposit(net->modes, command, 1, on != 0);
    return true;
}

static void show_status(struct virtio_net *net)
{
    unsigned status =
        (net->link_is_down ? 0 : STATUS_LINK_UP) | (net->announce ? STATUS_ANNOUNCE : 0);

    store_le16(net->virtio.config + CONFIG_STATUS, (uint16_t)status);
}

static bool obey(struct virtio_net *net, const struct virtio_chain *chain)
{
    uint8_t head[COMMAND_HEAD];

    if (virtio_chain_read(chain, 0, head, sizeof(head)) != sizeof(head))
        return false;
    switch (head[0]) {
    case CLASS_RECEIVE:
        return set_mode(net, chain, head[1]);
    case CLASS_ADDRESS:
        if (head[1] == COMMAND_TABLES && has(net, VIRTIO_NET_F_CTRL_RX))
            return set_tables(net, chain);
        if (head[1] == COMMAND_ADDRESS && has(net, VIRTIO_NET_F_CTRL_MAC_ADDR))
            return set_address(net, chain);
        return false;
    case CLASS_ANNOUNCE:
        if (head[1] != COMMAND_ACKNOWLEDGE || !has(net, VIRTIO_NET_F_GUEST_ANNOUNCE))
            return false;
        net->announce = 0;
        show_status(net);
        return true;
    default:
        return false;
    }
}

static void control(struct virtio_net *net)
{
    struct virtio_device *device = &net->virtio;

    if (!has(net, VIRTIO_NET_F_CTRL_VQ))
        return;
    for (unsigned chains = 0; chains < CHAIN_BUDGET; chains++) {
        const struct virtio_chain *chain = virtio_pop(device, CONTROL);
        if (!chain)
            return;
        if (chain->writable_size == 0) {
            virtio_needs_reset(device, "command without room for the answer");
            return;
        }
        uint8_t answer = obey(net, chain) ? ANSWER_OK : ANSWER_ERROR;
        virtio_chain_write(chain, device->space, 0, &answer, 1);
        virtio_push(device, CONTROL, &chain->token, 1);
    }
    virtio_work_waits(device);
}

/* ---- the device ---- */

static void net_set_link(void *object, bool is_up)
{
    struct virtio_net *net = object;

    if (net->link_is_down == !is_up)
        return;
    net->link_is_down = !is_up;
    net->announce = is_up && has(net, VIRTIO_NET_F_GUEST_ANNOUNCE);
    show_status(net);
    virtio_config_changed(&net->virtio);
    if (!is_up)
        net_writable(net); /* what waits is dropped */
}

struct net_handler virtio_net_handler(struct virtio_net *net)
{
    return (struct net_handler){net_receive, net_writable, net_set_link, net};
}

static void net_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_net *net = CONTAINER_OF(device, struct virtio_net, virtio);

    if (queue == TRANSMIT)
        transmit(net);
    else if (queue == RECEIVE)
        invite_frames(net);
    else
        control(net);
}

static void net_type_reset(struct virtio_device *device)
{
    struct virtio_net *net = CONTAINER_OF(device, struct virtio_net, virtio);

    memcpy(net->address, net->config.address, NET_ADDRESS_SIZE);
    memcpy(device->config + CONFIG_ADDRESS, net->config.address, NET_ADDRESS_SIZE);
    memset(&net->unicast, 0, sizeof(net->unicast));
    memset(&net->multicast, 0, sizeof(net->multicast));
    /* A driver that cannot choose gets everything. */
    net->modes = NET_MODE_PROMISCUOUS;
    net->announce = 0;
    net->transmit_waits = false;
    show_status(net);
    /* Nobody is there for the frame that waits: let the back end drop it. */
    invite_frames(net);
}

static const struct virtio_type net_type = {
    .name = "virtio-net",
    .device_id = DEVICE_ID,
    .queue_count = 3,
    .queue_size = QUEUE_SIZE,
    .pci_class = 0x020000,
    .notify = net_notify,
    .reset = net_type_reset,
};

static void net_reset(void *object)
{
    struct virtio_net *net = object;

    virtio_device_reset(&net->virtio);
}

static int net_loaded(void *object, struct error *err)
{
    struct virtio_net *net = object;
    int result = virtio_device_loaded(&net->virtio, err);

    if (result < 0)
        return result;
    memcpy(net->virtio.config + CONFIG_ADDRESS, net->address, NET_ADDRESS_SIZE);
    show_status(net);
    net->receive_waits = true;
    net->transmit_waits = true;
    net_writable(net);
    invite_frames(net);
    return 0;
}

static const struct state_field table_fields[] = {
    STATE_RANGE(struct virtio_net_table, count, VIRTIO_NET_TABLE_SIZE),
    STATE_RANGE(struct virtio_net_table, overflow, 1),
    STATE_ARRAY(struct virtio_net_table, addresses),
};
static const struct state_table table_state = STATE_TABLE("virtio-net-table", 1, table_fields);

static const struct state_field net_fields[] = {
    STATE_STRUCT(struct virtio_net, virtio, &virtio_device_state),
    STATE_ARRAY(struct virtio_net, address),
    STATE_RANGE(struct virtio_net, modes, NET_MODES),
    STATE_RANGE(struct virtio_net, announce, 1),
    STATE_STRUCT(struct virtio_net, unicast, &table_state),
    STATE_STRUCT(struct virtio_net, multicast, &table_state),
};
static const struct state_table net_state = STATE_TABLE("virtio-net", 1, net_fields);

const struct device_ops virtio_net_ops = {net_reset, &net_state, net_loaded};

static uint64_t offered_features(const struct virtio_net_config *config)
{
    uint64_t features = VIRTIO_NET_F_CSUM | VIRTIO_NET_F_MAC | VIRTIO_NET_F_MRG_RXBUF |
                        VIRTIO_NET_F_STATUS | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX |
                        VIRTIO_NET_F_CTRL_RX_EXTRA | VIRTIO_NET_F_GUEST_ANNOUNCE |
                        VIRTIO_NET_F_CTRL_MAC_ADDR;

    if (config->mtu)
        features |= VIRTIO_NET_F_MTU;
    if (config->checksums_are_good)
        features |= VIRTIO_NET_F_GUEST_CSUM;
    return features;
}

void virtio_net_init(struct virtio_net *net, const struct virtio_net_config *config)
{
    memset(net, 0, offsetof(struct virtio_net, frame)); /* pages of the rest stay untouched */
    net->config = *config;
    virtio_device_init(&net->virtio, &net_type, config->space, offered_features(config));
    net->virtio.config_size = CONFIG_SIZE;
    store_le16(net->virtio.config + CONFIG_PAIRS, 1);
    store_le16(net->virtio.config + CONFIG_MTU, config->mtu);
    net_type_reset(&net->virtio);
}
