/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: rings of either layout, given back in any order. */
#include "dev/virtio/device.h"
#include "fuzz/driver.h"

#include <stdlib.h>

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
