/* SPDX-License-Identifier: Apache-2.0
 * Conversions, moves and fclass of F and D. Out of range the host raises the same
 * flag as RISC-V but has one value for everything; and it knows neither unsigned
 * integers nor, per instruction, rounding modes: both by way of doubles, which
 * hold all singles and, up to 2^53, all integers. */
#include "translator/translate_fp.h"

#include "riscv/fp.h"

/* Operands of vroundsd; the modes below RMM are numbered as in MXCSR. */
enum {
    ROUND_TRUNCATE = 3,
    ROUND_QUIET = 8, /* do not raise inexact */
};

/* Largest doubles that every rounding mode takes to an integer of that type. */
#define BITS_OF_UINT32_MAX UINT64_C(0x41efffffffe00000)
#define BITS_BELOW_2_63    UINT64_C(0x43dfffffffffffff)
#define BITS_BELOW_2_64    UINT64_C(0x43efffffffffffff)

static unsigned host_rounding(unsigned rm)
{
    static const uint8_t control[] = {
        [FP_RNE] = 0, [FP_RTZ] = ROUND_TRUNCATE, [FP_RDN] = 1, [FP_RUP] = 2};

    return control[rm];
}

/* xmm1 = xmm rounded to an integer, without the flag for that unless `raises`. */
static void emit_round(struct fp_piece *piece, unsigned xmm, bool raises)
{
    struct emitter *e = fp_emitter(piece);

    if (piece->insn->rm != FP_RMM) {
        unsigned quiet = raises ? 0 : ROUND_QUIET;
        emit_rrri(e, X86_VROUNDSD, 1, xmm, xmm, (uint8_t)(host_rounding(piece->insn->rm) | quiet));
        return;
    }
    /* Ties away from zero: twice the fraction, truncated, is what to add to the
     * integer part: -1, 0 or 1. All of it is exact. */
    emit_rrri(e, X86_VROUNDSD, 1, xmm, xmm, ROUND_TRUNCATE | ROUND_QUIET);
    emit_rrr(e, X86_VSUBSD, 4, 2, xmm, 1);
    emit_rrr(e, X86_VADDSD, 4, 2, 2, 2);
    emit_rrri(e, X86_VROUNDSD, 2, 2, 2, ROUND_TRUNCATE | ROUND_QUIET);
    emit_rrr(e, X86_VADDSD, 4, 1, 1, 2);
    if (raises)
        emit_rrri(e, X86_VROUNDSD, 2, xmm, xmm, ROUND_TRUNCATE);
}

static bool truncates(const struct fp_piece *piece)
{
    return piece->mode == FP_MODE_STATIC && piece->insn->rm == FP_RTZ;
}

/* xmm0 or rs1's own register = rs1 as a double. */
static unsigned get_double(struct fp_piece *piece)
{
    unsigned xmm = get_f(piece->tr, piece->insn->rs1, 0);

    if (piece->row->size == 8)
        return xmm;
    emit_rrr(fp_emitter(piece), X86_VCVTSS2SD, 4, 0, xmm, xmm);
    return 0;
}

static void put_integer(struct fp_piece *piece)
{
    unsigned target = target_x(piece->tr, piece->insn->rd, RAX);

    if (piece->row->width == 4)
        emit_rr(fp_emitter(piece), X86_MOVSXD, 8, target, RAX);
    put_x(piece->tr, piece->insn->rd, piece->row->width == 4 ? target : RAX);
}

/* The conversion gave the smallest integer: right for what is below 0; what is
 * above, and NaN, becomes the largest. The flags are right. */
static void emit_saturate(struct fp_piece *piece, unsigned xmm)
{
    struct translation *tr = piece->tr;
    struct emitter *e = &tr->e;

    emit_jcc_cold(tr, IF_OVERFLOW);
    emit_rrr(e, X86_VXORPS, 4, 1, 1, 1);
    emit_rr(e, piece->row->size == 4 ? X86_VUCOMISS : X86_VUCOMISD, 4, xmm, 1);
    uint8_t *is_nan = emit_jcc_short(e, IF_PARITY);
    emit_jcc(e, IF_BELOW_EQUAL, e->hot.at);
    emit_patch_short(e, is_nan);
    emit_constant(e, RAX, piece->row->width == 4 ? INT32_MAX : INT64_MAX);
    emit_jmp(e, e->hot.at);
    to_hot(tr);
}

/* By a rounding mode that MXCSR does not have. */
static void emit_to_signed_rounded(struct fp_piece *piece)
{
    struct emitter *e = fp_emitter(piece);
    unsigned xmm = get_double(piece);
    /* Of a double that is out of the range of 32 bits inexact must not be raised;
     * out of the range of 64 bits, and of singles, there are integers only. */
    bool is_late = piece->row->size == 8 && piece->row->width == 4;

    emit_round(piece, xmm, !is_late);
    emit_rr(e, X86_VCVTTSD2SI, piece->row->width, RAX, 1);
    emit_ri(e, X86_CMP_IMM, piece->row->width, RAX, 1);
    fp_leave_if(piece, IF_OVERFLOW);
    if (is_late)
        emit_rrri(e, X86_VROUNDSD, 2, xmm, xmm, ROUND_TRUNCATE);
    put_integer(piece);
}

void fp_emit_to_signed(struct fp_piece *piece)
{
    const struct fp_row *row = piece->row;
    struct emitter *e = fp_emitter(piece);

    if (piece->mode == FP_MODE_STATIC && !truncates(piece)) {
        emit_to_signed_rounded(piece);
        return;
    }
    unsigned xmm = get_f(piece->tr, piece->insn->rs1, 0);
    enum x86_op op = (enum x86_op)(truncates(piece) ? row->second : row->op);
    emit_rr(e, op, row->width, RAX, xmm);
    emit_ri(e, X86_CMP_IMM, row->width, RAX, 1);
    emit_saturate(piece, xmm);
    put_integer(piece);
}

/* From 2^63 up there are integers only: 2^63 less is converted, and added again. */
static void emit_upper_half(struct fp_piece *piece, unsigned xmm)
{
    struct emitter *e = fp_emitter(piece);

    emit_constant(e, RCX, BITS_BELOW_2_64);
    emit_rr(e, X86_CMP, 8, RAX, RCX);
    fp_leave_if(piece, IF_ABOVE);
    emit_rrm(e, X86_VSUBSD, 4, 1, xmm, TH_FIELD(constants.two63));
    emit_rr(e, X86_VCVTTSD2SI, 8, RAX, 1);
    emit_ri(e, X86_BTC_IMM, 8, RAX, 63);
}

/* The range is looked at before: a conversion to more bits would raise inexact
 * where there must be NV alone. As integers, the bits of what is not in [0, limit]
 * are above those of the limit. */
void fp_emit_to_unsigned(struct fp_piece *piece)
{
    const struct fp_row *row = piece->row;
    struct translation *tr = piece->tr;
    struct emitter *e = &tr->e;
    unsigned xmm = get_double(piece);

    emit_rr(e, X86_VMOVQ_TO_R, 4, RAX, xmm);
    emit_constant(e, RCX, row->width == 4 ? BITS_OF_UINT32_MAX : BITS_BELOW_2_63);
    emit_rr(e, X86_CMP, 8, RAX, RCX);
    uint8_t *outside = emit_jcc(e, IF_ABOVE, NULL);
    bool rounds = piece->mode == FP_MODE_STATIC && !truncates(piece);
    if (rounds)
        emit_round(piece, xmm, true);
    emit_rr(e, (enum x86_op)(piece->mode == FP_MODE_STATIC ? row->second : row->op), 8, RAX,
            rounds ? 1 : xmm);
    const uint8_t *resume = e->hot.at;
    to_cold(tr);
    emit_patch(outside, e->cold.at);
    if (row->width == 8) {
        emit_upper_half(piece, xmm);
        emit_jmp(e, resume);
    } else {
        fp_leave(piece);
    }
    to_hot(tr);
    put_integer(piece);
}

/* The register to convert an integer in, with the upper bits that it will have. */
static unsigned begin_from_integer(struct fp_piece *piece)
{
    struct emitter *e = fp_emitter(piece);
    unsigned target = target_f(piece->insn->rd, 0);

    if (piece->row->is_single)
        emit_rm(e, X86_VMOVQ_LOAD, 4, target, TH_FIELD(constants.box));
    else
        emit_rrr(e, X86_VXORPS, 4, target, target, target);
    return target;
}

/* With a rounding mode of its own: most integers fit, and need none. rax = the integer, in
 * 64 bits. */
static void emit_exact_integer(struct fp_piece *piece, bool is_signed)
{
    struct emitter *e = fp_emitter(piece);
    unsigned bits = piece->row->is_single ? 24 : 53;

    copy_x(piece->tr, RAX, piece->insn->rs1);
    if (piece->row->width == 4)
        emit_rr(e, is_signed ? X86_MOVSXD : X86_MOV, is_signed ? 8 : 4, RAX, RAX);
    if (is_signed) {
        emit_constant(e, RCX, BIT(bits));
        emit_rr(e, X86_ADD, 8, RCX, RAX);
        emit_ri(e, X86_SHR_IMM, 8, RCX, (int32_t)bits + 1);
    } else {
        emit_rr(e, X86_MOV, 8, RCX, RAX);
        emit_ri(e, X86_SHR_IMM, 8, RCX, (int32_t)bits);
    }
    fp_leave_if(piece, IF_NOT_EQUAL);
}

/* The same for all of them. */
static void emit_from_exact(struct fp_piece *piece, bool is_signed)
{
    emit_exact_integer(piece, is_signed);
    unsigned target = begin_from_integer(piece);
    emit_rrr(fp_emitter(piece), (enum x86_op)piece->row->op, 8, target, target, RAX);
    put_f(piece->tr, piece->insn->rd, target);
}

void fp_emit_from_signed(struct fp_piece *piece)
{
    const struct fp_row *row = piece->row;

    if (piece->mode == FP_MODE_STATIC) {
        emit_from_exact(piece, true);
        return;
    }
    unsigned target = begin_from_integer(piece);
    unsigned source = get_x(piece->tr, piece->insn->rs1, RAX);

    emit_rrr(fp_emitter(piece), (enum x86_op)row->op, row->width, target, target, source);
    put_f(piece->tr, piece->insn->rd, target);
}

/* From 2^63 up: half of it, where the bit that is lost stays visible to rounding,
 * and that twice. */
static void emit_from_upper_half(struct fp_piece *piece, unsigned target)
{
    struct translation *tr = piece->tr;
    struct emitter *e = &tr->e;

    emit_jcc_cold(tr, IF_SIGN);
    emit_rr(e, X86_MOV, 4, RCX, RAX);
    emit_ri(e, X86_AND_IMM, 4, RCX, 1);
    emit_ri(e, X86_SHR_IMM, 8, RAX, 1);
    emit_rr(e, X86_OR, 8, RAX, RCX);
    emit_rrr(e, (enum x86_op)piece->row->op, 8, target, target, RAX);
    emit_rrr(e, (enum x86_op)piece->row->second, 4, target, target, target);
}

void fp_emit_from_unsigned(struct fp_piece *piece)
{
    const struct fp_row *row = piece->row;
    struct translation *tr = piece->tr;
    struct emitter *e = &tr->e;
    uint8_t *done = NULL;

    if (piece->mode == FP_MODE_STATIC) {
        emit_from_exact(piece, false);
        return;
    }
    unsigned target = begin_from_integer(piece);

    if (row->width == 4) {
        emit_rr(e, X86_MOV, 4, RAX, get_x(tr, piece->insn->rs1, RAX));
    } else {
        copy_x(tr, RAX, piece->insn->rs1);
        emit_rr(e, X86_TEST, 8, RAX, RAX);
        emit_from_upper_half(piece, target);
        done = emit_jmp(e, NULL);
        to_hot(tr);
    }
    emit_rrr(e, (enum x86_op)row->op, 8, target, target, RAX);
    if (done)
        emit_patch(done, e->hot.at);
    put_f(tr, piece->insn->rd, target);
}

void fp_emit_narrow(struct fp_piece *piece)
{
    struct emitter *e = fp_emitter(piece);
    unsigned target = target_f(piece->insn->rd, 0);
    unsigned source = get_f(piece->tr, piece->insn->rs1, 0);

    emit_rm(e, X86_VMOVQ_LOAD, 4, 1, TH_FIELD(constants.box));
    emit_rrr(e, (enum x86_op)piece->row->op, 4, target, 1, source);
    fp_canonicalise(piece, target);
    put_f(piece->tr, piece->insn->rd, target);
}

void fp_emit_widen(struct fp_piece *piece)
{
    unsigned target = target_f(piece->insn->rd, 0);
    unsigned source = get_f(piece->tr, piece->insn->rs1, 0);

    emit_rrr(fp_emitter(piece), (enum x86_op)piece->row->op, 4, target, source, source);
    fp_canonicalise(piece, target);
    put_f(piece->tr, piece->insn->rd, target);
}

/* ---- moves ---- */

void fp_emit_move_out(struct fp_piece *piece)
{
    const struct insn *insn = piece->insn;
    struct emitter *e = fp_emitter(piece);
    bool is_word = piece->row->width == 4;
    unsigned target = target_x(piece->tr, insn->rd, RAX);
    unsigned source = pinned_f(insn->rs1);

    if (source == NO_XMM) {
        emit_rm(e, is_word ? X86_MOVSXD : X86_MOV, 8, target, guest_f(insn->rs1));
    } else {
        emit_rr(e, (enum x86_op)piece->row->op, 4, target, source);
        if (is_word)
            emit_rr(e, X86_MOVSXD, 8, target, target);
    }
    put_x(piece->tr, insn->rd, target);
}

void fp_emit_move_in(struct fp_piece *piece)
{
    const struct insn *insn = piece->insn;
    struct emitter *e = fp_emitter(piece);
    unsigned target = target_f(insn->rd, 0);
    unsigned source = get_x(piece->tr, insn->rs1, RAX);

    emit_rr(e, (enum x86_op)piece->row->op, 4, target, source);
    if (piece->row->is_single)
        emit_rrm(e, X86_VORPS, 4, target, target, TH_FIELD(constants.box));
    put_f(piece->tr, insn->rd, target);
}

/* ---- fclass ---- */

/* rax = the value in the upper bits of 64. */
static void emit_get_bits(struct fp_piece *piece)
{
    struct emitter *e = fp_emitter(piece);
    unsigned xmm = pinned_f(piece->insn->rs1);

    if (xmm == NO_XMM)
        emit_rm(e, X86_MOV, 8, RAX, guest_f(piece->insn->rs1));
    else
        emit_rr(e, X86_VMOVQ_TO_R, 4, RAX, xmm);
    if (piece->row->size == 4)
        emit_ri(e, X86_SHL_IMM, 8, RAX, 32);
}

/* Classes 4 to 7 are +0, subnormal, normal and infinite, 3 to 0 the same below
 * zero; 8 and 9 are the NaNs. edx counts how many of these the magnitude reaches:
 * the smallest subnormal, the smallest normal, infinity. */
void fp_emit_classify(struct fp_piece *piece)
{
    struct translation *tr = piece->tr;
    struct emitter *e = &tr->e;
    int32_t exponent_bits = piece->row->size == 4 ? 8 : 11;

    emit_get_bits(piece);
    emit_rr(e, X86_ADD, 8, RAX, RAX);
    emit_rr(e, X86_MOV, 8, RCX, RAX);
    emit_ri(e, X86_SHR_IMM, 8, RCX, 64 - exponent_bits);
    emit_constant(e, RDX, 0);
    emit_ri(e, X86_CMP_IMM, 8, RAX, 1);
    emit_ri(e, X86_SBB_IMM, 4, RDX, -1);
    emit_ri(e, X86_CMP_IMM, 4, RCX, 1);
    emit_ri(e, X86_SBB_IMM, 4, RDX, -1);
    emit_ri(e, X86_CMP_IMM, 4, RCX, (1 << exponent_bits) - 1);
    uint8_t *special = emit_jcc(e, IF_EQUAL, NULL);
    const uint8_t *counted = e->hot.at;
    emit_get_bits(piece);
    emit_ri(e, X86_SAR_IMM, 8, RAX, 63);
    emit_rr(e, X86_XOR, 4, RDX, RAX);
    emit_ri(e, X86_ADD_IMM, 4, RDX, FP_CLASS_POSITIVE_ZERO);
    const uint8_t *known = e->hot.at;
    emit_constant(e, RAX, 0);
    emit_rr(e, X86_BTS, 8, RAX, RDX);
    put_x(tr, piece->insn->rd, RAX);

    to_cold(tr);
    emit_patch(special, e->cold.at);
    emit_constant(e, RDX, 3);
    emit_ri(e, X86_SHL_IMM, 8, RAX, exponent_bits);
    emit_jcc(e, IF_EQUAL, counted);
    emit_rr(e, X86_MOV, 8, RDX, RAX);
    emit_ri(e, X86_SHR_IMM, 8, RDX, 63);
    emit_ri(e, X86_ADD_IMM, 4, RDX, FP_CLASS_SIGNALING_NAN);
    emit_jmp(e, known);
    to_hot(tr);
}
