/* SPDX-License-Identifier: Apache-2.0
 * Bit positions of the machine, supervisor and unprivileged registers (RISC-V
 * privileged architecture 1.13) and the numbers of causes. */
#pragma once

#include "base/bits.h"

enum privilege {
    PRIV_U = 0,
    PRIV_S = 1,
    PRIV_M = 3,
};

/* mstatus and sstatus */
#define MSTATUS_SIE       BIT(1)
#define MSTATUS_MIE       BIT(3)
#define MSTATUS_SPIE      BIT(5)
#define MSTATUS_MPIE      BIT(7)
#define MSTATUS_SPP       BIT(8)
#define MSTATUS_MPP_SHIFT 11
#define MSTATUS_MPP       (UINT64_C(3) << MSTATUS_MPP_SHIFT)
#define MSTATUS_FS_SHIFT  13
#define MSTATUS_FS        (UINT64_C(3) << MSTATUS_FS_SHIFT)
#define MSTATUS_MPRV      BIT(17)
#define MSTATUS_SUM       BIT(18)
#define MSTATUS_MXR       BIT(19)
#define MSTATUS_TVM       BIT(20)
#define MSTATUS_TW        BIT(21)
#define MSTATUS_TSR       BIT(22)
#define MSTATUS_UXL_64    (UINT64_C(2) << 32)
#define MSTATUS_SXL_64    (UINT64_C(2) << 34)
#define MSTATUS_SD        BIT(63)

/* mip, mie, mideleg: bit = cause number of the interrupt */
#define IRQ_SSIP       BIT(1)
#define IRQ_MSIP       BIT(3)
#define IRQ_STIP       BIT(5)
#define IRQ_MTIP       BIT(7)
#define IRQ_SEIP       BIT(9)
#define IRQ_MEIP       BIT(11)
#define IRQ_SUPERVISOR (IRQ_SSIP | IRQ_STIP | IRQ_SEIP)
#define IRQ_MACHINE    (IRQ_MSIP | IRQ_MTIP | IRQ_MEIP)

/* menvcfg, senvcfg */
#define ENVCFG_FIOM       BIT(0)
#define ENVCFG_CBIE_SHIFT 4
#define ENVCFG_CBIE       (UINT64_C(3) << ENVCFG_CBIE_SHIFT)
#define ENVCFG_CBCFE      BIT(6)
#define ENVCFG_CBZE       BIT(7)
#define MENVCFG_ADUE      BIT(61)
#define MENVCFG_PBMTE     BIT(62)
#define MENVCFG_STCE      BIT(63)

/* mcounteren, scounteren, mcountinhibit */
#define COUNTER_CY BIT(0)
#define COUNTER_TM BIT(1)
#define COUNTER_IR BIT(2)

/* satp */
#define SATP_MODE_SHIFT 60
#define SATP_ASID_SHIFT 44
#define SATP_ASID_BITS  16
#define SATP_PPN_MASK   bits_mask(44)
enum satp_mode {
    SATP_BARE = 0,
    SATP_SV39 = 8,
    SATP_SV48 = 9,
    SATP_SV57 = 10,
};

/* page-table entries */
#define PTE_V          BIT(0)
#define PTE_R          BIT(1)
#define PTE_W          BIT(2)
#define PTE_X          BIT(3)
#define PTE_U          BIT(4)
#define PTE_G          BIT(5)
#define PTE_A          BIT(6)
#define PTE_D          BIT(7)
#define PTE_PPN_SHIFT  10
#define PTE_RESERVED   (UINT64_C(0x7f) << 54)
#define PTE_PBMT_SHIFT 61
#define PTE_PBMT       (UINT64_C(3) << PTE_PBMT_SHIFT)
#define PTE_N          BIT(63)

/* exception causes (mcause without the interrupt bit) */
enum cause {
    CAUSE_FETCH_MISALIGNED = 0,
    CAUSE_FETCH_ACCESS = 1,
    CAUSE_ILLEGAL_INSTRUCTION = 2,
    CAUSE_BREAKPOINT = 3,
    CAUSE_LOAD_MISALIGNED = 4,
    CAUSE_LOAD_ACCESS = 5,
    CAUSE_STORE_MISALIGNED = 6,
    CAUSE_STORE_ACCESS = 7,
    CAUSE_ECALL_U = 8,
    CAUSE_ECALL_S = 9,
    CAUSE_ECALL_M = 11,
    CAUSE_FETCH_PAGE = 12,
    CAUSE_LOAD_PAGE = 13,
    CAUSE_STORE_PAGE = 15,
};
#define CAUSE_INTERRUPT BIT(63)
/* What medeleg can delegate: all of the above but an ecall from M-mode. */
#define CAUSE_DELEGABLE UINT64_C(0xb3ff)

/* fcsr */
#define FCSR_FLAGS_MASK 0x1fu
#define FCSR_RM_SHIFT   5
