/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: UART registers, input and a stream that stalls. */
#include <stdlib.h>
#include <string.h>

#include "dev/serial/ns16550.h"

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
