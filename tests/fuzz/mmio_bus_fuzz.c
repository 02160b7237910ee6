/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: every device on one bus: (address, width, value), memory from the input. */
#include "base/endian.h"
#include "dev/irq/plic.h"
#include "dev/rtc/goldfish.h"
#include "dev/serial/ns16550.h"
#include "dev/test/finisher.h"
#include "dev/test/htif.h"
#include "dev/timer/aclint.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/console.h"
#include "dev/virtio/mmio.h"
#include "dev/virtio/pci.h"
#include "dev/virtio/rng.h"
#include "fuzz/input.h"

#include <stdlib.h>
#include <string.h>

#define RAM_SIZE 0x10000u
#define HARTS    2
#define SECTORS  64u

struct machine {
    struct space space;
    uint64_t now;
    struct irq_line sinks[8];
    struct aclint aclint;
    struct plic plic;
    struct ns16550 uart;
    struct goldfish rtc;
    struct finisher finisher;
    struct htif htif;
    struct pci_host host;
    struct virtio_blk blk[2];
    struct virtio_console console[2];
    struct virtio_rng rng[2];
    struct virtio_mmio slots[4];
    struct virtio_pci functions[3];
};

static uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static uint8_t disk[SECTORS * BLOCK_SECTOR_SIZE];
static struct machine machine;

static uint64_t now(void *owner)
{
    return ((struct machine *)owner)->now;
}

static void set_alarm(void *owner, unsigned id, uint64_t deadline)
{
    (void)owner;
    (void)id;
    (void)deadline;
}

static size_t print(void *owner, const uint8_t *bytes, size_t size)
{
    (void)owner;
    return size && bytes[size - 1] == 0x55 ? size / 2 : size;
}

static void power(void *owner, enum power_event event, unsigned code)
{
    (void)owner;
    (void)event;
    if (code > 0xffff)
        abort();
}

static void fill(void *owner, void *to, size_t size)
{
    (void)owner;
    memset(to, 0x33, size);
}

static void submit(void *owner, struct block_request *request)
{
    uint64_t at = request->offset;

    (void)owner;
    for (unsigned i = 0; i < request->segment_count; i++) {
        const struct block_segment *segment = &request->segments[i];
        if (request->op == BLOCK_READ)
            memcpy(segment->bytes, disk + at, segment->size);
        else
            memcpy(disk + at, segment->bytes, segment->size);
        at += segment->size;
    }
    request->done(request, 0);
}

static struct irq_line source(unsigned number)
{
    return (struct irq_line){plic_set_source, &machine.plic, number};
}

static void make_platform(struct machine *m)
{
    struct alarm_port alarm = {now, set_alarm, m};
    struct stream_port stream = {print, NULL, NULL};
    struct power_port port = {power, NULL};

    plic_init(&m->plic, &(struct plic_config){96, 2 * HARTS, m->sinks});
    aclint_init(&m->aclint, &(struct aclint_config){HARTS, m->sinks, m->sinks, alarm, NULL, NULL});
    ns16550_init(&m->uart, &(struct ns16550_config){source(10), stream});
    goldfish_init(&m->rtc, &(struct goldfish_config){source(11), alarm});
    finisher_init(&m->finisher, &port);
    htif_init(&m->htif, &(struct htif_config){&m->space, 0xf000, 0x1000, ram + 0xf000, 0xf000,
                                              0xf040, port, stream});
    space_add_mmio(&m->space, 0xf000, 0x1000, &htif_mmio, &m->htif);
    space_add_mmio(&m->space, 0x100000, 0x1000, &finisher_mmio, &m->finisher);
    space_add_mmio(&m->space, 0x101000, 0x1000, &goldfish_mmio, &m->rtc);
    space_add_mmio(&m->space, 0x2000000, ACLINT_SIZE, &aclint_mmio, &m->aclint);
    space_add_mmio(&m->space, 0xc000000, PLIC_SIZE, &plic_mmio, &m->plic);
    space_add_mmio(&m->space, 0x10000000, 0x1000, &ns16550_mmio, &m->uart);
}

static struct virtio_device *make_virtio(struct machine *m, unsigned set, unsigned kind)
{
    switch (kind) {
    case 0:
        virtio_blk_init(&m->blk[set], &(struct virtio_blk_config){
                                          .space = &m->space,
                                          .disk = {sizeof(disk), false, true, submit, NULL},
                                      });
        return &m->blk[set].virtio;
    case 1:
        virtio_console_init(&m->console[set], &(struct virtio_console_config){
                                                  &m->space, {print, NULL, NULL}, 80, 25});
        return &m->console[set].virtio;
    case 2:
        virtio_rng_init(&m->rng[set], &(struct virtio_rng_config){&m->space, {fill, NULL}});
        return &m->rng[set].virtio;
    default:
        return NULL;
    }
}

static void make_virtios(struct machine *m)
{
    struct pci_host_config config = {.windows = {0x40000000, 0x400000000}};

    for (unsigned i = 0; i < 4; i++) {
        struct irq_line line = source(1 + i);
        config.intx[i] = source(32 + i);
        virtio_mmio_init(&m->slots[i], make_virtio(m, 0, i), &line);
        space_add_mmio(&m->space, 0x10001000 + 0x1000u * i, 0x1000, &virtio_mmio_mmio,
                       &m->slots[i]);
    }
    pci_host_init(&m->host, &config);
    for (unsigned i = 0; i < 3; i++)
        virtio_pci_init(&m->functions[i], make_virtio(m, 1, i), &m->host, i + 1);
    space_add_mmio(&m->space, 0x3000000, PCI_PIO_SIZE, &pci_pio_mmio, &m->host);
    space_add_mmio(&m->space, 0x30000000, PCI_ECAM_SIZE, &pci_ecam_mmio, &m->host);
    space_add_mmio(&m->space, 0x40000000, 0x40000000, &pci_window_mmio, &m->host.windows[0]);
}

/* Addresses near something. */
static uint64_t pick_address(struct input *in, uint8_t command)
{
    static const uint64_t places[] = {
        0x0,        0x1000,     0xf000,     0x100000,   0x101000,   0x2000000,  0x2004000,
        0x200b000,  0x3000000,  0xc000000,  0xc001000,  0xc002000,  0xc200000,  0xc201000,
        0x10000000, 0x10001000, 0x10001000, 0x10002000, 0x10002000, 0x10003000, 0x10004000,
        0x30008000, 0x30010000, 0x30018000, 0x40000000, 0x40001000, 0x40002000, 0x40003000,
        0x40010000, 0x40013000, 0x40020000, 0x40023000,
    };

    return places[command % ARRAY_LEN(places)] + take(in, command & 32 ? 2 : 1);
}

static void access_bus(struct input *in, uint8_t command)
{
    unsigned width = 1u << (command >> 6);
    uint64_t at = pick_address(in, (uint8_t)take(in, 1)) & ~(uint64_t)(width - 1);
    uint64_t value = 0;

    if (command & 1)
        (void)!space_read(&machine.space, at, width, &value);
    else
        (void)!space_write(&machine.space, at, width, take(in, command & 2 ? width : 1));
}

/* A working virtio-mmio queue with the ring at 0x1000, so that chains are seen. */
static void start_queue(unsigned slot, uint8_t options)
{
    const uint64_t base = 0x10001000 + 0x1000u * slot;
    const uint32_t steps[][2] = {
        {0x70, 0},      {0x70, 3},
        {0x24, 1},      {0x20, options & 4 ? 5 : 1},
        {0x24, 0},      {0x20, (uint32_t)(options & 3) << 28},
        {0x70, 0xb},    {0x30, options >> 4 & 1},
        {0x38, 16},     {0x80, 0x1000},
        {0x90, 0x1400}, {0xa0, 0x1800},
        {0x44, 1},      {0x70, 0xf},
        {0x50, 0},      {0x50, 1},
    };

    for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
        if (!space_write(&machine.space, base + steps[i][0], 4, steps[i][1]))
            abort();
}

/* One more chain of up to three descriptors in the split ring at 0x1000, in a
 * place of its own; often what a block device or a console wants. */
static void add_chain(struct input *in, uint8_t command)
{
    static const uint16_t sizes[] = {1, 16, 512, 1024};
    uint16_t index = load_le16(ram + 0x1402);
    unsigned count = 1 + (command >> 5) % 3;

    ram[0x8000] = (uint8_t)take(in, 1); /* block request type */
    ram[0x8008] = (uint8_t)take(in, 1) % (SECTORS + 1);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *descriptor = ram + 0x1000 + (size_t)16 * i;
        uint8_t shape = (uint8_t)take(in, 1);
        store_le64(descriptor, 0x8000 + (uint64_t)0x800 * i);
        store_le32(descriptor + 8, sizes[shape & 3]);
        store_le16(descriptor + 12, (uint16_t)((i + 1 < count ? 1 : 0) | (shape & 4 ? 2 : 0)));
        store_le16(descriptor + 14, (uint16_t)(i + 1));
    }
    store_le16(ram + 0x1404 + (size_t)2 * (index % 16), 0);
    store_le16(ram + 0x1402, (uint16_t)(index + 1));
    if (!space_write(&machine.space, 0x10001050 + 0x1000u * (command & 3), 4, take(in, 1) & 1))
        abort();
}

static void map_function(unsigned slot)
{
    uint64_t base = 0x30000000 + (slot << 15);

    if (!space_write(&machine.space, base + 0x20, 4, 0x40000000 + 0x10000 * (slot - 1)) ||
        !space_write(&machine.space, base + 0x24, 4, 0) ||
        !space_write(&machine.space, base + 4, 2, 6))
        abort();
}

static void load_memory(struct input *in)
{
    uint64_t at = take(in, 2) % RAM_SIZE;
    uint64_t count = take(in, 1);

    while (count-- && at < RAM_SIZE)
        ram[at++] = (uint8_t)take(in, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};

    memset(&machine, 0, sizeof(machine));
    memset(ram, 0, sizeof(ram));
    space_add_ram(&machine.space, 0, RAM_SIZE, ram);
    make_platform(&machine);
    make_virtios(&machine);
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        switch (command >> 2 & 7) {
        case 0:
            load_memory(&in);
            break;
        case 1:
            start_queue(command >> 5 & 3, (uint8_t)take(&in, 1));
            break;
        case 2:
            map_function(1 + (command >> 5) % 3);
            break;
        case 3:
            machine.now += take(&in, 2);
            aclint_alarm(&machine.aclint, command & 1);
            goldfish_alarm(&machine.rtc, 0);
            break;
        case 4:
            add_chain(&in, command);
            break;
        default:
            access_bus(&in, command);
            break;
        }
    }
    return 0;
}
