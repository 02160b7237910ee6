/* SPDX-License-Identifier: Apache-2.0
 * What all virtio devices share (virtio 1.2, sections 2 and 3).
 *
 *     0 --ACKNOWLEDGE, DRIVER--> probing --FEATURES_OK--> negotiated
 *     negotiated --DRIVER_OK--> running --virtio_needs_reset--> broken
 *     any --write of 0 (virtio_device_reset)--> 0
 *
 * A driver that does not accept VERSION_1 is served all the same: small kernels
 * (xv6) never write the upper feature word, and nothing differs for them. */
#include "dev/virtio/device.h"

#include "base/assert.h"
#include "base/endian.h"
#include "base/errno.h"
#include "base/log.h"

static void update_irq(const struct virtio_device *device)
{
    irq_set(&device->irq, device->isr != 0);
}

static void raise(struct virtio_device *device, unsigned causes)
{
    device->isr = (uint8_t)(device->isr | causes);
    update_irq(device);
}

void virtio_device_init(struct virtio_device *device, const struct virtio_type *type,
                        const struct space *space, uint64_t features)
{
    ASSERT(type->queue_count <= VIRTIO_MAX_QUEUES);
    *device = (struct virtio_device){
        .type = type,
        .space = space,
        .features = features | VIRTIO_F_COMMON,
    };
    for (unsigned i = 0; i < type->queue_count; i++)
        virtqueue_init(&device->queues[i], space, type->queue_size);
}

bool virtio_is_running(const struct virtio_device *device)
{
    return (device->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET |
                              VIRTIO_STATUS_FAILED)) == VIRTIO_STATUS_DRIVER_OK;
}

bool virtio_has_feature(const struct virtio_device *device, uint64_t feature)
{
    return (device->driver_features & device->features & feature) != 0;
}

struct virtio_chain *virtio_pop(struct virtio_device *device, unsigned queue)
{
    const char *why = NULL;

    if (!virtio_is_running(device))
        return NULL;
    switch (virtqueue_pop(&device->queues[queue], &device->chain, &why)) {
    case VIRTQUEUE_TAKEN:
        return &device->chain;
    case VIRTQUEUE_BROKEN:
        virtio_needs_reset(device, why);
        return NULL;
    case VIRTQUEUE_EMPTY:
        return NULL;
    }
    return NULL;
}

void virtio_push(struct virtio_device *device, unsigned queue, const struct virtio_token *token,
                 uint32_t written)
{
    virtio_push_all(device, queue, &(struct virtio_used){*token, written}, 1);
}

void virtio_push_all(struct virtio_device *device, unsigned queue, const struct virtio_used *used,
                     unsigned count)
{
    /* A broken device touches its rings no more; the reset takes the rest. */
    if (!virtio_is_running(device))
        return;
    if (!virtqueue_push_all(&device->queues[queue], used, count))
        return;
    if (virtqueue_wants_interrupt(&device->queues[queue]))
        raise(device, VIRTIO_ISR_QUEUE);
}

void virtio_needs_reset(struct virtio_device *device, const char *why)
{
    if (device->status & VIRTIO_STATUS_NEEDS_RESET)
        return;
    log_guest("virtio", "%s: driver error: %s; the device waits for a reset", device->type->name,
              why);
    device->status |= VIRTIO_STATUS_NEEDS_RESET;
    if (device->status & VIRTIO_STATUS_DRIVER_OK)
        virtio_config_changed(device);
}

void virtio_config_changed(struct virtio_device *device)
{
    device->config_generation++;
    if (device->status & VIRTIO_STATUS_DRIVER_OK)
        raise(device, VIRTIO_ISR_CONFIG);
}

void virtio_work_waits(struct virtio_device *device)
{
    device->work_waits = true;
    raise(device, VIRTIO_ISR_QUEUE);
}

void virtio_device_reset(struct virtio_device *device)
{
    device->driver_features = 0;
    device->status = 0;
    device->isr = 0;
    device->config_generation = 0;
    device->work_waits = false;
    for (unsigned i = 0; i < device->type->queue_count; i++)
        virtqueue_reset(&device->queues[i]);
    if (device->type->reset)
        device->type->reset(device);
    update_irq(device);
}

int virtio_device_loaded(struct virtio_device *device, struct error *err)
{
    const char *name = device->type->name;

    if ((device->status & VIRTIO_STATUS_FEATURES_OK) &&
        (device->driver_features & ~device->features))
        return error_set(err, -EPROTO, "saved state: %s uses features this device has not", name);
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
        struct virtqueue *queue = &device->queues[i];
        if (i >= device->type->queue_count) {
            if (queue->ready)
                return error_set(err, -EPROTO, "saved state: %s has no queue %u", name, i);
            continue;
        }
        const char *why = virtqueue_resume(queue);
        if (why)
            return error_set(err, -EPROTO, "saved state: %s queue %u: %s", name, i, why);
    }
    update_irq(device);
    return 0;
}

uint32_t virtio_read_features(const struct virtio_device *device, uint32_t select)
{
    return select < 2 ? (uint32_t)(device->features >> (select * 32)) : 0;
}

uint32_t virtio_read_driver_features(const struct virtio_device *device, uint32_t select)
{
    return select < 2 ? (uint32_t)(device->driver_features >> (select * 32)) : 0;
}

void virtio_write_driver_features(struct virtio_device *device, uint32_t select, uint32_t value)
{
    if (select >= 2 || (device->status & VIRTIO_STATUS_FEATURES_OK))
        return;
    device->driver_features = bits_deposit(device->driver_features, select * 32, 32, value);
}

uint8_t virtio_read_status(struct virtio_device *device)
{
    const struct virtio_type *type = device->type;

    if (device->status == 0 && type->is_idle && !type->is_idle(device))
        return VIRTIO_STATUS_NEEDS_RESET;
    return device->status;
}

static void notify_all(struct virtio_device *device)
{
    device->work_waits = false;
    for (unsigned i = 0; i < device->type->queue_count; i++)
        if (virtio_is_running(device) && device->queues[i].ready)
            device->type->notify(device, i);
}

void virtio_write_status(struct virtio_device *device, uint8_t value)
{
    unsigned wanted = value & ~(unsigned)VIRTIO_STATUS_NEEDS_RESET;

    if (value == 0) {
        virtio_device_reset(device);
        return;
    }
    /* Features we do not have: FEATURES_OK stays clear, as the driver will see
     * (3.1.1, step 5). */
    if (device->driver_features & ~device->features)
        wanted &= ~(unsigned)VIRTIO_STATUS_FEATURES_OK;
    if (!((wanted | device->status) & VIRTIO_STATUS_FEATURES_OK))
        wanted &= ~(unsigned)VIRTIO_STATUS_DRIVER_OK;
    bool starts = (wanted & VIRTIO_STATUS_DRIVER_OK) && !virtio_is_running(device);
    device->status = (uint8_t)(device->status | wanted);
    if (starts)
        notify_all(device);
}

struct virtqueue *virtio_queue(struct virtio_device *device, uint32_t index)
{
    return index < device->type->queue_count ? &device->queues[index] : NULL;
}

void virtio_write_queue_size(struct virtqueue *queue, uint32_t size)
{
    /* What does not fit is kept as an impossible size: the queue will not
     * start. */
    if (!queue->ready)
        queue->size = size <= queue->max_size ? (uint16_t)size : 0;
}

uint64_t virtio_read_queue_area(const struct virtqueue *queue, enum virtio_area area)
{
    const uint64_t areas[] = {queue->descriptors, queue->driver_area, queue->device_area};

    return areas[area];
}

void virtio_write_queue_area(struct virtqueue *queue, enum virtio_area area, uint64_t value)
{
    gpa_t *const areas[] = {&queue->descriptors, &queue->driver_area, &queue->device_area};

    if (!queue->ready)
        *areas[area] = value;
}

void virtio_queue_enable(struct virtio_device *device, struct virtqueue *queue, bool enable)
{
    if (enable == queue->ready)
        return;
    if (!enable) {
        virtqueue_reset(queue);
        return;
    }
    const char *why = virtqueue_start(queue, device->driver_features & device->features);
    if (why)
        virtio_needs_reset(device, why);
}

/* Continues what a budget stopped. */
static void go_on(struct virtio_device *device)
{
    if (device->work_waits)
        notify_all(device);
}

void virtio_notify(struct virtio_device *device, uint32_t queue)
{
    go_on(device);
    if (queue < device->type->queue_count && virtio_is_running(device) &&
        device->queues[queue].ready)
        device->type->notify(device, queue);
}

uint8_t virtio_read_isr(struct virtio_device *device)
{
    return device->isr;
}

void virtio_acknowledge(struct virtio_device *device, uint8_t mask)
{
    device->isr = (uint8_t)(device->isr & ~mask);
    go_on(device);
    update_irq(device);
}

uint64_t virtio_config_read(struct virtio_device *device, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        if (offset + i < device->config_size)
            value |= (uint64_t)device->config[offset + i] << (8 * i);
    return value;
}

void virtio_config_write(struct virtio_device *device, uint64_t offset, uint64_t value,
                         unsigned size)
{
    if (device->type->config_write && offset < device->config_size &&
        size <= device->config_size - offset)
        device->type->config_write(device, (unsigned)offset, value, size);
}

static const struct state_field virtio_device_fields[] = {
    STATE_FIELD(struct virtio_device, driver_features),
    STATE_FIELD(struct virtio_device, status),
    STATE_RANGE(struct virtio_device, isr, VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG),
    STATE_FIELD(struct virtio_device, config_generation),
    STATE_RANGE(struct virtio_device, work_waits, 1),
    STATE_STRUCTS(struct virtio_device, queues, &virtqueue_state),
};
const struct state_table virtio_device_state = STATE_TABLE("virtio", 1, virtio_device_fields);
