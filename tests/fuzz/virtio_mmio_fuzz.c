/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: all registers of virtio over MMIO, with an entropy device behind. */
#include "dev/virtio/mmio.h"
#include "dev/virtio/rng.h"
#include "fuzz/driver.h"

#include <string.h>

static void fill(void *owner, void *to, size_t size)
{
    (void)owner;
    memset(to, 0x11, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtio_rng rng;
    static struct virtio_rng fresh;
    struct input in = {data, data + size};
    struct virtio_mmio transport;
    struct irq_line line = {0};

    reset_space();
    virtio_rng_init(&rng, &(struct virtio_rng_config){&space, {fill, NULL}});
    virtio_mmio_init(&transport, &rng.virtio, &line);
    fresh = rng;
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        unsigned width = 1u << (command >> 6);
        unsigned offset = ((unsigned)take(&in, 1) * 4) & ~(width - 1);
        switch (command & 7) {
        case 0:
            virtio_mmio_mmio.read(&transport, offset, width);
            break;
        case 1:
            virtio_mmio_mmio.write(&transport, offset, take(&in, width), width);
            break;
        case 2:
            virtio_mmio_mmio.write(&transport, offset & 0xfc, take(&in, 2), 4);
            break;
        case 3:
            start(&transport, 1, command & 8 ? 16 : (unsigned)take(&in, 1), command >> 4);
            break;
        case 4:
            write32(&transport, 0x50, 0);
            break;
        case 5:
            if (command & 8)
                reload(&in, &virtio_rng_ops, &rng, sizeof(rng), &fresh);
            else
                poke_ram(&in);
            break;
        default:
            write_ring(&in, 0, 16);
            break;
        }
    }
    return 0;
}
