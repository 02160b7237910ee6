/* SPDX-License-Identifier: Apache-2.0
 * LR/SC and AMO on the host's atomics, and fences.
 *
 * x86 orders everything but a later load before an earlier store, and locked
 * instructions order that too: aq and rl are free, and only a fence with W before
 * R needs an instruction. */
#include "riscv/interp_internal.h"

/* The address of an aligned atomic access, or NULL with the exception taken. */
static void *atomic_address(struct hart *hart, uint64_t va, unsigned size, enum access access)
{
    const struct tlb_entry *entry = &hart->data_tlb[(va >> PAGE_SHIFT) % TLB_SIZE];
    uint64_t tag = access == ACCESS_LOAD ? entry->load_tag : entry->store_tag;

    if (LIKELY(va - tag <= PAGE_SIZE - size && !(va & (size - 1))))
        return (void *)(uintptr_t)(va + entry->addend);
    return hart_atomic_address(hart, va, size, access);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): `type` is a type */
#define LR_OP(id, type, extend)                                             \
    HANDLER(id)                                                             \
    {                                                                       \
        SYNC();                                                             \
        type *at = atomic_address(hart, X(rs1), sizeof(type), ACCESS_LOAD); \
        if (!at)                                                            \
            return NULL;                                                    \
        type value = __atomic_load_n(at, __ATOMIC_SEQ_CST);                 \
        hart->reserved_at = (uintptr_t)at;                                  \
        hart->reserved_value = value;                                       \
        X(rd) = extend(value);                                              \
        NEXT();                                                             \
    }

#define SC_OP(id, type)                                                         \
    HANDLER(id)                                                                 \
    {                                                                           \
        SYNC();                                                                 \
        type *at = atomic_address(hart, X(rs1), sizeof(type), ACCESS_STORE);    \
        if (!at)                                                                \
            return NULL;                                                        \
        type expected = (type)hart->reserved_value;                             \
        bool stored = hart->reserved_at == (uintptr_t)at &&                     \
                      __sync_bool_compare_and_swap(at, expected, (type)X(rs2)); \
        hart->reserved_at = 0;                                                  \
        X(rd) = !stored;                                                        \
        NEXT();                                                                 \
    }

/* amo: an expression over `at` and `b` that returns the old value. */
#define AMO_OP(id, type, extend, amo)                                        \
    HANDLER(id)                                                              \
    {                                                                        \
        SYNC();                                                              \
        type *at = atomic_address(hart, X(rs1), sizeof(type), ACCESS_STORE); \
        if (!at)                                                             \
            return NULL;                                                     \
        type b = (type)X(rs2);                                               \
        type old = (type)(amo);                                              \
        X(rd) = extend(old);                                                 \
        NEXT();                                                              \
    }

#define SELECT_FUNCTION(name, type, signed_type, better)                    \
    static type name(type *at, type b)                                      \
    {                                                                       \
        type old = __atomic_load_n(at, __ATOMIC_RELAXED);                   \
        for (;;) {                                                          \
            type chosen = (signed_type)b better(signed_type) old ? b : old; \
            type seen = __sync_val_compare_and_swap(at, old, chosen);       \
            if (seen == old)                                                \
                return old;                                                 \
            old = seen;                                                     \
        }                                                                   \
    }

/* NOLINTEND(bugprone-macro-parentheses) */

#define SIGNED32(value) ((uint64_t)(int64_t)(int32_t)(value))
#define SAME(value)     (value)

/* clang-format off */
SELECT_FUNCTION(fetch_min32,  uint32_t, int32_t,  <)
SELECT_FUNCTION(fetch_max32,  uint32_t, int32_t,  >)
SELECT_FUNCTION(fetch_minu32, uint32_t, uint32_t, <)
SELECT_FUNCTION(fetch_maxu32, uint32_t, uint32_t, >)
SELECT_FUNCTION(fetch_min64,  uint64_t, int64_t,  <)
SELECT_FUNCTION(fetch_max64,  uint64_t, int64_t,  >)
SELECT_FUNCTION(fetch_minu64, uint64_t, uint64_t, <)
SELECT_FUNCTION(fetch_maxu64, uint64_t, uint64_t, >)

LR_OP(lr_w, uint32_t, SIGNED32)
LR_OP(lr_d, uint64_t, SAME)
SC_OP(sc_w, uint32_t)
SC_OP(sc_d, uint64_t)

AMO_OP(amoswap_w, uint32_t, SIGNED32, __atomic_exchange_n(at, b, __ATOMIC_SEQ_CST))
AMO_OP(amoadd_w,  uint32_t, SIGNED32, __atomic_fetch_add(at, b, __ATOMIC_SEQ_CST))
AMO_OP(amoxor_w,  uint32_t, SIGNED32, __atomic_fetch_xor(at, b, __ATOMIC_SEQ_CST))
AMO_OP(amoand_w,  uint32_t, SIGNED32, __atomic_fetch_and(at, b, __ATOMIC_SEQ_CST))
AMO_OP(amoor_w,   uint32_t, SIGNED32, __atomic_fetch_or(at, b, __ATOMIC_SEQ_CST))
AMO_OP(amomin_w,  uint32_t, SIGNED32, fetch_min32(at, b))
AMO_OP(amomax_w,  uint32_t, SIGNED32, fetch_max32(at, b))
AMO_OP(amominu_w, uint32_t, SIGNED32, fetch_minu32(at, b))
AMO_OP(amomaxu_w, uint32_t, SIGNED32, fetch_maxu32(at, b))
AMO_OP(amoswap_d, uint64_t, SAME, __atomic_exchange_n(at, b, __ATOMIC_SEQ_CST))
AMO_OP(amoadd_d,  uint64_t, SAME, __atomic_fetch_add(at, b, __ATOMIC_SEQ_CST))
AMO_OP(amoxor_d,  uint64_t, SAME, __atomic_fetch_xor(at, b, __ATOMIC_SEQ_CST))
AMO_OP(amoand_d,  uint64_t, SAME, __atomic_fetch_and(at, b, __ATOMIC_SEQ_CST))
AMO_OP(amoor_d,   uint64_t, SAME, __atomic_fetch_or(at, b, __ATOMIC_SEQ_CST))
AMO_OP(amomin_d,  uint64_t, SAME, fetch_min64(at, b))
AMO_OP(amomax_d,  uint64_t, SAME, fetch_max64(at, b))
AMO_OP(amominu_d, uint64_t, SAME, fetch_minu64(at, b))
AMO_OP(amomaxu_d, uint64_t, SAME, fetch_maxu64(at, b))
/* clang-format on */

/* Bits of the fence's sets: predecessor I O R W from bit 7 down, successor from
 * bit 3 down. Device accesses are ordered like memory here. */
#define FENCE_PRED_STORES 0x50u
#define FENCE_SUCC_LOADS  0x0au
#define FENCE_TSO         0x833

HANDLER(fence)
{
    if ((op->imm & FENCE_PRED_STORES) && (op->imm & FENCE_SUCC_LOADS) &&
        (op->imm & 0xfff) != FENCE_TSO)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    NEXT();
}
