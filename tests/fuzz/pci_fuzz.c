/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: configuration space and windows, with two virtio functions. */
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "dev/virtio/console.h"
#include "dev/virtio/pci.h"
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

#define WINDOW 0x40000000u

static bool level[4];

static void set_level(void *owner, unsigned number, bool value)
{
    (void)owner;
    level[number] = value;
}

static void fill(void *owner, void *to, size_t size)
{
    (void)owner;
    memset(to, 0x22, size);
}

struct machine {
    struct pci_host host;
    struct virtio_rng rng;
    struct virtio_console console;
    struct virtio_pci functions[2];
};

static void make(struct machine *m)
{
    struct pci_host_config config = {.windows = {WINDOW, UINT64_C(0x400000000)}};

    for (unsigned i = 0; i < 4; i++)
        config.intx[i] = (struct irq_line){set_level, NULL, i};
    pci_host_init(&m->host, &config);
    virtio_rng_init(&m->rng, &(struct virtio_rng_config){&space, {fill, NULL}});
    virtio_console_init(&m->console, &(struct virtio_console_config){.space = &space});
    virtio_pci_init(&m->functions[0], &m->rng.virtio, &m->host, 1);
    virtio_pci_init(&m->functions[1], &m->console.virtio, &m->host, 31);
}

/* Spoiled configuration spaces must be refused or harmless. */
static void reload(struct input *in, struct virtio_pci *function)
{
    uint8_t bytes[1024];
    struct writer w = {bytes, sizeof(bytes), 0};
    struct error err = {0};

    state_save(virtio_pci_ops.state, function, &w);
    for (unsigned flips = (unsigned)take(in, 1) % 4; flips; flips--)
        bytes[take(in, 2) % w.length] = (uint8_t)take(in, 1);
    struct reader r = reader_make(bytes, w.length);
    if (state_load(virtio_pci_ops.state, function, &r, &err) < 0 ||
        virtio_pci_ops.loaded(function, &err) < 0)
        virtio_pci_ops.reset(function);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine m;
    struct input in = {data, data + size};

    reset_space();
    make(&m);
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        unsigned width = 1u << (command >> 6);
        uint64_t mask = ~(uint64_t)(width - 1);
        uint64_t slot = command & 32 ? 31 : 1;
        uint64_t reg = take(&in, 1) & mask;
        unsigned bar = 0x1000 * (unsigned)(command >> 3 & 3) + (unsigned)reg;
        switch (command & 7) {
        case 0:
            pci_ecam_mmio.read(&m.host, slot << 15 | reg, width);
            break;
        case 1:
        case 2:
            pci_ecam_mmio.write(&m.host, slot << 15 | reg, take(&in, width), width);
            break;
        case 3:
            pci_ecam_mmio.write(&m.host, take(&in, 4) & 0xfffffff & mask, take(&in, width), width);
            break;
        case 4: /* map it where the next two find it */
            pci_ecam_mmio.write(&m.host, slot << 15 | 0x20, WINDOW | slot << 16, 4);
            pci_ecam_mmio.write(&m.host, slot << 15 | 0x24, 0, 4);
            pci_ecam_mmio.write(&m.host, slot << 15 | 0x04, 6, 2);
            break;
        case 5:
            pci_window_mmio.read(&m.host.windows[0], slot << 16 | bar, width);
            break;
        case 6:
            pci_window_mmio.write(&m.host.windows[0], slot << 16 | bar, take(&in, width), width);
            break;
        default:
            if (command & 8)
                reload(&in, &m.functions[slot == 31]);
            else
                write_ring(&in, command >> 4 & 1, 16);
            break;
        }
        for (unsigned i = 0; i < 4; i++)
            if (level[i] != (m.host.intx[i] != 0))
                abort();
    }
    return 0;
}
