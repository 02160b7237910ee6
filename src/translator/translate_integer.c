/* SPDX-License-Identifier: Apache-2.0
 * Integer instructions: RV64I, M, Zba, Zbb, Zbc, Zbs, Zicond. */
#include "translator/translate.h"

typedef void emit_function(struct translation *tr, const struct insn *insn);

/* How one op is translated: a pattern with its parameters. */
struct integer_row {
    emit_function *emit;
    uint8_t op;     /* enum x86_op */
    uint8_t second; /* another, or a scale */
    uint8_t width;
    uint8_t feature; /* enum needed */
};

enum needed {
    NEEDS_NOTHING,
    NEEDS_LZCNT,
    NEEDS_BMI1,
    NEEDS_POPCNT,
    NEEDS_PCLMUL,
};

static const struct integer_row rows[OP_COUNT];

/* Whether `insn` overwrites `reg` with what it makes of its low half. */
static bool takes_low_half(const struct insn *insn, unsigned reg);

/* Sign-extends the low half of `host` when the operation was one of 32 bits, unless
 * nobody will see the upper half. */
static void finish(struct translation *tr, const struct insn *insn, unsigned host, unsigned width)
{
    const struct insn *next = next_insn(tr);
    bool is_low = tr->insns[tr->at].is_low || (next && takes_low_half(next, insn->rd));

    if (width == 4 && !is_low) {
        unsigned target = target_x(tr, insn->rd, host);
        emit_rr(&tr->e, X86_MOVSXD, 8, target, host);
        host = target;
    } else if (width == 4) {
        tr->half_made = insn->rd;
    }
    put_x(tr, insn->rd, host);
}

/* After finish: the flags are of the operation that made rd, and nothing has changed them. */
static void keep_flags(struct translation *tr, const struct insn *insn)
{
    tr->flags_of = insn->rd;
    tr->flags_at = tr->e.out->at;
}

/* ---- low halves ---- */

static emit_function emit_binary, emit_addi, emit_immediate, emit_shift;

static bool has_second(const struct integer_row *row)
{
    return row->emit == emit_binary || row->emit == emit_shift;
}

bool integer_reads_low(const struct insn *insn, unsigned reg)
{
    const struct integer_row *row = &rows[insn->op];

    if (insn->op == OP_slli && insn->imm >= 32)
        return insn->rs1 == reg;
    if (row->width != 4 ||
        (!has_second(row) && row->emit != emit_addi && row->emit != emit_immediate))
        return false;
    return insn->rs1 == reg || (has_second(row) && insn->rs2 == reg);
}

/* Whether emit_word takes the instruction when one of its operands is held. */
static bool is_word_insn(const struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];

    if (!tr->is_user || row->width != 4 || insn->rs1 == 0 || insn->rd == 0)
        return false;
    if (row->emit == emit_addi || row->emit == emit_immediate)
        return true;
    return row->emit == emit_binary && insn->rs2 != 0;
}

/* The host register with the low half of rs2, NO_REGISTER: there is none. */
static unsigned second_host(struct translation *tr, const struct insn *insn)
{
    return has_second(&rows[insn->op]) ? low_get(tr, insn->rs2, NO_REGISTER) : NO_REGISTER;
}

/* host = the low half of what the instruction makes of `a`, which holds the low half of rs1, and
 * of rs2. */
static void emit_word_op(struct translation *tr, const struct insn *insn, unsigned host, unsigned a)
{
    const struct integer_row *row = &rows[insn->op];
    struct emitter *e = &tr->e;
    bool is_shift = row->emit == emit_immediate;
    unsigned b = second_host(tr, insn);

    if (row->emit == emit_addi) {
        emit_rm(e, X86_LEA, 4, host, at_register(a, insn->imm));
    } else if (row->op == X86_ADD && b != NO_REGISTER) {
        emit_rm(e, X86_LEA, 4, host, at_index(a, b, 0, 0));
    } else {
        if (host != a)
            emit_rr(e, X86_MOV, 4, host, a);
        if (is_shift)
            emit_ri(e, (enum x86_op)row->op, 4, host, insn->imm);
        else if (b != NO_REGISTER)
            emit_rr(e, (enum x86_op)row->op, 4, host, b);
        else
            emit_rm(e, (enum x86_op)row->op, 4, host, guest_x(insn->rs2));
    }
}

/* An operation on words with a low half in a scratch register, whether as operand or as result;
 * false: there is none. */
static bool emit_word(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];
    struct emitter *e = &tr->e;
    uint32_t touched = e->touched;
    bool wanted = low_is_wanted(tr, insn->rd);
    bool held = low_is_held(tr, insn->rs1) || (has_second(row) && low_is_held(tr, insn->rs2));
    bool is_copy = row->emit == emit_addi && insn->imm == 0;
    /* A logical shift leaves no sign to extend. */
    bool is_positive = insn->op == OP_srliw && insn->imm != 0;

    if (tr->insns[tr->at].is_low || !is_word_insn(tr, insn) || !(held || (wanted && !is_copy)) ||
        (has_second(row) && rax_holds(tr, insn->rs2)))
        return false;
    unsigned target = target_x(tr, insn->rd, RAX);
    unsigned a = low_get(tr, insn->rs1, RAX);
    unsigned host = a;
    if (is_positive)
        host = target;
    else if (!is_copy)
        host = wanted ? low_target(tr, insn->rd, a, second_host(tr, insn)) : RAX;
    if (!is_copy)
        emit_word_op(tr, insn, host, a);
    const struct insn *next = next_insn(tr);
    bool is_held = wanted && !is_copy && !is_positive;
    if (is_held && next && is_word_insn(tr, next) && takes_low_half(next, insn->rd)) {
        tr->half_made = insn->rd;
    } else {
        if (!is_positive)
            emit_rr(e, X86_MOVSXD, 8, target, host);
        put_x(tr, insn->rd, target);
        if (row->op == X86_SUB)
            keep_flags(tr, insn);
    }
    e->touched = touched;
    if (is_held)
        low_put(tr, insn->rd, host);
    return true;
}

static bool is_commutative(unsigned op)
{
    return op == X86_ADD || op == X86_AND || op == X86_OR || op == X86_XOR || op == X86_IMUL;
}

/* rd = rs1 op rs2. Computes in rd's own register unless rs2 lives there. */
static void emit_binary(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];
    enum x86_op op = (enum x86_op)row->op;
    unsigned a = insn->rs1;
    unsigned b = insn->rs2;
    unsigned target = target_x(tr, insn->rd, RAX);

    if (row->width == 4 && emit_word(tr, insn))
        return;
    if (is_commutative(op) &&
        (a == 0 || rax_holds(tr, b) || (local_x(tr, b) == target && local_x(tr, a) != target))) {
        a = insn->rs2;
        b = insn->rs1;
    }
    if (local_x(tr, b) == target && local_x(tr, a) != target)
        target = RAX;
    if (b == 0) {
        copy_x(tr, target, a);
        if (op == X86_AND || op == X86_IMUL)
            emit_rr(&tr->e, X86_XOR, 4, target, target);
    } else if (op == X86_ADD && row->width == 8 && local_x(tr, a) != NO_REGISTER &&
               local_x(tr, b) != NO_REGISTER && target != local_x(tr, a)) {
        emit_rm(&tr->e, X86_LEA, 8, target, at_index(local_x(tr, a), local_x(tr, b), 0, 0));
    } else {
        copy_x(tr, target, a);
        with_x(tr, op, row->width, target, b);
        finish(tr, insn, target, row->width);
        if (op != X86_IMUL)
            keep_flags(tr, insn);
        return;
    }
    finish(tr, insn, target, row->width);
}

static void emit_addi(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];
    unsigned target = target_x(tr, insn->rd, RAX);

    if (row->width == 4 && emit_word(tr, insn))
        return;
    if (insn->rs1 == 0) {
        emit_constant(&tr->e, target, (uint64_t)(int64_t)insn->imm);
        put_x(tr, insn->rd, target);
        return;
    }
    if (row->width == 8 && insn->rd == insn->rs1 && local_x(tr, insn->rd) == NO_REGISTER &&
        !rax_holds(tr, insn->rs1)) {
        emit_mi(&tr->e, X86_ADD_IMM, 8, guest_x(insn->rd), insn->imm);
        return;
    }
    unsigned source = get_x(tr, insn->rs1, RAX);
    bool is_word = (tr->known_words >> insn->rs1 & 1) || tr->insns[tr->at].is_low;
    if (insn->imm == 0 && row->width == 4 && !is_word)
        emit_rr(&tr->e, X86_MOVSXD, 8, target, source);
    else if (insn->imm == 0)
        copy_x(tr, target, insn->rs1);
    else if (target == source && row->width == 8) {
        emit_ri(&tr->e, X86_ADD_IMM, 8, target, insn->imm);
        put_x(tr, insn->rd, target);
        keep_flags(tr, insn);
        return;
    } else
        emit_rm(&tr->e, X86_LEA, row->width, target, at_register(source, insn->imm));
    if (insn->imm == 0)
        put_x(tr, insn->rd, target);
    else
        finish(tr, insn, target, row->width);
}

/* Pairs of shifts by immediates that cut out the low half, or less, and shift it by what is
 * left: one or two instructions for the two. */
static bool emit_cut_out(struct translation *tr, const struct insn *insn)
{
    const struct insn *next = next_insn(tr);
    unsigned target = target_x(tr, insn->rd, RAX);
    unsigned width = (64 - (unsigned)insn->imm) / 8; /* of what is cut out, in bytes */
    bool is_cut = insn->imm == 32 || insn->imm == 48 || insn->imm == 56;

    if (!is_cut || !next || next->op != OP_srli || next->rd != insn->rd || next->rs1 != insn->rd ||
        next->imm > insn->imm)
        return false;
    int left = insn->imm - next->imm;
    if (left && width != 4)
        return false;
    uint32_t touched = tr->e.touched;
    unsigned source = low_get(tr, insn->rs1, RAX);
    enum x86_op op = width == 4 ? X86_MOV : width == 2 ? X86_MOVZX16 : X86_MOVZX8;
    emit_rr(&tr->e, op, 4, target, source);
    if (left)
        emit_ri(&tr->e, X86_SHL_IMM, 8, target, left);
    tr->e.touched = touched;
    take_next(tr);
    put_x(tr, insn->rd, target);
    return true;
}

/* A small shift whose result is only added to something: an address, most often. */
static bool emit_scaled_add(struct translation *tr, const struct insn *insn)
{
    const struct insn *next = next_insn(tr);

    if (insn->imm == 0 || insn->imm > 3 || !next || next->op != OP_add || next->rd != insn->rd ||
        (next->rs1 == insn->rd) == (next->rs2 == insn->rd))
        return false;
    unsigned other = next->rs1 == insn->rd ? next->rs2 : next->rs1;
    if (other == 0 || local_x(tr, other) == NO_REGISTER)
        return false;
    unsigned target = target_x(tr, insn->rd, RAX);
    unsigned index = get_x(tr, insn->rs1, RAX);
    emit_rm(&tr->e, X86_LEA, 8, target,
            at_index(local_x(tr, other), index, (unsigned)insn->imm, 0));
    take_next(tr);
    put_x(tr, insn->rd, target);
    return true;
}

/* rd = rs1 op imm, where imm keeps its meaning for x86. */
static void emit_immediate(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];
    unsigned target = target_x(tr, insn->rd, RAX);
    unsigned source = local_x(tr, insn->rs1);

    if (row->width == 4 && emit_word(tr, insn))
        return;
    if (insn->op == OP_slli && (emit_cut_out(tr, insn) || emit_scaled_add(tr, insn)))
        return;
    if (insn->op == OP_andi && insn->imm == 0xff) {
        emit_rr(&tr->e, X86_MOVZX8, 4, target, get_x(tr, insn->rs1, RAX));
        put_x(tr, insn->rd, target);
        return;
    }
    if (row->width == 4 && source != NO_REGISTER && source != target)
        emit_rr(&tr->e, X86_MOV, 4, target, source);
    else
        copy_x(tr, target, insn->rs1);
    emit_ri(&tr->e, (enum x86_op)row->op, row->width, target, insn->imm);
    /* A logical shift leaves no sign to extend. */
    bool is_positive = insn->op == OP_srliw && insn->imm != 0;
    finish(tr, insn, target, is_positive ? 8 : row->width);
    if (row->op == X86_AND_IMM || row->op == X86_OR_IMM || row->op == X86_XOR_IMM)
        keep_flags(tr, insn);
}

/* Constants and addresses are made of two instructions. If the next adds to what the
 * current one puts into rd, it becomes the current one; returns what it adds. */
static int64_t take_addition(struct translation *tr, const struct insn *insn, enum op op)
{
    const struct insn *next = next_insn(tr);

    if (!next || next->op != op || next->rd != insn->rd || next->rs1 != insn->rd)
        return 0;
    take_next(tr);
    return next->imm;
}

static void emit_lui(struct translation *tr, const struct insn *insn)
{
    unsigned target = target_x(tr, insn->rd, RAX);
    int64_t value = insn->imm;

    value = (int32_t)(value + take_addition(tr, insn, OP_addiw));
    emit_constant(&tr->e, target, (uint64_t)value);
    put_x(tr, insn->rd, target);
}

static void emit_auipc(struct translation *tr, const struct insn *insn)
{
    unsigned target = target_x(tr, insn->rd, RAX);
    int64_t offset = (int64_t)insn->imm + tr->insns[tr->at].offset;

    offset += take_addition(tr, insn, OP_addi);
    if (tr->is_user || offset == (int32_t)offset) {
        emit_address(tr, target, offset);
    } else {
        emit_address(tr, target, 0);
        emit_constant(&tr->e, RCX, (uint64_t)offset);
        emit_rr(&tr->e, X86_ADD, 8, target, RCX);
    }
    put_x(tr, insn->rd, target);
}

/* Compares host register `a`, which holds rs1, with the other operand; the operation that
 * makes 1 where the condition of `insn` holds. */
static enum x86_op emit_set_compare(struct translation *tr, const struct insn *insn, unsigned a,
                                    bool has_imm)
{
    const struct integer_row *row = &rows[insn->op];

    if (has_imm && insn->imm == 1 && row->op == X86_SETB) {
        emit_rr(&tr->e, X86_TEST, 8, a, a); /* sltiu rd, rs1, 1: is it zero */
        return X86_SETE;
    }
    if (has_imm)
        emit_ri(&tr->e, X86_CMP_IMM, 8, a, insn->imm);
    else if (insn->rs2 == 0)
        emit_ri(&tr->e, X86_CMP_IMM, 8, a, 0);
    else
        with_x(tr, X86_CMP, 8, a, insn->rs2);
    return (enum x86_op)row->op;
}

/* rd = a condition of rs1 and rs2 or imm. */
static void emit_set(struct translation *tr, const struct insn *insn)
{
    bool has_imm = isa_formats[isa_ops[insn->op].format].imm == IMM_I;
    bool is_not_zero = insn->op == OP_sltu && insn->rs1 == 0;
    bool is_operand = insn->rd == insn->rs1 || (!has_imm && insn->rd == insn->rs2);
    unsigned target = target_x(tr, insn->rd, RCX);
    unsigned host = is_operand ? RCX : target;
    unsigned a = get_x(tr, is_not_zero ? insn->rs2 : insn->rs1, RAX);

    emit_rr(&tr->e, X86_XOR, 4, host, host);
    enum x86_op op = X86_SETNE;
    if (is_not_zero)
        emit_rr(&tr->e, X86_TEST, 8, a, a);
    else
        op = emit_set_compare(tr, insn, a, has_imm);
    emit_r(&tr->e, op, 1, host);
    if (host != target)
        emit_rr(&tr->e, X86_MOV, 4, target, host);
    put_x(tr, insn->rd, target);
}

/* rd = rs1 shifted by rs2; `op` by a register (BMI2), `second` by cl. */
static void emit_shift(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];
    unsigned target = target_x(tr, insn->rd, RAX);

    if (row->op && tr->features->bmi2) {
        unsigned a = get_x(tr, insn->rs1, RAX);
        unsigned b = get_x(tr, insn->rs2, RCX);
        emit_rrr(&tr->e, (enum x86_op)row->op, row->width, target, a, b);
    } else {
        copy_x(tr, RCX, insn->rs2);
        copy_x(tr, RAX, insn->rs1);
        emit_r(&tr->e, (enum x86_op)row->second, row->width, RAX);
        target = RAX;
    }
    finish(tr, insn, target, row->width);
}

/* ---- M ---- */

/* High half of the product: `op` MUL or IMUL1. */
static void emit_mulh(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];

    if (row->op == X86_MUL && tr->features->bmi2) {
        unsigned target = target_x(tr, insn->rd, RAX);
        copy_x(tr, RDX, insn->rs1);
        unsigned b = get_x(tr, insn->rs2, RCX);
        emit_rrr(&tr->e, X86_MULX, 8, target, RCX, b);
        put_x(tr, insn->rd, target);
        return;
    }
    copy_x(tr, RAX, insn->rs1);
    copy_x(tr, RCX, insn->rs2);
    emit_r(&tr->e, (enum x86_op)row->op, 8, RCX);
    put_x(tr, insn->rd, RDX);
}

static void emit_mulhsu(struct translation *tr, const struct insn *insn)
{
    /* unsigned product, minus rs2 where rs1 is negative */
    copy_x(tr, RAX, insn->rs1);
    copy_x(tr, RCX, insn->rs2);
    emit_r(&tr->e, X86_MUL, 8, RCX);
    copy_x(tr, RAX, insn->rs1);
    emit_ri(&tr->e, X86_SAR_IMM, 8, RAX, 63);
    emit_rr(&tr->e, X86_AND, 8, RAX, RCX);
    emit_rr(&tr->e, X86_SUB, 8, RDX, RAX);
    put_x(tr, insn->rd, RDX);
}

/* `op` DIV or IDIV; `second`: the remainder is wanted. By zero: all ones, the
 * remainder is the dividend. Overflow (by -1): quotient -a, remainder 0. */
static void emit_divide(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];
    struct emitter *e = &tr->e;
    bool is_signed = row->op == X86_IDIV;
    bool wants_remainder = row->second;

    copy_x(tr, RAX, insn->rs1);
    copy_x(tr, RCX, insn->rs2);
    emit_rr(e, X86_TEST, row->width, RCX, RCX);
    uint8_t *zero = emit_jcc_short(e, IF_EQUAL);
    uint8_t *minus_one = NULL;
    if (is_signed) {
        emit_ri(e, X86_CMP_IMM, row->width, RCX, -1);
        minus_one = emit_jcc_short(e, IF_EQUAL);
        emit_cdq(e, row->width);
    } else {
        emit_rr(e, X86_XOR, 4, RDX, RDX);
    }
    emit_r(e, (enum x86_op)row->op, row->width, RCX);
    if (wants_remainder)
        emit_rr(e, X86_MOV, 8, RAX, RDX);
    uint8_t *done = emit_jmp_short(e);
    uint8_t *done_too = NULL;
    if (is_signed) {
        emit_patch_short(e, minus_one);
        if (wants_remainder)
            emit_rr(e, X86_XOR, 4, RAX, RAX);
        else
            emit_r(e, X86_NEG, row->width, RAX);
        done_too = emit_jmp_short(e);
    }
    emit_patch_short(e, zero);
    if (!wants_remainder)
        emit_constant(e, RAX, UINT64_MAX);
    emit_patch_short(e, done);
    if (done_too)
        emit_patch_short(e, done_too);
    finish(tr, insn, RAX, row->width);
}

/* ---- B ---- */

/* rd = (rs1 << scale) + rs2; width 4: of the zero-extended low half of rs1. */
static void emit_shift_add(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];
    unsigned target = target_x(tr, insn->rd, RAX);
    unsigned a = get_x(tr, insn->rs1, RAX);
    unsigned b = get_x(tr, insn->rs2, RCX);

    if (row->width == 4) {
        emit_rr(&tr->e, X86_MOV, 4, RAX, a);
        a = RAX;
    }
    emit_rm(&tr->e, X86_LEA, 8, target, at_index(b, a, row->second, 0));
    put_x(tr, insn->rd, target);
}

static void emit_slli_uw(struct translation *tr, const struct insn *insn)
{
    unsigned target = target_x(tr, insn->rd, RAX);
    unsigned a = get_x(tr, insn->rs1, RAX);

    emit_rr(&tr->e, X86_MOV, 4, target, a);
    emit_ri(&tr->e, X86_SHL_IMM, 8, target, insn->imm);
    put_x(tr, insn->rd, target);
}

/* rd = rs1 op ~rs2; xnor: ~(rs1 ^ rs2). */
static void emit_inverted(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];

    copy_x(tr, RAX, insn->rs2);
    emit_r(&tr->e, X86_NOT, 8, RAX);
    if (insn->rs1 != 0)
        with_x(tr, (enum x86_op)row->op, 8, RAX, insn->rs1);
    else if (row->op == X86_AND)
        emit_rr(&tr->e, X86_XOR, 4, RAX, RAX);
    put_x(tr, insn->rd, RAX);
}

/* rd = op rs1: one instruction whose result has at most 32 significant bits. */
static void emit_count(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];
    unsigned target = target_x(tr, insn->rd, RAX);
    unsigned a = get_x(tr, insn->rs1, RAX);

    emit_rr(&tr->e, (enum x86_op)row->op, row->width, target, a);
    put_x(tr, insn->rd, target);
}

/* rd = rs1, replaced by rs2 when the condition `op` (a cmov) holds of (rs1, rs2). */
static void emit_select(struct translation *tr, const struct insn *insn)
{
    copy_x(tr, RAX, insn->rs1);
    unsigned b = get_x(tr, insn->rs2, RCX);
    emit_rr(&tr->e, X86_CMP, 8, RAX, b);
    emit_rr(&tr->e, (enum x86_op)rows[insn->op].op, 8, RAX, b);
    put_x(tr, insn->rd, RAX);
}

/* Extensions: `op` from a byte or halfword of a register. */
static void emit_extend(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];
    unsigned target = target_x(tr, insn->rd, RAX);
    unsigned a = get_x(tr, insn->rs1, RAX);

    emit_rr(&tr->e, (enum x86_op)row->op, row->width, target, a);
    put_x(tr, insn->rd, target);
}

static void emit_rev8(struct translation *tr, const struct insn *insn)
{
    copy_x(tr, RAX, insn->rs1);
    emit_bswap(&tr->e, RAX);
    put_x(tr, insn->rd, RAX);
}

/* Bytes that are not zero become ff: their low seven bits plus 7f, or the top bit,
 * leave a one in the top bit; which is then spread. */
static void emit_orc_b(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;

    copy_x(tr, RAX, insn->rs1);
    emit_constant(e, RCX, UINT64_C(0x7f7f7f7f7f7f7f7f));
    emit_rr(e, X86_MOV, 8, RDX, RAX);
    emit_rr(e, X86_AND, 8, RDX, RCX);
    emit_rr(e, X86_ADD, 8, RDX, RCX);
    emit_rr(e, X86_OR, 8, RAX, RDX);
    emit_r(e, X86_NOT, 8, RCX);
    emit_rr(e, X86_AND, 8, RAX, RCX);
    emit_rr(e, X86_MOV, 8, RCX, RAX);
    emit_rr(e, X86_MOV, 8, RDX, RAX);
    emit_ri(e, X86_SHR_IMM, 8, RDX, 7);
    emit_rr(e, X86_SUB, 8, RAX, RDX);
    emit_rr(e, X86_OR, 8, RAX, RCX);
    put_x(tr, insn->rd, RAX);
}

/* Single bits, by register: `op` bts, btr, btc. */
static void emit_bit(struct translation *tr, const struct insn *insn)
{
    copy_x(tr, RAX, insn->rs1);
    unsigned b = get_x(tr, insn->rs2, RCX);
    emit_rr(&tr->e, (enum x86_op)rows[insn->op].op, 8, RAX, b);
    put_x(tr, insn->rd, RAX);
}

static void emit_bext(struct translation *tr, const struct insn *insn)
{
    unsigned target = target_x(tr, insn->rd, RCX);
    unsigned a = get_x(tr, insn->rs1, RAX);
    unsigned b = get_x(tr, insn->rs2, RCX);

    emit_rr(&tr->e, X86_BT, 8, a, b);
    emit_r(&tr->e, X86_SETB, 1, RCX);
    emit_rr(&tr->e, X86_MOVZX8, 4, target, RCX);
    put_x(tr, insn->rd, target);
}

static void emit_bexti(struct translation *tr, const struct insn *insn)
{
    unsigned target = target_x(tr, insn->rd, RAX);

    copy_x(tr, target, insn->rs1);
    if (insn->imm)
        emit_ri(&tr->e, X86_SHR_IMM, 8, target, insn->imm);
    emit_ri(&tr->e, X86_AND_IMM, 4, target, 1);
    put_x(tr, insn->rd, target);
}

/* The 128-bit carry-less product; `second`: which bits of it, as a right shift. */
static void emit_clmul(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];
    struct emitter *e = &tr->e;

    unsigned a = get_x(tr, insn->rs1, RAX);
    emit_rr(e, X86_VMOVQ_FROM_R, 8, 0, a);
    unsigned b = get_x(tr, insn->rs2, RAX);
    emit_rr(e, X86_VMOVQ_FROM_R, 8, 1, b);
    emit_rrri(e, X86_VPCLMULQDQ, 0, 0, 1, 0);
    emit_rr(e, X86_VMOVQ_TO_R, 8, RAX, 0);
    if (row->second) {
        emit_rri(e, X86_VPSRLDQ, 4, 0, 0, 8);
        emit_rr(e, X86_VMOVQ_TO_R, 8, RDX, 0);
        if (row->second == 63) {
            emit_ri(e, X86_SHR_IMM, 8, RAX, 63);
            emit_ri(e, X86_SHL_IMM, 8, RDX, 1);
            emit_rr(e, X86_OR, 8, RDX, RAX);
        }
        emit_rr(e, X86_MOV, 8, RAX, RDX);
    }
    put_x(tr, insn->rd, RAX);
}

/* Zicond: rd = rs1, or 0 when the condition `op` (a cmov) holds of rs2. */
static void emit_czero(struct translation *tr, const struct insn *insn)
{
    copy_x(tr, RAX, insn->rs1);
    unsigned b = get_x(tr, insn->rs2, RCX);
    emit_constant(&tr->e, RDX, 0);
    emit_rr(&tr->e, X86_TEST, 8, b, b);
    emit_rr(&tr->e, (enum x86_op)rows[insn->op].op, 8, RAX, RDX);
    put_x(tr, insn->rd, RAX);
}

/* clang-format off */
static const struct integer_row rows[OP_COUNT] = {
    [OP_lui]    = {emit_lui, 0, 0, 8, 0},
    [OP_auipc]  = {emit_auipc, 0, 0, 8, 0},
    [OP_addi]   = {emit_addi, 0, 0, 8, 0},
    [OP_addiw]  = {emit_addi, 0, 0, 4, 0},
    [OP_slti]   = {emit_set, X86_SETL, 0, 8, 0},
    [OP_sltiu]  = {emit_set, X86_SETB, 0, 8, 0},
    [OP_xori]   = {emit_immediate, X86_XOR_IMM, 0, 8, 0},
    [OP_ori]    = {emit_immediate, X86_OR_IMM, 0, 8, 0},
    [OP_andi]   = {emit_immediate, X86_AND_IMM, 0, 8, 0},
    [OP_slli]   = {emit_immediate, X86_SHL_IMM, 0, 8, 0},
    [OP_srli]   = {emit_immediate, X86_SHR_IMM, 0, 8, 0},
    [OP_srai]   = {emit_immediate, X86_SAR_IMM, 0, 8, 0},
    [OP_slliw]  = {emit_immediate, X86_SHL_IMM, 0, 4, 0},
    [OP_srliw]  = {emit_immediate, X86_SHR_IMM, 0, 4, 0},
    [OP_sraiw]  = {emit_immediate, X86_SAR_IMM, 0, 4, 0},
    [OP_add]    = {emit_binary, X86_ADD, 0, 8, 0},
    [OP_sub]    = {emit_binary, X86_SUB, 0, 8, 0},
    [OP_xor]    = {emit_binary, X86_XOR, 0, 8, 0},
    [OP_or]     = {emit_binary, X86_OR, 0, 8, 0},
    [OP_and]    = {emit_binary, X86_AND, 0, 8, 0},
    [OP_addw]   = {emit_binary, X86_ADD, 0, 4, 0},
    [OP_subw]   = {emit_binary, X86_SUB, 0, 4, 0},
    [OP_slt]    = {emit_set, X86_SETL, 0, 8, 0},
    [OP_sltu]   = {emit_set, X86_SETB, 0, 8, 0},
    [OP_sll]    = {emit_shift, X86_SHLX, X86_SHL_CL, 8, 0},
    [OP_srl]    = {emit_shift, X86_SHRX, X86_SHR_CL, 8, 0},
    [OP_sra]    = {emit_shift, X86_SARX, X86_SAR_CL, 8, 0},
    [OP_sllw]   = {emit_shift, X86_SHLX, X86_SHL_CL, 4, 0},
    [OP_srlw]   = {emit_shift, X86_SHRX, X86_SHR_CL, 4, 0},
    [OP_sraw]   = {emit_shift, X86_SARX, X86_SAR_CL, 4, 0},

    [OP_mul]    = {emit_binary, X86_IMUL, 0, 8, 0},
    [OP_mulw]   = {emit_binary, X86_IMUL, 0, 4, 0},
    [OP_mulh]   = {emit_mulh, X86_IMUL1, 0, 8, 0},
    [OP_mulhu]  = {emit_mulh, X86_MUL, 0, 8, 0},
    [OP_mulhsu] = {emit_mulhsu, 0, 0, 8, 0},
    [OP_div]    = {emit_divide, X86_IDIV, 0, 8, 0},
    [OP_divu]   = {emit_divide, X86_DIV, 0, 8, 0},
    [OP_rem]    = {emit_divide, X86_IDIV, 1, 8, 0},
    [OP_remu]   = {emit_divide, X86_DIV, 1, 8, 0},
    [OP_divw]   = {emit_divide, X86_IDIV, 0, 4, 0},
    [OP_divuw]  = {emit_divide, X86_DIV, 0, 4, 0},
    [OP_remw]   = {emit_divide, X86_IDIV, 1, 4, 0},
    [OP_remuw]  = {emit_divide, X86_DIV, 1, 4, 0},

    [OP_add_uw]    = {emit_shift_add, 0, 0, 4, 0},
    [OP_sh1add]    = {emit_shift_add, 0, 1, 8, 0},
    [OP_sh2add]    = {emit_shift_add, 0, 2, 8, 0},
    [OP_sh3add]    = {emit_shift_add, 0, 3, 8, 0},
    [OP_sh1add_uw] = {emit_shift_add, 0, 1, 4, 0},
    [OP_sh2add_uw] = {emit_shift_add, 0, 2, 4, 0},
    [OP_sh3add_uw] = {emit_shift_add, 0, 3, 4, 0},
    [OP_slli_uw]   = {emit_slli_uw, 0, 0, 8, 0},

    [OP_andn]   = {emit_inverted, X86_AND, 0, 8, 0},
    [OP_orn]    = {emit_inverted, X86_OR, 0, 8, 0},
    [OP_xnor]   = {emit_inverted, X86_XOR, 0, 8, 0},
    [OP_clz]    = {emit_count, X86_LZCNT, 0, 8, NEEDS_LZCNT},
    [OP_clzw]   = {emit_count, X86_LZCNT, 0, 4, NEEDS_LZCNT},
    [OP_ctz]    = {emit_count, X86_TZCNT, 0, 8, NEEDS_BMI1},
    [OP_ctzw]   = {emit_count, X86_TZCNT, 0, 4, NEEDS_BMI1},
    [OP_cpop]   = {emit_count, X86_POPCNT, 0, 8, NEEDS_POPCNT},
    [OP_cpopw]  = {emit_count, X86_POPCNT, 0, 4, NEEDS_POPCNT},
    [OP_max]    = {emit_select, X86_CMOVL, 0, 8, 0},
    [OP_maxu]   = {emit_select, X86_CMOVB, 0, 8, 0},
    [OP_min]    = {emit_select, X86_CMOVG, 0, 8, 0},
    [OP_minu]   = {emit_select, X86_CMOVA, 0, 8, 0},
    [OP_sext_b] = {emit_extend, X86_MOVSX8, 0, 8, 0},
    [OP_sext_h] = {emit_extend, X86_MOVSX16, 0, 8, 0},
    [OP_zext_h] = {emit_extend, X86_MOVZX16, 0, 4, 0},
    [OP_rol]    = {emit_shift, 0, X86_ROL_CL, 8, 0},
    [OP_rolw]   = {emit_shift, 0, X86_ROL_CL, 4, 0},
    [OP_ror]    = {emit_shift, 0, X86_ROR_CL, 8, 0},
    [OP_rorw]   = {emit_shift, 0, X86_ROR_CL, 4, 0},
    [OP_rori]   = {emit_immediate, X86_ROR_IMM, 0, 8, 0},
    [OP_roriw]  = {emit_immediate, X86_ROR_IMM, 0, 4, 0},
    [OP_orc_b]  = {emit_orc_b, 0, 0, 8, 0},
    [OP_rev8]   = {emit_rev8, 0, 0, 8, 0},

    [OP_clmul]  = {emit_clmul, 0, 0, 8, NEEDS_PCLMUL},
    [OP_clmulh] = {emit_clmul, 0, 64, 8, NEEDS_PCLMUL},
    [OP_clmulr] = {emit_clmul, 0, 63, 8, NEEDS_PCLMUL},

    [OP_bclr]   = {emit_bit, X86_BTR, 0, 8, 0},
    [OP_bset]   = {emit_bit, X86_BTS, 0, 8, 0},
    [OP_binv]   = {emit_bit, X86_BTC, 0, 8, 0},
    [OP_bext]   = {emit_bext, 0, 0, 8, 0},
    [OP_bclri]  = {emit_immediate, X86_BTR_IMM, 0, 8, 0},
    [OP_bseti]  = {emit_immediate, X86_BTS_IMM, 0, 8, 0},
    [OP_binvi]  = {emit_immediate, X86_BTC_IMM, 0, 8, 0},
    [OP_bexti]  = {emit_bexti, 0, 0, 8, 0},

    [OP_czero_eqz] = {emit_czero, X86_CMOVE, 0, 8, 0},
    [OP_czero_nez] = {emit_czero, X86_CMOVNE, 0, 8, 0},
};
/* clang-format on */

static bool has_feature(const struct cpu_features *features, unsigned needed)
{
    switch ((enum needed)needed) {
    case NEEDS_NOTHING:
        return true;
    case NEEDS_LZCNT:
        return features->lzcnt;
    case NEEDS_BMI1:
        return features->bmi1;
    case NEEDS_POPCNT:
        return features->popcnt;
    case NEEDS_PCLMUL:
        return features->pclmul && features->avx;
    }
    return false;
}

static bool takes_low_half(const struct insn *insn, unsigned reg)
{
    const struct integer_row *row = &rows[insn->op];

    if (insn->rd != reg)
        return false;
    if (row->width == 8)
        return insn->rs1 == reg && ((insn->op == OP_slli && insn->imm >= 32) ||
                                    (insn->op == OP_andi && insn->imm >= 0));
    if (row->emit == emit_addi || row->emit == emit_immediate)
        return insn->rs1 == reg;
    return (row->emit == emit_binary || row->emit == emit_shift) &&
           (insn->rs1 == reg || insn->rs2 == reg);
}

bool integer_consumes(const struct insn *insn, unsigned reg)
{
    const struct integer_row *row = &rows[insn->op];

    if (insn->rd != reg)
        return false;
    if (row->emit == emit_addi || row->emit == emit_immediate)
        return insn->rs1 == reg;
    if (row->emit != emit_binary)
        return false;
    if (insn->rs1 == reg)
        return insn->rs2 != reg && insn->rs2 != 0;
    return insn->rs2 == reg && insn->rs1 != 0 && is_commutative(row->op);
}

bool integer_is_move(const struct insn *insn)
{
    if (insn->rd == 0)
        return false;
    return ((insn->op == OP_addi || insn->op == OP_addiw) && insn->imm == 0) ||
           (insn->op == OP_add && (insn->rs1 == 0 || insn->rs2 == 0));
}

/* ---- words ----
 *
 * Compilers extend signs once more where they do not know that it was done. */

enum word_rule {
    WORD_UNKNOWN,
    WORD_ALWAYS,
    WORD_OF_WORDS, /* if all its register operands are */
};

/* clang-format off */
static const uint8_t word_rules[OP_COUNT] = {
    [OP_lb] = WORD_ALWAYS, [OP_lh] = WORD_ALWAYS, [OP_lw] = WORD_ALWAYS,
    [OP_lbu] = WORD_ALWAYS, [OP_lhu] = WORD_ALWAYS,
    [OP_lui] = WORD_ALWAYS, [OP_addiw] = WORD_ALWAYS,
    [OP_slliw] = WORD_ALWAYS, [OP_srliw] = WORD_ALWAYS, [OP_sraiw] = WORD_ALWAYS,
    [OP_addw] = WORD_ALWAYS, [OP_subw] = WORD_ALWAYS,
    [OP_sllw] = WORD_ALWAYS, [OP_srlw] = WORD_ALWAYS, [OP_sraw] = WORD_ALWAYS,
    [OP_roriw] = WORD_ALWAYS, [OP_rolw] = WORD_ALWAYS, [OP_rorw] = WORD_ALWAYS,
    [OP_mulw] = WORD_ALWAYS, [OP_divw] = WORD_ALWAYS, [OP_divuw] = WORD_ALWAYS,
    [OP_remw] = WORD_ALWAYS, [OP_remuw] = WORD_ALWAYS,
    [OP_slt] = WORD_ALWAYS, [OP_sltu] = WORD_ALWAYS,
    [OP_slti] = WORD_ALWAYS, [OP_sltiu] = WORD_ALWAYS,
    [OP_and] = WORD_OF_WORDS, [OP_or] = WORD_OF_WORDS, [OP_xor] = WORD_OF_WORDS,
    [OP_andi] = WORD_OF_WORDS, [OP_ori] = WORD_OF_WORDS, [OP_xori] = WORD_OF_WORDS,
};
/* clang-format on */

bool integer_makes_word(const struct insn *insn, unsigned known)
{
    uint32_t flags = isa_ops[insn->op].flags;
    unsigned operands =
        (flags & X_RS1 ? 1u << insn->rs1 : 0) | (flags & X_RS2 ? 1u << insn->rs2 : 0);
    bool are_words = (operands & ~(known | 1u)) == 0; /* x0 is one */

    /* Copies, and small constants. */
    if (insn->op == OP_addi)
        return insn->rs1 == 0 || (insn->imm == 0 && are_words);
    if (insn->op == OP_add && (insn->rs1 == 0 || insn->rs2 == 0))
        return are_words;
    if (insn->op == OP_andi && insn->imm >= 0)
        return true;
    switch ((enum word_rule)word_rules[insn->op]) {
    case WORD_UNKNOWN:
        return false;
    case WORD_ALWAYS:
        return true;
    case WORD_OF_WORDS:
        return are_words;
    }
    return false;
}

bool integer_is_pure(const struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];

    return row->emit && has_feature(tr->features, row->feature);
}

bool translate_integer(struct translation *tr, const struct insn *insn)
{
    const struct integer_row *row = &rows[insn->op];

    if (isa_ops[insn->op].flags & IS_HINT)
        return insn->op != OP_pause; /* prefetches: nothing to do */
    if (!integer_is_pure(tr, insn))
        return false;
    tr->puts_last = true;
    if (insn->rd != 0) /* nothing but rd changes */
        row->emit(tr, insn);
    return true;
}
