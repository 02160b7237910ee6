/* SPDX-License-Identifier: Apache-2.0
 * HTIF: the `tohost`/`fromhost` words through which RISC-V test programs end,
 * print and call the host. */
#pragma once

#include "dev/device.h"
#include "mem/space.h"
#include "port/power.h"
#include "port/stream.h"

/* The device lies over the RAM pages [base, base + size) that hold tohost; every
 * other byte of them goes on behaving like RAM. */
struct htif_config {
    const struct space *space; /* for system calls, and fromhost outside of the pages */
    gpa_t base;
    uint64_t size;  /* bytes, whole pages */
    uint8_t *bytes; /* the RAM below, borrowed for the life of the machine */
    gpa_t tohost;   /* 8 bytes, aligned, within the pages */
    gpa_t fromhost; /* 8 bytes, aligned, anywhere in RAM; 0: there is none */
    struct power_port power;
    struct stream_port console;
};

struct htif {
    bool low_written;  /* the low word of tohost came alone; the high one may follow */
    bool output_waits; /* `output` is not taken yet: tohost stays busy */
    bool input_wanted; /* the guest asked for a byte of input */
    uint8_t output;
    struct htif_config config;
};

void htif_init(struct htif *htif, const struct htif_config *config);

struct stream_handler htif_handler(struct htif *htif);

extern const struct mmio_ops htif_mmio;
extern const struct device_ops htif_ops;
