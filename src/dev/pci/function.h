/* SPDX-License-Identifier: Apache-2.0
 * One PCI function: configuration space, base address registers, INTx. What a
 * device embeds to be pluggable into struct pci_host. */
#pragma once

#include "dev/device.h"
#include "mem/space.h"
#include "port/irq.h"

#define PCI_CONFIG_SIZE 256
#define PCI_BARS        6

/* Configuration space offsets (PCI 3.0, 6.1). */
enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS = 0x09, /* 3 bytes: interface, subclass, class */
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
    PCI_CAPABILITY_FIRST = 0x40,
};

enum {
    PCI_COMMAND_MEMORY = 0x0002,
    PCI_COMMAND_BUS_MASTER = 0x0004,
    PCI_COMMAND_INTX_DISABLE = 0x0400,
    PCI_STATUS_INTERRUPT = 0x0008,
    PCI_STATUS_CAPABILITIES = 0x0010,
};

enum pci_bar_flags {
    PCI_BAR_64 = 1, /* takes two registers */
    PCI_BAR_PREFETCHABLE = 2,
};

/* A memory range behind a base address register. */
struct pci_bar {
    uint64_t size;              /* power of two, at least 16; 0: none */
    const struct mmio_ops *ops; /* sees offsets within the range */
    void *device;
    bool is_64;
};

struct pci_function_config {
    uint16_t vendor_id;
    uint16_t device_id;
    uint16_t subsystem_vendor_id;
    uint16_t subsystem_id;
    uint32_t class_code; /* 24 bits */
    uint8_t revision;
    uint8_t interrupt_pin; /* 0 none, 1 INTA ... 4 INTD */
};

struct pci_host;

struct pci_function {
    uint8_t config[PCI_CONFIG_SIZE];

    /* Fixed once the machine runs. */
    uint8_t initial[PCI_CONFIG_SIZE];  /* config after reset */
    uint8_t writable[PCI_CONFIG_SIZE]; /* bits the guest may change */
    struct pci_bar bars[PCI_BARS];
    uint16_t capability_last; /* offset of the capability added last, 0 none */
    uint16_t capability_end;  /* first free byte */
    /* Called before a read and after a write of configuration space that the
     * device gives a meaning of its own. May be NULL. */
    void (*config_reading)(struct pci_function *function, unsigned offset, unsigned size);
    void (*config_written)(struct pci_function *function, unsigned offset, unsigned size);

    bool interrupt;        /* the device wants INTx; follows from the device's state */
    unsigned slot;         /* device number on bus 0 */
    struct pci_host *host; /* NULL: not plugged in */
};

void pci_function_init(struct pci_function *function, const struct pci_function_config *config);

/* Before pci_host_plug. `index` 0-5; PCI_BAR_64 takes index + 1 as well. */
void pci_function_add_bar(struct pci_function *function, unsigned index, uint64_t size,
                          unsigned flags, const struct mmio_ops *ops, void *device);

/* Appends a capability of `size` bytes (header included) with `id`; returns its
 * offset. The caller fills the bytes behind the 2-byte header through
 * function->initial and ->writable, before pci_host_plug. */
unsigned pci_function_add_capability(struct pci_function *function, uint8_t id, unsigned size);

/* The device's interrupt: fits irq_line.set with the struct
 * pci_function as owner. */
void pci_function_set_irq(void *object, unsigned number, bool level);

/* Configuration access inside the 256 bytes; `size` 1, 2 or 4, aligned. */
uint32_t pci_function_read(struct pci_function *function, unsigned offset, unsigned size);
void pci_function_write(struct pci_function *function, unsigned offset, uint32_t value,
                        unsigned size);

/* True, with its first address, while the range is decoded. */
bool pci_function_bar_address(const struct pci_function *function, unsigned index,
                              uint64_t *address);

/* For the device_ops of whatever embeds a function. Only the configuration
 * space; the device behind it is listed of its own. */
extern const struct state_table pci_function_state;
void pci_function_reset(struct pci_function *function);
MUST_CHECK int pci_function_loaded(struct pci_function *function, struct error *err);

/* Object: struct pci_function. */
extern const struct device_ops pci_function_ops;
