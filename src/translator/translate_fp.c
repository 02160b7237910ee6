/* SPDX-License-Identifier: Apache-2.0
 * F and D on the host's SSE and FMA units, whose results and flags are those of
 * RISC-V but for NaNs: those that arithmetic makes are replaced by the canonical
 * one, and where the flags would differ, too, the interpreter executes the
 * instruction (specification: chapters "F" and "D" of the unprivileged manual).
 *
 * MXCSR holds frm as far as the host has such a mode, and collects flags.
 *
 * Singles are NaN-boxed. Scalar instructions copy the upper bits of their first
 * source, so a boxed operand there gives a boxed result. */
#include "translator/translate_fp.h"

#include "base/assert.h"
#include "riscv/fp.h"

#define RM_DYNAMIC              7
#define MXCSR_RC                0x6000
#define MXCSR_RC_SHIFT          13
#define ROUNDING_CLASS(context) (((context) >> CONTEXT_RM_SHIFT) & 3)

static const struct fp_row rows[OP_COUNT];

/* ---- ways to the interpreter ---- */

static void add_slow(struct fp_piece *piece, uint8_t *site)
{
    ASSERT(piece->slow_count < FP_MAX_SLOW);
    piece->slow[piece->slow_count++] = site;
}

void fp_leave_if(struct fp_piece *piece, enum condition condition)
{
    add_slow(piece, emit_jcc(fp_emitter(piece), condition, NULL));
}

void fp_leave(struct fp_piece *piece)
{
    add_slow(piece, emit_jmp(fp_emitter(piece), NULL));
}

/* Where the jumps of fp_leave lead; comes back to here. */
static void emit_slow(struct fp_piece *piece)
{
    struct translation *tr = piece->tr;
    const uint8_t *resume = tr->e.hot.at;

    if (piece->slow_count == 0)
        return;
    to_cold(tr);
    for (unsigned i = 0; i < piece->slow_count; i++)
        emit_patch(piece->slow[i], tr->e.cold.at);
    emit_cold_fallback(tr, piece->insn, resume);
    to_hot(tr);
}

/* ---- boxed singles ---- */

/* Compares the upper half of a guest register with all ones. */
static void emit_compare_box(struct translation *tr, unsigned reg)
{
    unsigned xmm = pinned_f(reg);

    if (xmm == NO_XMM) {
        struct host_memory upper = guest_f(reg);
        upper.displacement += 4;
        emit_mi(&tr->e, X86_CMP_IMM, 4, upper, -1);
    } else {
        emit_rri(&tr->e, X86_VPEXTRD, 4, RAX, xmm, 1);
        emit_ri(&tr->e, X86_CMP_IMM, 4, RAX, -1);
    }
}

/* Makes sure that the operands are boxed, which code behind may then rely on. So
 * when one is not, we do not come back here after the instruction, but look for
 * code that begins behind it. */
static void emit_check_boxed(struct fp_piece *piece)
{
    struct translation *tr = piece->tr;
    const struct insn *insn = piece->insn;
    const uint8_t registers[] = {insn->rs1, insn->rs2, insn->rs3};
    uint8_t *unboxed[3];
    unsigned count = 0;

    for (unsigned i = 0; i < 3; i++) {
        if (!(piece->row->operands >> i & 1) || tr->known_boxed >> registers[i] & 1)
            continue;
        emit_compare_box(tr, registers[i]);
        unboxed[count++] = emit_jcc(&tr->e, IF_NOT_EQUAL, NULL);
        tr->known_boxed |= 1u << registers[i];
    }
    if (count == 0)
        return;
    to_cold(tr);
    for (unsigned i = 0; i < count; i++)
        emit_patch(unboxed[i], tr->e.cold.at);
    leave_unit(tr);
    emit_page(tr);
    emit_constant(&tr->e, RAX, insn->raw);
    emit_constant(&tr->e, RCX, info_of(tr));
    emit_call(&tr->e, tr->t->thunks.execute);
    emit_address(tr, RAX, (int64_t)tr->insns[tr->at].offset + insn->length);
    emit_jump_rax(tr, false);
    to_hot(tr);
}

/* ---- rounding modes ---- */

/* Whether the instruction's rounding mode can be translated, and how. */
static bool choose_mode(struct fp_piece *piece)
{
    unsigned class = ROUNDING_CLASS(piece->tr->context);
    unsigned rm = piece->insn->rm;
    enum fp_rounding_use use = (enum fp_rounding_use)piece->row->rounding;

    piece->mode = FP_MODE_HOST;
    if (use == ROUNDS_NEVER)
        return true;
    if (rm == RM_DYNAMIC)
        return class != ROUNDING_SOFT; /* RMM, or a reserved mode, which traps */
    if (rm > FP_RMM)
        return false;
    /* MXCSR rounds to nearest but in class HOST, where it has any of the modes. */
    if (use == ROUNDS_EXACT || (rm == FP_RNE && class != ROUNDING_HOST))
        return true;
    piece->mode = FP_MODE_STATIC;
    return use == ROUNDS_ITSELF || rm != FP_RMM;
}

/* Puts the static mode into MXCSR; edx keeps what it was, until end_rounding. */
static void begin_rounding(struct fp_piece *piece)
{
    struct emitter *e = fp_emitter(piece);
    static const uint8_t control[] = {[FP_RNE] = 0, [FP_RTZ] = 3, [FP_RDN] = 1, [FP_RUP] = 2};
    int32_t rc = control[piece->insn->rm] << MXCSR_RC_SHIFT;

    emit_m(e, X86_STMXCSR, 4, TH_FIELD(mxcsr));
    emit_rm(e, X86_MOV, 4, RDX, TH_FIELD(mxcsr));
    emit_rr(e, X86_MOV, 4, RAX, RDX);
    emit_ri(e, X86_AND_IMM, 4, RAX, ~MXCSR_RC);
    if (rc)
        emit_ri(e, X86_OR_IMM, 4, RAX, rc);
    emit_rm(e, X86_MOV_STORE, 4, RAX, TH_FIELD(mxcsr));
    emit_m(e, X86_LDMXCSR, 4, TH_FIELD(mxcsr));
}

/* Flags that were raised since stay. */
static void end_rounding(struct fp_piece *piece)
{
    struct emitter *e = fp_emitter(piece);

    emit_m(e, X86_STMXCSR, 4, TH_FIELD(mxcsr));
    emit_rm(e, X86_MOV, 4, RAX, TH_FIELD(mxcsr));
    emit_ri(e, X86_AND_IMM, 4, RAX, ~MXCSR_RC);
    emit_ri(e, X86_AND_IMM, 4, RDX, MXCSR_RC);
    emit_rr(e, X86_OR, 4, RAX, RDX);
    emit_rm(e, X86_MOV_STORE, 4, RAX, TH_FIELD(mxcsr));
    emit_m(e, X86_LDMXCSR, 4, TH_FIELD(mxcsr));
}

/* ---- NaNs ---- */

void fp_load_nan(struct fp_piece *piece, unsigned xmm)
{
    emit_rm(fp_emitter(piece), X86_VMOVQ_LOAD, 4, xmm,
            piece->row->is_single ? TH_FIELD(constants.nan32) : TH_FIELD(constants.nan64));
}

static enum x86_op compare_op(const struct fp_piece *piece)
{
    return piece->row->is_single ? X86_VUCOMISS : X86_VUCOMISD;
}

void fp_canonicalise(struct fp_piece *piece, unsigned xmm)
{
    struct translation *tr = piece->tr;

    /* Host arithmetic makes quiet NaNs: the comparison raises nothing. */
    emit_rr(&tr->e, compare_op(piece), 4, xmm, xmm);
    emit_jcc_cold(tr, IF_PARITY);
    fp_load_nan(piece, xmm);
    emit_jmp(&tr->e, tr->e.hot.at);
    to_hot(tr);
}

/* ---- arithmetic ---- */

/* rd = rs1 op rs2 */
static void emit_binary(struct fp_piece *piece)
{
    const struct insn *insn = piece->insn;
    unsigned target = target_f(insn->rd, 0);
    unsigned a = get_f(piece->tr, insn->rs1, 0);

    emit_op_f(piece->tr, (enum x86_op)piece->row->op, target, a, insn->rs2);
    fp_canonicalise(piece, target);
    put_f(piece->tr, insn->rd, target);
}

static void emit_sqrt(struct fp_piece *piece)
{
    const struct insn *insn = piece->insn;
    unsigned target = target_f(insn->rd, 0);
    unsigned a = get_f(piece->tr, insn->rs1, 0);

    emit_rrr(fp_emitter(piece), (enum x86_op)piece->row->op, 4, target, a, a);
    fp_canonicalise(piece, target);
    put_f(piece->tr, insn->rd, target);
}

/* A NaN came out of a fused multiplication and addition. Of infinity times zero
 * plus a quiet NaN RISC-V raises NV, the host nothing; so when the addend is a NaN,
 * the interpreter decides. `kept`: rd was a source, xmm0 is what it was. */
static void emit_fused_nan(struct fp_piece *piece, unsigned target, bool kept)
{
    struct translation *tr = piece->tr;
    const struct insn *insn = piece->insn;

    emit_rr(&tr->e, compare_op(piece), 4, target, target);
    emit_jcc_cold(tr, IF_PARITY);
    if (kept)
        emit_rr(&tr->e, X86_VMOVAPS, 4, target, 0);
    unsigned c = get_f(tr, insn->rs3, 2);
    emit_rr(&tr->e, compare_op(piece), 4, c, c);
    fp_leave_if(piece, IF_PARITY);
    fp_load_nan(piece, target);
    emit_jmp(&tr->e, tr->e.hot.at);
    to_hot(tr);
}

/* rd = +-(rs1 * rs2) +- rs3: `op` with the addend as the last operand, `second`
 * with it in the destination. */
static void emit_fused(struct fp_piece *piece)
{
    struct translation *tr = piece->tr;
    struct emitter *e = &tr->e;
    const struct insn *insn = piece->insn;
    unsigned target = target_f(insn->rd, 0);
    unsigned a = insn->rs1;
    unsigned b = insn->rs2;
    bool kept = target != 0 && (insn->rd == a || insn->rd == b || insn->rd == insn->rs3);

    if (kept)
        emit_rr(e, X86_VMOVAPS, 4, 0, target);
    if (kept && insn->rd == insn->rs3) {
        emit_op_f(tr, (enum x86_op)piece->row->second, target, get_f(tr, a, 1), b);
    } else {
        if (kept && insn->rd == b) {
            b = a;
            a = insn->rd;
        }
        unsigned first = get_f(tr, a, target);
        if (first != target)
            emit_rr(e, X86_VMOVAPS, 4, target, first);
        emit_op_f(tr, (enum x86_op)piece->row->op, target, get_f(tr, b, 1), insn->rs3);
    }
    emit_fused_nan(piece, target, kept);
    put_f(tr, insn->rd, target);
}

/* fmin and fmax. The host's return the second operand when both are zeros, so both
 * orders are computed: of -0 and +0 `or` gives -0, `and` +0. NaNs and their flags
 * are left to the interpreter; the comparison raises NV where it will, too. */
static void emit_min_max(struct fp_piece *piece)
{
    struct translation *tr = piece->tr;
    const struct insn *insn = piece->insn;
    enum x86_op op = (enum x86_op)piece->row->op;
    unsigned a = get_f(tr, insn->rs1, 0);
    unsigned b = get_f(tr, insn->rs2, 1);

    emit_rr(&tr->e, compare_op(piece), 4, a, b);
    fp_leave_if(piece, IF_PARITY);
    emit_rrr(&tr->e, op, 4, 2, a, b);
    emit_rrr(&tr->e, op, 4, 1, b, a);
    unsigned target = target_f(insn->rd, 0);
    emit_rrr(&tr->e, (enum x86_op)piece->row->second, 4, target, 1, 2);
    put_f(tr, insn->rd, target);
}

/* ---- signs ---- */

static struct host_memory sign_mask(const struct fp_piece *piece)
{
    return piece->row->size == 4 ? TH_FIELD(constants.sign32) : TH_FIELD(constants.sign64);
}

/* xmm1 = the sign mask */
static void emit_sign_mask(struct fp_piece *piece)
{
    emit_rm(fp_emitter(piece), X86_VMOVQ_LOAD, 4, 1, sign_mask(piece));
}

/* fmv, fneg and fabs: both operands are the same register. `op` as below. */
static void emit_own_sign(struct fp_piece *piece)
{
    struct translation *tr = piece->tr;
    unsigned target = target_f(piece->insn->rd, 0);
    unsigned a = get_f(tr, piece->insn->rs1, 0);

    if (piece->row->op == X86_VANDPS) {
        put_f(tr, piece->insn->rd, a);
        return;
    }
    emit_sign_mask(piece);
    if (piece->row->op == X86_VANDNPS)
        emit_rrr(&tr->e, X86_VXORPS, 4, target, a, 1);
    else
        emit_rrr(&tr->e, X86_VANDNPS, 4, target, 1, a);
    put_f(tr, piece->insn->rd, target);
}

/* fsgnj, fsgnjn, fsgnjx: `op` vandps, vandnps, vxorps. */
static void emit_sign(struct fp_piece *piece)
{
    struct translation *tr = piece->tr;
    const struct insn *insn = piece->insn;
    unsigned target = target_f(insn->rd, 0);

    if (insn->rs1 == insn->rs2) {
        emit_own_sign(piece);
        return;
    }
    unsigned a = get_f(tr, insn->rs1, 0);
    unsigned b = get_f(tr, insn->rs2, 2);
    emit_sign_mask(piece);
    if (piece->row->op == X86_VXORPS) {
        emit_rrr(&tr->e, X86_VANDPS, 4, 2, b, 1);
        emit_rrr(&tr->e, X86_VXORPS, 4, target, a, 2);
    } else {
        emit_rrr(&tr->e, (enum x86_op)piece->row->op, 4, 2, b, 1);
        emit_rrr(&tr->e, X86_VANDNPS, 4, 1, 1, a);
        emit_rrr(&tr->e, X86_VORPS, 4, target, 1, 2);
    }
    put_f(tr, insn->rd, target);
}

/* ---- comparisons ---- */

/* Quiet; the host calls unordered equal, with parity. */
static void emit_equal(struct fp_piece *piece)
{
    struct translation *tr = piece->tr;
    struct emitter *e = &tr->e;
    const struct insn *insn = piece->insn;
    unsigned target = target_x(piece->tr, insn->rd, RAX);

    emit_with_f(tr, (enum x86_op)piece->row->op, get_f(tr, insn->rs1, 0), insn->rs2);
    if (insn->rd == 0)
        return;
    emit_r(e, X86_SETNP, 1, RAX);
    emit_r(e, X86_SETE, 1, RCX);
    emit_rr(e, X86_AND, 4, RAX, RCX);
    emit_rr(e, X86_MOVZX8, 4, target, RAX);
    put_x(tr, insn->rd, target);
}

/* rs1 < or <= rs2, as rs2 > or >= rs1, which are false for unordered. */
static void emit_less(struct fp_piece *piece)
{
    struct translation *tr = piece->tr;
    const struct insn *insn = piece->insn;
    unsigned target = target_x(piece->tr, insn->rd, RAX);

    emit_with_f(tr, (enum x86_op)piece->row->op, get_f(tr, insn->rs2, 0), insn->rs1);
    if (insn->rd == 0)
        return;
    emit_r(&tr->e, (enum x86_op)piece->row->second, 1, RAX);
    emit_rr(&tr->e, X86_MOVZX8, 4, target, RAX);
    put_x(tr, insn->rd, target);
}

/* ---- the table ---- */

/* operands */
#define R1 1
#define R2 3
#define R3 7

/* clang-format off */
static const struct fp_row rows[OP_COUNT] = {
    [OP_fadd_s]  = {emit_binary, X86_VADDSS,  0, 4, 0, R2, ROUNDS_BY_HOST, true},
    [OP_fsub_s]  = {emit_binary, X86_VSUBSS,  0, 4, 0, R2, ROUNDS_BY_HOST, true},
    [OP_fmul_s]  = {emit_binary, X86_VMULSS,  0, 4, 0, R2, ROUNDS_BY_HOST, true},
    [OP_fdiv_s]  = {emit_binary, X86_VDIVSS,  0, 4, 0, R2, ROUNDS_BY_HOST, true},
    [OP_fsqrt_s] = {emit_sqrt,   X86_VSQRTSS, 0, 4, 0, R1, ROUNDS_BY_HOST, true},
    [OP_fadd_d]  = {emit_binary, X86_VADDSD,  0, 8, 0, R2, ROUNDS_BY_HOST, false},
    [OP_fsub_d]  = {emit_binary, X86_VSUBSD,  0, 8, 0, R2, ROUNDS_BY_HOST, false},
    [OP_fmul_d]  = {emit_binary, X86_VMULSD,  0, 8, 0, R2, ROUNDS_BY_HOST, false},
    [OP_fdiv_d]  = {emit_binary, X86_VDIVSD,  0, 8, 0, R2, ROUNDS_BY_HOST, false},
    [OP_fsqrt_d] = {emit_sqrt,   X86_VSQRTSD, 0, 8, 0, R1, ROUNDS_BY_HOST, false},

    /* the host's names tell how the product is signed, RISC-V's how the sum is */
    [OP_fmadd_s]  = {emit_fused, X86_VFMADD213SS,  X86_VFMADD231SS,  4, 0, R3, ROUNDS_BY_HOST, true},
    [OP_fmsub_s]  = {emit_fused, X86_VFMSUB213SS,  X86_VFMSUB231SS,  4, 0, R3, ROUNDS_BY_HOST, true},
    [OP_fnmsub_s] = {emit_fused, X86_VFNMADD213SS, X86_VFNMADD231SS, 4, 0, R3, ROUNDS_BY_HOST, true},
    [OP_fnmadd_s] = {emit_fused, X86_VFNMSUB213SS, X86_VFNMSUB231SS, 4, 0, R3, ROUNDS_BY_HOST, true},
    [OP_fmadd_d]  = {emit_fused, X86_VFMADD213SD,  X86_VFMADD231SD,  8, 0, R3, ROUNDS_BY_HOST, false},
    [OP_fmsub_d]  = {emit_fused, X86_VFMSUB213SD,  X86_VFMSUB231SD,  8, 0, R3, ROUNDS_BY_HOST, false},
    [OP_fnmsub_d] = {emit_fused, X86_VFNMADD213SD, X86_VFNMADD231SD, 8, 0, R3, ROUNDS_BY_HOST, false},
    [OP_fnmadd_d] = {emit_fused, X86_VFNMSUB213SD, X86_VFNMSUB231SD, 8, 0, R3, ROUNDS_BY_HOST, false},

    [OP_fsgnj_s]  = {emit_sign, X86_VANDPS,  0, 4, 0, R2, ROUNDS_NEVER, true},
    [OP_fsgnjn_s] = {emit_sign, X86_VANDNPS, 0, 4, 0, R2, ROUNDS_NEVER, true},
    [OP_fsgnjx_s] = {emit_sign, X86_VXORPS,  0, 4, 0, R2, ROUNDS_NEVER, true},
    [OP_fsgnj_d]  = {emit_sign, X86_VANDPS,  0, 8, 0, R2, ROUNDS_NEVER, false},
    [OP_fsgnjn_d] = {emit_sign, X86_VANDNPS, 0, 8, 0, R2, ROUNDS_NEVER, false},
    [OP_fsgnjx_d] = {emit_sign, X86_VXORPS,  0, 8, 0, R2, ROUNDS_NEVER, false},
    [OP_fmin_s]   = {emit_min_max, X86_VMINSS, X86_VORPS,  4, 0, R2, ROUNDS_NEVER, true},
    [OP_fmax_s]   = {emit_min_max, X86_VMAXSS, X86_VANDPS, 4, 0, R2, ROUNDS_NEVER, true},
    [OP_fmin_d]   = {emit_min_max, X86_VMINSD, X86_VORPS,  8, 0, R2, ROUNDS_NEVER, false},
    [OP_fmax_d]   = {emit_min_max, X86_VMAXSD, X86_VANDPS, 8, 0, R2, ROUNDS_NEVER, false},

    [OP_feq_s] = {emit_equal, X86_VUCOMISS, 0,          4, 8, R2, ROUNDS_NEVER, false},
    [OP_flt_s] = {emit_less,  X86_VCOMISS,  X86_SETA,   4, 8, R2, ROUNDS_NEVER, false},
    [OP_fle_s] = {emit_less,  X86_VCOMISS,  X86_SETAE,  4, 8, R2, ROUNDS_NEVER, false},
    [OP_feq_d] = {emit_equal, X86_VUCOMISD, 0,          8, 8, R2, ROUNDS_NEVER, false},
    [OP_flt_d] = {emit_less,  X86_VCOMISD,  X86_SETA,   8, 8, R2, ROUNDS_NEVER, false},
    [OP_fle_d] = {emit_less,  X86_VCOMISD,  X86_SETAE,  8, 8, R2, ROUNDS_NEVER, false},
    [OP_fclass_s] = {fp_emit_classify, 0, 0, 4, 8, R1, ROUNDS_NEVER, false},
    [OP_fclass_d] = {fp_emit_classify, 0, 0, 8, 8, R1, ROUNDS_NEVER, false},

    [OP_fcvt_w_s]  = {fp_emit_to_signed,   X86_VCVTSS2SI, X86_VCVTTSS2SI, 4, 4, R1, ROUNDS_ITSELF, false},
    [OP_fcvt_l_s]  = {fp_emit_to_signed,   X86_VCVTSS2SI, X86_VCVTTSS2SI, 4, 8, R1, ROUNDS_ITSELF, false},
    [OP_fcvt_w_d]  = {fp_emit_to_signed,   X86_VCVTSD2SI, X86_VCVTTSD2SI, 8, 4, R1, ROUNDS_ITSELF, false},
    [OP_fcvt_l_d]  = {fp_emit_to_signed,   X86_VCVTSD2SI, X86_VCVTTSD2SI, 8, 8, R1, ROUNDS_ITSELF, false},
    [OP_fcvt_wu_s] = {fp_emit_to_unsigned, X86_VCVTSD2SI, X86_VCVTTSD2SI, 4, 4, R1, ROUNDS_ITSELF, false},
    [OP_fcvt_lu_s] = {fp_emit_to_unsigned, X86_VCVTSD2SI, X86_VCVTTSD2SI, 4, 8, R1, ROUNDS_ITSELF, false},
    [OP_fcvt_wu_d] = {fp_emit_to_unsigned, X86_VCVTSD2SI, X86_VCVTTSD2SI, 8, 4, R1, ROUNDS_ITSELF, false},
    [OP_fcvt_lu_d] = {fp_emit_to_unsigned, X86_VCVTSD2SI, X86_VCVTTSD2SI, 8, 8, R1, ROUNDS_ITSELF, false},

    [OP_fcvt_s_w]  = {fp_emit_from_signed,   X86_VCVTSI2SS, 0, 4, 4, 0, ROUNDS_ITSELF, true},
    [OP_fcvt_s_l]  = {fp_emit_from_signed,   X86_VCVTSI2SS, 0, 4, 8, 0, ROUNDS_ITSELF, true},
    [OP_fcvt_d_w]  = {fp_emit_from_signed,   X86_VCVTSI2SD, 0, 8, 4, 0, ROUNDS_EXACT,   false},
    [OP_fcvt_d_l]  = {fp_emit_from_signed,   X86_VCVTSI2SD, 0, 8, 8, 0, ROUNDS_ITSELF, false},
    [OP_fcvt_s_wu] = {fp_emit_from_unsigned, X86_VCVTSI2SS, X86_VADDSS, 4, 4, 0, ROUNDS_ITSELF, true},
    [OP_fcvt_s_lu] = {fp_emit_from_unsigned, X86_VCVTSI2SS, X86_VADDSS, 4, 8, 0, ROUNDS_ITSELF, true},
    [OP_fcvt_d_wu] = {fp_emit_from_unsigned, X86_VCVTSI2SD, X86_VADDSD, 8, 4, 0, ROUNDS_EXACT,   false},
    [OP_fcvt_d_lu] = {fp_emit_from_unsigned, X86_VCVTSI2SD, X86_VADDSD, 8, 8, 0, ROUNDS_ITSELF, false},
    [OP_fcvt_s_d]  = {fp_emit_narrow, X86_VCVTSD2SS, 0, 8, 0, R1, ROUNDS_BY_HOST, true},
    [OP_fcvt_d_s]  = {fp_emit_widen,  X86_VCVTSS2SD, 0, 4, 0, R1, ROUNDS_EXACT,   false},

    [OP_fmv_x_w] = {fp_emit_move_out, X86_VMOVD_STORE,  0, 8, 4, R1, ROUNDS_NEVER, false},
    [OP_fmv_x_d] = {fp_emit_move_out, X86_VMOVQ_TO_R,   0, 8, 8, R1, ROUNDS_NEVER, false},
    [OP_fmv_w_x] = {fp_emit_move_in,  X86_VMOVD_LOAD,   0, 4, 4, 0,  ROUNDS_NEVER, true},
    [OP_fmv_d_x] = {fp_emit_move_in,  X86_VMOVQ_FROM_R, 0, 8, 8, 0,  ROUNDS_NEVER, false},
};
/* clang-format on */

static bool writes_f(const struct insn *insn)
{
    return isa_ops[insn->op].flags & F_RD;
}

bool translate_fp(struct translation *tr, const struct insn *insn)
{
    struct fp_piece piece = {.tr = tr, .insn = insn, .row = &rows[insn->op]};

    if (!piece.row->emit || !tr->fp_on || !tr->features->avx || !choose_mode(&piece))
        return false;
    if (piece.row->emit == emit_fused && !tr->features->fma)
        return false;
    bool switches = piece.mode == FP_MODE_STATIC && piece.row->rounding == ROUNDS_BY_HOST;
    if (piece.row->size == 4)
        emit_check_boxed(&piece);
    if (switches)
        begin_rounding(&piece);
    piece.row->emit(&piece);
    if (switches)
        end_rounding(&piece);
    emit_slow(&piece);
    if (piece.row->is_single)
        tr->known_boxed |= 1u << insn->rd;
    else if (writes_f(insn))
        tr->known_boxed &= ~(1u << insn->rd);
    return true;
}
