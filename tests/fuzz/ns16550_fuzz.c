/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: UART registers, input and a stream that stalls. */
#include "dev/serial/ns16550.h"
#include "fuzz/input.h"

#include <stdlib.h>
#include <string.h>

static size_t room;
static uint8_t seen[256];

static size_t sink(void *owner, const uint8_t *bytes, size_t size)
{
    (void)owner;
    size = size < room ? size : room;
    memcpy(seen, bytes, size); /* reads every byte */
    room -= size;
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct ns16550 uart;
    struct ns16550 fresh;

    ns16550_init(&uart, &(struct ns16550_config){.output = {sink, NULL, NULL}});
    fresh = uart;
    struct stream_handler handler = ns16550_handler(&uart);
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        unsigned offset = command >> 3 & 7;
        switch (command & 7) {
        case 0:
            ns16550_mmio.read(&uart, offset, 1);
            break;
        case 1:
            handler.receive(handler.device, data, take(&in, 1) % (size + 1));
            break;
        case 2:
            room = take(&in, 1);
            handler.writable(handler.device);
            break;
        case 3:
            reload(&in, &ns16550_ops, &uart, sizeof(uart), &fresh);
            break;
        default:
            ns16550_mmio.write(&uart, offset, take(&in, 1), 1);
            break;
        }
        if (uart.rx_count > NS16550_FIFO_SIZE || uart.tx_count > NS16550_FIFO_SIZE)
            abort();
    }
    return 0;
}
