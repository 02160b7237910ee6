/* SPDX-License-Identifier: Apache-2.0
 * virtio entropy source (virtio 1.2, section 5.4). */
#pragma once

#include "dev/device.h"
#include "dev/virtio/device.h"
#include "port/entropy.h"

struct virtio_rng_config {
    const struct space *space;
    struct entropy_port entropy;
};

struct virtio_rng {
    struct virtio_device virtio;
    struct virtio_rng_config config;
};

void virtio_rng_init(struct virtio_rng *rng, const struct virtio_rng_config *config);

extern const struct device_ops virtio_rng_ops;
