/* SPDX-License-Identifier: Apache-2.0
 * PLIC: routes level interrupts of devices to hart contexts. */
#pragma once

#include "dev/device.h"
#include "mem/space.h"
#include "port/irq.h"

#define PLIC_MAX_SOURCE   127      /* source 0 does not exist */
#define PLIC_MAX_CONTEXTS 128      /* 64 harts, M and S */
#define PLIC_PRIORITIES   8        /* 0 (never) to 7 */
#define PLIC_WORDS        2        /* 64 sources each */
#define PLIC_SIZE         0x600000 /* as QEMU maps it; context 127 ends at 0x280000 */

struct plic_config {
    unsigned source_count;          /* highest source number, 1-127 ("riscv,ndev") */
    unsigned context_count;         /* 2 * hart: M-mode of the hart, 2 * hart + 1: S-mode */
    const struct irq_line *outputs; /* one per context; borrowed for the life of the machine */
};

/* Bitmaps have bit s % 64 of word s / 64 for source s. */
struct plic {
    uint64_t level[PLIC_WORDS];   /* what the wires say */
    uint64_t pending[PLIC_WORDS]; /* latched by the gateway; with claimed: for afterwards */
    uint64_t claimed[PLIC_WORDS]; /* between claim and completion */
    uint64_t enable[PLIC_MAX_CONTEXTS][PLIC_WORDS];
    uint8_t threshold[PLIC_MAX_CONTEXTS];
    uint8_t priority[PLIC_MAX_SOURCE + 1];

    /* Derived: sources of priority p, and of priority above t. */
    uint64_t with_priority[PLIC_PRIORITIES][PLIC_WORDS];
    uint64_t above[PLIC_PRIORITIES][PLIC_WORDS];
    bool output[PLIC_MAX_CONTEXTS]; /* as last reported to outputs[] */
    struct plic_config config;
};

void plic_init(struct plic *plic, const struct plic_config *config);

/* The wire of `source` has `level` now; a high one makes it pending, which a fall
 * does not take back. Fits irq_line.set with the struct plic as
 * owner; source 0 and sources above source_count are ignored. */
void plic_set_source(void *object, unsigned source, bool level);

/* 32-bit accesses only. */
extern const struct mmio_ops plic_mmio;
extern const struct device_ops plic_ops;
