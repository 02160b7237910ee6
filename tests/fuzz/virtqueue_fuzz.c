/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: rings of either layout, given back in any order. */
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "dev/virtio/device.h"
#include "mem/space.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

/* The next `size` bytes, little-endian; zeroes behind the end. */
static uint64_t take(struct input *in, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size && in->at < in->end; i++)
        value |= (uint64_t)*in->at++ << (8 * i);
    return value;
}

/* RAM lies at 0 and is small, so that arbitrary numbers hit it. */
#define RAM_SIZE 0x10000u

static uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static struct space space;

static void reset_space(void)
{
    memset(&space, 0, sizeof(space));
    memset(ram, 0, sizeof(ram));
    space_add_ram(&space, 0, RAM_SIZE, ram);
}

/* What a driver writes into memory: descriptors and ring indices in the right
 * places, with values that are right, nearly right or wild. */
static void write_ring(struct input *in, unsigned queue, unsigned size)
{
    unsigned base = 0x1000u * (queue + 1);
    unsigned slot = (unsigned)take(in, 1) % size;
    uint8_t *descriptor = ram + base + 16 * slot;
    uint8_t shape = (uint8_t)take(in, 1);
    unsigned flags = (unsigned)take(in, 1);

    store_le64(descriptor, shape & 1 ? 0x8000 + take(in, 1) * 16 : take(in, shape & 2 ? 2 : 8));
    store_le32(descriptor + 8, (uint32_t)take(in, shape & 4 ? 1 : shape & 8 ? 2 : 4));
    if (shape & 16) { /* packed: id, flags */
        store_le16(descriptor + 12, (uint16_t)slot);
        store_le16(descriptor + 14,
                   (uint16_t)((flags & 7) | (flags & 8 ? 0x80 : 0) | (flags & 16 ? 0x8000 : 0)));
    } else {
        store_le16(descriptor + 12, (uint16_t)(flags & 7));
        store_le16(descriptor + 14, (uint16_t)(shape & 32 ? slot + 1 : take(in, 1)));
    }
    if (shape & 64) { /* one more available */
        uint8_t *driver = ram + base + 0x400;
        uint16_t index = load_le16(driver + 2);
        store_le16(driver + 4 + 2 * (index % size), (uint16_t)slot);
        store_le16(driver + 2, (uint16_t)(index + 1));
    }
}

static void poke_ram(struct input *in)
{
    ram[take(in, 2) % RAM_SIZE] = (uint8_t)take(in, 1);
}

static void check_chain(const struct virtio_chain *chain)
{
    uint64_t total = 0;

    if (chain->count > VIRTIO_CHAIN_MAX || chain->readable_count > chain->count)
        abort();
    for (unsigned i = 0; i < chain->count; i++) {
        const struct virtio_segment *segment = &chain->segments[i];
        if (segment->size == 0 || segment->at >= RAM_SIZE ||
            segment->size > RAM_SIZE - segment->at || segment->bytes != ram + segment->at)
            abort();
        total += segment->size;
    }
    if (total != chain->readable_size + chain->writable_size || total > UINT32_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtio_chain chain;
    struct input in = {data, data + size};
    struct virtio_token tokens[64];
    unsigned held = 0;
    struct virtqueue queue;
    const char *why = NULL;

    reset_space();
    unsigned options = (unsigned)take(&in, 1);
    virtqueue_init(&queue, &space, 64);
    queue.size = options & 8 ? (uint16_t)take(&in, 1) : 16;
    queue.descriptors = 0x1000;
    queue.driver_area = 0x1400;
    queue.device_area = 0x1800;
    why = virtqueue_start(&queue, (options & 1 ? VIRTIO_F_RING_PACKED : 0) |
                                      (options & 2 ? VIRTIO_F_INDIRECT_DESC : 0) |
                                      (options & 4 ? VIRTIO_F_EVENT_IDX : 0));
    if (why)
        return 0;
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        switch (command & 7) {
        case 0:
            if (held == ARRAY_LEN(tokens))
                break;
            switch (virtqueue_pop(&queue, &chain, &why)) {
            case VIRTQUEUE_TAKEN:
                check_chain(&chain);
                if (command & 8)
                    virtqueue_unpop(&queue, &chain.token);
                else
                    tokens[held++] = chain.token;
                break;
            case VIRTQUEUE_BROKEN:
                if (!why)
                    abort();
                virtqueue_reset(&queue);
                return 0;
            case VIRTQUEUE_EMPTY:
                break;
            }
            break;
        case 1:
            if (held) {
                unsigned which = (unsigned)take(&in, 1) % held;
                virtqueue_push(&queue, &tokens[which], command);
                tokens[which] = tokens[--held];
                virtqueue_wants_interrupt(&queue);
            }
            break;
        case 2:
            poke_ram(&in);
            break;
        default:
            write_ring(&in, 0, queue.size);
            break;
        }
        if (queue.in_flight > queue.size)
            abort();
    }
    while (held)
        virtqueue_push(&queue, &tokens[--held], 0);
    if (queue.in_flight != 0)
        abort();
    return 0;
}
