/* SPDX-License-Identifier: Apache-2.0
 * The generator of random streams. Every row of insns.def that U-mode may execute
 * takes part, but:
 *
 *     czero.eqz, czero.nez   QEMU 7.2 has no Zicond
 *     ctzw                   QEMU 7.2 counts the zeros of all 64 bits
 *     ecall, ebreak, cbo.*, wrs.*, CSRs other than fcsr   leave or depend on the world
 *     frm of 5 to 7          every rounding instruction would trap
 *     lr and sc apart, of two sizes   may fail or not, as an implementation likes
 *
 * The guest programs test those. */
#include "random_stream.h"

#include "base/endian.h"
#include "isa/insn.h"
#include "isa/ops.h"
#include "isa/regs.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NOP   0x00000013u
#define C_NOP 0x0001u

struct random {
    uint64_t state;
};

/* splitmix64 */
static uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned below(struct random *random, unsigned limit)
{
    return (unsigned)((random_next(random) >> 33) % limit);
}

/* ---- initial state ---- */

static uint64_t random_integer(struct random *random)
{
    uint64_t value = random_next(random);

    switch (below(random, 6)) {
    case 0:
        return value & 0xff;
    case 1:
        return (uint64_t) - (int64_t)(value & 0xff);
    case 2:
        return UINT64_C(1) << (value & 63);
    case 3:
        return (UINT64_C(1) << (value & 63)) - 1;
    case 4:
        return (uint64_t)(int64_t)(int32_t)value;
    default:
        return value;
    }
}

/* Few exponents, so that operands meet. */
static uint64_t random_float(struct random *random)
{
    static const uint32_t special32[] = {0,          0x80000000, 0x3f800000, 0x7f800000,
                                         0x7fc00000, 0x7f800001, 0x00000001, 0x7f7fffff};
    static const uint64_t special64[] = {0,
                                         UINT64_C(1) << 63,
                                         0x3ff0000000000000,
                                         0x7ff0000000000000,
                                         0x7ff8000000000000,
                                         0x7ff0000000000001,
                                         1,
                                         0x7fefffffffffffff};
    uint64_t value = random_next(random);
    uint64_t box = 0xffffffff00000000;

    switch (below(random, 6)) {
    case 0:
        return box | special32[value & 7] | (uint32_t)((value >> 8 & 1) << 31);
    case 1:
        return special64[value & 7] | (value >> 8 & 1) << 63;
    case 2:
    case 3:
        return box | ((uint32_t)value & 0x81ffffff) | 0x3e000000;
    case 4:
        return (value & 0x803fffffffffffff) | 0x3fc0000000000000;
    default:
        return value;
    }
}

static void random_state(struct random *random, struct stream_state *state)
{
    for (unsigned i = 0; i < 32; i++) {
        state->x[i] = i ? random_integer(random) : 0;
        state->f[i] = random_float(random);
    }
    state->x[31] = 0;
    state->fcsr = below(random, 5) << 5 | below(random, 32);
}

/* ---- units ---- */

static void add_half(struct unit *unit, uint32_t half)
{
    assert(unit->size + 2u <= UNIT_SIZE);
    store_le16(unit->bytes + unit->size, (uint16_t)half);
    unit->size += 2;
    unit->instructions++;
}

static void add_word(struct unit *unit, uint32_t word)
{
    assert(unit->size + 4u <= UNIT_SIZE);
    store_le32(unit->bytes + unit->size, word);
    unit->size += 4;
    unit->instructions++;
}

static void add(struct unit *unit, const struct insn *insn)
{
    add_word(unit, isa_encode(insn));
}

static unsigned random_register(struct random *random)
{
    return below(random, 32);
}

/* lui and addi: any 31-bit value. */
static void add_constant(struct unit *unit, unsigned rd, uint32_t value)
{
    int32_t low = (int32_t)(value << 20) >> 20;

    add(unit,
        &(struct insn){.op = OP_lui, .rd = (uint8_t)rd, .imm = (int32_t)(value - (uint32_t)low)});
    add(unit, &(struct insn){.op = OP_addi, .rd = (uint8_t)rd, .rs1 = (uint8_t)rd, .imm = low});
}

static uint32_t random_address(struct random *random, unsigned alignment)
{
    uint32_t at = STREAM_BUFFER + 8 + below(random, STREAM_BUFFER_SIZE - 16);

    /* Often right where the pages meet. */
    if (below(random, 4) == 0)
        at = STREAM_BUFFER + STREAM_BUFFER_SIZE / 2 - 8 + below(random, 16);
    return at & ~(alignment - 1);
}

static int32_t random_imm(struct random *random, enum imm_kind kind)
{
    int32_t value = (int32_t)random_next(random);

    switch (kind) {
    case IMM_I:
    case IMM_S:
        return below(random, 4) ? value >> 20 : value >> 27;
    case IMM_U:
        return (int32_t)((uint32_t)value & 0xfffff000);
    case IMM_SHIFT6:
        return value & 63;
    case IMM_SHIFT5:
        return value & 31;
    case IMM_12:
        return value & 0xfff;
    case IMM_B:
    case IMM_J:
    case IMM_NONE:
        return 0;
    }
    return 0;
}

static struct insn random_fields(struct random *random, unsigned op)
{
    const struct format_info *format = &isa_formats[isa_ops[op].format];
    static const uint8_t modes[] = {0, 1, 2, 3, 4, 7, 7, 7};
    struct insn insn = {
        .op = (uint16_t)op,
        .length = 4,
        .rd = (uint8_t)random_register(random),
        .rs1 = (uint8_t)random_register(random),
        .rs2 = (uint8_t)random_register(random),
        .rs3 = (uint8_t)random_register(random),
        .imm = random_imm(random, format->imm),
    };

    if (below(random, 8) == 0)
        insn.rs2 = insn.rs1;
    if (below(random, 8) == 0)
        insn.rd = insn.rs1;
    insn.rm = format->fields & HAS_AQRL ? (uint8_t)below(random, 4) : modes[below(random, 8)];
    return insn;
}

/* Also called for a decoded compressed instruction, whose registers are given. */
static uint32_t set_base(struct random *random, struct unit *unit, const struct insn *insn)
{
    uint32_t at =
        random_address(random, isa_ops[insn->op].flags & IS_ATOMIC
                                   ? (unsigned)(isa_op_encoding(insn->op).match & 0x1000 ? 8 : 4)
                                   : 1);

    add_constant(unit, insn->rs1, at - (uint32_t)insn->imm);
    return at;
}

static void memory_unit(struct random *random, struct unit *unit, unsigned op)
{
    struct insn insn = random_fields(random, op);

    while (insn.rs1 == 0)
        insn.rs1 = (uint8_t)random_register(random);
    set_base(random, unit, &insn);
    add(unit, &insn);
}

/* lr, something harmless, sc; now and then to another address. */
static void reservation_unit(struct random *random, struct unit *unit, bool wide)
{
    struct insn lr = random_fields(random, wide ? OP_lr_d : OP_lr_w);
    struct insn sc = random_fields(random, wide ? OP_sc_d : OP_sc_w);

    while (lr.rs1 == 0)
        lr.rs1 = (uint8_t)random_register(random);
    while (lr.rd == lr.rs1)
        lr.rd = (uint8_t)random_register(random);
    sc.rs1 = lr.rs1;
    set_base(random, unit, &lr);
    add(unit, &lr);
    if (below(random, 4) == 0)
        add(unit, &(struct insn){.op = OP_addi, .rd = lr.rs1, .rs1 = lr.rs1, .imm = wide ? 8 : 4});
    else if (below(random, 2))
        add(unit, &(struct insn){.op = OP_addi, .rd = lr.rd, .rs1 = lr.rd, .imm = 1});
    add(unit, &sc);
    unit->op = sc.op;
}

static bool is_excluded(unsigned op)
{
    switch (op) {
    case OP_illegal:
    case OP_czero_eqz:
    case OP_czero_nez:
    case OP_ctzw:
    case OP_wrs_nto:
    case OP_wrs_sto:
    case OP_cbo_inval:
    case OP_cbo_clean:
    case OP_cbo_flush:
    case OP_cbo_zero:
        return true;
    case OP_fence_i:
        return false;
    default:
        return isa_ops[op].flags & IS_SYSTEM;
    }
}

static void plain_unit(struct random *random, struct unit *unit, unsigned op)
{
    struct insn insn = random_fields(random, op);

    if (op == OP_pause)
        insn = (struct insn){.op = OP_pause};
    add(unit, &insn);
}

/* A 16-bit instruction: any that decodes to something we may execute. */
static void compressed_unit(struct random *random, struct unit *unit)
{
    struct extension_set all = extension_set_all();

    for (;;) {
        uint32_t word = below(random, 0x10000);
        struct insn insn = isa_decode(word, &all);
        unsigned flags = isa_ops[insn.op].flags;
        if ((word & 3) == 3 || is_excluded(insn.op) || (flags & (IS_BRANCH | IS_JUMP)))
            continue;
        if (flags & (IS_LOAD | IS_STORE))
            set_base(random, unit, &insn);
        unit->op = insn.op;
        add_half(unit, word);
        return;
    }
}

/* The CSRs of floating point; frm only gets values that exist. */
static void csr_unit(struct random *random, struct unit *unit)
{
    static const struct {
        uint16_t op;
        uint16_t csr;
        uint8_t limit; /* of rs1 or the immediate */
    } rows[] = {
        {OP_csrrw, CSR_fflags, 32},  {OP_csrrs, CSR_fflags, 32},  {OP_csrrc, CSR_fflags, 32},
        {OP_csrrwi, CSR_fflags, 32}, {OP_csrrsi, CSR_fflags, 32}, {OP_csrrci, CSR_fflags, 32},
        {OP_csrrwi, CSR_frm, 5},     {OP_csrrwi, CSR_fcsr, 32},   {OP_csrrsi, CSR_fcsr, 32},
        {OP_csrrci, CSR_fcsr, 32},   {OP_csrrs, CSR_fcsr, 1},     {OP_csrrs, CSR_frm, 1},
        {OP_csrrci, CSR_frm, 8},
    };
    unsigned row = below(random, ARRAY_LEN(rows));

    unit->op = rows[row].op;
    add(unit, &(struct insn){.op = rows[row].op,
                             .rd = (uint8_t)random_register(random),
                             .rs1 = (uint8_t)below(random, rows[row].limit),
                             .imm = rows[row].csr});
}

/* A jump or branch over some of the following units, aimed by program_code. */
static void jump_unit(struct random *random, struct unit *unit, unsigned op)
{
    struct insn insn = random_fields(random, op);

    if (op == OP_jalr) { /* auipc just before gives it a base */
        while (insn.rs1 == 0)
            insn.rs1 = (uint8_t)random_register(random);
        add(unit, &(struct insn){.op = OP_auipc, .rd = insn.rs1});
    }
    insn.imm = 0;
    unit->jump_at = unit->size;
    unit->jump_over = (uint8_t)(1 + below(random, 3));
    add(unit, &insn);
}

/* A loop of some rounds round one plain instruction. */
static void loop_unit(struct random *random, struct unit *unit)
{
    static const uint16_t bodies[] = {OP_add, OP_mul, OP_fadd_d, OP_fmul_s,
                                      OP_xor, OP_rol, OP_sh1add};
    struct insn body = random_fields(random, bodies[below(random, ARRAY_LEN(bodies))]);
    unsigned counter = 1 + below(random, 31);

    while ((isa_ops[body.op].flags & X_RD) && body.rd == counter)
        body.rd = (uint8_t)random_register(random);
    add(unit, &(struct insn){
                  .op = OP_addi, .rd = (uint8_t)counter, .imm = (int32_t)(1 + below(random, 20))});
    add(unit, &body);
    add(unit,
        &(struct insn){.op = OP_addi, .rd = (uint8_t)counter, .rs1 = (uint8_t)counter, .imm = -1});
    add(unit, &(struct insn){.op = OP_bne, .rs1 = (uint8_t)counter, .imm = -8});
    unit->op = body.op;
}

/* One of a few registers, so that results become operands soon. */
static uint8_t near_register(struct random *random)
{
    static const uint8_t few[] = {0, 1, 5, 7, 10, 11, 15, 18, 19, 28};

    return few[below(random, ARRAY_LEN(few))];
}

static struct insn near_fields(struct random *random, unsigned op)
{
    struct insn insn = random_fields(random, op);

    insn.rd = near_register(random);
    insn.rs1 = near_register(random);
    insn.rs2 = near_register(random);
    return insn;
}

/* What stands for a conditional move: a branch over a copy of a register. */
static void select_idiom(struct random *random, struct unit *unit)
{
    static const uint16_t branches[] = {OP_beq, OP_bne, OP_blt, OP_bge, OP_bltu, OP_bgeu};
    struct insn branch = near_fields(random, branches[below(random, ARRAY_LEN(branches))]);
    struct insn move = near_fields(random, below(random, 2) ? OP_addiw : OP_addi);

    branch.imm = 8;
    move.imm = 0;
    if (below(random, 3) == 0) {
        move.op = OP_add;
        *(below(random, 2) ? &move.rs1 : &move.rs2) = 0;
    }
    unit->op = branch.op;
    add(unit, &branch);
    add(unit, &move);
}

/* What compilers write for want of an instruction: cutting out bits, scaled indices. */
static void shift_idiom(struct random *random, struct unit *unit)
{
    static const uint8_t amounts[] = {1, 2, 3, 16, 29, 30, 32, 32, 32, 48, 56, 63};
    struct insn first = near_fields(random, OP_slli);
    struct insn second = near_fields(random, below(random, 3) ? OP_srli : OP_add);

    first.imm = amounts[below(random, ARRAY_LEN(amounts))];
    if (second.op == OP_srli)
        second.imm = amounts[below(random, ARRAY_LEN(amounts))];
    if (below(random, 4))
        second.rd = first.rd;
    *(second.op == OP_add && below(random, 2) ? &second.rs2 : &second.rs1) = first.rd;
    unit->op = first.op;
    add(unit, &first);
    add(unit, &second);
}

/* A rotation by two shifts and what joins them, or nearly one; then something that may read or
 * overwrite the parts. */
static void rotation_idiom(struct random *random, struct unit *unit)
{
    static const uint16_t joins[] = {OP_or, OP_xor, OP_add, OP_addw};
    static const uint16_t others[] = {OP_addi, OP_xor, OP_addw, OP_sub, OP_slli, OP_srliw, OP_srli};
    bool is_word = below(random, 2);
    struct insn left = near_fields(random, is_word ? OP_slliw : OP_slli);
    struct insn right = near_fields(random, is_word ? OP_srliw : OP_srli);
    struct insn join = near_fields(random, joins[below(random, ARRAY_LEN(joins))]);
    bool is_swapped = below(random, 2);
    bool is_left_first = below(random, 2);

    left.imm = 1 + (int32_t)below(random, is_word ? 31 : 63);
    right.imm = (is_word ? 32 : 64) - left.imm;
    if (below(random, 8) == 0)
        right.imm--;
    if (below(random, 8))
        right.rs1 = left.rs1;
    join.rs1 = is_swapped ? left.rd : right.rd;
    join.rs2 = is_swapped ? right.rd : left.rd;
    if (below(random, 2))
        join.rd = left.rd;
    unit->op = join.op;
    if (below(random, 4) == 0)
        add(unit, &(struct insn){.op = OP_beq, .rs1 = left.rd, .rs2 = right.rd, .imm = 8});
    add(unit, is_left_first ? &left : &right);
    if (below(random, 3) == 0)
        add(unit,
            &(struct insn){.op = OP_xori, .rd = near_register(random), .rs1 = left.rd, .imm = 5});
    add(unit, is_left_first ? &right : &left);
    add(unit, &join);
    for (unsigned i = below(random, 3); i > 0; i--) {
        struct insn other = near_fields(random, others[below(random, ARRAY_LEN(others))]);
        add(unit, &other);
    }
}

/* Words: computed one from another, compared, cut, stored, and needed whole in between. */
static void word_idiom(struct random *random, struct unit *unit)
{
    static const uint16_t ops[] = {OP_addw,  OP_subw, OP_addiw, OP_addiw, OP_slliw, OP_srliw,
                                   OP_sraiw, OP_sllw, OP_mulw,  OP_divw,  OP_and,   OP_or,
                                   OP_xor,   OP_andi, OP_ori,   OP_slt,   OP_sltu,  OP_sltiu,
                                   OP_addi,  OP_add,  OP_slli,  OP_sub,   OP_lw,    OP_rolw,
                                   OP_srli,  OP_srai, OP_roriw, OP_mul};

    for (unsigned i = 4 + below(random, 4); i > 0; i--) {
        struct insn insn = near_fields(random, ops[below(random, ARRAY_LEN(ops))]);
        if (insn.op == OP_lw)
            insn = (struct insn){.op = OP_addiw, .rd = insn.rd, .rs1 = insn.rs1};
        if (insn.op == OP_andi && below(random, 2))
            insn.imm = 255;
        if (insn.op == OP_sltiu && below(random, 2))
            insn.imm = 1;
        unit->op = insn.op;
        add(unit, &insn);
    }
}

/* The same between an address and a store to it. */
static void stored_word_idiom(struct random *random, struct unit *unit)
{
    static const uint16_t stores[] = {OP_sb, OP_sh, OP_sw, OP_sd, OP_lw, OP_lbu};
    struct insn store = near_fields(random, stores[below(random, ARRAY_LEN(stores))]);

    store.rs1 = 31;
    set_base(random, unit, &store);
    word_idiom(random, unit);
    if (unit->size + 4 > UNIT_SIZE)
        return;
    unit->op = store.op;
    add(unit, &store);
}

/* A result that is compared with zero right away. */
static void zero_idiom(struct random *random, struct unit *unit)
{
    static const uint16_t ops[] = {OP_andi, OP_andi,  OP_addi, OP_add,  OP_sub,  OP_subw,
                                   OP_addw, OP_addiw, OP_and,  OP_or,   OP_xori, OP_ori,
                                   OP_xor,  OP_mul,   OP_mulw, OP_srliw};
    struct insn first = near_fields(random, ops[below(random, ARRAY_LEN(ops))]);
    struct insn branch = near_fields(random, below(random, 2) ? OP_beq : OP_bne);

    if (below(random, 2))
        first.rs1 = first.rd;
    branch.rs1 = first.rd;
    branch.rs2 = 0;
    branch.imm = 8;
    unit->op = branch.op;
    add(unit, &first);
    add(unit, &branch);
    plain_unit(random, unit, OP_xori);
}

/* rd = `op` of registers near each other, but not a link register. */
static void add_near(struct random *random, struct unit *unit)
{
    static const uint16_t ops[] = {OP_add, OP_addw, OP_xor, OP_addi, OP_sltu, OP_mul};
    struct insn insn = near_fields(random, ops[below(random, ARRAY_LEN(ops))]);

    if (insn.rd == 1 || insn.rd == 5)
        insn.rd = 10;
    add(unit, &insn);
}

static void add_jump(struct unit *unit, unsigned link, int32_t distance)
{
    add(unit, &(struct insn){.op = OP_jal, .rd = (uint8_t)link, .imm = distance});
}

static void add_return(struct random *random, struct unit *unit, unsigned link)
{
    uint8_t reg = (uint8_t)link;

    /* The lowest bit of an address does not count. */
    add(unit, &(struct insn){.op = OP_addi, .rd = reg, .rs1 = reg, .imm = !below(random, 4)});
    add(unit, &(struct insn){.op = OP_jalr, .rs1 = reg});
}

/* A function that calls another, both behind the call. */
static void call_idiom(struct random *random, struct unit *unit)
{
    unsigned outer = below(random, 2) ? 1 : 5;

    unit->op = OP_jal;
    add_jump(unit, outer, 8);
    add_jump(unit, 0, 32);
    add_jump(unit, outer ^ 4, 16);
    add_near(random, unit);
    add_return(random, unit, outer);
    add_near(random, unit);
    add_return(random, unit, outer ^ 4);
}

static void idiom_unit(struct random *random, struct unit *unit)
{
    static void (*const idioms[])(struct random *, struct unit *) = {
        select_idiom, select_idiom, shift_idiom, shift_idiom,       rotation_idiom, rotation_idiom,
        zero_idiom,   zero_idiom,   word_idiom,  stored_word_idiom, call_idiom};

    idioms[below(random, ARRAY_LEN(idioms))](random, unit);
}

static void row_unit(struct random *random, struct unit *unit)
{
    unsigned op;

    do
        op = 1 + below(random, OP_COUNT - 1);
    while (is_excluded(op));
    unsigned flags = isa_ops[op].flags;
    unit->op = (uint16_t)op;
    if (op == OP_lr_w || op == OP_sc_w || op == OP_lr_d || op == OP_sc_d)
        reservation_unit(random, unit, op == OP_lr_d || op == OP_sc_d);
    else if (flags & (IS_BRANCH | IS_JUMP))
        jump_unit(random, unit, op);
    else if (flags & (IS_LOAD | IS_STORE))
        memory_unit(random, unit, op);
    else
        plain_unit(random, unit, op);
}

static void random_unit(struct random *random, struct unit *unit)
{
    *unit = (struct unit){0};
    switch (below(random, 16)) {
    case 0:
    case 1:
    case 2:
        compressed_unit(random, unit);
        break;
    case 3:
        csr_unit(random, unit);
        break;
    case 4:
        if (below(random, 2)) {
            loop_unit(random, unit);
            break;
        }
        row_unit(random, unit);
        break;
    case 5:
    case 6:
    case 7:
        idiom_unit(random, unit);
        break;
    default:
        row_unit(random, unit);
        break;
    }
}

void random_program(struct program *program, uint64_t seed)
{
    struct random random = {seed};

    *program = (struct program){.unit_count = 16 + below(&random, MAX_UNITS - 16)};
    program->stream.seed = random_next(&random);
    random_state(&random, &program->stream.state);
    program->x31 = random_next(&random) & 0x7fffffff;
    for (unsigned i = 0; i < program->unit_count; i++)
        random_unit(&random, &program->units[i]);
}

/* ---- code ---- */

static size_t no_ops(uint8_t *to, size_t size)
{
    size_t at = 0;

    for (; at + 4 <= size; at += 4)
        store_le32(to + at, NOP);
    if (at < size)
        store_le16(to + at, C_NOP);
    return size;
}

/* Sets the distance of the jump of unit `i`, whose code is at `to`. */
static void aim(const struct program *program, unsigned i, uint8_t *to)
{
    const struct unit *unit = &program->units[i];
    struct extension_set all = extension_set_all();
    unsigned distance = unit->size - unit->jump_at;

    for (unsigned n = 1; n <= unit->jump_over && i + n < program->unit_count; n++)
        distance += program->units[i + n].size;
    struct insn insn = isa_decode(load_le32(to + unit->jump_at), &all);
    insn.imm = (int32_t)(distance + (insn.op == OP_jalr ? unit->jump_at : 0));
    store_le32(to + unit->jump_at, isa_encode(&insn));
}

size_t program_code(const struct program *program, uint64_t keep, uint8_t *to)
{
    struct unit first = {0};
    struct unit last = {0};
    size_t size;

    add_constant(&first, 31, (uint32_t)program->x31);
    memcpy(to, first.bytes, first.size);
    size = first.size;
    for (unsigned i = 0; i < program->unit_count; i++) {
        const struct unit *unit = &program->units[i];
        if (!(keep >> i & 1)) {
            size += no_ops(to + size, unit->size);
            continue;
        }
        memcpy(to + size, unit->bytes, unit->size);
        if (unit->jump_over)
            aim(program, i, to + size);
        size += unit->size;
    }
    /* x31 shows itself in x30, for it is needed to get out. */
    add(&last, &(struct insn){.op = OP_xor, .rd = 30, .rs1 = 30, .rs2 = 31});
    add(&last, &(struct insn){.op = OP_lui, .rd = 31, .imm = (int32_t)STREAM_DONE});
    add(&last, &(struct insn){.op = OP_jalr, .rs1 = 31});
    memcpy(to + size, last.bytes, last.size);
    return size + last.size;
}

void program_print(const struct program *program, uint64_t keep)
{
    static uint8_t code[MAX_STREAM_SIZE];
    struct extension_set all = extension_set_all();
    size_t size = program_code(program, keep, code);

    for (size_t at = 0; at < size;) {
        uint32_t low = load_le16(code + at);
        uint32_t word = (low & 3) == 3 ? load_le32(code + at) : low;
        struct insn insn = isa_decode(word, &all);
        char text[80];
        isa_disassemble(&insn, at, text, sizeof(text));
        if (word != NOP && word != C_NOP)
            printf("#   %4zx: %0*x  %s\n", at, insn.length * 2, word, text);
        at += insn.length;
    }
}
