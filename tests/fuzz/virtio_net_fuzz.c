/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: network device with a link that stalls and frames at any time. */
#include "base/endian.h"
#include "dev/virtio/mmio.h"
#include "dev/virtio/net.h"
#include "fuzz/driver.h"

#include <stdlib.h>

#define QUEUES 3
#define SIZE   16

static size_t room;
static bool was_invited;

static bool transmit(void *owner, const uint8_t *frame, size_t size)
{
    unsigned sum = 0;

    (void)owner;
    if (size < NET_HEADER_SIZE || size > NET_FRAME_MOST)
        abort();
    if (room == 0)
        return false;
    room--;
    for (size_t i = 0; i < size; i++)
        sum += frame[i];
    return sum != 0xffffffff; /* reads every byte */
}

static void readable(void *owner)
{
    (void)owner;
    was_invited = true;
}

static uint32_t features_of(struct input *in)
{
    static const uint8_t bits[] = {0, 1, 15, 17, 18, 20, 21, 23};
    unsigned chosen = (unsigned)take(in, 1);
    uint32_t features = 0;

    for (unsigned i = 0; i < 8; i++)
        features |= chosen >> i & 1 ? 1u << bits[i] : 0;
    return features;
}

/* A frame to somebody: the device, all, many, another. */
static void receive(struct input *in, const struct net_handler *handler)
{
    static uint8_t frame[NET_FRAME_MOST];
    unsigned shape = (unsigned)take(in, 1);
    size_t size = shape & 4 ? take(in, 2) : take(in, 1);

    memset(frame, 0, 12);
    memset(frame, shape & 1 ? 0xff : 2, 6);
    frame[5] = (uint8_t)(shape >> 3);
    was_invited = false;
    if (!handler->receive(handler->device, frame, size) && was_invited)
        abort(); /* it has no room, so it must not ask for more at once */
}

/* A command at the place where write_ring's addresses point. */
static void write_command(struct input *in)
{
    uint8_t *command = ram + 0x8000 + take(in, 1) % 16 * 16;

    command[0] = (uint8_t)take(in, 1) % 5;
    command[1] = (uint8_t)take(in, 1) % 8;
    store_le32(command + 2, (uint32_t)take(in, 1));
    store_le32(command + 6, (uint32_t)take(in, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtio_net net;
    static struct virtio_net fresh;
    struct input in = {data, data + size};
    struct virtio_mmio transport;
    struct irq_line line = {0};
    struct virtio_net_config config = {
        .space = &space,
        .link = {transmit, readable, NULL},
        .address = {2, 2, 2, 2, 2, 0},
        .mtu = 1500,
        .checksums_are_good = true,
    };

    reset_space();
    room = 8;
    virtio_net_init(&net, &config);
    virtio_mmio_init(&transport, &net.virtio, &line);
    fresh = net;
    struct net_handler handler = virtio_net_handler(&net);
    start_with(&transport, QUEUES, SIZE, (unsigned)take(&in, 1) & 7, features_of(&in));
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        switch (command & 7) {
        case 0:
            write32(&transport, 0x50, (command >> 3) % QUEUES);
            break;
        case 1:
            receive(&in, &handler);
            break;
        case 2:
            room = take(&in, 1);
            handler.writable(handler.device);
            break;
        case 3:
            if (command & 8)
                handler.set_link(handler.device, command & 16);
            else
                start_with(&transport, QUEUES, SIZE, command >> 4 & 7, features_of(&in));
            break;
        case 4:
            if (command & 8)
                reload(&in, &virtio_net_ops, &net, sizeof(net), &fresh);
            else
                write_command(&in);
            break;
        case 5:
            poke_ram(&in);
            break;
        default:
            write_ring(&in, (command >> 3) % QUEUES, SIZE);
            break;
        }
        for (unsigned q = 0; q < QUEUES; q++)
            if (virtio_is_running(&net.virtio) && net.virtio.queues[q].in_flight != 0)
                abort(); /* the device holds no chain */
    }
    return 0;
}
