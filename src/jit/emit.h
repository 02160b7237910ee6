/* SPDX-License-Identifier: Apache-2.0
 * Writing x86-64 instructions. Knows nothing of what they are for.
 *
 * Code goes to two streams: `hot`, what is executed again and again, and `cold`,
 * the ways out of it, so that hot code is dense. Nothing is written past the end
 * of a stream: the emitter then sets `overflow` and starts over at the stream's
 * beginning, so that callers need to look only once, at their end.
 *
 * An emitter belongs to one thread. Operand order is Intel's: destination first.
 * `width` is the operand size in bytes: 1, 2, 4 or 8. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

enum host_register {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    NO_REGISTER,
};

/* Numbers of xmm registers are just 0-15. */

/* [base + index << scale + displacement] */
struct host_memory {
    uint8_t base;  /* a register; never NO_REGISTER */
    uint8_t index; /* any but RSP, or NO_REGISTER */
    uint8_t scale; /* 0-3 */
    int32_t displacement;
};

static inline struct host_memory at_register(unsigned base, int64_t displacement)
{
    return (struct host_memory){(uint8_t)base, NO_REGISTER, 0, (int32_t)displacement};
}

static inline struct host_memory at_index(unsigned base, unsigned index, unsigned scale,
                                          int64_t displacement)
{
    return (struct host_memory){(uint8_t)base, (uint8_t)index, (uint8_t)scale,
                                (int32_t)displacement};
}

/* Condition codes as jcc and setcc number them. */
enum condition {
    IF_OVERFLOW,
    IF_NO_OVERFLOW,
    IF_BELOW,
    IF_ABOVE_EQUAL,
    IF_EQUAL,
    IF_NOT_EQUAL,
    IF_BELOW_EQUAL,
    IF_ABOVE,
    IF_SIGN,
    IF_NO_SIGN,
    IF_PARITY,
    IF_NO_PARITY,
    IF_LESS,
    IF_GREATER_EQUAL,
    IF_LESS_EQUAL,
    IF_GREATER,
};

static inline enum condition condition_not(enum condition condition)
{
    return (enum condition)(condition ^ 1);
}

/* X86_<id> for each row of x86_64/insns.def. */
enum x86_op {
#define X86(id, ...) X86_##id,
#include "jit/x86_64/insns.def"
#undef X86
    X86_COUNT,
};

enum x86_kind {
    X86_KIND_RM,
    X86_KIND_MR,
    X86_KIND_M,
    X86_KIND_MI,
    X86_KIND_MI32,
    X86_KIND_MI8,
    X86_KIND_RMI32,
    X86_KIND_VRM,
    X86_KIND_VMR,
    X86_KIND_VMRI,
    X86_KIND_VM,
    X86_KIND_VRVM,
    X86_KIND_VRMV,
    X86_KIND_VVMI,
    X86_KIND_VRMI,
    X86_KIND_VRVMI,
};

enum x86_flag {
    X86_FLAG_BYTE = 1 << 0,
    X86_FLAG_RM8 = 1 << 1,
    X86_FLAG_RM16 = 1 << 2,
    X86_FLAG_RM32 = 1 << 3,
    X86_FLAG_W0 = 1 << 4,
    X86_FLAG_W1 = 1 << 5,
    X86_FLAG_NO_W = 1 << 6,     /* 64 bits without REX.W */
    X86_FLAG_NO_REG = 1 << 7,   /* r/m is memory */
    X86_FLAG_REG_ONLY = 1 << 8, /* r/m is a register: the memory form means another thing */
    X86_FLAG_XREG = 1 << 9,
    X86_FLAG_XRM = 1 << 10,
    X86_FLAG_XV = 1 << 11,
};

/* A row, for the emitter and for tests that go through all of them. */
struct x86_row {
    const char *mnemonic;
    uint8_t kind; /* enum x86_kind */
    uint8_t prefix;
    uint8_t map;
    uint8_t opcode;
    uint8_t digit;
    uint16_t flags; /* enum x86_flag */
};
extern const struct x86_row x86_rows[X86_COUNT];

struct code_stream {
    uint8_t *at;
    uint8_t *start; /* end - start is at least EMIT_MAX_LENGTH */
    uint8_t *end;
};

/* No single emit function writes more. */
#define EMIT_MAX_LENGTH 32

struct emitter {
    struct code_stream hot;
    struct code_stream cold;
    struct code_stream *out; /* where the next instruction goes */
    /* A bit for each general register that an instruction has had among its operands, or has
     * changed: to be cleared by whoever asks. Numbers of vector registers count, too. */
    uint32_t touched;
    bool overflow;
};

/* Memory [hot, hot + hot_size) and [cold, ...) must lie within 2 GiB of each
 * other and of every jump target. */
void emitter_init(struct emitter *e, uint8_t *hot, size_t hot_size, uint8_t *cold,
                  size_t cold_size);

void emit_rr(struct emitter *e, enum x86_op op, unsigned width, unsigned reg, unsigned rm);
void emit_rm(struct emitter *e, enum x86_op op, unsigned width, unsigned reg,
             struct host_memory memory);
void emit_r(struct emitter *e, enum x86_op op, unsigned width, unsigned rm);
void emit_m(struct emitter *e, enum x86_op op, unsigned width, struct host_memory memory);
void emit_ri(struct emitter *e, enum x86_op op, unsigned width, unsigned rm, int32_t imm);
void emit_mi(struct emitter *e, enum x86_op op, unsigned width, struct host_memory memory,
             int32_t imm);
/* Kinds RMI32, VRMI, VMRI, VVMI. */
void emit_rri(struct emitter *e, enum x86_op op, unsigned width, unsigned reg, unsigned rm,
              int32_t imm);
void emit_rrr(struct emitter *e, enum x86_op op, unsigned width, unsigned reg, unsigned second,
              unsigned third);
void emit_rrm(struct emitter *e, enum x86_op op, unsigned width, unsigned reg, unsigned second,
              struct host_memory memory);
/* Kind VRVMI. */
void emit_rrri(struct emitter *e, enum x86_op op, unsigned reg, unsigned second, unsigned third,
               uint8_t imm);

/* The shortest instruction that puts `value` into a register. Leaves the flags
 * alone. */
void emit_constant(struct emitter *e, unsigned reg, uint64_t value);
void emit_lock(struct emitter *e);                /* prefix of the next instruction */
void emit_bswap(struct emitter *e, unsigned reg); /* 64 bits */
void emit_ret(struct emitter *e);
void emit_cdq(struct emitter *e, unsigned width); /* sign of rax into rdx */
void emit_trap(struct emitter *e);                /* ud2: never reached */
void emit_rdtsc(struct emitter *e);

/* Jumps. `target` NULL: to be patched later. They return the address of the
 * 32-bit displacement, which never crosses a cache line, so that emit_patch can
 * change it while other threads execute the jump. */
uint8_t *emit_jmp(struct emitter *e, const uint8_t *target);
uint8_t *emit_jcc(struct emitter *e, enum condition condition, const uint8_t *target);
uint8_t *emit_call(struct emitter *e, const uint8_t *target);
/* Makes the displacement at `site` lead to `target`: one atomic store. */
/* NOLINTNEXTLINE(readability-non-const-parameter): written through it */
static inline void emit_patch(uint8_t *site, const uint8_t *target)
{
    int32_t displacement = (int32_t)(target - (site + 4));

    __atomic_store_n((int32_t *)(void *)site, displacement, __ATOMIC_RELEASE);
}
/* Where the displacement at `site` leads. */
uint8_t *emit_target_of(uint8_t *site);

/* Short jumps forward, over at most 127 bytes of the same stream. */
uint8_t *emit_jcc_short(struct emitter *e, enum condition condition);
uint8_t *emit_jmp_short(struct emitter *e);
void emit_patch_short(const struct emitter *e, uint8_t *site); /* to here */

/* Fills up with long no-ops to a multiple of `alignment`, 16 or 32. */
void emit_align(struct emitter *e, unsigned alignment);

/* Raw bytes, for data between instructions. */
void emit_u32(struct emitter *e, uint32_t value);
