/* SPDX-License-Identifier: Apache-2.0
 * Generic ECAM host bridge (PCI Express Base 7.2.2; "pci-host-ecam-generic").
 *
 * Bus 0 only, one function per device number. The BARs that are decoded are kept
 * as a flat list, made again at each change of a BAR or command register: such
 * writes are rare, accesses are not. */
#include "dev/pci/host.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/endian.h"

static struct pci_function *ecam_function(struct pci_host *host, uint64_t offset)
{
    uint64_t bus = offset >> 20;
    uint64_t slot = (offset >> 15) & 31;
    uint64_t function = (offset >> 12) & 7;

    return bus == 0 && function == 0 ? host->slots[slot] : NULL;
}

static uint64_t ecam_read(void *device, uint64_t offset, unsigned size)
{
    struct pci_host *host = device;
    struct pci_function *function = ecam_function(host, offset);
    unsigned at = offset & 0xfff;

    if (!function)
        return bits_mask(8 * size);
    if (size < 8)
        return pci_function_read(function, at, size);
    return pci_function_read(function, at, 4) | (uint64_t)pci_function_read(function, at + 4, 4)
                                                    << 32;
}

static void ecam_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_host *host = device;
    struct pci_function *function = ecam_function(host, offset);
    unsigned at = offset & 0xfff;

    if (!function)
        return;
    pci_function_write(function, at, (uint32_t)value, MIN(size, 4));
    if (size == 8)
        pci_function_write(function, at + 4, (uint32_t)(value >> 32), 4);
}

const struct mmio_ops pci_ecam_mmio = {ecam_read, ecam_write, MMIO_ANY};

void pci_host_remap(struct pci_host *host)
{
    unsigned count = 0;

    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        const struct pci_function *function = host->slots[slot];
        for (unsigned i = 0; function && i < PCI_BARS; i++) {
            uint64_t base;
            if (pci_function_bar_address(function, i, &base))
                host->mappings[count++] =
                    (struct pci_mapping){base, function->bars[i].size, &function->bars[i]};
        }
    }
    host->mapping_count = count;
}

static const struct pci_mapping *find_mapping(const struct pci_host *host, uint64_t at,
                                              unsigned size)
{
    for (unsigned i = 0; i < host->mapping_count; i++)
        if (at - host->mappings[i].base < host->mappings[i].size)
            return host->mappings[i].bar->ops->sizes & size ? &host->mappings[i] : NULL;
    return NULL;
}

uint64_t pci_host_read(struct pci_host *host, uint64_t at, unsigned size)
{
    const struct pci_mapping *mapping = find_mapping(host, at, size);

    if (!mapping)
        return bits_mask(8 * size);
    return mapping->bar->ops->read(mapping->bar->device, at - mapping->base, size);
}

void pci_host_write(struct pci_host *host, uint64_t at, uint64_t value, unsigned size)
{
    const struct pci_mapping *mapping = find_mapping(host, at, size);

    if (mapping)
        mapping->bar->ops->write(mapping->bar->device, at - mapping->base, value, size);
}

static uint64_t window_read(void *device, uint64_t offset, unsigned size)
{
    const struct pci_window *window = device;

    return pci_host_read(window->host, window->base + offset, size);
}

static void window_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    const struct pci_window *window = device;

    pci_host_write(window->host, window->base + offset, value, size);
}

const struct mmio_ops pci_window_mmio = {window_read, window_write, MMIO_ANY};

/* No function has I/O ports: the window answers as an empty bus does. */
static uint64_t pio_read(void *device, uint64_t offset, unsigned size)
{
    (void)device;
    (void)offset;
    return bits_mask(8 * size);
}

static void pio_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    (void)device;
    (void)offset;
    (void)value;
    (void)size;
}

const struct mmio_ops pci_pio_mmio = {pio_read, pio_write, MMIO_ANY};

void pci_host_update_irq(struct pci_host *host, const struct pci_function *function)
{
    unsigned pin = function->config[PCI_INTERRUPT_PIN];
    uint16_t command = load_le16(function->config + PCI_COMMAND);
    bool level = function->interrupt && !(command & PCI_COMMAND_INTX_DISABLE);

    if (pin == 0)
        return;
    unsigned line = (function->slot + pin - 1) % PCI_INTX_LINES;
    host->intx[line] = (uint32_t)bits_deposit(host->intx[line], function->slot, 1, level);
    irq_set(&host->config.intx[line], host->intx[line] != 0);
}

static void plug(struct pci_host *host, unsigned slot, struct pci_function *function)
{
    ASSERT(slot < PCI_SLOTS && !host->slots[slot] && !function->host);
    ASSERT(function->initial[PCI_INTERRUPT_PIN] <= 4);
    function->slot = slot;
    function->host = host;
    host->slots[slot] = function;
    pci_function_reset(function);
}

void pci_host_plug(struct pci_host *host, unsigned slot, struct pci_function *function)
{
    ASSERT(slot != 0);
    plug(host, slot, function);
}

static void host_reset(void *object)
{
    struct pci_host *host = object;

    pci_function_reset(&host->bridge);
}

static int host_loaded(void *object, struct error *err)
{
    struct pci_host *host = object;

    return pci_function_loaded(&host->bridge, err);
}

static const struct state_field host_fields[] = {
    STATE_STRUCT(struct pci_host, bridge, &pci_function_state),
};
static const struct state_table host_state = STATE_TABLE("pci-host", 1, host_fields);

const struct device_ops pci_host_ops = {host_reset, &host_state, host_loaded};

void pci_host_init(struct pci_host *host, const struct pci_host_config *config)
{
    /* The generic ECAM bridge that guests of QEMU's virt board know. */
    static const struct pci_function_config bridge = {
        .vendor_id = 0x1b36,
        .device_id = 0x0008,
        .subsystem_vendor_id = 0x1af4,
        .subsystem_id = 0x1100,
        .class_code = 0x060000,
    };

    *host = (struct pci_host){.config = *config};
    for (unsigned i = 0; i < PCI_MAX_WINDOWS; i++)
        host->windows[i] = (struct pci_window){host, config->windows[i]};
    pci_function_init(&host->bridge, &bridge);
    plug(host, 0, &host->bridge);
}
