/* SPDX-License-Identifier: Apache-2.0
 * LR/SC, AMO and fences on the host's atomics. x86 orders everything but a later
 * load before an earlier store, and locked instructions order that too: aq and rl
 * are free, and only a fence with W before R needs an instruction. */
#include "translator/translate.h"

/* Bits of the fence's sets: predecessor I O R W from bit 7 down, successor from
 * bit 3 down. Device accesses are ordered like memory here. */
#define FENCE_PRED_STORES 0x50
#define FENCE_SUCC_LOADS  0x0a
#define FENCE_TSO         0x833

static bool is_wide(const struct insn *insn)
{
    return bits_extract(isa_op_encoding(insn->op).match, 12, 3) == 3;
}

/* Slow path of an atomic: fill the TLB and try again, else the interpreter. */
static void finish_atomic(struct translation *tr, const struct insn *insn,
                          const struct lookup *place, unsigned size, bool is_store)
{
    struct emitter *e = &tr->e;
    const uint8_t *resume = e->out->at;
    uint32_t info =
        info_of(tr) | (size == 8 ? 3u : 2u) << INFO_SIZE_SHIFT | (is_store ? INFO_STORE : 0);

    to_cold(tr);
    if (place->slow) {
        emit_patch(place->slow, e->out->at);
        if (place->ea != RAX)
            emit_rr(e, X86_MOV, 8, RAX, place->ea);
        emit_constant(e, RCX, info);
        emit_call(e, tr->t->thunks.refill);
        emit_retry(tr, insn, place->start);
    }
    emit_patch(place->slow_aligned, e->out->at);
    emit_cold_fallback(tr, insn, resume);
    to_hot(tr);
}

static void put_result(struct translation *tr, const struct insn *insn, unsigned host,
                       unsigned size)
{
    if (size == 4)
        emit_rr(&tr->e, X86_MOVSXD, 8, host, host);
    put_x(tr, insn->rd, host);
}

static void emit_lr(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;
    unsigned size = is_wide(insn) ? 8 : 4;
    struct lookup place = emit_lookup(tr, insn, size, false, true);

    emit_place(tr, &place);
    note_access(tr);
    emit_rm(e, X86_MOV, size, RAX, at_register(RCX, 0));
    emit_rm(e, X86_MOV_STORE, 8, RCX, HART_FIELD(reserved_at));
    emit_rm(e, X86_MOV_STORE, 8, RAX, HART_FIELD(reserved_value));
    put_result(tr, insn, RAX, size);
    finish_atomic(tr, insn, &place, size, false);
}

static void emit_sc(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;
    unsigned size = is_wide(insn) ? 8 : 4;
    struct lookup place = emit_lookup(tr, insn, size, true, true);

    emit_place(tr, &place);
    unsigned value = get_x(tr, insn->rs2, RDX);
    emit_rm(e, X86_CMP, 8, RCX, HART_FIELD(reserved_at));
    uint8_t *failed = emit_jcc_short(e, IF_NOT_EQUAL);
    emit_rm(e, X86_MOV, 8, RAX, HART_FIELD(reserved_value));
    note_access(tr);
    emit_lock(e);
    emit_rm(e, X86_CMPXCHG, size, value, at_register(RCX, 0));
    emit_patch_short(e, failed);
    emit_r(e, X86_SETNE, 1, RCX);
    emit_mi(e, X86_MOV_IMM, 8, HART_FIELD(reserved_at), 0);
    emit_rr(e, X86_MOVZX8, 4, RCX, RCX);
    put_x(tr, insn->rd, RCX);
    finish_atomic(tr, insn, &place, size, true);
}

struct amo_row {
    uint8_t op;   /* to combine with; 0: not a logical one */
    uint8_t cmov; /* min and max: takes the operand when it holds of (old, operand) */
};

/* clang-format off */
static const struct amo_row amo_rows[OP_COUNT] = {
    [OP_amoxor_w] = {X86_XOR, 0}, [OP_amoxor_d] = {X86_XOR, 0},
    [OP_amoand_w] = {X86_AND, 0}, [OP_amoand_d] = {X86_AND, 0},
    [OP_amoor_w]  = {X86_OR, 0},  [OP_amoor_d]  = {X86_OR, 0},
    [OP_amomin_w]  = {0, X86_CMOVG}, [OP_amomin_d]  = {0, X86_CMOVG},
    [OP_amomax_w]  = {0, X86_CMOVL}, [OP_amomax_d]  = {0, X86_CMOVL},
    [OP_amominu_w] = {0, X86_CMOVA}, [OP_amominu_d] = {0, X86_CMOVA},
    [OP_amomaxu_w] = {0, X86_CMOVB}, [OP_amomaxu_d] = {0, X86_CMOVB},
};
/* clang-format on */

/* [rcx] becomes old op rs2; rax: old. */
static void emit_amo_loop(struct translation *tr, const struct insn *insn, unsigned size)
{
    const struct amo_row *row = &amo_rows[insn->op];
    struct emitter *e = &tr->e;

    note_access(tr);
    emit_rm(e, X86_MOV, size, RAX, at_register(RCX, 0));
    const uint8_t *again = e->out->at;
    copy_x(tr, RDX, insn->rs2);
    if (row->op) {
        emit_rr(e, (enum x86_op)row->op, size, RDX, RAX);
    } else {
        /* rdx = old unless the condition holds of (old, operand) */
        emit_rr(e, X86_CMP, size, RAX, RDX);
        emit_rr(e,
                (enum x86_op)(row->cmov == X86_CMOVG   ? X86_CMOVLE
                              : row->cmov == X86_CMOVL ? X86_CMOVGE
                              : row->cmov == X86_CMOVA ? X86_CMOVBE
                                                       : X86_CMOVAE),
                size, RDX, RAX);
    }
    note_access(tr);
    emit_lock(e);
    emit_rm(e, X86_CMPXCHG, size, RDX, at_register(RCX, 0));
    emit_jcc(e, IF_NOT_EQUAL, again);
}

static void emit_amo(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;
    unsigned size = is_wide(insn) ? 8 : 4;
    struct lookup place = emit_lookup(tr, insn, size, true, true);
    struct host_memory at = at_register(RCX, 0);

    emit_place(tr, &place);
    switch (insn->op) {
    case OP_amoswap_w:
    case OP_amoswap_d:
        copy_x(tr, RAX, insn->rs2);
        note_access(tr);
        emit_rm(e, X86_XCHG, size, RAX, at);
        break;
    case OP_amoadd_w:
    case OP_amoadd_d:
        copy_x(tr, RAX, insn->rs2);
        note_access(tr);
        emit_lock(e);
        emit_rm(e, X86_XADD, size, RAX, at);
        break;
    default:
        emit_amo_loop(tr, insn, size);
        break;
    }
    put_result(tr, insn, RAX, size);
    finish_atomic(tr, insn, &place, size, true);
}

static void emit_fence(struct translation *tr, const struct insn *insn)
{
    if ((insn->imm & FENCE_PRED_STORES) && (insn->imm & FENCE_SUCC_LOADS) &&
        (insn->imm & 0xfff) != FENCE_TSO) {
        /* Cheaper than mfence, and as good for ordinary memory. */
        emit_lock(&tr->e);
        emit_mi(&tr->e, X86_OR_IMM, 4, at_register(RSP, 0), 0);
    }
}

bool translate_atomic(struct translation *tr, const struct insn *insn)
{
    uint32_t flags = isa_ops[insn->op].flags;

    if (insn->op == OP_fence) {
        emit_fence(tr, insn);
        return true;
    }
    if (!(flags & IS_ATOMIC))
        return false;
    if ((flags & IS_AMO) == IS_LR)
        emit_lr(tr, insn);
    else if ((flags & IS_AMO) == IS_SC)
        emit_sc(tr, insn);
    else
        emit_amo(tr, insn);
    return true;
}
