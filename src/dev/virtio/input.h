/* SPDX-License-Identifier: Apache-2.0
 * virtio input device (virtio 1.2, section 5.8) with one key: the machine's power button. Linux's
 * logind, and whoever else watches such keys, shuts the guest down when it is pressed. */
#pragma once

#include "dev/device.h"
#include "dev/virtio/device.h"

struct virtio_input {
    struct virtio_device virtio;
    uint8_t events_left; /* of the press under way, that the driver had no room for yet */
};

void virtio_input_init(struct virtio_input *input, const struct space *space);

/* Presses the button and lets it go. What is pressed while no driver listens is lost, and pressing
 * again while the last press is still on its way changes nothing. Device lock held. */
void virtio_input_press(struct virtio_input *input);

extern const struct device_ops virtio_input_ops;
