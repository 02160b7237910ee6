/* SPDX-License-Identifier: Apache-2.0
 * The virtio driver of the fuzz targets: guest memory, rings in it that the
 * input fills, and a device on the MMIO transport brought up over them. Queue q
 * lies at 0x1000 * (q + 1), its driver and device areas 0x400 and 0x800 behind;
 * buffers begin at 0x8000. */
#pragma once

#include <string.h>

#include "base/endian.h"
#include "dev/virtio/mmio.h"
#include "fuzz/input.h"
#include "mem/space.h"

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
UNUSED static void write_ring(struct input *in, unsigned queue, unsigned size)
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

UNUSED static void poke_ram(struct input *in)
{
    ram[take(in, 2) % RAM_SIZE] = (uint8_t)take(in, 1);
}

UNUSED static void write32(struct virtio_mmio *transport, unsigned offset, uint32_t value)
{
    virtio_mmio_mmio.write(transport, offset, value, 4);
}

/* Reset to DRIVER_OK as a driver does it, with rings where write_ring has them;
 * `features` are those below 32 besides what `options` say. */
UNUSED static void start_with(struct virtio_mmio *transport, unsigned queues, unsigned size,
                              unsigned options, uint32_t features)
{
    write32(transport, 0x70, 0);
    write32(transport, 0x70, 3);
    write32(transport, 0x24, 0);
    write32(transport, 0x20,
            features | (options & 1 ? 1u << 28 : 0) | (options & 2 ? 1u << 29 : 0) |
                (options & 8 ? 1u << 9 : 0));
    write32(transport, 0x24, 1);
    write32(transport, 0x20, options & 4 ? 5 : 1);
    write32(transport, 0x70, 0xb);
    for (unsigned q = 0; q < queues; q++) {
        write32(transport, 0x30, q);
        write32(transport, 0x38, size);
        for (unsigned i = 0; i < 3; i++)
            write32(transport, 0x80 + 0x10 * i, 0x1000 * (q + 1) + 0x400 * i);
        write32(transport, 0x44, 1);
    }
    write32(transport, 0x70, 0xf);
}

UNUSED static void start(struct virtio_mmio *transport, unsigned queues, unsigned size,
                         unsigned options)
{
    start_with(transport, queues, size, options, 0);
}
