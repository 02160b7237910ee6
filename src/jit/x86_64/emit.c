/* SPDX-License-Identifier: Apache-2.0
 * Instruction encoding, from the table. */
#include "jit/emit.h"

#include "base/assert.h"
#include "base/endian.h"

#define BYTE     X86_FLAG_BYTE
#define RM8      X86_FLAG_RM8
#define RM16     X86_FLAG_RM16
#define RM32     X86_FLAG_RM32
#define W0       X86_FLAG_W0
#define W1       X86_FLAG_W1
#define NO_W     X86_FLAG_NO_W
#define NO_REG   X86_FLAG_NO_REG
#define REG_ONLY X86_FLAG_REG_ONLY
#define XREG     X86_FLAG_XREG
#define XRM      X86_FLAG_XRM
#define XV       X86_FLAG_XV

const struct x86_row x86_rows[X86_COUNT] = {
#define X86(id, mnemonic, kind, prefix, map, opcode, digit, flags) \
    [X86_##id] = {mnemonic, X86_KIND_##kind, prefix, map, opcode, digit, flags},
#include "jit/x86_64/insns.def"
#undef X86
};

#define REX         0x40u
#define LINE_SIZE   64u
#define NO_DIGIT    8u
#define OPCODE_JMP  0xe9u
#define OPCODE_CALL 0xe8u

/* NOLINTNEXTLINE(readability-non-const-parameter): written through the streams */
void emitter_init(struct emitter *e, uint8_t *hot, size_t hot_size, uint8_t *cold, size_t cold_size)
{
    ASSERT(hot_size >= EMIT_MAX_LENGTH && cold_size >= EMIT_MAX_LENGTH);
    *e = (struct emitter){
        .hot = {hot, hot, hot + hot_size},
        .cold = {cold, cold, cold + cold_size},
    };
    e->out = &e->hot;
}

/* Room for one instruction; over the end we start again at the beginning, where
 * nobody will ever execute it. */
static uint8_t *begin(struct emitter *e)
{
    struct code_stream *out = e->out;

    if (UNLIKELY((size_t)(out->end - out->at) < EMIT_MAX_LENGTH)) {
        e->overflow = true;
        out->at = out->start;
    }
    return out->at;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    store_le32(at, value);
    return at + 4;
}

/* What stands in the r/m place: a register, or memory when `memory` is set. */
struct rm_operand {
    const struct host_memory *memory;
    unsigned reg;
};

static unsigned rm_base(const struct rm_operand *rm)
{
    return rm->memory ? rm->memory->base : rm->reg;
}

static unsigned rm_index(const struct rm_operand *rm)
{
    return rm->memory && rm->memory->index != NO_REGISTER ? rm->memory->index : 0;
}

static uint8_t *put_modrm(uint8_t *at, unsigned reg, const struct rm_operand *rm)
{
    const struct host_memory *memory = rm->memory;
    unsigned field = (reg & 7) << 3;

    if (!memory) {
        *at++ = (uint8_t)(0xc0 | field | (rm->reg & 7));
        return at;
    }
    bool has_sib = memory->index != NO_REGISTER || (memory->base & 7) == RSP;
    int32_t displacement = memory->displacement;
    unsigned mod = 2;
    if (displacement == 0 && (memory->base & 7) != RBP)
        mod = 0;
    else if (displacement == (int8_t)displacement)
        mod = 1;
    *at++ = (uint8_t)(mod << 6 | field | (has_sib ? RSP : memory->base & 7u));
    if (has_sib) {
        unsigned index = memory->index == NO_REGISTER ? RSP : memory->index & 7u;
        *at++ = (uint8_t)((unsigned)memory->scale << 6 | index << 3 | (memory->base & 7u));
    }
    if (mod == 1)
        *at++ = (uint8_t)displacement;
    else if (mod == 2)
        at = put32(at, (uint32_t)displacement);
    return at;
}

/* spl, bpl, sil and dil need a REX prefix, or they are ah to bh. */
static bool is_high_byte(unsigned reg)
{
    return reg >= RSP && reg <= RDI;
}

static uint8_t *put_legacy(uint8_t *at, const struct x86_row *row, unsigned width, unsigned reg,
                           const struct rm_operand *rm)
{
    bool is_m = row->kind == X86_KIND_M || row->kind == X86_KIND_MI || row->kind == X86_KIND_MI32 ||
                row->kind == X86_KIND_MI8;
    unsigned opcode = row->opcode;
    unsigned rex = 0;

    if (width == 1 && (row->flags & BYTE))
        opcode &= ~1u;
    if (width == 8 && !(row->flags & NO_W))
        rex |= REX | 8;
    rex |= reg & 8 ? REX | 4u : 0;
    rex |= rm_index(rm) & 8 ? REX | 2u : 0;
    rex |= rm_base(rm) & 8 ? REX | 1u : 0;
    bool rm_is_byte = (width == 1 && (row->flags & BYTE)) || (row->flags & RM8);
    if (rm_is_byte && !rm->memory && is_high_byte(rm->reg))
        rex |= REX;
    if (width == 1 && (row->flags & BYTE) && !is_m && is_high_byte(reg))
        rex |= REX;
    if (width == 2 && !(row->flags & RM8))
        *at++ = 0x66;
    if (row->prefix)
        *at++ = row->prefix;
    if (rex)
        *at++ = (uint8_t)rex;
    if (row->map)
        *at++ = 0x0f;
    *at++ = (uint8_t)opcode;
    return put_modrm(at, reg, rm);
}

static unsigned vex_prefix_code(unsigned prefix)
{
    return prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : prefix == 0xf2 ? 3 : 0;
}

static uint8_t *put_vex(uint8_t *at, const struct x86_row *row, unsigned width, unsigned reg,
                        unsigned vvvv, const struct rm_operand *rm)
{
    bool w = row->flags & W1 || (!(row->flags & W0) && width == 8);
    unsigned tail = (~vvvv & 15) << 3 | vex_prefix_code(row->prefix);

    if (!w && row->map == 1 && !(rm_base(rm) & 8) && !(rm_index(rm) & 8)) {
        *at++ = 0xc5;
        *at++ = (uint8_t)((reg & 8 ? 0 : 0x80u) | tail);
    } else {
        *at++ = 0xc4;
        *at++ = (uint8_t)((reg & 8 ? 0 : 0x80u) | (rm_index(rm) & 8 ? 0 : 0x40u) |
                          (rm_base(rm) & 8 ? 0 : 0x20u) | row->map);
        *at++ = (uint8_t)((w ? 0x80u : 0) | tail);
    }
    *at++ = row->opcode;
    return put_modrm(at, reg, rm);
}

/* Whether the reg field of ModRM is part of the opcode. */
static bool has_digit(const struct x86_row *row)
{
    return row->kind == X86_KIND_M || row->kind == X86_KIND_MI || row->kind == X86_KIND_MI32 ||
           row->kind == X86_KIND_MI8 || row->kind == X86_KIND_VM || row->kind == X86_KIND_VVMI;
}

static void touch(struct emitter *e, enum x86_op op, unsigned reg, unsigned vvvv,
                  const struct rm_operand *rm)
{
    bool has_pair = op == X86_MUL || op == X86_IMUL1 || op == X86_DIV || op == X86_IDIV;

    e->touched |= 1u << rm_base(rm) | 1u << rm_index(rm) | 1u << vvvv;
    if (!has_digit(&x86_rows[op]))
        e->touched |= 1u << reg;
    if (has_pair || op == X86_CMPXCHG)
        e->touched |= 1u << RAX | 1u << RDX;
    if (op == X86_CALL_R)
        e->touched = UINT32_MAX;
}

/* One instruction without its immediate. */
static uint8_t *put(struct emitter *e, enum x86_op op, unsigned width, unsigned reg, unsigned vvvv,
                    const struct rm_operand *rm)
{
    const struct x86_row *row = &x86_rows[op];
    uint8_t *at = begin(e);

    touch(e, op, reg, vvvv, rm);
    return row->kind >= X86_KIND_VRM ? put_vex(at, row, width, reg, vvvv, rm)
                                     : put_legacy(at, row, width, reg, rm);
}

void emit_rr(struct emitter *e, enum x86_op op, unsigned width, unsigned reg, unsigned rm)
{
    const struct x86_row *row = &x86_rows[op];
    struct rm_operand operand = {.reg = rm};
    bool stores = row->kind == X86_KIND_MR || row->kind == X86_KIND_VMR;

    /* Destination first: a row that stores has it in the r/m place. */
    if (stores) {
        operand.reg = reg;
        reg = rm;
    }
    e->out->at = put(e, op, width, reg, 0, &operand);
}

void emit_rm(struct emitter *e, enum x86_op op, unsigned width, unsigned reg,
             struct host_memory memory)
{
    struct rm_operand operand = {.memory = &memory};

    e->out->at = put(e, op, width, reg, 0, &operand);
}

void emit_r(struct emitter *e, enum x86_op op, unsigned width, unsigned rm)
{
    struct rm_operand operand = {.reg = rm};

    e->out->at = put(e, op, width, x86_rows[op].digit, 0, &operand);
}

void emit_m(struct emitter *e, enum x86_op op, unsigned width, struct host_memory memory)
{
    struct rm_operand operand = {.memory = &memory};

    e->out->at = put(e, op, width, x86_rows[op].digit, 0, &operand);
}

static void put_with_immediate(struct emitter *e, enum x86_op op, unsigned width,
                               const struct rm_operand *operand, int32_t imm)
{
    const struct x86_row *row = &x86_rows[op];
    uint8_t *start = begin(e);
    uint8_t *at = put(e, op, width, row->digit, 0, operand);

    if (row->kind == X86_KIND_MI && width != 1 && imm == (int8_t)imm) {
        /* The opcode stands behind at most a 66 and a REX prefix. */
        uint8_t *opcode = start;
        while (*opcode != row->opcode)
            opcode++;
        *opcode |= 2;
        *at++ = (uint8_t)imm;
    } else if (row->kind == X86_KIND_MI8 || width == 1) {
        *at++ = (uint8_t)imm;
    } else if (width == 2) {
        *at++ = (uint8_t)imm;
        *at++ = (uint8_t)(imm >> 8);
    } else {
        at = put32(at, (uint32_t)imm);
    }
    e->out->at = at;
}

void emit_ri(struct emitter *e, enum x86_op op, unsigned width, unsigned rm, int32_t imm)
{
    struct rm_operand operand = {.reg = rm};

    put_with_immediate(e, op, width, &operand, imm);
}

void emit_mi(struct emitter *e, enum x86_op op, unsigned width, struct host_memory memory,
             int32_t imm)
{
    struct rm_operand operand = {.memory = &memory};

    put_with_immediate(e, op, width, &operand, imm);
}

void emit_rri(struct emitter *e, enum x86_op op, unsigned width, unsigned reg, unsigned rm,
              int32_t imm)
{
    const struct x86_row *row = &x86_rows[op];
    struct rm_operand operand = {.reg = rm};

    if (row->kind == X86_KIND_VMRI) {
        operand.reg = reg;
        reg = rm;
    }
    uint8_t *at = row->kind == X86_KIND_VVMI ? put(e, op, width, row->digit, reg, &operand)
                                             : put(e, op, width, reg, 0, &operand);
    if (row->kind == X86_KIND_RMI32)
        at = put32(at, (uint32_t)imm);
    else
        *at++ = (uint8_t)imm;
    e->out->at = at;
}

void emit_rrr(struct emitter *e, enum x86_op op, unsigned width, unsigned reg, unsigned second,
              unsigned third)
{
    bool rm_is_second = x86_rows[op].kind == X86_KIND_VRMV;
    struct rm_operand operand = {.reg = rm_is_second ? second : third};

    e->out->at = put(e, op, width, reg, rm_is_second ? third : second, &operand);
}

void emit_rrm(struct emitter *e, enum x86_op op, unsigned width, unsigned reg, unsigned second,
              struct host_memory memory)
{
    struct rm_operand operand = {.memory = &memory};

    e->out->at = put(e, op, width, reg, second, &operand);
}

void emit_rrri(struct emitter *e, enum x86_op op, unsigned reg, unsigned second, unsigned third,
               uint8_t imm)
{
    struct rm_operand operand = {.reg = third};
    uint8_t *at = put(e, op, 4, reg, second, &operand);

    *at++ = imm;
    e->out->at = at;
}

void emit_constant(struct emitter *e, unsigned reg, uint64_t value)
{
    e->touched |= 1u << reg;
    if (value == (uint32_t)value || value == (uint64_t)(int64_t)(int32_t)value) {
        uint8_t *at = begin(e);
        bool is_wide = value != (uint32_t)value; /* mov r/m64, imm32 sign-extends */
        if (is_wide || (reg & 8))
            *at++ = (uint8_t)(REX | (is_wide ? 8u : 0) | (reg >> 3));
        if (is_wide) {
            *at++ = 0xc7;
            *at++ = (uint8_t)(0xc0 | (reg & 7));
        } else {
            *at++ = (uint8_t)(0xb8 | (reg & 7));
        }
        e->out->at = put32(at, (uint32_t)value);
        return;
    }
    uint8_t *at = begin(e);
    *at++ = (uint8_t)(REX | 8 | (reg >> 3));
    *at++ = (uint8_t)(0xb8 | (reg & 7));
    store_le64(at, value);
    e->out->at = at + 8;
}

static void put_bytes(struct emitter *e, const uint8_t *bytes, size_t count)
{
    uint8_t *at = begin(e);

    for (size_t i = 0; i < count; i++)
        *at++ = bytes[i];
    e->out->at = at;
}

void emit_lock(struct emitter *e)
{
    put_bytes(e, (const uint8_t[]){0xf0}, 1);
}

void emit_bswap(struct emitter *e, unsigned reg)
{
    e->touched |= 1u << reg;
    put_bytes(
        e, (const uint8_t[]){(uint8_t)(REX | 8 | reg >> 3), 0x0f, (uint8_t)(0xc8 | (reg & 7))}, 3);
}

void emit_ret(struct emitter *e)
{
    put_bytes(e, (const uint8_t[]){0xc3}, 1);
}

void emit_cdq(struct emitter *e, unsigned width)
{
    e->touched |= 1u << RAX | 1u << RDX;
    if (width == 8)
        put_bytes(e, (const uint8_t[]){0x48, 0x99}, 2);
    else
        put_bytes(e, (const uint8_t[]){0x99}, 1);
}

void emit_trap(struct emitter *e)
{
    put_bytes(e, (const uint8_t[]){0x0f, 0x0b}, 2);
}

void emit_rdtsc(struct emitter *e)
{
    e->touched |= 1u << RAX | 1u << RDX;
    put_bytes(e, (const uint8_t[]){0x0f, 0x31}, 2);
}

/* Fills up so that a displacement `ahead` bytes from here stays in one line. */
static uint8_t *align_displacement(struct emitter *e, unsigned ahead)
{
    uint8_t *at = begin(e);

    while ((((uintptr_t)at + ahead) % LINE_SIZE) > LINE_SIZE - 4)
        *at++ = 0x90;
    return at;
}

static uint8_t *finish_jump(struct emitter *e, uint8_t *site, const uint8_t *target)
{
    e->out->at = put32(site, 0);
    if (target)
        emit_patch(site, target);
    return site;
}

uint8_t *emit_jmp(struct emitter *e, const uint8_t *target)
{
    uint8_t *at = align_displacement(e, 1);

    *at++ = OPCODE_JMP;
    return finish_jump(e, at, target);
}

uint8_t *emit_call(struct emitter *e, const uint8_t *target)
{
    uint8_t *at = align_displacement(e, 1);

    e->touched = UINT32_MAX;
    *at++ = OPCODE_CALL;
    return finish_jump(e, at, target);
}

uint8_t *emit_jcc(struct emitter *e, enum condition condition, const uint8_t *target)
{
    uint8_t *at = align_displacement(e, 2);

    *at++ = 0x0f;
    *at++ = (uint8_t)(0x80 | condition);
    return finish_jump(e, at, target);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the store goes through a cast */
uint8_t *emit_target_of(uint8_t *site)
{
    return site + 4 + (int32_t)load_le32(site);
}

uint8_t *emit_jcc_short(struct emitter *e, enum condition condition)
{
    put_bytes(e, (const uint8_t[]){(uint8_t)(0x70 | condition), 0}, 2);
    return e->out->at - 1;
}

uint8_t *emit_jmp_short(struct emitter *e)
{
    put_bytes(e, (const uint8_t[]){0xeb, 0}, 2);
    return e->out->at - 1;
}

void emit_patch_short(const struct emitter *e, uint8_t *site)
{
    ptrdiff_t distance = e->out->at - (site + 1);

    ASSERT(e->overflow || (distance >= 0 && distance <= INT8_MAX));
    *site = (uint8_t)distance;
}

void emit_align(struct emitter *e, unsigned alignment)
{
    static const uint8_t nops[][8] = {
        {0x90},
        {0x66, 0x90},
        {0x0f, 0x1f, 0x00},
        {0x0f, 0x1f, 0x40, 0x00},
        {0x0f, 0x1f, 0x44, 0x00, 0x00},
        {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
        {0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
        {0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
    };

    for (;;) {
        size_t missing = -(uintptr_t)e->out->at % alignment;
        if (missing == 0)
            return;
        size_t length = MIN(missing, sizeof(nops[0]));
        put_bytes(e, nops[length - 1], length);
    }
}

void emit_u32(struct emitter *e, uint32_t value)
{
    e->out->at = put32(begin(e), value);
}
