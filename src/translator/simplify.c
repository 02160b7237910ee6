/* SPDX-License-Identifier: Apache-2.0
 * What a unit's instructions are translated as (ADR 0050). Code without Zbb rotates by two shifts and
 * an or: that becomes the rotation of Zbb. Values that are overwritten before anything could look at
 * them are not computed.
 *
 * Only accesses, jumps, and what may trap or is left to the interpreter look at registers: the
 * guest is never stopped between two pure instructions (integer_is_pure). */
#include "translator/translate.h"

/* Instructions that are looked at for a shift. */
#define REACH    24
#define ALL_ONES UINT32_MAX

static const struct insn nothing = {.op = OP_addi};

static void replace(struct translation *tr, unsigned at, struct insn by)
{
    struct insn *insn = &tr->insns[at].insn;

    by.length = insn->length;
    by.raw = insn->raw;
    *insn = by;
}

static uint32_t reads(const struct insn *insn)
{
    uint32_t flags = isa_ops[insn->op].flags;

    return (flags & X_RS1 ? 1u << insn->rs1 : 0) | (flags & X_RS2 ? 1u << insn->rs2 : 0);
}

static bool reads_any(const struct translation *tr, unsigned first, unsigned end, unsigned reg)
{
    for (; first < end; first++)
        if (reads(&tr->insns[first].insn) >> reg & 1)
            return true;
    return false;
}

static bool writes(const struct insn *insn, unsigned reg)
{
    return (isa_ops[insn->op].flags & X_RD) && insn->rd == reg;
}

static bool writes_any(const struct translation *tr, unsigned first, unsigned end, unsigned reg)
{
    for (; first < end; first++)
        if (writes(&tr->insns[first].insn, reg))
            return true;
    return false;
}

/* Whether instruction `at` is executed whenever the one before it is, and then goes on with the
 * next of the unit or traps. */
static bool is_straight(const struct translation *tr, unsigned at)
{
    const struct translated_insn *slot = &tr->insns[at];
    uint32_t flags = isa_ops[slot->insn.op].flags;

    return at + 1 < tr->count && slot[1].offset == slot->offset + slot->insn.length &&
           !(at && slot[-1].is_select) && !(flags & (IS_BRANCH | IS_JUMP | IS_SYSTEM));
}

static bool is_pure(const struct translation *tr, unsigned at)
{
    return is_straight(tr, at) && integer_is_pure(tr, &tr->insns[at].insn);
}

/* The instruction that makes what `at` reads from `reg`; -1: not certain. */
static int find_maker(const struct translation *tr, unsigned at, unsigned reg)
{
    for (unsigned i = at; i > 0 && reg != 0 && at - i < REACH; i--) {
        if (tr->insns[i].is_entry || !is_straight(tr, i - 1))
            return -1;
        if (writes(&tr->insns[i - 1].insn, reg))
            return (int)i - 1;
    }
    return -1;
}

/* The rotation that the two shifts are the parts of; OP_illegal: none. */
static enum op rotation_of(const struct insn *left, const struct insn *right)
{
    if (left->rs1 != right->rs1 || left->rs1 == 0 || left->imm == 0 || right->imm == 0)
        return OP_illegal;
    if (left->op == OP_slliw && right->op == OP_srliw && left->imm + right->imm == 32)
        return OP_roriw;
    if (left->op == OP_slli && right->op == OP_srli && left->imm + right->imm == 64)
        return OP_rori;
    return OP_illegal;
}

/* No bit comes from both shifts: all of these do the same. */
static bool joins(const struct insn *insn)
{
    return insn->op == OP_or || insn->op == OP_xor || insn->op == OP_add;
}

/* Whether shift `at` may take the place of `end`, which reads what it makes. */
static bool may_move_up(const struct translation *tr, unsigned at, unsigned end)
{
    unsigned rd = tr->insns[end].insn.rd;

    for (unsigned i = at; i < end; i++)
        if (!is_pure(tr, i))
            return false;
    return tr->insns[at].insn.rd == rd && !reads_any(tr, at + 1, end, rd);
}

static void find_rotation(struct translation *tr, unsigned at)
{
    const struct insn *insn = &tr->insns[at].insn;
    int a = joins(insn) && insn->rs1 != insn->rs2 ? find_maker(tr, at, insn->rs1) : -1;
    int b = a >= 0 ? find_maker(tr, at, insn->rs2) : -1;

    if (b < 0)
        return;
    const struct insn *left = &tr->insns[a].insn;
    const struct insn *right = &tr->insns[b].insn;
    enum op op = rotation_of(left, right);
    if (op == OP_illegal)
        op = rotation_of(right, left);
    unsigned source = left->rs1;
    unsigned first = (unsigned)MIN(a, b);
    unsigned second = (unsigned)MAX(a, b);
    if (op == OP_illegal || insn->rd == 0 || writes_any(tr, first, second, source))
        return;
    int amount = left->op == OP_srliw || left->op == OP_srli ? left->imm : right->imm;
    struct insn rotation = {
        .op = (uint16_t)op, .rd = insn->rd, .rs1 = (uint8_t)source, .imm = amount};
    if (!writes_any(tr, second, at, source)) {
        replace(tr, at, rotation);
    } else if (may_move_up(tr, second, at) || may_move_up(tr, first, at)) {
        replace(tr, may_move_up(tr, second, at) ? second : first, rotation);
        replace(tr, at, nothing);
    }
}

/* Whether the low half of the result comes from the low halves of the operands. */
static bool is_transparent(const struct insn *insn)
{
    switch (insn->op) {
    case OP_add:
    case OP_addi:
    case OP_and:
    case OP_andi:
    case OP_mul:
    case OP_or:
    case OP_ori:
    case OP_slli:
    case OP_sub:
    case OP_xor:
    case OP_xori:
        return true;
    default:
        return false;
    }
}

/* Backwards: `live` are the registers that something may still look at, `high` those of which
 * it may look at the upper half. */
static void drop_unseen(struct translation *tr)
{
    uint32_t live = ALL_ONES;
    uint32_t high = ALL_ONES;

    for (unsigned at = tr->count; at-- > 0;) {
        struct translated_insn *slot = &tr->insns[at];
        const struct insn *insn = &slot->insn;
        if (!is_pure(tr, at)) {
            live = high = ALL_ONES;
            continue;
        }
        if (!(live >> insn->rd & 1))
            replace(tr, at, nothing);
        bool is_high = high >> insn->rd & 1;
        slot->is_low = !is_high;
        live &= ~(1u << insn->rd);
        high &= ~(1u << insn->rd);
        live |= reads(insn);
        for (unsigned reg = 1; reg < 32; reg++)
            if ((reads(insn) >> reg & 1) && !integer_reads_low(insn, reg) &&
                (is_high || !is_transparent(insn)))
                high |= 1u << reg;
    }
}

void simplify_unit(struct translation *tr)
{
    if (tr->t->options.no_inline)
        return;
    for (unsigned at = 0; at < tr->count; at++)
        find_rotation(tr, at);
    drop_unseen(tr);
}
