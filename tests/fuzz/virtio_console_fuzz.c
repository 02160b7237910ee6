/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: console with a stream that stalls and input at any time. */
#include "dev/virtio/console.h"
#include "dev/virtio/mmio.h"
#include "fuzz/driver.h"

#include <stdlib.h>

static size_t room;

static size_t sink(void *owner, const uint8_t *bytes, size_t size)
{
    unsigned sum = 0;

    (void)owner;
    size = size < room ? size : room;
    room -= size;
    for (size_t i = 0; i < size; i++)
        sum += bytes[i];
    return sum == 0xffffffff ? 0 : size; /* reads every byte */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtio_console console;
    static struct virtio_console fresh;
    struct input in = {data, data + size};
    struct virtio_mmio transport;
    struct irq_line line = {0};

    reset_space();
    virtio_console_init(&console,
                        &(struct virtio_console_config){&space, {sink, NULL, NULL}, 80, 25});
    virtio_mmio_init(&transport, &console.virtio, &line);
    fresh = console;
    struct stream_handler handler = virtio_console_handler(&console);
    start(&transport, 2, 16, (unsigned)take(&in, 1));
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        switch (command & 7) {
        case 0:
            write32(&transport, 0x50, command >> 3 & 1);
            break;
        case 1:
            handler.receive(handler.device, data, take(&in, 1) % (size + 1));
            break;
        case 2:
            room = take(&in, 2);
            handler.writable(handler.device);
            break;
        case 3:
            start(&transport, 2, 16, command >> 3);
            break;
        case 4:
            if (command & 8)
                reload(&in, &virtio_console_ops, &console, sizeof(console), &fresh);
            else
                virtio_mmio_mmio.write(&transport, 0x100 + take(&in, 1) % 16, take(&in, 1), 1);
            break;
        case 5:
            poke_ram(&in);
            break;
        default:
            write_ring(&in, command >> 3 & 1, 16);
            break;
        }
        for (unsigned q = 0; q < 2; q++)
            if (virtio_is_running(&console.virtio) && console.virtio.queues[q].in_flight != 0)
                abort(); /* the console holds no chain */
    }
    return 0;
}
