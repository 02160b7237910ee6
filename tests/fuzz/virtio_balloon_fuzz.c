/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: balloon whose discarded pages must be whole pages of RAM. */
#include "base/endian.h"
#include "dev/virtio/balloon.h"
#include "dev/virtio/mmio.h"
#include "fuzz/driver.h"

#include <stdlib.h>

#define QUEUES 5
#define SIZE   16

static void discard(void *owner, uint8_t *bytes, size_t size)
{
    size_t at = (size_t)(bytes - ram);

    (void)owner;
    if (at % PAGE_SIZE || size % PAGE_SIZE || size == 0 || at >= RAM_SIZE || size > RAM_SIZE - at)
        abort();
    /* The rings of the fuzzer itself stay. */
    if (at >= 0x8000)
        memset(bytes, 0, size);
}

/* Page numbers at the place where write_ring's addresses point. */
static void write_pages(struct input *in)
{
    uint8_t *to = ram + 0x8000 + take(in, 1) % 16 * 16;
    unsigned count = (unsigned)take(in, 1) % 32;

    for (unsigned i = 0; i < count; i++)
        store_le32(to + (size_t)4 * i, (uint32_t)take(in, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtio_balloon balloon;
    static struct virtio_balloon fresh;
    struct input in = {data, data + size};
    struct virtio_mmio transport;
    struct irq_line line = {0};

    reset_space();
    virtio_balloon_init(&balloon, &(struct virtio_balloon_config){&space, {discard, NULL}});
    virtio_mmio_init(&transport, &balloon.virtio, &line);
    fresh = balloon;
    start_with(&transport, QUEUES, SIZE, (unsigned)take(&in, 1) & 7, (uint32_t)take(&in, 1) & 0x26);
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        switch (command & 7) {
        case 0:
            write32(&transport, 0x50, (command >> 3) % QUEUES);
            break;
        case 1:
            write_pages(&in);
            break;
        case 2:
            if (command & 8)
                virtio_balloon_ask_stats(&balloon);
            else
                virtio_balloon_set_target(&balloon, take(&in, 8));
            break;
        case 3:
            start_with(&transport, QUEUES, SIZE, command >> 3 & 7, (uint32_t)take(&in, 1) & 0x26);
            break;
        case 4:
            if (command & 8)
                reload(&in, &virtio_balloon_ops, &balloon, sizeof(balloon), &fresh);
            else
                virtio_mmio_mmio.write(&transport, 0x100 + take(&in, 1) % 12, take(&in, 4),
                                       1u << (command >> 4 & 3));
            break;
        case 5:
            poke_ram(&in);
            break;
        default:
            write_ring(&in, (command >> 3) % QUEUES, SIZE);
            break;
        }
        for (unsigned q = 0; q < QUEUES; q++)
            if (virtio_is_running(&balloon.virtio) && balloon.virtio.queues[q].in_flight != 0)
                abort(); /* the balloon holds no chain */
    }
    return 0;
}
