/* SPDX-License-Identifier: Apache-2.0
 * 16550A UART: the console every RISC-V firmware and kernel knows. */
#pragma once

#include "dev/device.h"
#include "mem/space.h"
#include "port/irq.h"
#include "port/stream.h"

#define NS16550_FIFO_SIZE 16

struct ns16550_config {
    struct irq_line irq;
    struct stream_port output;
};

/* Touched under the device lock only. */
struct ns16550 {
    uint8_t ier;
    uint8_t fcr; /* bit 0 FIFOs enabled, bits 6-7 receive trigger; the rest reads 0 */
    uint8_t lcr;
    uint8_t mcr;
    uint8_t scr;
    uint8_t dll;
    uint8_t dlm;
    uint8_t lsr_errors; /* LSR bits 1-4, cleared by reading LSR */
    uint8_t msr_delta;  /* MSR bits 0-3, cleared by reading MSR */
    bool thre_pending;  /* the transmitter-empty interrupt waits to be seen */
    bool thre_told;     /* the wire was pulsed for it */
    uint8_t rx_count;   /* rx[0] is the oldest byte */
    uint8_t tx_count;   /* bytes the stream has not taken yet; tx[0] is the oldest */
    uint8_t rx[NS16550_FIFO_SIZE];
    uint8_t tx[NS16550_FIFO_SIZE];

    bool input_waits; /* receive() took less than it was offered; not saved */
    struct ns16550_config config;
};

/* Makes `uart` as after power-on. The caller owns the memory for the life of the
 * machine; the ports in `config` are copied. */
void ns16550_init(struct ns16550 *uart, const struct ns16550_config *config);

/* What the back end calls with input and when it takes output again. */
struct stream_handler ns16550_handler(struct ns16550 *uart);

/* Registers are bytes at offsets 0-7 (reg-shift 0) of a region of any size; a
 * wider access reaches the one register at its offset. Object: struct ns16550. */
extern const struct mmio_ops ns16550_mmio;
extern const struct device_ops ns16550_ops;
