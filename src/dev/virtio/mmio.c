/* SPDX-License-Identifier: Apache-2.0
 * virtio over MMIO, version 2 (virtio 1.2, section 4.2.2). */
#include "dev/virtio/mmio.h"

#include "base/assert.h"
#include "base/bits.h"

enum {
    MAGIC_VALUE = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SELECT = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SELECT = 0x024,
    QUEUE_SELECT = 0x030,
    QUEUE_SIZE_MAX = 0x034,
    QUEUE_SIZE = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACKNOWLEDGE = 0x064,
    STATUS = 0x070,
    QUEUE_AREAS = 0x080, /* low and high words of the three areas, 0x10 apart */
    QUEUE_AREAS_END = 0x0b0,
    SHARED_MEMORY = 0x0b0, /* length and base of a region: all ones, there is none */
    SHARED_MEMORY_END = 0x0c0,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,
};

static uint32_t read_queue(struct virtio_mmio *transport, uint64_t offset)
{
    const struct virtqueue *queue = virtio_queue(transport->device, transport->queue_select);

    if (!queue)
        return 0;
    if (offset >= QUEUE_AREAS && offset < QUEUE_AREAS_END) {
        enum virtio_area area = (enum virtio_area)((offset - QUEUE_AREAS) / 0x10);
        uint64_t value = virtio_read_queue_area(queue, area);
        return (offset & 0xf) > 4 ? 0 : (uint32_t)(value >> (offset & 4 ? 32 : 0));
    }
    switch (offset) {
    case QUEUE_SIZE_MAX:
        return queue->max_size;
    case QUEUE_SIZE:
        return queue->size;
    case QUEUE_READY:
        return queue->ready;
    default:
        return 0;
    }
}

static uint32_t read_register(struct virtio_mmio *transport, uint64_t offset)
{
    struct virtio_device *device = transport->device;

    switch (offset) {
    case MAGIC_VALUE:
        return 0x74726976;
    case VERSION:
        return 2;
    case VENDOR_ID:
        return 0x554d4551; /* what QEMU has: xv6 knows no other */
    case DEVICE_ID:
        return device ? device->type->device_id : 0;
    default:
        break;
    }
    if (!device)
        return 0;
    switch (offset) {
    case DEVICE_FEATURES:
        return virtio_read_features(device, transport->device_features_select);
    case INTERRUPT_STATUS:
        return virtio_read_isr(device);
    case STATUS:
        return virtio_read_status(device);
    case CONFIG_GENERATION:
        return device->config_generation;
    default:
        break;
    }
    if (offset >= SHARED_MEMORY && offset < SHARED_MEMORY_END)
        return UINT32_MAX;
    return read_queue(transport, offset);
}

static uint64_t transport_read(void *object, uint64_t offset, unsigned size)
{
    struct virtio_mmio *transport = object;

    if (offset >= CONFIG)
        return transport->device ? virtio_config_read(transport->device, offset - CONFIG, size) : 0;
    return size == 4 ? read_register(transport, offset) : 0;
}

static void write_queue(struct virtio_mmio *transport, uint64_t offset, uint32_t value)
{
    struct virtqueue *queue = virtio_queue(transport->device, transport->queue_select);

    if (!queue)
        return;
    if (offset >= QUEUE_AREAS && offset < QUEUE_AREAS_END && (offset & 0xf) <= 4) {
        enum virtio_area area = (enum virtio_area)((offset - QUEUE_AREAS) / 0x10);
        uint64_t old = virtio_read_queue_area(queue, area);
        virtio_write_queue_area(queue, area, bits_deposit(old, offset & 4 ? 32 : 0, 32, value));
    } else if (offset == QUEUE_SIZE) {
        virtio_write_queue_size(queue, value);
    } else if (offset == QUEUE_READY) {
        virtio_queue_enable(transport->device, queue, value & 1);
    }
}

static void write_register(struct virtio_mmio *transport, uint64_t offset, uint32_t value)
{
    struct virtio_device *device = transport->device;

    switch (offset) {
    case DEVICE_FEATURES_SELECT:
        transport->device_features_select = value;
        break;
    case DRIVER_FEATURES:
        virtio_write_driver_features(device, transport->driver_features_select, value);
        break;
    case DRIVER_FEATURES_SELECT:
        transport->driver_features_select = value;
        break;
    case QUEUE_SELECT:
        transport->queue_select = value;
        break;
    case QUEUE_NOTIFY:
        virtio_notify(device, value);
        break;
    case INTERRUPT_ACKNOWLEDGE:
        virtio_acknowledge(device, (uint8_t)value);
        break;
    case STATUS:
        virtio_write_status(device, (uint8_t)value);
        break;
    default:
        write_queue(transport, offset, value);
        break;
    }
}

static void transport_write(void *object, uint64_t offset, uint64_t value, unsigned size)
{
    struct virtio_mmio *transport = object;

    if (!transport->device)
        return;
    if (offset >= CONFIG)
        virtio_config_write(transport->device, offset - CONFIG, value, size);
    else if (size == 4)
        write_register(transport, offset, (uint32_t)value);
}

const struct mmio_ops virtio_mmio_mmio = {transport_read, transport_write, MMIO_ANY};

static void transport_reset(void *object)
{
    struct virtio_mmio *transport = object;

    *transport = (struct virtio_mmio){.device = transport->device};
}

static const struct state_field transport_fields[] = {
    STATE_FIELD(struct virtio_mmio, device_features_select),
    STATE_FIELD(struct virtio_mmio, driver_features_select),
    STATE_FIELD(struct virtio_mmio, queue_select),
};
static const struct state_table transport_state = STATE_TABLE("virtio-mmio", 1, transport_fields);

const struct device_ops virtio_mmio_ops = {transport_reset, &transport_state, NULL};

void virtio_mmio_init(struct virtio_mmio *transport, struct virtio_device *device,
                      const struct irq_line *irq)
{
    *transport = (struct virtio_mmio){.device = device};
    if (device)
        device->irq = *irq;
}
