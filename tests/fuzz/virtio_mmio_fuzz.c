/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: all registers of virtio over MMIO, with an entropy device behind. */
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "dev/virtio/mmio.h"
#include "dev/virtio/rng.h"

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

/* Saves, spoils some bytes of what was saved, and loads them again. The model
 * zeroes a refused object before it goes on, as nobody may use it as it is. */
static void reload(struct input *in, const struct device_ops *ops, void *object, size_t size,
                   const void *fresh)
{
    static uint8_t bytes[1 << 16];
    struct writer w = {bytes, sizeof(bytes), 0};
    struct error err = {0};

    state_save(ops->state, object, &w);
    for (unsigned flips = (unsigned)take(in, 1) % 4; flips; flips--)
        bytes[take(in, 2) % w.length] = (uint8_t)take(in, 1);
    struct reader r = reader_make(bytes, w.length);
    if (state_load(ops->state, object, &r, &err) < 0 ||
        (ops->loaded && ops->loaded(object, &err) < 0)) {
        memcpy(object, fresh, size);
        ops->reset(object);
    }
}

static void write32(struct virtio_mmio *transport, unsigned offset, uint32_t value)
{
    virtio_mmio_mmio.write(transport, offset, value, 4);
}

/* Reset to DRIVER_OK as a driver does it, with rings where write_ring has them. */
static void start(struct virtio_mmio *transport, unsigned queues, unsigned size, unsigned options)
{
    write32(transport, 0x70, 0);
    write32(transport, 0x70, 3);
    write32(transport, 0x24, 0);
    write32(transport, 0x20,
            (options & 1 ? 1u << 28 : 0) | (options & 2 ? 1u << 29 : 0) |
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
