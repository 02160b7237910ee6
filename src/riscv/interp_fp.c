/* SPDX-License-Identifier: Apache-2.0
 * The F and D extensions, on the soft-float of fp.h. */
#include "base/endian.h"
#include "riscv/fp.h"
#include "riscv/interp_internal.h"

#define RM_DYNAMIC 7

static inline bool fp_is_off(const struct hart *hart)
{
    return UNLIKELY(!(hart->mstatus & MSTATUS_FS));
}

static inline void set_dirty(struct hart *hart)
{
    hart->mstatus |= MSTATUS_FS;
}

/* The rounding mode an instruction asks for; above FP_RMM: reserved. */
static inline unsigned rounding(const struct hart *hart, const struct code_op *op)
{
    return op->rm == RM_DYNAMIC ? hart->frm : op->rm;
}

#define FLAGS (&hart->fflags)
#define A32   fp32_unbox(F(rs1))
#define B32   fp32_unbox(F(rs2))
#define C32   fp32_unbox(F(rs3))
#define A64   F(rs1)
#define B64   F(rs2)
#define C64   F(rs3)

/* Whatever writes an FP register or a flag makes FS dirty; comparisons and
 * conversions to integers may raise a flag. */
#define FP_OP(id, statement) \
    HANDLER(id)              \
    {                        \
        if (fp_is_off(hart)) \
            ILLEGAL();       \
        statement;           \
        set_dirty(hart);     \
        NEXT();              \
    }
#define FP_ROUNDED_OP(id, statement)                  \
    HANDLER(id)                                       \
    {                                                 \
        unsigned rm = rounding(hart, op);             \
        if (fp_is_off(hart) || UNLIKELY(rm > FP_RMM)) \
            ILLEGAL();                                \
        statement;                                    \
        set_dirty(hart);                              \
        NEXT();                                       \
    }
/* Changes neither an FP register nor a flag: FS stays. */
#define FP_MOVE_OUT_OP(id, value) \
    HANDLER(id)                   \
    {                             \
        if (fp_is_off(hart))      \
            ILLEGAL();            \
        X(rd) = (value);          \
        NEXT();                   \
    }

#define SET32(value)           F(rd) = fp32_box(value)
#define SET64(value)           F(rd) = (value)
#define SIGN_INTO32(sign_bits) SET32((A32 & ~FP32_SIGN) | ((sign_bits)&FP32_SIGN))
#define SIGN_INTO64(sign_bits) SET64((A64 & ~FP64_SIGN) | ((sign_bits)&FP64_SIGN))
#define FROM_I32(value)        ((uint64_t)(int64_t)(int32_t)(value))

/* clang-format off */
FP_ROUNDED_OP(fadd_s,  SET32(fp32_add(A32, B32, rm, FLAGS)))
FP_ROUNDED_OP(fsub_s,  SET32(fp32_sub(A32, B32, rm, FLAGS)))
FP_ROUNDED_OP(fmul_s,  SET32(fp32_mul(A32, B32, rm, FLAGS)))
FP_ROUNDED_OP(fdiv_s,  SET32(fp32_div(A32, B32, rm, FLAGS)))
FP_ROUNDED_OP(fsqrt_s, SET32(fp32_sqrt(A32, rm, FLAGS)))
FP_ROUNDED_OP(fadd_d,  SET64(fp64_add(A64, B64, rm, FLAGS)))
FP_ROUNDED_OP(fsub_d,  SET64(fp64_sub(A64, B64, rm, FLAGS)))
FP_ROUNDED_OP(fmul_d,  SET64(fp64_mul(A64, B64, rm, FLAGS)))
FP_ROUNDED_OP(fdiv_d,  SET64(fp64_div(A64, B64, rm, FLAGS)))
FP_ROUNDED_OP(fsqrt_d, SET64(fp64_sqrt(A64, rm, FLAGS)))

FP_ROUNDED_OP(fmadd_s,  SET32(fp32_fma(A32, B32, C32, rm, FLAGS)))
FP_ROUNDED_OP(fmsub_s,  SET32(fp32_fma(A32, B32, C32 ^ FP32_SIGN, rm, FLAGS)))
FP_ROUNDED_OP(fnmsub_s, SET32(fp32_fma(A32 ^ FP32_SIGN, B32, C32, rm, FLAGS)))
FP_ROUNDED_OP(fnmadd_s, SET32(fp32_fma(A32 ^ FP32_SIGN, B32, C32 ^ FP32_SIGN, rm, FLAGS)))
FP_ROUNDED_OP(fmadd_d,  SET64(fp64_fma(A64, B64, C64, rm, FLAGS)))
FP_ROUNDED_OP(fmsub_d,  SET64(fp64_fma(A64, B64, C64 ^ FP64_SIGN, rm, FLAGS)))
FP_ROUNDED_OP(fnmsub_d, SET64(fp64_fma(A64 ^ FP64_SIGN, B64, C64, rm, FLAGS)))
FP_ROUNDED_OP(fnmadd_d, SET64(fp64_fma(A64 ^ FP64_SIGN, B64, C64 ^ FP64_SIGN, rm, FLAGS)))

FP_OP(fsgnj_s,  SIGN_INTO32(B32))
FP_OP(fsgnjn_s, SIGN_INTO32(~B32))
FP_OP(fsgnjx_s, SIGN_INTO32(A32 ^ B32))
FP_OP(fsgnj_d,  SIGN_INTO64(B64))
FP_OP(fsgnjn_d, SIGN_INTO64(~B64))
FP_OP(fsgnjx_d, SIGN_INTO64(A64 ^ B64))
FP_OP(fmin_s, SET32(fp32_min(A32, B32, FLAGS)))
FP_OP(fmax_s, SET32(fp32_max(A32, B32, FLAGS)))
FP_OP(fmin_d, SET64(fp64_min(A64, B64, FLAGS)))
FP_OP(fmax_d, SET64(fp64_max(A64, B64, FLAGS)))

FP_OP(feq_s, X(rd) = fp32_eq(A32, B32, FLAGS))
FP_OP(flt_s, X(rd) = fp32_lt(A32, B32, FLAGS))
FP_OP(fle_s, X(rd) = fp32_le(A32, B32, FLAGS))
FP_OP(feq_d, X(rd) = fp64_eq(A64, B64, FLAGS))
FP_OP(flt_d, X(rd) = fp64_lt(A64, B64, FLAGS))
FP_OP(fle_d, X(rd) = fp64_le(A64, B64, FLAGS))
FP_MOVE_OUT_OP(fclass_s, fp32_classify(A32))
FP_MOVE_OUT_OP(fclass_d, fp64_classify(A64))

FP_ROUNDED_OP(fcvt_w_s,  X(rd) = FROM_I32(fp32_to_i32(A32, rm, FLAGS)))
FP_ROUNDED_OP(fcvt_wu_s, X(rd) = FROM_I32(fp32_to_u32(A32, rm, FLAGS)))
FP_ROUNDED_OP(fcvt_l_s,  X(rd) = (uint64_t)fp32_to_i64(A32, rm, FLAGS))
FP_ROUNDED_OP(fcvt_lu_s, X(rd) = fp32_to_u64(A32, rm, FLAGS))
FP_ROUNDED_OP(fcvt_w_d,  X(rd) = FROM_I32(fp64_to_i32(A64, rm, FLAGS)))
FP_ROUNDED_OP(fcvt_wu_d, X(rd) = FROM_I32(fp64_to_u32(A64, rm, FLAGS)))
FP_ROUNDED_OP(fcvt_l_d,  X(rd) = (uint64_t)fp64_to_i64(A64, rm, FLAGS))
FP_ROUNDED_OP(fcvt_lu_d, X(rd) = fp64_to_u64(A64, rm, FLAGS))

FP_ROUNDED_OP(fcvt_s_w,  SET32(fp32_from_i32((int32_t)X(rs1), rm, FLAGS)))
FP_ROUNDED_OP(fcvt_s_wu, SET32(fp32_from_u32((uint32_t)X(rs1), rm, FLAGS)))
FP_ROUNDED_OP(fcvt_s_l,  SET32(fp32_from_i64((int64_t)X(rs1), rm, FLAGS)))
FP_ROUNDED_OP(fcvt_s_lu, SET32(fp32_from_u64(X(rs1), rm, FLAGS)))
FP_ROUNDED_OP(fcvt_d_w,  SET64(fp64_from_i32((int32_t)X(rs1))))
FP_ROUNDED_OP(fcvt_d_wu, SET64(fp64_from_u32((uint32_t)X(rs1))))
FP_ROUNDED_OP(fcvt_d_l,  SET64(fp64_from_i64((int64_t)X(rs1), rm, FLAGS)))
FP_ROUNDED_OP(fcvt_d_lu, SET64(fp64_from_u64(X(rs1), rm, FLAGS)))
FP_ROUNDED_OP(fcvt_s_d,  SET32(fp64_to_fp32(A64, rm, FLAGS)))
FP_ROUNDED_OP(fcvt_d_s,  SET64(fp32_to_fp64(A32, FLAGS)))

FP_MOVE_OUT_OP(fmv_x_w, FROM_I32(F(rs1)))
FP_MOVE_OUT_OP(fmv_x_d, F(rs1))
FP_OP(fmv_w_x, SET32((uint32_t)X(rs1)))
FP_OP(fmv_d_x, SET64(X(rs1)))

LOAD_OP(flw, uint32_t, 4, !fp_is_off(hart), (F(rd) = fp32_box(value), set_dirty(hart)))
LOAD_OP(fld, uint64_t, 8, !fp_is_off(hart), (F(rd) = value, set_dirty(hart)))
STORE_OP(fsw, uint32_t, 4, !fp_is_off(hart), F(rs2))
STORE_OP(fsd, uint64_t, 8, !fp_is_off(hart), F(rs2))
/* clang-format on */
