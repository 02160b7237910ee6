/* SPDX-License-Identifier: Apache-2.0
 * Integer instructions: RV64I, M, Zba, Zbb, Zbc, Zbs, Zicond. */
#include "base/endian.h"
#include "riscv/interp_internal.h"

/* ---- arithmetic: one row each. a, b: operands; i: immediate ---- */

#define REGISTER_OP(id, expression)     \
    HANDLER(id)                         \
    {                                   \
        uint64_t a = X(rs1);            \
        uint64_t b = X(rs2);            \
        X(rd) = (uint64_t)(expression); \
        NEXT();                         \
    }
#define IMMEDIATE_OP(id, expression)    \
    HANDLER(id)                         \
    {                                   \
        uint64_t a = X(rs1);            \
        uint64_t i = IMM;               \
        X(rd) = (uint64_t)(expression); \
        NEXT();                         \
    }
#define UNARY_OP(id, expression)        \
    HANDLER(id)                         \
    {                                   \
        uint64_t a = X(rs1);            \
        X(rd) = (uint64_t)(expression); \
        NEXT();                         \
    }

#define S64(value) ((int64_t)(value))
#define S32(value) ((int64_t)(int32_t)(value))
#define U32(value) ((uint64_t)(uint32_t)(value))

static uint64_t divide(uint64_t a, uint64_t b)
{
    if (b == 0)
        return UINT64_MAX;
    if (a == BIT(63) && b == UINT64_MAX)
        return a;
    return (uint64_t)(S64(a) / S64(b));
}

static uint64_t remainder64(uint64_t a, uint64_t b)
{
    if (b == 0)
        return a;
    if (b == UINT64_MAX)
        return 0;
    return (uint64_t)(S64(a) % S64(b));
}

static uint64_t divide32(uint32_t a, uint32_t b)
{
    if (b == 0)
        return UINT64_MAX;
    return (uint64_t)S32(S32(a) / S32(b));
}

static uint64_t remainder32(uint32_t a, uint32_t b)
{
    if (b == 0)
        return (uint64_t)S32(a);
    return (uint64_t)S32(S32(a) % S32(b));
}

static uint64_t rotate_left(uint64_t a, unsigned by)
{
    by &= 63;
    return by ? a << by | a >> (64 - by) : a;
}

static uint64_t rotate_left32(uint32_t a, unsigned by)
{
    by &= 31;
    return (uint64_t)S32(by ? a << by | a >> (32 - by) : a);
}

static uint64_t or_combine(uint64_t a)
{
    uint64_t result = 0;

    for (unsigned shift = 0; shift < 64; shift += 8)
        if ((a >> shift) & 0xff)
            result |= UINT64_C(0xff) << shift;
    return result;
}

/* The 128-bit product over GF(2). */
static unsigned __int128 carryless(uint64_t a, uint64_t b)
{
    unsigned __int128 result = 0;

    for (unsigned i = 0; i < 64; i++)
        if ((b >> i) & 1)
            result ^= (unsigned __int128)a << i;
    return result;
}

/* clang-format off */
HANDLER(lui)   { X(rd) = IMM; NEXT(); }
HANDLER(auipc) { X(rd) = PC + IMM; NEXT(); }

IMMEDIATE_OP(addi,  a + i)
IMMEDIATE_OP(slti,  S64(a) < S64(i))
IMMEDIATE_OP(sltiu, a < i)
IMMEDIATE_OP(xori,  a ^ i)
IMMEDIATE_OP(ori,   a | i)
IMMEDIATE_OP(andi,  a & i)
IMMEDIATE_OP(slli,  a << i)
IMMEDIATE_OP(srli,  a >> i)
IMMEDIATE_OP(srai,  S64(a) >> i)
IMMEDIATE_OP(addiw, S32(a + i))
IMMEDIATE_OP(slliw, S32((uint32_t)a << i))
IMMEDIATE_OP(srliw, S32((uint32_t)a >> i))
IMMEDIATE_OP(sraiw, S32(a) >> i)

REGISTER_OP(add,  a + b)
REGISTER_OP(sub,  a - b)
REGISTER_OP(sll,  a << (b & 63))
REGISTER_OP(slt,  S64(a) < S64(b))
REGISTER_OP(sltu, a < b)
REGISTER_OP(xor,  a ^ b)
REGISTER_OP(srl,  a >> (b & 63))
REGISTER_OP(sra,  S64(a) >> (b & 63))
REGISTER_OP(or,   a | b)
REGISTER_OP(and,  a & b)
REGISTER_OP(addw, S32(a + b))
REGISTER_OP(subw, S32(a - b))
REGISTER_OP(sllw, S32((uint32_t)a << (b & 31)))
REGISTER_OP(srlw, S32((uint32_t)a >> (b & 31)))
REGISTER_OP(sraw, S32(a) >> (b & 31))

REGISTER_OP(mul,    a * b)
REGISTER_OP(mulh,   ((__int128)S64(a) * S64(b)) >> 64)
REGISTER_OP(mulhsu, ((__int128)S64(a) * (__int128)b) >> 64)
REGISTER_OP(mulhu,  ((unsigned __int128)a * b) >> 64)
REGISTER_OP(div,    divide(a, b))
REGISTER_OP(divu,   b ? a / b : UINT64_MAX)
REGISTER_OP(rem,    remainder64(a, b))
REGISTER_OP(remu,   b ? a % b : a)
REGISTER_OP(mulw,   S32((uint32_t)a * (uint32_t)b))
REGISTER_OP(divw,   divide32((uint32_t)a, (uint32_t)b))
REGISTER_OP(divuw,  (uint32_t)b ? S32((uint32_t)a / (uint32_t)b) : -1)
REGISTER_OP(remw,   remainder32((uint32_t)a, (uint32_t)b))
REGISTER_OP(remuw,  (uint32_t)b ? S32((uint32_t)a % (uint32_t)b) : S32(a))

/* Zba */
REGISTER_OP(add_uw,    U32(a) + b)
REGISTER_OP(sh1add,    (a << 1) + b)
REGISTER_OP(sh2add,    (a << 2) + b)
REGISTER_OP(sh3add,    (a << 3) + b)
REGISTER_OP(sh1add_uw, (U32(a) << 1) + b)
REGISTER_OP(sh2add_uw, (U32(a) << 2) + b)
REGISTER_OP(sh3add_uw, (U32(a) << 3) + b)
IMMEDIATE_OP(slli_uw,  U32(a) << i)

/* Zbb */
REGISTER_OP(andn,  a & ~b)
REGISTER_OP(orn,   a | ~b)
REGISTER_OP(xnor,  ~(a ^ b))
UNARY_OP(clz,      a ? __builtin_clzll(a) : 64)
UNARY_OP(clzw,     (uint32_t)a ? __builtin_clz((uint32_t)a) : 32)
UNARY_OP(ctz,      a ? __builtin_ctzll(a) : 64)
UNARY_OP(ctzw,     (uint32_t)a ? __builtin_ctz((uint32_t)a) : 32)
UNARY_OP(cpop,     __builtin_popcountll(a))
UNARY_OP(cpopw,    __builtin_popcount((uint32_t)a))
REGISTER_OP(max,   S64(a) > S64(b) ? a : b)
REGISTER_OP(maxu,  a > b ? a : b)
REGISTER_OP(min,   S64(a) < S64(b) ? a : b)
REGISTER_OP(minu,  a < b ? a : b)
UNARY_OP(sext_b,   (int64_t)(int8_t)a)
UNARY_OP(sext_h,   (int64_t)(int16_t)a)
UNARY_OP(zext_h,   (uint16_t)a)
REGISTER_OP(rol,   rotate_left(a, (unsigned)b))
REGISTER_OP(rolw,  rotate_left32((uint32_t)a, (unsigned)b))
REGISTER_OP(ror,   rotate_left(a, 64 - (unsigned)(b & 63)))
REGISTER_OP(rorw,  rotate_left32((uint32_t)a, 32 - (unsigned)(b & 31)))
IMMEDIATE_OP(rori, rotate_left(a, 64 - (unsigned)i))
IMMEDIATE_OP(roriw, rotate_left32((uint32_t)a, 32 - (unsigned)i))
UNARY_OP(orc_b,    or_combine(a))
UNARY_OP(rev8,     __builtin_bswap64(a))

/* Zbc */
REGISTER_OP(clmul,  carryless(a, b))
REGISTER_OP(clmulh, carryless(a, b) >> 64)
REGISTER_OP(clmulr, carryless(a, b) >> 63)

/* Zbs */
REGISTER_OP(bclr,   a & ~BIT(b & 63))
REGISTER_OP(bext,   (a >> (b & 63)) & 1)
REGISTER_OP(binv,   a ^ BIT(b & 63))
REGISTER_OP(bset,   a | BIT(b & 63))
IMMEDIATE_OP(bclri, a & ~BIT(i))
IMMEDIATE_OP(bexti, (a >> i) & 1)
IMMEDIATE_OP(binvi, a ^ BIT(i))
IMMEDIATE_OP(bseti, a | BIT(i))

/* Zicond */
REGISTER_OP(czero_eqz, b == 0 ? 0 : a)
REGISTER_OP(czero_nez, b != 0 ? 0 : a)

/* Zicbop: hints */
HANDLER(prefetch_i) { NEXT(); }
HANDLER(prefetch_r) { NEXT(); }
HANDLER(prefetch_w) { NEXT(); }
/* clang-format on */

/* ---- jumps: the places where requests, interrupts and the end of the slice are
 * looked for ---- */

#define BRANCH_OP(id, condition)                                           \
    HANDLER(id)                                                            \
    {                                                                      \
        uint64_t a = X(rs1);                                               \
        uint64_t b = X(rs2);                                               \
        if (!(condition))                                                  \
            NEXT();                                                        \
        if (LIKELY(op->near && !(op->imm & hart->ialign) &&                \
                   (op->imm > 0 || !interp_must_leave(hart, icount + 1)))) \
            CONTINUE(OP_AT(op->imm));                                      \
        TAIL jump_far(hart, op, icount);                                   \
    }

/* An unaligned target is the fault of the jump, not of its target. */
static bool is_misaligned(struct hart *hart, const struct code_op *op, uint64_t target,
                          uint64_t icount)
{
    if (LIKELY(!(target & hart->ialign)))
        return false;
    SYNC();
    hart_exception(hart, CAUSE_FETCH_MISALIGNED, target);
    return true;
}

static const struct code_op *jump_far(struct hart *hart, const struct code_op *op, uint64_t icount)
{
    uint64_t target = PC + IMM;

    if (is_misaligned(hart, op, target, icount))
        return NULL;
    TAIL_OTHER interp_jump(hart, target, icount, op->imm <= 0);
}

/* clang-format off */
BRANCH_OP(beq,  a == b)
BRANCH_OP(bne,  a != b)
BRANCH_OP(blt,  S64(a) < S64(b))
BRANCH_OP(bge,  S64(a) >= S64(b))
BRANCH_OP(bltu, a < b)
BRANCH_OP(bgeu, a >= b)
/* clang-format on */

HANDLER(jal)
{
    uint64_t target = PC + IMM;

    if (is_misaligned(hart, op, target, icount))
        return NULL;
    X(rd) = PC + op->length;
    if (LIKELY(op->near && (op->imm > 0 || !interp_must_leave(hart, icount + 1))))
        CONTINUE(OP_AT(op->imm));
    TAIL_OTHER interp_jump(hart, target, icount, op->imm <= 0);
}

HANDLER(jalr)
{
    uint64_t target = (X(rs1) + IMM) & ~UINT64_C(1);

    if (is_misaligned(hart, op, target, icount))
        return NULL;
    X(rd) = PC + op->length;
    struct fetch_entry *entry = &hart->fetch_tlb[(target >> PAGE_SHIFT) % FETCH_TLB_SIZE];
    if (LIKELY(op->near && entry->tag == (target & ~PAGE_MASK) &&
               !interp_must_leave(hart, icount + 1))) {
        hart->page = entry->tag;
        CONTINUE(&entry->page->ops[(target & PAGE_MASK) / 2]);
    }
    TAIL_OTHER interp_jump(hart, target, icount, true);
}

/* ---- loads and stores ---- */

/* clang-format off */
LOAD_OP(lb,  int8_t,   1, true, X(rd) = (uint64_t)(int64_t)value)
LOAD_OP(lh,  int16_t,  2, true, X(rd) = (uint64_t)(int64_t)value)
LOAD_OP(lw,  int32_t,  4, true, X(rd) = (uint64_t)(int64_t)value)
LOAD_OP(ld,  uint64_t, 8, true, X(rd) = value)
LOAD_OP(lbu, uint8_t,  1, true, X(rd) = value)
LOAD_OP(lhu, uint16_t, 2, true, X(rd) = value)
LOAD_OP(lwu, uint32_t, 4, true, X(rd) = value)
STORE_OP(sb, uint8_t,  1, true, X(rs2))
STORE_OP(sh, uint16_t, 2, true, X(rs2))
STORE_OP(sw, uint32_t, 4, true, X(rs2))
STORE_OP(sd, uint64_t, 8, true, X(rs2))
/* clang-format on */
