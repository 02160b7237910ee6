/* SPDX-License-Identifier: Apache-2.0
 * virtio over PCI (virtio 1.2, section 4.1): capabilities that point into one
 * memory BAR, interrupts by INTx.
 *
 *     BAR 4:  0x0000 common   0x1000 ISR   0x2000 device   0x3000 notify  */
#include "dev/virtio/pci.h"

#include "base/bits.h"
#include "base/endian.h"

enum {
    CAPABILITY_VENDOR = 0x09,
    CAPABILITY_LENGTH_AT = 2,
    CAPABILITY_TYPE_AT = 3,
    CAPABILITY_BAR_AT = 4,
    CAPABILITY_OFFSET_AT = 8,
    CAPABILITY_SIZE_AT = 12,
    CAPABILITY_MORE_AT = 16, /* notify: multiplier; PCI access: data */
    CAPABILITY_COMMON = 1,
    CAPABILITY_NOTIFY = 2,
    CAPABILITY_ISR = 3,
    CAPABILITY_DEVICE = 4,
    CAPABILITY_PCI_ACCESS = 5,

    BAR = 4,
    BAR_SIZE = 0x4000,
    AREA_SIZE = 0x1000,
    NOTIFY_MULTIPLIER = 4,
    NO_VECTOR = 0xffff,
};

enum area {
    AREA_COMMON,
    AREA_ISR,
    AREA_DEVICE,
    AREA_NOTIFY,
};

/* Common configuration (4.1.4.3). */
enum {
    DEVICE_FEATURES_SELECT = 0x00,
    DEVICE_FEATURES = 0x04,
    DRIVER_FEATURES_SELECT = 0x08,
    DRIVER_FEATURES = 0x0c,
    CONFIG_VECTOR = 0x10,
    QUEUE_COUNT = 0x12,
    STATUS = 0x14,
    CONFIG_GENERATION = 0x15,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY_OFFSET = 0x1e,
    QUEUE_DESCRIPTORS = 0x20,
    QUEUE_DRIVER_AREA = 0x28,
    QUEUE_DEVICE_AREA = 0x30,
    QUEUE_NOTIFY_DATA = 0x38,
};

struct common_register {
    uint8_t offset;
    uint8_t size;
};

static const struct common_register common_registers[] = {
    {DEVICE_FEATURES_SELECT, 4},
    {DEVICE_FEATURES, 4},
    {DRIVER_FEATURES_SELECT, 4},
    {DRIVER_FEATURES, 4},
    {CONFIG_VECTOR, 2},
    {QUEUE_COUNT, 2},
    {STATUS, 1},
    {CONFIG_GENERATION, 1},
    {QUEUE_SELECT, 2},
    {QUEUE_SIZE, 2},
    {QUEUE_VECTOR, 2},
    {QUEUE_ENABLE, 2},
    {QUEUE_NOTIFY_OFFSET, 2},
    {QUEUE_DESCRIPTORS, 8},
    {QUEUE_DRIVER_AREA, 8},
    {QUEUE_DEVICE_AREA, 8},
    {QUEUE_NOTIFY_DATA, 2},
};

/* The register an access reaches: the whole of one, or half of a 64-bit one
 * (4.1.3.1); NULL for anything else. */
static const struct common_register *find_register(uint64_t offset, unsigned size)
{
    for (unsigned i = 0; i < ARRAY_LEN(common_registers); i++) {
        const struct common_register *found = &common_registers[i];
        if (offset == found->offset && size == found->size)
            return found;
        if (found->size == 8 && size == 4 && offset - found->offset < 8)
            return found;
    }
    return NULL;
}

static uint64_t read_queue_register(struct virtio_pci *transport, unsigned which)
{
    const struct virtqueue *queue = virtio_queue(transport->device, transport->queue_select);

    if (!queue)
        return 0;
    switch (which) {
    case QUEUE_SIZE:
        return queue->size;
    case QUEUE_ENABLE:
        return queue->ready;
    case QUEUE_NOTIFY_OFFSET:
    case QUEUE_NOTIFY_DATA:
        return transport->queue_select;
    case QUEUE_DESCRIPTORS:
        return virtio_read_queue_area(queue, VIRTIO_DESCRIPTORS);
    case QUEUE_DRIVER_AREA:
        return virtio_read_queue_area(queue, VIRTIO_DRIVER_AREA);
    case QUEUE_DEVICE_AREA:
        return virtio_read_queue_area(queue, VIRTIO_DEVICE_AREA);
    default:
        return 0;
    }
}

static uint64_t read_register(struct virtio_pci *transport, unsigned which)
{
    struct virtio_device *device = transport->device;

    switch (which) {
    case DEVICE_FEATURES_SELECT:
        return transport->device_features_select;
    case DEVICE_FEATURES:
        return virtio_read_features(device, transport->device_features_select);
    case DRIVER_FEATURES_SELECT:
        return transport->driver_features_select;
    case DRIVER_FEATURES:
        return virtio_read_driver_features(device, transport->driver_features_select);
    case CONFIG_VECTOR:
    case QUEUE_VECTOR:
        return NO_VECTOR;
    case QUEUE_COUNT:
        return device->type->queue_count;
    case STATUS:
        return virtio_read_status(device);
    case CONFIG_GENERATION:
        return device->config_generation;
    case QUEUE_SELECT:
        return transport->queue_select;
    default:
        return read_queue_register(transport, which);
    }
}

static uint64_t read_common(struct virtio_pci *transport, uint64_t offset, unsigned size)
{
    const struct common_register *found = find_register(offset, size);

    if (!found)
        return 0;
    uint64_t value = read_register(transport, found->offset);
    return bits_extract(value, (unsigned)(offset - found->offset) * 8, 8 * size);
}

static void write_queue_register(struct virtio_pci *transport, unsigned which, uint64_t value)
{
    struct virtqueue *queue = virtio_queue(transport->device, transport->queue_select);

    if (!queue)
        return;
    switch (which) {
    case QUEUE_SIZE:
        virtio_write_queue_size(queue, (uint32_t)value);
        break;
    case QUEUE_ENABLE:
        /* Only a reset takes it back (4.1.4.3.2). */
        if (value == 1)
            virtio_queue_enable(transport->device, queue, true);
        break;
    case QUEUE_DESCRIPTORS:
        virtio_write_queue_area(queue, VIRTIO_DESCRIPTORS, value);
        break;
    case QUEUE_DRIVER_AREA:
        virtio_write_queue_area(queue, VIRTIO_DRIVER_AREA, value);
        break;
    case QUEUE_DEVICE_AREA:
        virtio_write_queue_area(queue, VIRTIO_DEVICE_AREA, value);
        break;
    default:
        break;
    }
}

static void write_register(struct virtio_pci *transport, unsigned which, uint64_t value)
{
    switch (which) {
    case DEVICE_FEATURES_SELECT:
        transport->device_features_select = (uint32_t)value;
        break;
    case DRIVER_FEATURES_SELECT:
        transport->driver_features_select = (uint32_t)value;
        break;
    case DRIVER_FEATURES:
        virtio_write_driver_features(transport->device, transport->driver_features_select,
                                     (uint32_t)value);
        break;
    case STATUS:
        virtio_write_status(transport->device, (uint8_t)value);
        /* A reset is one of the transport's registers as well. */
        if (value == 0)
            transport->queue_select = 0;
        break;
    case QUEUE_SELECT:
        transport->queue_select = (uint16_t)value;
        break;
    default:
        write_queue_register(transport, which, value);
        break;
    }
}

static void write_common(struct virtio_pci *transport, uint64_t offset, uint64_t value,
                         unsigned size)
{
    const struct common_register *found = find_register(offset, size);

    if (!found)
        return;
    if (size != found->size)
        value = bits_deposit(read_register(transport, found->offset),
                             (unsigned)(offset - found->offset) * 8, 8 * size, value);
    write_register(transport, found->offset, value);
}

/* Reading the causes acknowledges them (4.1.4.5). */
static uint64_t read_isr(struct virtio_device *device, uint64_t offset)
{
    uint8_t causes = offset == 0 ? virtio_read_isr(device) : 0;

    virtio_acknowledge(device, causes);
    return causes;
}

static uint64_t bar_read(void *object, uint64_t offset, unsigned size)
{
    struct virtio_pci *transport = object;
    uint64_t inside = offset % AREA_SIZE;

    switch ((enum area)(offset / AREA_SIZE)) {
    case AREA_COMMON:
        return read_common(transport, inside, size);
    case AREA_ISR:
        return read_isr(transport->device, inside);
    case AREA_DEVICE:
        return virtio_config_read(transport->device, inside, size);
    case AREA_NOTIFY:
        return 0;
    }
    return 0;
}

static void bar_write(void *object, uint64_t offset, uint64_t value, unsigned size)
{
    struct virtio_pci *transport = object;
    uint64_t inside = offset % AREA_SIZE;

    switch ((enum area)(offset / AREA_SIZE)) {
    case AREA_COMMON:
        write_common(transport, inside, value, size);
        break;
    case AREA_ISR:
        break;
    case AREA_DEVICE:
        virtio_config_write(transport->device, inside, value, size);
        break;
    case AREA_NOTIFY:
        virtio_notify(transport->device, (uint32_t)(inside / NOTIFY_MULTIPLIER));
        break;
    }
}

static const struct mmio_ops bar_ops = {bar_read, bar_write, MMIO_ANY};

/* The access capability (4.1.4.9): firmware reaches the BAR before it is mapped.
 * True with the access it describes, when the data bytes are touched. */
static bool access_described(const struct virtio_pci *transport, unsigned offset, unsigned size,
                             uint32_t *at, uint32_t *length)
{
    const uint8_t *capability = transport->function.config + transport->access_at;
    unsigned data = transport->access_at + CAPABILITY_MORE_AT;

    if (offset + size <= data || offset >= data + 4u)
        return false;
    *at = load_le32(capability + CAPABILITY_OFFSET_AT);
    *length = load_le32(capability + CAPABILITY_SIZE_AT);
    return capability[CAPABILITY_BAR_AT] == BAR && (*length == 1 || *length == 2 || *length == 4) &&
           *at % *length == 0 && *at < BAR_SIZE;
}

static void access_read(struct pci_function *function, unsigned offset, unsigned size)
{
    struct virtio_pci *transport = CONTAINER_OF(function, struct virtio_pci, function);
    uint32_t at;
    uint32_t length;

    if (access_described(transport, offset, size, &at, &length))
        store_le32(function->config + transport->access_at + CAPABILITY_MORE_AT,
                   (uint32_t)bar_read(transport, at, length));
}

static void access_written(struct pci_function *function, unsigned offset, unsigned size)
{
    struct virtio_pci *transport = CONTAINER_OF(function, struct virtio_pci, function);
    uint32_t at;
    uint32_t length;

    if (!access_described(transport, offset, size, &at, &length))
        return;
    uint32_t value = load_le32(function->config + transport->access_at + CAPABILITY_MORE_AT);
    bar_write(transport, at, bits_extract(value, 0, 8 * length), length);
}

static unsigned add_capability(struct pci_function *function, uint8_t type, enum area area,
                               uint8_t size)
{
    unsigned at = pci_function_add_capability(function, CAPABILITY_VENDOR, size);
    uint8_t *bytes = function->initial + at;

    bytes[CAPABILITY_LENGTH_AT] = size;
    bytes[CAPABILITY_TYPE_AT] = type;
    if (type == CAPABILITY_PCI_ACCESS)
        return at;
    bytes[CAPABILITY_BAR_AT] = BAR;
    store_le32(bytes + CAPABILITY_OFFSET_AT, (uint32_t)area * AREA_SIZE);
    store_le32(bytes + CAPABILITY_SIZE_AT, AREA_SIZE);
    return at;
}

static void add_capabilities(struct virtio_pci *transport)
{
    struct pci_function *function = &transport->function;
    unsigned at;

    add_capability(function, CAPABILITY_COMMON, AREA_COMMON, 16);
    add_capability(function, CAPABILITY_ISR, AREA_ISR, 16);
    add_capability(function, CAPABILITY_DEVICE, AREA_DEVICE, 16);
    at = add_capability(function, CAPABILITY_NOTIFY, AREA_NOTIFY, 20);
    store_le32(function->initial + at + CAPABILITY_MORE_AT, NOTIFY_MULTIPLIER);
    at = add_capability(function, CAPABILITY_PCI_ACCESS, AREA_COMMON, 20);
    function->writable[at + CAPABILITY_BAR_AT] = 0xff;
    memset(function->writable + at + CAPABILITY_OFFSET_AT, 0xff, 12);
    transport->access_at = (uint16_t)at;
    function->config_reading = access_read;
    function->config_written = access_written;
}

static void transport_reset(void *object)
{
    struct virtio_pci *transport = object;

    transport->device_features_select = 0;
    transport->driver_features_select = 0;
    transport->queue_select = 0;
    pci_function_reset(&transport->function);
}

static int transport_loaded(void *object, struct error *err)
{
    struct virtio_pci *transport = object;

    return pci_function_loaded(&transport->function, err);
}

static const struct state_field transport_fields[] = {
    STATE_STRUCT(struct virtio_pci, function, &pci_function_state),
    STATE_FIELD(struct virtio_pci, device_features_select),
    STATE_FIELD(struct virtio_pci, driver_features_select),
    STATE_FIELD(struct virtio_pci, queue_select),
};
static const struct state_table transport_state = STATE_TABLE("virtio-pci", 1, transport_fields);

const struct device_ops virtio_pci_ops = {transport_reset, &transport_state, transport_loaded};

void virtio_pci_init(struct virtio_pci *transport, struct virtio_device *device,
                     struct pci_host *host, unsigned slot)
{
    const struct pci_function_config config = {
        .vendor_id = 0x1af4,
        .device_id = (uint16_t)(0x1040 + device->type->device_id),
        .subsystem_vendor_id = 0x1af4,
        .subsystem_id = 0x1100,
        .class_code = device->type->pci_class,
        .revision = 1,
        .interrupt_pin = 1,
    };

    *transport = (struct virtio_pci){.device = device};
    pci_function_init(&transport->function, &config);
    pci_function_add_bar(&transport->function, BAR, BAR_SIZE, PCI_BAR_64, &bar_ops, transport);
    add_capabilities(transport);
    pci_host_plug(host, slot, &transport->function);
    device->irq = (struct irq_line){pci_function_set_irq, &transport->function, 0};
}
