/* SPDX-License-Identifier: Apache-2.0
 * One PCI function (PCI Local Bus 3.0, chapter 6).
 *
 * Configuration space is bytes with a mask of writable bits. A base address
 * register needs no more: address bits below the size are not writable, so
 * writing all ones and reading back gives the size. */
#include "dev/pci/function.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/errno.h"
#include "dev/pci/host.h"

enum {
    BAR_MEMORY_64 = 0x4,
    BAR_PREFETCHABLE = 0x8,
    BAR_FLAGS = 0xf,
    COMMAND_WRITABLE =
        PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER | PCI_COMMAND_INTX_DISABLE | 0x0140,
};

void pci_function_init(struct pci_function *function, const struct pci_function_config *config)
{
    *function = (struct pci_function){.capability_end = PCI_CAPABILITY_FIRST};
    uint8_t *initial = function->initial;
    store_le16(initial + PCI_VENDOR_ID, config->vendor_id);
    store_le16(initial + PCI_DEVICE_ID, config->device_id);
    store_le16(initial + PCI_SUBSYSTEM_VENDOR_ID, config->subsystem_vendor_id);
    store_le16(initial + PCI_SUBSYSTEM_ID, config->subsystem_id);
    store_le32(initial + PCI_REVISION, config->class_code << 8 | config->revision);
    initial[PCI_INTERRUPT_PIN] = config->interrupt_pin;
    store_le16(function->writable + PCI_COMMAND, COMMAND_WRITABLE);
    function->writable[PCI_INTERRUPT_LINE] = 0xff;
    memcpy(function->config, initial, PCI_CONFIG_SIZE);
}

void pci_function_add_bar(struct pci_function *function, unsigned index, uint64_t size,
                          unsigned flags, const struct mmio_ops *ops, void *device)
{
    bool is_64 = (flags & PCI_BAR_64) != 0;
    unsigned at = PCI_BAR0 + 4 * index;
    uint64_t mask = ~(size - 1);

    ASSERT(!function->host && bits_is_power_of_two(size) && size >= 16);
    ASSERT(index + is_64 < PCI_BARS && (is_64 || size <= 2 * GIB));
    function->bars[index] = (struct pci_bar){size, ops, device, is_64};
    function->initial[at] = (uint8_t)((is_64 ? BAR_MEMORY_64 : 0) |
                                      (flags & PCI_BAR_PREFETCHABLE ? BAR_PREFETCHABLE : 0));
    store_le32(function->writable + at, (uint32_t)mask);
    if (is_64)
        store_le32(function->writable + at + 4, (uint32_t)(mask >> 32));
}

unsigned pci_function_add_capability(struct pci_function *function, uint8_t id, unsigned size)
{
    unsigned at = function->capability_end;

    ASSERT(!function->host && size >= 2 && at + size <= PCI_CONFIG_SIZE);
    function->initial[at] = id;
    if (function->capability_last)
        function->initial[function->capability_last + 1] = (uint8_t)at;
    else
        function->initial[PCI_CAPABILITIES] = (uint8_t)at;
    function->initial[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    function->capability_last = (uint16_t)at;
    function->capability_end = (uint16_t)bits_align_up(at + size, 4);
    return at;
}

void pci_function_set_irq(void *object, unsigned number, bool level)
{
    struct pci_function *function = object;

    (void)number;
    function->interrupt = level;
    if (function->host)
        pci_host_update_irq(function->host, function);
}

uint32_t pci_function_read(struct pci_function *function, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    if (offset >= PCI_CONFIG_SIZE || size > PCI_CONFIG_SIZE - offset)
        return 0;
    if (function->config_reading)
        function->config_reading(function, offset, size);
    function->config[PCI_STATUS] = function->initial[PCI_STATUS];
    if (function->interrupt)
        function->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    memcpy(&value, function->config + offset, size);
    return value;
}

void pci_function_write(struct pci_function *function, unsigned offset, uint32_t value,
                        unsigned size)
{
    if (offset >= PCI_CONFIG_SIZE || size > PCI_CONFIG_SIZE - offset)
        return;
    for (unsigned i = 0; i < size; i++) {
        unsigned mask = function->writable[offset + i];
        unsigned byte = value >> (8 * i);
        function->config[offset + i] =
            (uint8_t)((function->config[offset + i] & ~mask) | (byte & mask));
    }
    if (function->host && offset < PCI_BAR0 + 4 * PCI_BARS) {
        pci_host_remap(function->host);
        pci_host_update_irq(function->host, function);
    }
    if (function->config_written)
        function->config_written(function, offset, size);
}

bool pci_function_bar_address(const struct pci_function *function, unsigned index,
                              uint64_t *address)
{
    const uint8_t *registers = function->config + PCI_BAR0 + (size_t)4 * index;

    if (function->bars[index].size == 0 ||
        !(load_le16(function->config + PCI_COMMAND) & PCI_COMMAND_MEMORY))
        return false;
    *address = load_le32(registers) & ~(uint64_t)BAR_FLAGS;
    if (function->bars[index].is_64)
        *address |= (uint64_t)load_le32(registers + 4) << 32;
    return true;
}

void pci_function_reset(struct pci_function *function)
{
    memcpy(function->config, function->initial, PCI_CONFIG_SIZE);
    if (function->host) {
        pci_host_remap(function->host);
        pci_host_update_irq(function->host, function);
    }
}

int pci_function_loaded(struct pci_function *function, struct error *err)
{
    function->config[PCI_STATUS] = function->initial[PCI_STATUS];
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        if ((function->config[i] ^ function->initial[i]) & ~(unsigned)function->writable[i])
            return error_set(err, -EPROTO,
                             "saved state: PCI slot %u: byte 0x%x of the configuration space is "
                             "that of another device",
                             function->slot, i);
    if (function->host) {
        pci_host_remap(function->host);
        pci_host_update_irq(function->host, function);
    }
    return 0;
}

static void reset_object(void *object)
{
    pci_function_reset(object);
}

static int loaded_object(void *object, struct error *err)
{
    return pci_function_loaded(object, err);
}

static const struct state_field function_fields[] = {
    STATE_ARRAY(struct pci_function, config),
};
const struct state_table pci_function_state = STATE_TABLE("pci-function", 1, function_fields);

const struct device_ops pci_function_ops = {reset_object, &pci_function_state, loaded_object};
