/* SPDX-License-Identifier: Apache-2.0
 * CSRs and the instructions that change privilege. Registers that are plain storage
 * are accessed inline; others that kernels use often, and fflags, through functions
 * that leave the guest's registers where they are; the rest by the interpreter. */
#include "riscv/encoding.h"
#include "translator/translate.h"

#define CSR_FFLAGS  0x001
#define MXCSR_FLAGS 0x3f

enum csr_way {
    CSR_PLAIN,
    CSR_LIGHT,
    CSR_FP,
    CSR_SAVED, /* as LIGHT, but a clock is read */
};

struct csr_plan {
    uint16_t number;
    uint8_t way;       /* enum csr_way */
    uint8_t privilege; /* needed; also tells what PLAIN needs no check for */
    uint16_t offset;   /* PLAIN: in struct hart */
};

/* clang-format off */
static const struct csr_plan plans[] = {
    {0x001, CSR_FP, PRIV_U, 0},
    {0x002, CSR_FP, PRIV_U, 0},
    {0x003, CSR_FP, PRIV_U, 0},
    {0x100, CSR_LIGHT, PRIV_S, 0},                               /* sstatus */
    {0x104, CSR_LIGHT, PRIV_S, 0},                               /* sie */
    {0x140, CSR_PLAIN, PRIV_S, offsetof(struct hart, sscratch)},
    {0x141, CSR_LIGHT, PRIV_S, 0},                               /* sepc */
    {0x142, CSR_PLAIN, PRIV_S, offsetof(struct hart, scause)},
    {0x143, CSR_PLAIN, PRIV_S, offsetof(struct hart, stval)},
    {0x144, CSR_SAVED, PRIV_S, 0},                               /* sip */
    {0x14d, CSR_SAVED, PRIV_S, 0},                               /* stimecmp */
    {0x180, CSR_LIGHT, PRIV_S, 0},                               /* satp */
    {0x300, CSR_LIGHT, PRIV_M, 0},                               /* mstatus */
    {0x304, CSR_LIGHT, PRIV_M, 0},                               /* mie */
    {0x340, CSR_PLAIN, PRIV_M, offsetof(struct hart, mscratch)},
    {0x341, CSR_LIGHT, PRIV_M, 0},                               /* mepc */
    {0x342, CSR_PLAIN, PRIV_M, offsetof(struct hart, mcause)},
    {0x343, CSR_PLAIN, PRIV_M, offsetof(struct hart, mtval)},
    {0xc00, CSR_SAVED, PRIV_U, 0},                               /* cycle */
    {0xc01, CSR_SAVED, PRIV_U, 0},                               /* time */
    {0xc02, CSR_SAVED, PRIV_U, 0},                               /* instret */
};
/* clang-format on */

static const struct csr_plan *find_plan(const struct translation *tr, unsigned number)
{
    unsigned privilege = (tr->context >> CONTEXT_PRIVILEGE_SHIFT) & 3;

    for (unsigned i = 0; i < ARRAY_LEN(plans); i++)
        if (plans[i].number == number)
            return plans[i].privilege <= privilege ? &plans[i] : NULL;
    return NULL;
}

static bool has_immediate(unsigned op)
{
    return op == OP_csrrwi || op == OP_csrrsi || op == OP_csrrci;
}

/* What is done to the register: rs1 = x0 (or a zero immediate) only reads, but for
 * csrrw. */
static uint32_t csr_code(const struct insn *insn)
{
    if (insn->op == OP_csrrw || insn->op == OP_csrrwi)
        return CSR_CODE_WRITE;
    if (insn->rs1 == 0)
        return CSR_CODE_READ;
    return insn->op == OP_csrrs || insn->op == OP_csrrsi ? CSR_CODE_SET : CSR_CODE_CLEAR;
}

/* rax = the operand. */
static void get_operand(struct translation *tr, const struct insn *insn)
{
    if (has_immediate(insn->op))
        emit_constant(&tr->e, RAX, insn->rs1);
    else
        copy_x(tr, RAX, insn->rs1);
}

static void emit_plain(struct translation *tr, const struct insn *insn, unsigned offset)
{
    struct emitter *e = &tr->e;
    struct host_memory place = at_register(HART_REG, (int64_t)offset - HART_BIAS);
    uint32_t code = csr_code(insn);

    if (code != CSR_CODE_READ)
        get_operand(tr, insn);
    if (insn->rd)
        emit_rm(e, X86_MOV, 8, RCX, place);
    switch (code) {
    case CSR_CODE_WRITE:
        emit_rm(e, X86_MOV_STORE, 8, RAX, place);
        break;
    case CSR_CODE_SET:
        emit_rm(e, X86_OR_STORE, 8, RAX, place);
        break;
    case CSR_CODE_CLEAR:
        emit_r(e, X86_NOT, 8, RAX);
        emit_rm(e, X86_AND_STORE, 8, RAX, place);
        break;
    default:
        break;
    }
    put_x(tr, insn->rd, RCX);
}

/* eax = the flags that MXCSR has now. */
static void emit_host_flags(struct translation *tr)
{
    struct emitter *e = &tr->e;

    emit_m(e, X86_STMXCSR, 4, TH_FIELD(mxcsr));
    emit_rm(e, X86_MOV, 4, RAX, TH_FIELD(mxcsr));
    emit_ri(e, X86_AND_IMM, 4, RAX, MXCSR_FLAGS);
    emit_rm(e, X86_MOVZX8, 4, RAX,
            at_index(HART_REG, RAX, 0,
                     (int64_t)offsetof(struct translated_hart, constants.fflags) - HART_BIAS));
}

/* fflags are those in memory and those of MXCSR, which must be cleared only where the new
 * value lacks one: programs read them and put them back round comparisons. ecx, eax: the
 * new value and what emit_host_flags found. */
static void emit_set_flags(struct translation *tr)
{
    struct emitter *e = &tr->e;

    emit_rm(e, X86_MOV_STORE, 4, RCX, HART_FIELD(fflags));
    emit_r(e, X86_NOT, 4, RCX);
    emit_rr(e, X86_TEST, 4, RCX, RAX);
    emit_jcc_cold(tr, IF_NOT_EQUAL);
    emit_mi(e, X86_AND_IMM, 4, TH_FIELD(mxcsr), ~MXCSR_FLAGS);
    emit_m(e, X86_LDMXCSR, 4, TH_FIELD(mxcsr));
    emit_jmp(e, e->hot.at);
    to_hot(tr);
}

/* frflags and fsflags. */
static void emit_fflags(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;
    uint32_t code = csr_code(insn);

    if (code == CSR_CODE_WRITE) {
        if (has_immediate(insn->op))
            emit_constant(e, RCX, insn->rs1);
        else
            copy_x(tr, RCX, insn->rs1);
        emit_ri(e, X86_AND_IMM, 4, RCX, 0x1f);
    }
    emit_host_flags(tr);
    if (insn->rd) {
        unsigned target = target_x(tr, insn->rd, RDX);
        emit_rm(e, X86_MOV, 4, target, HART_FIELD(fflags));
        emit_rr(e, X86_OR, 4, target, RAX);
        put_x(tr, insn->rd, target);
    }
    if (code == CSR_CODE_WRITE)
        emit_set_flags(tr);
    tr->rax_at = NULL;
}

/* Goes where an answer other than GO_ON sends us. */
static void emit_answers(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;
    unsigned next = tr->insns[tr->at].offset + (unsigned)insn->length;

    leave_unit(tr);
    emit_address(tr, RAX, next);
    emit_ri(e, X86_CMP_IMM, 4, RDX, CSR_ANSWER_POLL);
    emit_jcc(e, IF_EQUAL, tr->t->thunks.poll_at);
    if (tr->is_user) /* whose jumps look in this unit's context only */
        emit_jmp(e, tr->t->thunks.jump_miss);
    else
        emit_jump_rax(tr, false);
}

/* Everything retired before is counted; the access counts when it is done. */
static void emit_call_csr(struct translation *tr, const struct insn *insn, const uint8_t *thunk)
{
    struct emitter *e = &tr->e;

    pay_pending(tr);
    get_operand(tr, insn);
    emit_constant(e, RDX, csr_code(insn) | (uint32_t)insn->imm);
    leave_unit(tr);
    emit_call(e, thunk);
    enter_unit(tr);
    emit_ri(e, X86_CMP_IMM, 4, RDX, CSR_ANSWER_ILLEGAL);
    emit_jcc_cold(tr, IF_EQUAL);
    emit_fallback(tr, insn); /* traps */
    emit_trap(e);
    to_hot(tr);
    put_x(tr, insn->rd, RAX);
    if (!tr->is_user)
        emit_ri(e, X86_ADD_IMM, 8, ICOUNT, 1);
    emit_rr(e, X86_TEST, 4, RDX, RDX);
    emit_jcc_cold(tr, IF_NOT_EQUAL);
    emit_answers(tr, insn);
    to_hot(tr);
}

bool translate_csr(struct translation *tr, const struct insn *insn)
{
    const struct csr_plan *plan = find_plan(tr, (unsigned)insn->imm);

    if (!plan)
        return false;
    switch ((enum csr_way)plan->way) {
    case CSR_PLAIN:
        emit_plain(tr, insn, plan->offset);
        tr->pending++;
        return true;
    case CSR_FP:
        if (!tr->fp_on || !tr->features->avx)
            return false;
        if (plan->number == CSR_FFLAGS &&
            (csr_code(insn) == CSR_CODE_READ || csr_code(insn) == CSR_CODE_WRITE)) {
            emit_fflags(tr, insn);
            tr->pending++;
            return true;
        }
        emit_call_csr(tr, insn, tr->t->thunks.csr_fp);
        return true;
    case CSR_LIGHT:
        emit_call_csr(tr, insn, tr->t->thunks.csr);
        return true;
    case CSR_SAVED:
        emit_call_csr(tr, insn, tr->t->thunks.csr_saved);
        return true;
    }
    return false;
}

bool translate_trap(struct translation *tr, const struct insn *insn)
{
    unsigned privilege = (tr->context >> CONTEXT_PRIVILEGE_SHIFT) & 3;
    const uint8_t *thunk = NULL;

    if (tr->is_user && insn->op != OP_ecall)
        return false;
    if (tr->is_user) {
        leave_unit(tr);
        emit_address(tr, RAX, tr->insns[tr->at].offset);
        emit_jmp(&tr->e, tr->t->thunks.exit_ecall);
        tr->ended = true;
        return true;
    }
    if (insn->op == OP_ecall && privilege == PRIV_U)
        thunk = tr->t->thunks.ecall;
    if (insn->op == OP_sret && privilege != PRIV_U)
        thunk = tr->t->thunks.sret;
    if (insn->op == OP_sfence_vma && insn->rs1 && !insn->rs2 && privilege != PRIV_U)
        thunk = tr->t->thunks.sfence;
    if (!thunk)
        return false;
    uint32_t info = tr->insns[tr->at].offset | (uint32_t)insn->rs1 << INFO_RS1_SHIFT;
    pay_pending(tr);
    if (insn->op == OP_sfence_vma) {
        unsigned va = get_x(tr, insn->rs1, RAX);
        emit_rm(&tr->e, X86_MOV_STORE, 8, va, TH_FIELD(address));
    }
    emit_constant(&tr->e, RCX, info);
    emit_jmp(&tr->e, thunk);
    tr->ended = true;
    return true;
}
