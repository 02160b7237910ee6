/* SPDX-License-Identifier: Apache-2.0
 * Addresses and interrupt numbers of the board (product: "The board"), which are
 * those of QEMU's `virt` machine. */
#pragma once

#include "base/types.h"

#define BOARD_TIMEBASE_HZ 10000000u
#define BOARD_NS_PER_TICK (1000000000u / BOARD_TIMEBASE_HZ)

enum board_irq {
    IRQ_VIRTIO_FIRST = 1, /* one per virtio-mmio slot */
    IRQ_UART = 10,
    IRQ_RTC = 11,
    IRQ_PCI_FIRST = 32, /* INTA to INTD */
    IRQ_COUNT = 95,     /* highest source, as QEMU says it ("riscv,ndev") */
};

/* clang-format off */
#define BOARD_ROM_BASE       UINT64_C(0x00001000)
#define BOARD_ROM_SIZE       UINT64_C(0x0000f000)
#define BOARD_FINISHER_BASE  UINT64_C(0x00100000)
#define BOARD_FINISHER_SIZE  UINT64_C(0x00001000)
#define BOARD_RTC_BASE       UINT64_C(0x00101000)
#define BOARD_RTC_SIZE       UINT64_C(0x00001000)
#define BOARD_CLINT_BASE     UINT64_C(0x02000000)
#define BOARD_CLINT_SIZE     UINT64_C(0x00010000)
#define BOARD_PCI_PIO_BASE   UINT64_C(0x03000000)
#define BOARD_PCI_PIO_SIZE   UINT64_C(0x00010000)
#define BOARD_PLIC_BASE      UINT64_C(0x0c000000)
#define BOARD_PLIC_SIZE      UINT64_C(0x00600000)
#define BOARD_UART_BASE      UINT64_C(0x10000000)
#define BOARD_UART_SIZE      UINT64_C(0x00001000)
#define BOARD_UART_CLOCK_HZ  3686400u
#define BOARD_VIRTIO_BASE    UINT64_C(0x10001000)
#define BOARD_VIRTIO_SIZE    UINT64_C(0x00001000)
#define BOARD_VIRTIO_SLOTS   8u
#define BOARD_ECAM_BASE      UINT64_C(0x30000000)
#define BOARD_ECAM_SIZE      UINT64_C(0x10000000)
#define BOARD_PCI_MMIO_BASE  UINT64_C(0x40000000)
#define BOARD_PCI_MMIO_SIZE  UINT64_C(0x40000000)
/* Above RAM, naturally aligned. */
#define BOARD_PCI_HIGH_SIZE  UINT64_C(0x400000000)
/* clang-format on */
