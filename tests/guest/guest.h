/* SPDX-License-Identifier: Apache-2.0
 * What the bare-metal tests share. They print lines over the UART:
 *
 *     show_...  facts; the expected ones were printed by QEMU
 *     check     "ok NAME" or "FAIL NAME got want": the specification is the
 *               reference, because QEMU 7.2 has not got the feature or differs
 *
 * Lines never hold addresses of the program itself, so that the expected output
 * does not depend on the compiler. */
#pragma once

#include "guest_asm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE         4096ul
#define BIT(n)       (1ul << (n))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define RAM     0x80000000ul
#define UART    0x10000000ul
#define CLINT   0x02000000ul
#define PLIC    0x0c000000ul
#define NOTHING 0x08000000ul /* no device here */

enum mode {
    U = 0,
    S = 1,
    M = 3,
};

struct trap {
    uint64_t cause;
    uint64_t epc;
    uint64_t tval;
    uint64_t status;
    uint64_t a0; /* what the function returned, when it did */
};

struct hart_area {
    uint64_t saved[14];
    uint64_t exit;       /* where functions return to: exit_call, or an alias of it */
    uint64_t active;     /* inside call_in */
    uint64_t s_taken;    /* the S-mode handler was entered */
    uint64_t keep_stvec; /* the test has set stvec itself */
    struct trap m;
    struct trap s;
};
_Static_assert(offsetof(struct hart_area, exit) == AREA_EXIT, "ORDER AREA");
_Static_assert(offsetof(struct hart_area, active) == AREA_ACTIVE, "ORDER AREA");
_Static_assert(offsetof(struct hart_area, s_taken) == AREA_S_TAKEN, "ORDER AREA");
_Static_assert(offsetof(struct hart_area, keep_stvec) == AREA_KEEP_STVEC, "ORDER AREA");
_Static_assert(offsetof(struct hart_area, m) == AREA_M, "ORDER AREA");
_Static_assert(offsetof(struct hart_area, s) == AREA_S, "ORDER AREA");
_Static_assert(sizeof(struct hart_area) <= AREA_SIZE, "ORDER AREA");

/* ---- CSRs by name or number ---- */

#define STRING_(x) #x
#define STRING(x)  STRING_(x)
#define csr_read(csr)                                                       \
    ({                                                                      \
        uint64_t value_;                                                    \
        __asm__ volatile("csrr %0, " STRING(csr) : "=r"(value_)::"memory"); \
        value_;                                                             \
    })
#define csr_write(csr, value) \
    __asm__ volatile("csrw " STRING(csr) ", %0" ::"r"((uint64_t)(value)) : "memory")
#define csr_set(csr, value) \
    __asm__ volatile("csrs " STRING(csr) ", %0" ::"r"((uint64_t)(value)) : "memory")
#define csr_clear(csr, value) \
    __asm__ volatile("csrc " STRING(csr) ", %0" ::"r"((uint64_t)(value)) : "memory")
#define CSR_menvcfg  0x30a
#define CSR_senvcfg  0x10a
#define CSR_stimecmp 0x14d

#define MSTATUS_MIE   BIT(3)
#define MSTATUS_SIE   BIT(1)
#define MSTATUS_MPP   (3ul << 11)
#define MSTATUS_FS    (3ul << 13)
#define MSTATUS_MPRV  BIT(17)
#define MSTATUS_SUM   BIT(18)
#define MSTATUS_MXR   BIT(19)
#define MSTATUS_TVM   BIT(20)
#define MSTATUS_TW    BIT(21)
#define MSTATUS_TSR   BIT(22)
#define MENVCFG_ADUE  BIT(61)
#define MENVCFG_PBMTE BIT(62)
#define MENVCFG_STCE  BIT(63)

static inline void fence_i(void)
{
    __asm__ volatile("fence.i" ::: "memory");
}
static inline void sfence(void)
{
    __asm__ volatile("sfence.vma" ::: "memory");
}
static inline uint32_t load32(uint64_t at)
{
    return *(volatile uint32_t *)at;
}
static inline void store32(uint64_t at, uint32_t value)
{
    *(volatile uint32_t *)at = value;
}
static inline void store64(uint64_t at, uint64_t value)
{
    *(volatile uint64_t *)at = value;
}

/* ---- runtime.c ---- */

int main(void);
/* Harts other than 0. */
void secondary(uint64_t hart);
void finish(void) __attribute__((noreturn));
void fail(const char *why) __attribute__((noreturn));

void put_text(const char *text);
void put_hex(uint64_t value);
void show(const char *name, uint64_t value);
void check(const char *name, uint64_t got, uint64_t want);
void skip_line(const char *text); /* a comment in the output */

/* Calls fn(a, b) in `mode` and comes back at its end, an exception or an
 * interrupt; the area of hart 0 then says which. Leaves MIE off. */
uint64_t call_in(enum mode mode, const void *fn, uint64_t a, uint64_t b);
struct hart_area *area(void);

/* Prints how the last call_in(…, fn, a, …) ended, with addresses as distances
 * from fn and a. */
void show_end(const char *name, const void *fn, uint64_t a);
/* Both in one. */
void show_call(const char *name, enum mode mode, const void *fn, uint64_t a, uint64_t b);

/* How a call ended, in one number: 0 returned, or 1000 * (who took it: 1 M, 2 S)
 * + cause. */
uint64_t outcome(enum mode mode, const void *fn, uint64_t a, uint64_t b);
#define RETURNED    0
#define BY_M(cause) (1000 + (cause))
#define BY_S(cause) (2000 + (cause))
uint64_t last_tval(void);

/* A function of the given instruction words, then ret. */
const void *code_of(const uint32_t *words, unsigned count);
uint64_t outcome_of_word(enum mode mode, uint32_t word);

/* Restores what tests change: delegation, interrupts, translation, PMP. */
void restore(void);

#define PROBE(name) extern const char probe_##name[]
PROBE(nothing);
PROBE(lb);
PROBE(lh);
PROBE(lw);
PROBE(ld);
PROBE(lbu);
PROBE(lhu);
PROBE(lwu);
PROBE(sb);
PROBE(sh);
PROBE(sw);
PROBE(sd);
PROBE(fld);
PROBE(flw);
PROBE(fsd);
PROBE(fsw);
PROBE(lr_w);
PROBE(lr_d);
PROBE(sc_w);
PROBE(sc_d);
PROBE(amoadd_w);
PROBE(amoadd_d);
PROBE(amoswap_d);
PROBE(amomaxu_w);
PROBE(jump);
PROBE(ecall);
PROBE(ebreak);
PROBE(mret);
PROBE(sret);
PROBE(wfi);
PROBE(sfence);
PROBE(read_satp);
PROBE(read_sstatus);
PROBE(read_cycle);
PROBE(read_time);
PROBE(read_instret);
PROBE(read_hpm31);
PROBE(read_fcsr);
PROBE(fmv);
PROBE(spin);
PROBE(wait);
extern const char machine_vectors[], machine_trap[], supervisor_trap[], exit_call[];
extern char _start[], _end[];

/* ---- mmu.c: page tables ---- */

enum {
    PTE_V = 1 << 0,
    PTE_R = 1 << 1,
    PTE_W = 1 << 2,
    PTE_X = 1 << 3,
    PTE_U = 1 << 4,
    PTE_G = 1 << 5,
    PTE_A = 1 << 6,
    PTE_D = 1 << 7,
    PTE_ALL = PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D,
};
/* Empty tables of `levels` levels (3, 4, 5) that map RAM and all below it one to
 * one for S-mode, and RAM again for U-mode at USER_ALIAS. */
#define USER_ALIAS 0x1000000000ul
void mmu_start(unsigned levels);
/* The entry for `va` at `level` (0: 4 KiB), tables above it made as needed. */
uint64_t *mmu_entry(uint64_t va, unsigned level);
void mmu_map(uint64_t va, uint64_t pa, unsigned level, uint64_t flags);
uint64_t mmu_root(void);
/* Calls probes in U-mode through their alias. */
const void *user(const void *fn);
