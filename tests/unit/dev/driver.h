/* SPDX-License-Identifier: Apache-2.0
 * A small guest: RAM, both virtio transports, and a driver for either ring
 * layout. The driver is honest; tests corrupt what it wrote. */
#pragma once

#include "base/endian.h"
#include "dev/virtio/mmio.h"
#include "dev/virtio/pci.h"
#include "unit/dev/bench.h"

#define RAM_BASE    UINT64_C(0x80000000)
#define RAM_SIZE    (UINT64_C(4) << 20)
#define MMIO_BASE   UINT64_C(0x10001000)
#define ECAM_BASE   UINT64_C(0x30000000)
#define WINDOW_BASE UINT64_C(0x40000000)
#define SLOT        3

struct guest {
    struct space space;
    struct wires wires; /* 32-35: INTx; 1: mmio */
    bool pci;
    gpa_t next_free;
    struct virtio_device *device;
    struct virtio_mmio mmio;
    struct pci_host host;
    struct virtio_pci vpci;
    uint8_t *ram;
};

struct ring {
    bool packed;
    bool indirect;
    uint16_t size;
    uint16_t queue;
    gpa_t descriptors;
    gpa_t driver_area;
    gpa_t device_area;
    uint16_t next_slot;
    uint16_t avail_index;
    uint16_t last_used;
    bool avail_wrap;
    bool used_wrap;
    uint16_t slots[1024]; /* packed: ring slots taken by a buffer id */
};

struct buffer {
    gpa_t at;
    uint32_t size;
    bool writable;
};

BENCH uint8_t *at_ram(struct guest *g, gpa_t at)
{
    return g->ram + (at - RAM_BASE);
}

BENCH gpa_t allocate(struct guest *g, uint64_t size)
{
    gpa_t at = (g->next_free + 63) & ~UINT64_C(63);

    g->next_free = at + size;
    CHECK(g->next_free <= RAM_BASE + RAM_SIZE);
    return at;
}

BENCH void guest_init(struct guest *g, bool pci)
{
    static uint8_t ram[2][RAM_SIZE] __attribute__((aligned(4096)));
    static unsigned next;

    memset(g, 0, sizeof(*g));
    g->ram = ram[next++ % 2];
    memset(g->ram, 0, RAM_SIZE);
    g->pci = pci;
    g->next_free = RAM_BASE + 0x1000;
    space_add_ram(&g->space, RAM_BASE, RAM_SIZE, g->ram);
}

/* The device must be initialised with &g->space. */
BENCH void guest_attach(struct guest *g, struct virtio_device *device)
{
    struct irq_line line = wire(&g->wires, 1);
    struct pci_host_config config = {.windows = {WINDOW_BASE, UINT64_C(0x400000000)}};

    g->device = device;
    if (!g->pci) {
        virtio_mmio_init(&g->mmio, device, &line);
        space_add_mmio(&g->space, MMIO_BASE, 0x1000, &virtio_mmio_mmio, &g->mmio);
        return;
    }
    for (unsigned i = 0; i < 4; i++)
        config.intx[i] = wire(&g->wires, 32 + i);
    pci_host_init(&g->host, &config);
    space_add_mmio(&g->space, ECAM_BASE, PCI_ECAM_SIZE, &pci_ecam_mmio, &g->host);
    space_add_mmio(&g->space, WINDOW_BASE, GIB, &pci_window_mmio, &g->host.windows[0]);
    virtio_pci_init(&g->vpci, device, &g->host, SLOT);
}

BENCH uint64_t peek(struct guest *g, gpa_t at, unsigned size)
{
    uint64_t value = 0;

    CHECK(space_read(&g->space, at, size, &value));
    return value;
}

BENCH void poke(struct guest *g, gpa_t at, uint64_t value, unsigned size)
{
    CHECK(space_write(&g->space, at, size, value));
}

BENCH gpa_t config_address(unsigned reg)
{
    return ECAM_BASE + (SLOT << 15) + reg;
}

BENCH void map_bar(struct guest *g)
{
    poke(g, config_address(0x20), (uint32_t)WINDOW_BASE + 0x10000, 4);
    poke(g, config_address(0x24), 0, 4);
    poke(g, config_address(0x04), 0x6, 2);
}

#define COMMON (WINDOW_BASE + 0x10000)

BENCH void set_status(struct guest *g, unsigned value)
{
    if (g->pci)
        poke(g, COMMON + 0x14, value, 1);
    else
        poke(g, MMIO_BASE + 0x70, value, 4);
}

BENCH unsigned get_status(struct guest *g)
{
    return (unsigned)(g->pci ? peek(g, COMMON + 0x14, 1) : peek(g, MMIO_BASE + 0x70, 4));
}

BENCH uint64_t read_features(struct guest *g)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 2; i++) {
        poke(g, g->pci ? COMMON : MMIO_BASE + 0x14, i, 4);
        value |= peek(g, g->pci ? COMMON + 4 : MMIO_BASE + 0x10, 4) << (32 * i);
    }
    return value;
}

BENCH void write_features(struct guest *g, uint64_t value)
{
    for (unsigned i = 0; i < 2; i++) {
        poke(g, g->pci ? COMMON + 8 : MMIO_BASE + 0x24, i, 4);
        poke(g, g->pci ? COMMON + 0xc : MMIO_BASE + 0x20, (uint32_t)(value >> (32 * i)), 4);
    }
}

BENCH void select_queue(struct guest *g, unsigned queue)
{
    poke(g, g->pci ? COMMON + 0x16 : MMIO_BASE + 0x30, queue, g->pci ? 2 : 4);
}

BENCH void enable_queue(struct guest *g, unsigned size, const gpa_t areas[3])
{
    poke(g, g->pci ? COMMON + 0x18 : MMIO_BASE + 0x38, size, g->pci ? 2 : 4);
    for (unsigned i = 0; i < 3; i++) {
        gpa_t low =
            g->pci ? COMMON + 0x20 + UINT64_C(8) * i : MMIO_BASE + 0x80 + UINT64_C(0x10) * i;
        poke(g, low, (uint32_t)areas[i], 4);
        poke(g, low + 4, areas[i] >> 32, 4);
    }
    poke(g, g->pci ? COMMON + 0x1c : MMIO_BASE + 0x44, 1, g->pci ? 2 : 4);
}

BENCH bool queue_ready(struct guest *g, unsigned queue)
{
    select_queue(g, queue);
    return g->pci ? peek(g, COMMON + 0x1c, 2) : peek(g, MMIO_BASE + 0x44, 4);
}

BENCH void notify(struct guest *g, unsigned queue)
{
    poke(g, g->pci ? COMMON + 0x3000 + UINT64_C(4) * queue : MMIO_BASE + 0x50, queue,
         g->pci ? 2 : 4);
}

/* The interrupt causes, acknowledged. */
BENCH unsigned take_interrupt(struct guest *g)
{
    if (g->pci)
        return (unsigned)peek(g, COMMON + 0x1000, 1);
    unsigned causes = (unsigned)peek(g, MMIO_BASE + 0x60, 4);
    poke(g, MMIO_BASE + 0x64, causes, 4);
    return causes;
}

BENCH bool line_is_high(struct guest *g)
{
    return g->wires.level[g->pci ? 32 + SLOT % 4 : 1];
}

BENCH uint64_t read_config(struct guest *g, unsigned offset, unsigned size)
{
    return peek(g, (g->pci ? COMMON + 0x2000 : MMIO_BASE + 0x100) + offset, size);
}

BENCH void write_config(struct guest *g, unsigned offset, uint64_t value, unsigned size)
{
    poke(g, (g->pci ? COMMON + 0x2000 : MMIO_BASE + 0x100) + offset, value, size);
}

/* Reset up to FEATURES_OK; `features` on top of VERSION_1. */
BENCH void negotiate(struct guest *g, uint64_t features)
{
    if (g->pci)
        map_bar(g);
    set_status(g, 0);
    set_status(g, 1);
    set_status(g, 3);
    write_features(g, features | VIRTIO_F_VERSION_1);
    set_status(g, 0xb);
    CHECK_EQ(get_status(g) & 0x48, 8);
}

BENCH void ring_init(struct guest *g, struct ring *ring, unsigned queue, unsigned size,
                     uint64_t features)
{
    memset(ring, 0, sizeof(*ring));
    ring->packed = (features & VIRTIO_F_RING_PACKED) != 0;
    ring->indirect = (features & VIRTIO_F_INDIRECT_DESC) != 0;
    ring->size = (uint16_t)size;
    ring->queue = (uint16_t)queue;
    ring->descriptors = allocate(g, UINT64_C(16) * size);
    ring->driver_area = allocate(g, 6 + UINT64_C(2) * size);
    ring->device_area = allocate(g, 6 + UINT64_C(8) * size);
    ring->avail_wrap = true;
    ring->used_wrap = true;
    memset(at_ram(g, ring->descriptors), 0, UINT64_C(16) * size);
    memset(at_ram(g, ring->driver_area), 0, 6 + UINT64_C(2) * size);
    memset(at_ram(g, ring->device_area), 0, 6 + UINT64_C(8) * size);
    select_queue(g, queue);
    enable_queue(g, size,
                 (const gpa_t[3]){ring->descriptors, ring->driver_area, ring->device_area});
}

BENCH void put_descriptor(struct guest *g, gpa_t at, const struct buffer *buffer, unsigned third,
                          unsigned fourth)
{
    uint8_t *bytes = at_ram(g, at);

    store_le64(bytes, buffer->at);
    store_le32(bytes + 8, buffer->size);
    store_le16(bytes + 12, (uint16_t)third);
    store_le16(bytes + 14, (uint16_t)fourth);
}

BENCH unsigned packed_flags(const struct ring *ring)
{
    return ring->avail_wrap ? 0x0080 : 0x8000;
}

BENCH void add_packed(struct guest *g, struct ring *ring, const struct buffer *buffers,
                      unsigned count, unsigned extra_flags)
{
    uint16_t id = ring->next_slot;

    ring->slots[id] = (uint16_t)count;
    for (unsigned i = 0; i < count; i++) {
        unsigned flags = packed_flags(ring) | extra_flags | (i + 1 < count ? 1 : 0) |
                         (buffers[i].writable ? 2 : 0);
        put_descriptor(g, ring->descriptors + UINT64_C(16) * ring->next_slot, &buffers[i], id,
                       flags);
        if (++ring->next_slot == ring->size) {
            ring->next_slot = 0;
            ring->avail_wrap = !ring->avail_wrap;
        }
    }
}

BENCH void add_split(struct guest *g, struct ring *ring, const struct buffer *buffers,
                     unsigned count, unsigned extra_flags)
{
    uint16_t head = ring->next_slot;

    for (unsigned i = 0; i < count; i++) {
        unsigned slot = ring->next_slot;
        ring->next_slot = (uint16_t)((slot + 1) % ring->size);
        put_descriptor(g, ring->descriptors + UINT64_C(16) * slot, &buffers[i],
                       extra_flags | (i + 1 < count ? 1 : 0) | (buffers[i].writable ? 2 : 0),
                       ring->next_slot);
    }
    store_le16(at_ram(g, ring->driver_area) + 4 + UINT64_C(2) * (ring->avail_index % ring->size),
               head);
    store_le16(at_ram(g, ring->driver_area) + 2, ++ring->avail_index);
}

/* Makes a chain available; does not notify. */
BENCH void ring_add(struct guest *g, struct ring *ring, const struct buffer *buffers,
                    unsigned count)
{
    struct buffer table = {0, 16 * count, false};

    if (ring->indirect) {
        table.at = allocate(g, UINT64_C(16) * count);
        for (unsigned i = 0; i < count; i++) {
            unsigned write = buffers[i].writable ? 2 : 0;
            if (ring->packed)
                put_descriptor(g, table.at + UINT64_C(16) * i, &buffers[i], 0, write);
            else
                put_descriptor(g, table.at + UINT64_C(16) * i, &buffers[i], write | (i + 1 < count),
                               i + 1);
        }
        buffers = &table;
        count = 1;
    }
    if (ring->packed)
        add_packed(g, ring, buffers, count, ring->indirect ? 4 : 0);
    else
        add_split(g, ring, buffers, count, ring->indirect ? 4 : 0);
}

/* The next used chain: true, with what was written. */
BENCH bool ring_used(struct guest *g, struct ring *ring, uint32_t *written)
{
    if (!ring->packed) {
        const uint8_t *used = at_ram(g, ring->device_area);
        if (load_le16(used + 2) == ring->last_used)
            return false;
        *written = load_le32(used + 4 + UINT64_C(8) * (ring->last_used++ % ring->size) + 4);
        return true;
    }
    const uint8_t *slot = at_ram(g, ring->descriptors + UINT64_C(16) * ring->last_used);
    unsigned flags = load_le16(slot + 14);
    if (((flags & 0x80) != 0) != ring->used_wrap || ((flags & 0x8000) != 0) != ring->used_wrap)
        return false;
    *written = load_le32(slot + 8);
    unsigned next = ring->last_used + ring->slots[load_le16(slot + 12)];
    if (next >= ring->size) {
        next -= ring->size;
        ring->used_wrap = !ring->used_wrap;
    }
    ring->last_used = (uint16_t)next;
    return true;
}
