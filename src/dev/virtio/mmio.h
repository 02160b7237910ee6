/* SPDX-License-Identifier: Apache-2.0
 * virtio over MMIO, version 2 (virtio 1.2, section 4.2). */
#pragma once

#include "dev/device.h"
#include "dev/virtio/device.h"
#include "mem/space.h"
#include "port/irq.h"

#define VIRTIO_MMIO_SIZE 0x1000

struct virtio_mmio {
    uint32_t device_features_select;
    uint32_t driver_features_select;
    uint32_t queue_select;
    struct virtio_device *device; /* NULL: an empty slot, device id 0 */
};

/* Puts `device` (may be NULL: empty slot) behind the registers; it outlives the
 * transport. */
void virtio_mmio_init(struct virtio_mmio *transport, struct virtio_device *device,
                      const struct irq_line *irq);

extern const struct mmio_ops virtio_mmio_mmio;
extern const struct device_ops virtio_mmio_ops; /* the transport only; list the device too */
