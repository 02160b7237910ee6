/* SPDX-License-Identifier: Apache-2.0
 * virtio console, one port (virtio 1.2, section 5.3). */
#pragma once

#include "dev/device.h"
#include "dev/virtio/device.h"
#include "port/stream.h"

struct virtio_console_config {
    const struct space *space;
    struct stream_port output;
    uint16_t columns; /* 0: size unknown, feature not offered */
    uint16_t rows;
};

struct virtio_console {
    struct virtio_device virtio;
    uint64_t sent;     /* bytes of the first waiting transmit chain that are out already */
    bool output_waits; /* the stream is full */
    bool input_waits;  /* receive() took less than offered; not saved */
    struct virtio_console_config config;
};

void virtio_console_init(struct virtio_console *console,
                         const struct virtio_console_config *config);
struct stream_handler virtio_console_handler(struct virtio_console *console);

/* The terminal has another size now. Without effect when none was given at
 * creation. */
void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows);

extern const struct device_ops virtio_console_ops;
