/* SPDX-License-Identifier: Apache-2.0
 * What all virtio devices share, whatever the transport: features, the status
 * register, queues, configuration space, interrupts (virtio 1.2, sections 2
 * and 3). A device type embeds `struct virtio_device`; a transport drives it. */
#pragma once

#include "base/attributes.h"
#include "base/bits.h"
#include "base/error.h"
#include "dev/virtio/queue.h"
#include "port/irq.h"

#define VIRTIO_MAX_QUEUES 8
#define VIRTIO_MAX_CONFIG 136

/* Device status bits (2.1). */
enum {
    VIRTIO_STATUS_ACKNOWLEDGE = 1,
    VIRTIO_STATUS_DRIVER = 2,
    VIRTIO_STATUS_DRIVER_OK = 4,
    VIRTIO_STATUS_FEATURES_OK = 8,
    VIRTIO_STATUS_NEEDS_RESET = 64,
    VIRTIO_STATUS_FAILED = 128,
};

/* Interrupt causes, as the ISR status register has them. */
enum {
    VIRTIO_ISR_QUEUE = 1,
    VIRTIO_ISR_CONFIG = 2,
};

/* Feature bits of every device (6). */
#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_VERSION_1     BIT(32)
#define VIRTIO_F_RING_PACKED   BIT(34)
#define VIRTIO_F_COMMON \
    (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED)

struct virtio_device;

/* A kind of device. Constant. Functions run under the device lock. */
struct virtio_type {
    const char *name;   /* for logs */
    uint16_t device_id; /* 5 */
    uint16_t queue_count;
    uint16_t queue_size; /* largest, per queue */
    uint32_t pci_class;  /* 24 bits: class, subclass, interface */
    /* The driver may have added chains to `queue`. Only called while running. */
    void (*notify)(struct virtio_device *device, unsigned queue);
    /* Back to power-on; requests in flight become orphans. May be NULL. */
    void (*reset)(struct virtio_device *device);
    /* The driver wrote config[offset..offset + size). NULL: read-only. */
    void (*config_write)(struct virtio_device *device, unsigned offset, uint64_t value,
                         unsigned size);
    /* False while a back end may still touch guest memory. NULL: always idle. */
    bool (*is_idle)(const struct virtio_device *device);
};

struct virtio_device {
    uint64_t driver_features; /* accepted by the driver */
    uint8_t status;
    uint8_t isr; /* VIRTIO_ISR_*; the interrupt line is isr != 0 */
    uint8_t config_generation;
    bool work_waits; /* a budget ran out: go on at the next access of the driver */
    struct virtqueue queues[VIRTIO_MAX_QUEUES];

    /* Scratch for one chain at a time. */
    struct virtio_chain chain;

    /* Wiring, and what the type sets up. */
    const struct virtio_type *type;
    const struct space *space;
    uint64_t features;   /* offered */
    struct irq_line irq; /* set by the transport */
    unsigned config_size;
    uint8_t config[VIRTIO_MAX_CONFIG]; /* little-endian, as the driver reads it */
};

extern const struct state_table virtio_device_state;

/* --- for device types --- */

/* `features`: what the type offers on top of VIRTIO_F_COMMON. */
void virtio_device_init(struct virtio_device *device, const struct virtio_type *type,
                        const struct space *space, uint64_t features);

/* True when the driver has set the device up and nothing is broken. */
bool virtio_is_running(const struct virtio_device *device);
bool virtio_has_feature(const struct virtio_device *device, uint64_t feature);

/* The next chain of queue number `queue` in device->chain, or NULL: none, not
 * running, or the driver broke a rule and the device needs a reset now. */
struct virtio_chain *virtio_pop(struct virtio_device *device, unsigned queue);

/* Gives a chain back and interrupts if the driver wants that. Stale tokens are
 * dropped. */
void virtio_push(struct virtio_device *device, unsigned queue, const struct virtio_token *token,
                 uint32_t written);

/* The same for several chains in the order in which they were taken: the driver sees all
 * of them or none. */
void virtio_push_all(struct virtio_device *device, unsigned queue, const struct virtio_used *used,
                     unsigned count);

/* The driver broke a rule: status DEVICE_NEEDS_RESET, a configuration interrupt,
 * and nothing more until the reset. */
void virtio_needs_reset(struct virtio_device *device, const char *why);

/* The configuration space changed: new generation, interrupt. */
void virtio_config_changed(struct virtio_device *device);

/* A device stopped in the middle of its work because a budget ran out: interrupts
 * the driver, and notifies all queues again at its next access. */
void virtio_work_waits(struct virtio_device *device);

/* For device_ops.reset and .loaded of a type. */
void virtio_device_reset(struct virtio_device *device);
MUST_CHECK int virtio_device_loaded(struct virtio_device *device, struct error *err);

/* --- for transports --- */

enum virtio_area {
    VIRTIO_DESCRIPTORS,
    VIRTIO_DRIVER_AREA,
    VIRTIO_DEVICE_AREA,
};

/* 32 features at a time; `select` 0 or 1, others read 0. */
uint32_t virtio_read_features(const struct virtio_device *device, uint32_t select);
uint32_t virtio_read_driver_features(const struct virtio_device *device, uint32_t select);
void virtio_write_driver_features(struct virtio_device *device, uint32_t select, uint32_t value);

/* After a reset the status reads 0 only once the device is idle. */
uint8_t virtio_read_status(struct virtio_device *device);
void virtio_write_status(struct virtio_device *device, uint8_t value);

/* NULL when the device has no such queue. */
struct virtqueue *virtio_queue(struct virtio_device *device, uint32_t index);
void virtio_write_queue_size(struct virtqueue *queue, uint32_t size);
uint64_t virtio_read_queue_area(const struct virtqueue *queue, enum virtio_area area);
void virtio_write_queue_area(struct virtqueue *queue, enum virtio_area area, uint64_t value);
void virtio_queue_enable(struct virtio_device *device, struct virtqueue *queue, bool enable);
void virtio_notify(struct virtio_device *device, uint32_t queue);

/* Reads the interrupt causes / acknowledges those in `mask`. */
uint8_t virtio_read_isr(struct virtio_device *device);
void virtio_acknowledge(struct virtio_device *device, uint8_t mask);

/* Configuration space; bytes beyond its end read 0. `size` 1, 2, 4 or 8. */
uint64_t virtio_config_read(struct virtio_device *device, uint64_t offset, unsigned size);
void virtio_config_write(struct virtio_device *device, uint64_t offset, uint64_t value,
                         unsigned size);
