/* SPDX-License-Identifier: Apache-2.0
 * virtio entropy source (virtio 1.2, section 5.4). */
#include "dev/virtio/rng.h"

#include "mem/dma.h"

enum {
    DEVICE_ID = 4,
    QUEUE_SIZE = 64,
    /* One request gets at most this much: less than asked for is allowed, and
     * it bounds the time under the device lock. */
    REQUEST_MOST = 0x1000,
    /* Requests served in one go; more than a queue full means that the driver
     * adds while we take. */
    REQUEST_BUDGET = 4 * QUEUE_SIZE,
};

static uint32_t fill(const struct virtio_rng *rng, const struct virtio_chain *chain)
{
    const struct entropy_port *entropy = &rng->config.entropy;
    uint32_t done = 0;

    for (unsigned i = chain->readable_count; i < chain->count && done < REQUEST_MOST; i++) {
        const struct virtio_segment *segment = &chain->segments[i];
        uint32_t part = MIN(segment->size, REQUEST_MOST - done);
        entropy->fill(entropy->owner, segment->bytes, part);
        dma_written(rng->config.space, segment->at, part);
        done += part;
    }
    return done;
}

static void rng_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_rng *rng = CONTAINER_OF(device, struct virtio_rng, virtio);

    for (unsigned served = 0; served < REQUEST_BUDGET; served++) {
        const struct virtio_chain *chain = virtio_pop(device, queue);
        if (!chain)
            return;
        virtio_push(device, queue, &chain->token, fill(rng, chain));
    }
    virtio_work_waits(device);
}

static const struct virtio_type rng_type = {
    .name = "virtio-rng",
    .device_id = DEVICE_ID,
    .queue_count = 1,
    .queue_size = QUEUE_SIZE,
    .pci_class = 0x00ff00,
    .notify = rng_notify,
};

static void rng_reset(void *object)
{
    struct virtio_rng *rng = object;

    virtio_device_reset(&rng->virtio);
}

static int rng_loaded(void *object, struct error *err)
{
    struct virtio_rng *rng = object;

    return virtio_device_loaded(&rng->virtio, err);
}

static const struct state_field rng_fields[] = {
    STATE_STRUCT(struct virtio_rng, virtio, &virtio_device_state),
};
static const struct state_table rng_state = STATE_TABLE("virtio-rng", 1, rng_fields);

const struct device_ops virtio_rng_ops = {rng_reset, &rng_state, rng_loaded};

void virtio_rng_init(struct virtio_rng *rng, const struct virtio_rng_config *config)
{
    *rng = (struct virtio_rng){.config = *config};
    virtio_device_init(&rng->virtio, &rng_type, config->space, 0);
}
