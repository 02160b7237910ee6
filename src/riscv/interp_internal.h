/* SPDX-License-Identifier: Apache-2.0
 * How the handlers of the interpreter are written. Each executes one predecoded
 * instruction and continues with the next by a tail call, so that the state that
 * matters (hart, op, icount) stays in host registers and each handler has an
 * indirect jump of its own to be predicted. Builds without optimised tail calls
 * (sanitizers) return to a loop instead.
 *
 * A handler never takes the address of a local and calls what can be slow only
 * by a tail call: either would cost the fast path a stack frame. */
#pragma once

#include "riscv/code.h"
#include "riscv/hart.h"

#if defined(__clang__) && defined(__OPTIMIZE__) && !defined(DOPPEL_DEBUG)
#define TAIL __attribute__((musttail)) return
#else
#define TAIL return
#endif
/* The same between functions of different types, which only the optimiser can
 * turn into a jump. */
#define TAIL_OTHER return

/* Returns NULL to leave the chain: hart->pc and hart->icount are then exact. */
typedef const struct code_op *interp_handler(struct hart *hart, const struct code_op *op,
                                             uint64_t icount);

extern interp_handler *const interp_handlers[ID_COUNT];

#define INSN(id, ...) interp_handler op_##id;
#include "isa/insns.def"
#undef INSN
interp_handler op_illegal;

#define HANDLER(id) \
    const struct code_op *op_##id(struct hart *hart, const struct code_op *op, uint64_t icount)

/* Continues with `next`, which is the following or a jumped-to op. */
#if defined(DOPPEL_DEBUG) || !defined(__OPTIMIZE__)
#define CONTINUE(next)             \
    do {                           \
        hart->icount = icount + 1; \
        return (next);             \
    } while (0)
#else
#define CONTINUE(next)                                            \
    do {                                                          \
        const struct code_op *next_ = (next);                     \
        TAIL interp_handlers[next_->id](hart, next_, icount + 1); \
    } while (0)
#endif

#define NEXT() CONTINUE((const struct code_op *)(const void *)((const char *)op + op->step))

/* The op `bytes` further on in this page (an even number): one slot a halfword. */
#define OP_AT(bytes)                                           \
    ((const struct code_op *)(const void *)((const char *)op + \
                                            (int64_t)(bytes) * (int)(sizeof(*op) / 2)))

#define X(register) (hart->x[op->register])
#define F(register) (hart->f[op->register])
#define IMM         ((uint64_t)(int64_t)op->imm)
#define PC          (hart->page + op->offset)

/* Makes pc and icount exact, as everything outside the handlers expects. */
#define SYNC()                 \
    do {                       \
        hart->pc = PC;         \
        hart->icount = icount; \
    } while (0)

/* Retires this instruction and leaves the chain, to go on at `target`. */
#define LEAVE(target)              \
    do {                           \
        hart->pc = (target);       \
        hart->icount = icount + 1; \
        return NULL;               \
    } while (0)

#define ILLEGAL() TAIL interp_illegal(hart, op, icount)

/* Takes an illegal-instruction exception for `op`. */
const struct code_op *interp_illegal(struct hart *hart, const struct code_op *op, uint64_t icount);
/* A jump that leaves the page, or may have to stop: retires the instruction. With
 * `polls`, looks whether the run is over. */
const struct code_op *interp_jump(struct hart *hart, uint64_t target, uint64_t icount, bool polls);

static inline bool interp_must_leave(struct hart *hart, uint64_t icount)
{
    return icount >= atomic_load_explicit(&hart->limit, memory_order_relaxed);
}

/* Loads and stores: the soft-TLB hit inline, everything else in id_slow. One
 * unsigned compare tests the hit and that the page is not crossed. */
#define TLB_ENTRY(va) (&hart->data_tlb[((va) >> PAGE_SHIFT) % TLB_SIZE])

/* NOLINTBEGIN(bugprone-macro-parentheses): `type` is a type */
#define LOAD_OP(id, type, bytes, allowed, result)                                                \
    static NOINLINE const struct code_op *id##_slow(struct hart *hart, const struct code_op *op, \
                                                    uint64_t icount)                             \
    {                                                                                            \
        SYNC();                                                                                  \
        if (!hart_load(hart, X(rs1) + IMM, bytes))                                               \
            return NULL;                                                                         \
        type value = (type)hart->slow_value;                                                     \
        result;                                                                                  \
        NEXT();                                                                                  \
    }                                                                                            \
    HANDLER(id)                                                                                  \
    {                                                                                            \
        if (!(allowed))                                                                          \
            ILLEGAL();                                                                           \
        uint64_t va = X(rs1) + IMM;                                                              \
        const struct tlb_entry *entry = TLB_ENTRY(va);                                           \
        if (UNLIKELY(va - entry->load_tag > PAGE_SIZE - bytes))                                  \
            TAIL id##_slow(hart, op, icount);                                                    \
        type value;                                                                              \
        __builtin_memcpy(&value, (const void *)(uintptr_t)(va + entry->addend), bytes);          \
        result;                                                                                  \
        NEXT();                                                                                  \
    }

#define STORE_OP(id, type, bytes, allowed, source)                                               \
    static NOINLINE const struct code_op *id##_slow(struct hart *hart, const struct code_op *op, \
                                                    uint64_t icount)                             \
    {                                                                                            \
        SYNC();                                                                                  \
        if (!hart_store(hart, X(rs1) + IMM, bytes, source))                                      \
            return NULL;                                                                         \
        NEXT();                                                                                  \
    }                                                                                            \
    HANDLER(id)                                                                                  \
    {                                                                                            \
        if (!(allowed))                                                                          \
            ILLEGAL();                                                                           \
        uint64_t va = X(rs1) + IMM;                                                              \
        const struct tlb_entry *entry = TLB_ENTRY(va);                                           \
        if (UNLIKELY(va - entry->store_tag > PAGE_SIZE - bytes))                                 \
            TAIL id##_slow(hart, op, icount);                                                    \
        type value = (type)(source);                                                             \
        __builtin_memcpy((void *)(uintptr_t)(va + entry->addend), &value, bytes);                \
        NEXT();                                                                                  \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
