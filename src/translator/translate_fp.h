/* SPDX-License-Identifier: Apache-2.0
 * One F or D instruction being translated: what translate_fp.c, which has the
 * table, and translate_fp_convert.c share. */
#pragma once

#include "translator/translate.h"

/* Jumps of one instruction to the interpreter. */
#define FP_MAX_SLOW 8

/* What has to be done for the rounding mode of an instruction. */
enum fp_mode {
    FP_MODE_HOST,   /* MXCSR has it, or none is needed */
    FP_MODE_STATIC, /* rm has it: RNE, RTZ, RDN, RUP, or where possible RMM */
};

struct fp_piece;

/* How one op is translated: a pattern with its parameters. */
struct fp_row {
    void (*emit)(struct fp_piece *piece);
    uint8_t op;       /* enum x86_op */
    uint8_t second;   /* another */
    uint8_t size;     /* of the operands, or of the result when that alone is FP: 4 or 8 */
    uint8_t width;    /* of the integer: 4 or 8 */
    uint8_t operands; /* FP source registers: 1 rs1, 2 rs2, 4 rs3 */
    uint8_t rounding; /* enum fp_rounding_use */
    bool is_single;   /* the result is a single in an FP register */
};

enum fp_rounding_use {
    ROUNDS_NEVER,   /* no rm field */
    ROUNDS_EXACT,   /* always exact, but rm must be valid */
    ROUNDS_BY_HOST, /* by MXCSR; a static mode is put there for the instruction */
    ROUNDS_ITSELF,  /* the pattern looks at `mode` */
};

struct fp_piece {
    struct translation *tr;
    const struct insn *insn;
    const struct fp_row *row;
    enum fp_mode mode;
    unsigned slow_count;
    uint8_t *slow[FP_MAX_SLOW]; /* jumps from the hot or the cold part */
};

static inline struct emitter *fp_emitter(const struct fp_piece *piece)
{
    return &piece->tr->e;
}

/* The xmm register that holds guest FP register `reg` now: its own, or `scratch`
 * after a load. */
static inline unsigned get_f(struct translation *tr, unsigned reg, unsigned scratch)
{
    unsigned xmm = pinned_f(reg);

    if (xmm != NO_XMM)
        return xmm;
    emit_rm(&tr->e, X86_VMOVQ_LOAD, 4, scratch, guest_f(reg));
    return scratch;
}

/* The xmm register to compute guest FP register `rd` in; put_f afterwards. */
static inline unsigned target_f(unsigned rd, unsigned scratch)
{
    unsigned xmm = pinned_f(rd);

    return xmm == NO_XMM ? scratch : xmm;
}

/* `xmm` becomes the value of guest FP register `rd`. */
static inline void put_f(struct translation *tr, unsigned rd, unsigned xmm)
{
    unsigned pinned = pinned_f(rd);

    if (pinned == NO_XMM)
        emit_rm(&tr->e, X86_VMOVQ_STORE, 4, xmm, guest_f(rd));
    else if (pinned != xmm)
        emit_rr(&tr->e, X86_VMOVAPS, 4, pinned, xmm);
}

/* op xmm, guest register: comparisons. */
static inline void emit_with_f(struct translation *tr, enum x86_op op, unsigned xmm, unsigned reg)
{
    unsigned pinned = pinned_f(reg);

    if (pinned != NO_XMM)
        emit_rr(&tr->e, op, 4, xmm, pinned);
    else
        emit_rm(&tr->e, op, 4, xmm, guest_f(reg));
}

/* op to, xmm, guest register. */
static inline void emit_op_f(struct translation *tr, enum x86_op op, unsigned to, unsigned xmm,
                             unsigned reg)
{
    unsigned pinned = pinned_f(reg);

    if (pinned != NO_XMM)
        emit_rrr(&tr->e, op, 4, to, xmm, pinned);
    else
        emit_rrm(&tr->e, op, 4, to, xmm, guest_f(reg));
}

/* A jump to where the interpreter executes the whole instruction. Until then host
 * code must have changed nothing of the guest's state, and raised no flag that the
 * instruction does not raise. */
void fp_leave_if(struct fp_piece *piece, enum condition condition);
void fp_leave(struct fp_piece *piece);
/* A NaN that host arithmetic made becomes the canonical one. */
void fp_canonicalise(struct fp_piece *piece, unsigned xmm);
void fp_load_nan(struct fp_piece *piece, unsigned xmm);

/* ---- translate_fp_convert.c ---- */

void fp_emit_to_signed(struct fp_piece *piece);
void fp_emit_to_unsigned(struct fp_piece *piece);
void fp_emit_from_signed(struct fp_piece *piece);
void fp_emit_from_unsigned(struct fp_piece *piece);
void fp_emit_narrow(struct fp_piece *piece);
void fp_emit_widen(struct fp_piece *piece);
void fp_emit_move_out(struct fp_piece *piece);
void fp_emit_move_in(struct fp_piece *piece);
void fp_emit_classify(struct fp_piece *piece);
