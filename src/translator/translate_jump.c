/* SPDX-License-Identifier: Apache-2.0
 * Jumps, calls and returns, branches. */
#include "translator/translate.h"

#define JUMP_FIELD(member)                                                                      \
    ((int64_t)(offsetof(struct translated_hart, jumps) + offsetof(struct jump_entry, member)) - \
     HART_BIAS)

/* ---- through the jump cache ---- */

/* For emit_user_jump: where its target is not in the jump cache. *back: the jump behind the call
 * from there. */
static const uint8_t *emit_user_miss(struct translation *tr, unsigned target, enum x86_op how,
                                     uint8_t **back)
{
    struct emitter *e = &tr->e;
    struct code_stream *out = e->out;

    if (target == RAX && how == X86_JMP_R)
        return tr->t->thunks.jump_user;
    to_cold(tr);
    const uint8_t *start = e->out->at;
    if (target != RAX)
        emit_rr(e, X86_MOV, 8, RAX, target);
    if (how == X86_CALL_R) {
        emit_call(e, tr->t->thunks.jump_user);
        *back = emit_jmp(e, NULL);
    } else {
        emit_jmp(e, tr->t->thunks.jump_user);
    }
    e->out = out;
    return start;
}

/* Jumps of a process VM, or calls, `how`, to the address in `target`, whose lowest bit does not
 * count: nothing in the jump cache is odd, so only the cold part looks. The context is a constant
 * of the unit, most often with tag 0, and nobody asks for the page. In the cold part only with
 * RAX. */
static void emit_user_jump(struct translation *tr, unsigned target, bool polls, enum x86_op how)
{
    struct emitter *e = &tr->e;
    uint64_t tag = context_user_tag(tr->context);
    unsigned wanted = target;
    uint8_t *back = NULL;
    const uint8_t *miss = emit_user_miss(tr, target, how, &back);

    if (polls)
        emit_jcc(e, condition_not(emit_limit_check(tr)), miss);
    emit_rr(e, X86_MOV, 4, RCX, target);
    emit_ri(e, X86_AND_IMM, 4, RCX, (USER_JUMP_CACHE_SIZE - 1) * 2);
    if (tag) {
        emit_constant(e, RDX, tag);
        emit_rr(e, X86_XOR, 8, RDX, target);
        wanted = RDX;
    }
    emit_rm(e, X86_CMP_STORE, 8, wanted, at_index(HART_REG, RCX, 3, JUMP_FIELD(tag)));
    emit_jcc(e, IF_NOT_EQUAL, miss);
    emit_m(e, how, 8, at_index(HART_REG, RCX, 3, JUMP_FIELD(code)));
    if (back)
        emit_patch(back, e->out->at);
}
_Static_assert(sizeof(struct jump_entry) == 16, "half an address times eight finds it");

void emit_jump_rax(struct translation *tr, bool polls)
{
    struct emitter *e = &tr->e;

    if (tr->is_user) {
        emit_user_jump(tr, RAX, polls, X86_JMP_R);
        return;
    }
    if (polls)
        emit_jcc(e, condition_not(emit_limit_check(tr)), tr->t->thunks.poll_at);
    /* Entry (va / 2) % size, 16 bytes each. */
    if (tr->features->bmi2) {
        emit_rri(e, X86_RORX, 4, RCX, RAX, 29);
    } else {
        emit_rr(e, X86_MOV, 4, RCX, RAX);
        emit_ri(e, X86_SHL_IMM, 4, RCX, 3);
    }
    emit_ri(e, X86_AND_IMM, 4, RCX, (JUMP_CACHE_SIZE - 1) * (int)sizeof(struct jump_entry));
    emit_rm(e, X86_MOV, 8, RDX, TH_FIELD(context_tag));
    emit_rr(e, X86_XOR, 8, RDX, RAX);
    emit_rm(e, X86_CMP_STORE, 8, RDX, at_index(HART_REG, RCX, 0, JUMP_FIELD(tag)));
    emit_jcc(e, IF_NOT_EQUAL, tr->t->thunks.jump_miss);
    emit_ri(e, X86_AND_IMM, 8, RAX, -(int32_t)PAGE_SIZE);
    emit_rm(e, X86_MOV_STORE, 8, RAX, HART_FIELD(page));
    emit_m(e, X86_JMP_R, 8, at_index(HART_REG, RCX, 0, JUMP_FIELD(code)));
}

/* ---- calls and returns ----
 *
 * The host foresees returns when they are its own (ADR 0048). Calls of process VMs are host calls,
 * with the guest's return address pushed before the host's; a return that finds the address it
 * goes to on top is one host instruction. Any other, after a longjmp, or because everything is
 * off the stack when host code is left, drops a frame and looks in the jump cache. The context is
 * no part of the address: only units of the usual one do this. What a killed unit has pushed is as
 * good as what the jump cache has of it: whoever returns looks at the limit first. */

/* The registers that calls leave their return address in. */
static bool is_link(unsigned reg)
{
    return reg == 1 || reg == 5;
}

static bool is_paired(const struct translation *tr, unsigned reg)
{
    return tr->is_user && is_link(reg) && context_user_tag(tr->context) == 0 &&
           !tr->t->options.no_chaining;
}

/* Before a call that has left its return address in guest register `link`. When there is no room
 * for another, all are given up. */
static void push_return(struct translation *tr, unsigned link)
{
    struct emitter *e = &tr->e;

    emit_rm(e, X86_CMP, 8, RSP, TH_FIELD(stack_floor));
    uint8_t *full = emit_jcc(e, IF_BELOW, NULL);
    const uint8_t *room = e->out->at;
    to_cold(tr);
    emit_patch(full, e->out->at);
    emit_rm(e, X86_MOV, 8, RSP, TH_FIELD(stack));
    emit_ri(e, X86_SUB_IMM, 8, RSP, RETURN_FRAME);
    emit_jmp(e, room);
    to_hot(tr);
    if (local_x(tr, link) != NO_REGISTER)
        emit_r(e, X86_PUSH, 8, local_x(tr, link));
    else
        emit_m(e, X86_PUSH, 8, guest_x(link));
}

/* Where the host's call comes back to. */
static void come_back(struct translation *tr, int64_t offset)
{
    bool follows = find_insn(tr, offset) == (int)tr->at + 1;

    emit_ri(&tr->e, X86_ADD_IMM, 8, RSP, 8);
    tr->ended = !follows;
    if (follows)
        enter_unit(tr);
    else
        add_link(tr, emit_jmp(&tr->e, NULL), offset);
}

/* Where the limit was reached before a jump to `offset`. */
static void emit_poll_before(struct translation *tr, int64_t offset)
{
    emit_jcc_cold(tr, condition_not(emit_limit_check(tr)));
    leave_unit(tr);
    emit_address(tr, RAX, offset);
    emit_jmp(&tr->e, tr->t->thunks.poll_at);
    to_hot(tr);
}

/* jal, after rd was set. */
static void emit_call_to(struct translation *tr, const struct insn *insn, int64_t target)
{
    int64_t offset = tr->insns[tr->at].offset;
    int index = find_insn(tr, target);

    if (target <= offset)
        emit_poll_before(tr, target);
    push_return(tr, insn->rd);
    if (index >= 0) {
        call_insn(tr, (unsigned)index);
    } else {
        leave_unit(tr);
        add_link(tr, emit_call(&tr->e, NULL), target);
    }
    come_back(tr, offset + insn->length);
}

/* To the address in `target`, after leave_unit. */
static void emit_return(struct translation *tr, unsigned target)
{
    struct emitter *e = &tr->e;
    uint8_t *polls = emit_jcc(e, condition_not(emit_limit_check(tr)), NULL);

    emit_rm(e, X86_CMP_STORE, 8, target, at_register(RSP, 8));
    uint8_t *differs = emit_jcc(e, IF_NOT_EQUAL, NULL);
    emit_ret(e);
    to_cold(tr);
    emit_patch(differs, e->out->at);
    emit_rm(e, X86_LEA, 8, RCX, at_register(RSP, RETURN_FRAME));
    emit_rm(e, X86_CMP, 8, RCX, TH_FIELD(stack));
    emit_rr(e, X86_CMOVB, 8, RSP, RCX);
    emit_patch(polls, e->out->at);
    if (target != RAX)
        emit_rr(e, X86_MOV, 8, RAX, target);
    emit_user_jump(tr, RAX, true, X86_JMP_R);
    to_hot(tr);
}

/* ---- jumps ---- */

static bool target_is_aligned(const struct translation *tr, const struct insn *insn)
{
    return tr->has_compressed || (insn->imm & 3) == 0;
}

static bool translate_jal(struct translation *tr, const struct insn *insn)
{
    unsigned offset = tr->insns[tr->at].offset;
    int64_t target = (int64_t)offset + insn->imm;

    if (!target_is_aligned(tr, insn))
        return false;
    tr->pending++;
    if (insn->rd) {
        unsigned host = target_x(tr, insn->rd, RAX);
        emit_address(tr, host, (int64_t)offset + insn->length);
        put_x(tr, insn->rd, host);
    }
    pay_pending(tr);
    tr->ended = true;
    if (is_paired(tr, insn->rd)) {
        emit_call_to(tr, insn, target);
    } else if (is_linkable(tr, target)) {
        emit_goto(tr, -1, target);
    } else {
        emit_address(tr, RAX, target);
        emit_jump_rax(tr, insn->imm <= 0);
    }
    return true;
}

/* Whether host register `base` holds something else at the end of jalr. */
static bool is_changed(const struct translation *tr, const struct insn *insn, unsigned base)
{
    bool changed = insn->rd && target_x(tr, insn->rd, RCX) == base;

    for (unsigned i = 0; i < tr->local_count; i++)
        changed |= tr->locals[i].host == base;
    return changed;
}

static bool translate_jalr(struct translation *tr, const struct insn *insn)
{
    unsigned offset = tr->insns[tr->at].offset;

    if (!tr->has_compressed)
        return false; /* may trap for a misaligned target */
    unsigned base = get_x(tr, insn->rs1, RAX);
    bool stays = tr->is_user && insn->imm == 0 && !is_changed(tr, insn, base);
    if (insn->imm)
        emit_rm(&tr->e, X86_LEA, 8, RAX, at_register(base, insn->imm));
    else if (base != RAX && !stays)
        emit_rr(&tr->e, X86_MOV, 8, RAX, base);
    if (!tr->is_user)
        emit_ri(&tr->e, X86_AND_IMM, 8, RAX, -2);
    if (insn->rd) {
        unsigned host = target_x(tr, insn->rd, RCX);
        emit_address(tr, host, (int64_t)offset + insn->length);
        put_x(tr, insn->rd, host);
    }
    tr->pending++;
    pay_pending(tr);
    if (is_paired(tr, insn->rd)) {
        push_return(tr, insn->rd);
        leave_unit(tr);
        emit_user_jump(tr, stays ? base : RAX, true, X86_CALL_R);
        come_back(tr, offset + insn->length);
        return true;
    }
    leave_unit(tr);
    tr->ended = true;
    if (insn->rd == 0 && insn->imm == 0 && is_paired(tr, insn->rs1))
        emit_return(tr, stays ? base : RAX);
    else if (stays)
        emit_user_jump(tr, base, true, X86_JMP_R);
    else
        emit_jump_rax(tr, true);
    return true;
}

static int branch_condition(unsigned op)
{
    switch (op) {
    case OP_beq:
        return IF_EQUAL;
    case OP_bne:
        return IF_NOT_EQUAL;
    case OP_blt:
        return IF_LESS;
    case OP_bge:
        return IF_GREATER_EQUAL;
    case OP_bltu:
        return IF_BELOW;
    default:
        return IF_ABOVE_EQUAL;
    }
}

static void emit_compare(struct translation *tr, const struct insn *insn)
{
    bool in_memory =
        insn->rs1 && local_x(tr, insn->rs1) == NO_REGISTER && !rax_holds(tr, insn->rs1);

    if (insn->rs2 == 0 && insn->rs1 == tr->flags_of && tr->flags_at == tr->e.out->at &&
        (insn->op == OP_beq || insn->op == OP_bne))
        return;
    if (in_memory && insn->rs2 == 0) {
        emit_mi(&tr->e, X86_CMP_IMM, 8, guest_x(insn->rs1), 0);
        return;
    }
    if (in_memory && local_x(tr, insn->rs2) != NO_REGISTER) {
        emit_rm(&tr->e, X86_CMP_STORE, 8, local_x(tr, insn->rs2), guest_x(insn->rs1));
        return;
    }
    unsigned a = get_x(tr, insn->rs1, RAX);
    if (insn->rs2 == 0)
        emit_rr(&tr->e, X86_TEST, 8, a, a);
    else
        with_x(tr, X86_CMP, 8, a, insn->rs2);
}

/* The conditional move that makes its move where the condition does not hold. */
static enum x86_op move_unless(int condition)
{
    switch (condition) {
    case IF_EQUAL:
        return X86_CMOVNE;
    case IF_NOT_EQUAL:
        return X86_CMOVE;
    case IF_LESS:
        return X86_CMOVGE;
    case IF_GREATER_EQUAL:
        return X86_CMOVL;
    case IF_BELOW:
        return X86_CMOVAE;
    default:
        return X86_CMOVB;
    }
}

/* A branch over one move: what RV64GC has for a conditional move. Compilers make one of
 * minima and the like, whose branches nothing predicts. */
static void translate_select(struct translation *tr, const struct insn *insn)
{
    enum x86_op op = move_unless(branch_condition(insn->op));
    const struct insn *move = &tr->insns[tr->at + 1].insn;
    unsigned source = move->op != OP_add || move->rs1 ? move->rs1 : move->rs2;
    bool extends = move->op == OP_addiw && source && !(tr->known_words >> source & 1);
    bool was_word = tr->known_words >> move->rd & 1;

    emit_compare(tr, insn);
    unsigned host = local_x(tr, move->rd);
    if (host == NO_REGISTER) {
        host = RAX;
        emit_rm(&tr->e, X86_MOV, 8, host, guest_x(move->rd));
    }
    if (source == 0 || extends) {
        if (extends)
            with_x(tr, X86_MOVSXD, 8, RCX, source);
        else
            emit_constant(&tr->e, RCX, 0);
        emit_rr(&tr->e, op, 8, host, RCX);
    } else {
        with_x(tr, op, 8, host, source);
    }
    tr->puts_last = false;
    put_x(tr, move->rd, host);
    take_next(tr);
    tr->pending++;
    tr->rax_at = NULL;
    if (!was_word)
        tr->half_made = move->rd; /* it may be what it was */
}

static bool translate_branch(struct translation *tr, const struct insn *insn)
{
    int64_t target = (int64_t)tr->insns[tr->at].offset + insn->imm;
    int condition = branch_condition(insn->op);

    if (tr->insns[tr->at].is_select) {
        translate_select(tr, insn);
        return true;
    }
    if (!target_is_aligned(tr, insn))
        return false;
    tr->pending++;
    pay_pending(tr);
    emit_compare(tr, insn);
    if (is_linkable(tr, target)) {
        emit_goto(tr, condition, target);
        return true;
    }
    emit_jcc_cold(tr, (enum condition)condition);
    emit_address(tr, RAX, target);
    emit_jump_rax(tr, insn->imm <= 0);
    to_hot(tr);
    return true;
}

bool translate_jump(struct translation *tr, const struct insn *insn)
{
    if (insn->op == OP_jal)
        return translate_jal(tr, insn);
    return insn->op == OP_jalr ? translate_jalr(tr, insn) : translate_branch(tr, insn);
}
