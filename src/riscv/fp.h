/* SPDX-License-Identifier: Apache-2.0
 * IEEE 754 arithmetic of the F and D extensions, in integers only.
 *
 * The host's floating point is not used, so that results and flags do not
 * depend on it: the interpreter judges the translator, which does use it.
 * Every function is pure apart from `*flags`, into which it ORs FP_* bits; any
 * thread may call it. Values are bit patterns. `rm` is a resolved rounding mode
 * (enum fp_rounding); the caller has turned "dynamic" into frm and trapped on
 * 5-7. Specification: "F" and "D" chapters of the unprivileged manual, version
 * 2.2. NaN results are canonical; tininess is detected after rounding. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

/* As encoded in frm and the rm field. */
enum fp_rounding {
    FP_RNE, /* to nearest, ties to even */
    FP_RTZ, /* towards zero */
    FP_RDN, /* down */
    FP_RUP, /* up */
    FP_RMM, /* to nearest, ties away from zero */
    FP_ROUNDINGS,
};

/* As encoded in fflags. */
enum fp_flag {
    FP_NX = 1,  /* inexact */
    FP_UF = 2,  /* underflow: tiny after rounding, and inexact */
    FP_OF = 4,  /* overflow */
    FP_DZ = 8,  /* infinity made exactly from finite operands */
    FP_NV = 16, /* invalid operation */
};

/* Bit numbers of the one-hot result of fclass. */
enum fp_class {
    FP_CLASS_NEGATIVE_INFINITY,
    FP_CLASS_NEGATIVE_NORMAL,
    FP_CLASS_NEGATIVE_SUBNORMAL,
    FP_CLASS_NEGATIVE_ZERO,
    FP_CLASS_POSITIVE_ZERO,
    FP_CLASS_POSITIVE_SUBNORMAL,
    FP_CLASS_POSITIVE_NORMAL,
    FP_CLASS_POSITIVE_INFINITY,
    FP_CLASS_SIGNALING_NAN,
    FP_CLASS_QUIET_NAN,
};

#define FP32_CANONICAL_NAN UINT32_C(0x7fc00000)
#define FP64_CANONICAL_NAN UINT64_C(0x7ff8000000000000)
#define FP32_SIGN          UINT32_C(0x80000000)
#define FP64_SIGN          UINT64_C(0x8000000000000000)

/* A single in a 64-bit register: NaN-boxed, all upper bits ones (D, section
 * "NaN Boxing of Narrower Values"). */
static inline uint64_t fp32_box(uint32_t value)
{
    return UINT64_C(0xffffffff00000000) | value;
}

/* The single in register value `boxed`; the canonical NaN when it is not boxed
 * (all instructions but fmv.x.w, fsw: those take the low word). */
static inline uint32_t fp32_unbox(uint64_t boxed)
{
    return boxed >> 32 == 0xffffffff ? (uint32_t)boxed : FP32_CANONICAL_NAN;
}

uint32_t fp32_add(uint32_t a, uint32_t b, unsigned rm, uint32_t *flags);
uint32_t fp32_sub(uint32_t a, uint32_t b, unsigned rm, uint32_t *flags);
uint32_t fp32_mul(uint32_t a, uint32_t b, unsigned rm, uint32_t *flags);
uint32_t fp32_div(uint32_t a, uint32_t b, unsigned rm, uint32_t *flags);
uint32_t fp32_sqrt(uint32_t a, unsigned rm, uint32_t *flags);
/* a * b + c, rounded once. fmsub, fnmsub and fnmadd are this with the signs
 * flipped: fmsub c, fnmsub a, fnmadd a and c (xor FP32_SIGN). */
uint32_t fp32_fma(uint32_t a, uint32_t b, uint32_t c, unsigned rm, uint32_t *flags);

uint64_t fp64_add(uint64_t a, uint64_t b, unsigned rm, uint32_t *flags);
uint64_t fp64_sub(uint64_t a, uint64_t b, unsigned rm, uint32_t *flags);
uint64_t fp64_mul(uint64_t a, uint64_t b, unsigned rm, uint32_t *flags);
uint64_t fp64_div(uint64_t a, uint64_t b, unsigned rm, uint32_t *flags);
uint64_t fp64_sqrt(uint64_t a, unsigned rm, uint32_t *flags);
uint64_t fp64_fma(uint64_t a, uint64_t b, uint64_t c, unsigned rm, uint32_t *flags);

/* minimumNumber, maximumNumber of IEEE 754-2019: -0 below +0, of a NaN and a
 * number the number. */
uint32_t fp32_min(uint32_t a, uint32_t b, uint32_t *flags);
uint32_t fp32_max(uint32_t a, uint32_t b, uint32_t *flags);
uint64_t fp64_min(uint64_t a, uint64_t b, uint32_t *flags);
uint64_t fp64_max(uint64_t a, uint64_t b, uint32_t *flags);

/* eq is quiet, lt and le raise NV on any NaN. */
bool fp32_eq(uint32_t a, uint32_t b, uint32_t *flags);
bool fp32_lt(uint32_t a, uint32_t b, uint32_t *flags);
bool fp32_le(uint32_t a, uint32_t b, uint32_t *flags);
bool fp64_eq(uint64_t a, uint64_t b, uint32_t *flags);
bool fp64_lt(uint64_t a, uint64_t b, uint32_t *flags);
bool fp64_le(uint64_t a, uint64_t b, uint32_t *flags);

/* 1 << enum fp_class. */
uint32_t fp32_classify(uint32_t a);
uint32_t fp64_classify(uint64_t a);

/* To integers: out of range saturates and raises NV alone; NaN gives the
 * largest value. The caller sign-extends 32-bit results, u32 too (fcvt.wu). */
int32_t fp32_to_i32(uint32_t a, unsigned rm, uint32_t *flags);
uint32_t fp32_to_u32(uint32_t a, unsigned rm, uint32_t *flags);
int64_t fp32_to_i64(uint32_t a, unsigned rm, uint32_t *flags);
uint64_t fp32_to_u64(uint32_t a, unsigned rm, uint32_t *flags);
int32_t fp64_to_i32(uint64_t a, unsigned rm, uint32_t *flags);
uint32_t fp64_to_u32(uint64_t a, unsigned rm, uint32_t *flags);
int64_t fp64_to_i64(uint64_t a, unsigned rm, uint32_t *flags);
uint64_t fp64_to_u64(uint64_t a, unsigned rm, uint32_t *flags);

uint32_t fp32_from_i32(int32_t value, unsigned rm, uint32_t *flags);
uint32_t fp32_from_u32(uint32_t value, unsigned rm, uint32_t *flags);
uint32_t fp32_from_i64(int64_t value, unsigned rm, uint32_t *flags);
uint32_t fp32_from_u64(uint64_t value, unsigned rm, uint32_t *flags);
/* From 32-bit integers to double is exact: no mode, no flags. */
uint64_t fp64_from_i32(int32_t value);
uint64_t fp64_from_u32(uint32_t value);
uint64_t fp64_from_i64(int64_t value, unsigned rm, uint32_t *flags);
uint64_t fp64_from_u64(uint64_t value, unsigned rm, uint32_t *flags);

/* Widening is exact; it raises NV on a signalling NaN. */
uint64_t fp32_to_fp64(uint32_t a, uint32_t *flags);
uint32_t fp64_to_fp32(uint64_t a, unsigned rm, uint32_t *flags);
