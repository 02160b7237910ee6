/* SPDX-License-Identifier: Apache-2.0
 * Generic ECAM host bridge: bus 0 with up to 32 functions. */
#pragma once

#include "dev/pci/function.h"

#define PCI_SLOTS       32
#define PCI_INTX_LINES  4
#define PCI_MAX_WINDOWS 2
#define PCI_ECAM_SIZE   0x10000000 /* 256 buses */
#define PCI_PIO_SIZE    0x10000

/* A range of guest-physical addresses whose accesses go to whichever BAR is
 * programmed there; PCI addresses equal guest-physical ones. */
struct pci_window {
    struct pci_host *host;
    gpa_t base;
};

/* A BAR as it is decoded now. */
struct pci_mapping {
    uint64_t base;
    uint64_t size;
    const struct pci_bar *bar;
};

struct pci_host_config {
    struct irq_line intx[PCI_INTX_LINES]; /* slot s, pin p (1-4): line (s + p - 1) % 4 */
    gpa_t windows[PCI_MAX_WINDOWS];       /* base of the 32-bit and the 64-bit window */
};

struct pci_host {
    struct pci_function *slots[PCI_SLOTS];
    struct pci_function bridge; /* 00:00.0 */
    struct pci_window windows[PCI_MAX_WINDOWS];

    /* Derived from the functions: */
    uint32_t intx[PCI_INTX_LINES]; /* slots that pull each line */
    unsigned mapping_count;
    struct pci_mapping mappings[PCI_SLOTS * PCI_BARS];
    struct pci_host_config config;
};

/* The board maps: pci_ecam_mmio with the host as device; pci_window_mmio with
 * &host->windows[i] at config->windows[i]; pci_pio_mmio with the host. */
void pci_host_init(struct pci_host *host, const struct pci_host_config *config);

/* Puts `function` at device number `slot` (1-31, free); it outlives the host. */
void pci_host_plug(struct pci_host *host, unsigned slot, struct pci_function *function);

/* For functions: their decoding, or their interrupt, may have changed. */
void pci_host_remap(struct pci_host *host);
void pci_host_update_irq(struct pci_host *host, const struct pci_function *function);

/* One access to whatever BAR lies at `at`; all ones, or nothing, where none. */
uint64_t pci_host_read(struct pci_host *host, uint64_t at, unsigned size);
void pci_host_write(struct pci_host *host, uint64_t at, uint64_t value, unsigned size);

extern const struct mmio_ops pci_ecam_mmio;
extern const struct mmio_ops pci_window_mmio;
extern const struct mmio_ops pci_pio_mmio;

/* The bridge's own state; plugged functions are listed of their own, with
 * pci_function_ops. */
extern const struct device_ops pci_host_ops;
