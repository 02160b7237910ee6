/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: configuration space and windows, with two virtio functions. */
#include "dev/virtio/console.h"
#include "dev/virtio/pci.h"
#include "dev/virtio/rng.h"
#include "fuzz/driver.h"

#include <stdlib.h>
#include <string.h>

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
static void reload_function(struct input *in, struct virtio_pci *function)
{
    if (!load_spoiled(in, &virtio_pci_ops, function))
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
                reload_function(&in, &m.functions[slot == 31]);
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
