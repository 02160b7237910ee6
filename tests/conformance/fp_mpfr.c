/* SPDX-License-Identifier: Apache-2.0
 * Compares every function of riscv/fp.h with GNU MPFR, values and flags, in all
 * rounding modes:
 *
 *     fp_mpfr [--cases N] [--seed N] [--only name] [--plant]
 *
 * MPFR rounds correctly and reports on which side of the exact value its result
 * lies, which gives the flags. It has no ties-away mode, so for RMM the exact
 * value is truncated to ample precision and rounded here. NaNs are handled here
 * as well: MPFR has one, without sign and payload. `--plant` tests the test:
 * faults are put into our results, and each has to be noticed. */
#include "base/types.h"
#include "riscv/fp.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mpfr.h>

enum type {
    F32,
    F64,
    I32,
    U32,
    I64,
    U64,
    FLAG,  /* 0 or 1 */
    CLASS, /* the mask of fclass */
};

struct result {
    uint64_t bits;
    uint32_t flags;
};

struct operation;
typedef uint64_t our_function(const uint64_t *in, unsigned rm, uint32_t *flags);
typedef struct result reference_function(const struct operation *op, const uint64_t *in,
                                         unsigned rm);
typedef int mpfr_function(mpfr_t to, mpfr_t *in, mpfr_rnd_t rnd);

struct operation {
    const char *name;
    enum type to;
    enum type from;
    unsigned arity;
    our_function *ours;
    reference_function *reference;
    mpfr_function *compute; /* for reference_rounded */
};

/* --- Formats -------------------------------------------------------------- */

struct format {
    int precision;
    int most_exponent; /* MPFR's: significands are in [1/2, 1) */
    int least_normal;  /* MPFR's exponent of the smallest normal number */
    uint64_t sign;
    uint64_t infinity;
    uint64_t quiet;
};

static const struct format formats[] = {
    [F32] = {24, 128, -125, FP32_SIGN, 0x7f800000, 0x00400000},
    [F64] = {53, 1024, -1021, FP64_SIGN, 0x7ff0000000000000, 0x0008000000000000},
};

static bool is_nan(const struct format *f, uint64_t bits)
{
    return (bits & ~f->sign) > f->infinity;
}

static bool is_signaling(const struct format *f, uint64_t bits)
{
    return is_nan(f, bits) && !(bits & f->quiet);
}

static bool is_infinite(const struct format *f, uint64_t bits)
{
    return (bits & ~f->sign) == f->infinity;
}

static uint64_t bits_of_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static double double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static float float_of_bits(uint64_t bits)
{
    uint32_t word = (uint32_t)bits;
    float value;
    memcpy(&value, &word, sizeof(value));
    return value;
}

/* Sets `to` (of 64 bits) to the exact value; NaN for any NaN. */
static void value_of(mpfr_t to, enum type type, uint64_t bits)
{
    switch (type) {
    case F32:
        if (is_nan(&formats[F32], bits))
            mpfr_set_nan(to);
        else
            mpfr_set_flt(to, float_of_bits(bits), MPFR_RNDN);
        break;
    case F64:
        if (is_nan(&formats[F64], bits))
            mpfr_set_nan(to);
        else
            mpfr_set_d(to, double_of_bits(bits), MPFR_RNDN);
        break;
    case I32:
        mpfr_set_si(to, (int32_t)bits, MPFR_RNDN);
        break;
    case I64:
        mpfr_set_si(to, (int64_t)bits, MPFR_RNDN);
        break;
    case U32:
    case U64:
        mpfr_set_ui(to, bits, MPFR_RNDN);
        break;
    case FLAG:
    case CLASS:
        abort();
    }
}

/* The pattern of a value the format has. */
static uint64_t pattern_of(mpfr_t value, enum type type)
{
    if (mpfr_nan_p(value))
        return type == F32 ? FP32_CANONICAL_NAN : FP64_CANONICAL_NAN;
    if (type == F64)
        return bits_of_double(mpfr_get_d(value, MPFR_RNDN));

    float narrow = mpfr_get_flt(value, MPFR_RNDN);
    uint32_t word;
    memcpy(&word, &narrow, sizeof(word));
    return word;
}

/* --- References ----------------------------------------------------------- */

#define LIMIT 100000 /* an exponent range nothing here leaves */

static const mpfr_rnd_t mpfr_modes[] = {
    [FP_RNE] = MPFR_RNDN, [FP_RTZ] = MPFR_RNDZ, [FP_RDN] = MPFR_RNDD, [FP_RUP] = MPFR_RNDU};

/* Rounds `exact` (truncated; `rest` tells that something was cut off) to a
 * multiple of 2^quantum, ties away from zero. True when that changed it. */
static bool round_ties_away(mpfr_t to, mpfr_t exact, bool rest, long quantum)
{
    mpfr_mul_2si(exact, exact, -quantum, MPFR_RNDN);
    int changed = mpfr_round(to, exact);
    mpfr_mul_2si(to, to, quantum, MPFR_RNDN);
    mpfr_mul_2si(exact, exact, quantum, MPFR_RNDN);
    return changed != 0 || rest;
}

static struct result rounded_away(const struct operation *op, mpfr_t *in)
{
    const struct format *f = &formats[op->to];
    struct result result = {0, 0};
    mpfr_t exact, full, final;

    mpfr_set_emin(-LIMIT);
    mpfr_set_emax(LIMIT);
    mpfr_inits2(160, exact, full, final, (mpfr_ptr)NULL);
    bool rest = op->compute(exact, in, MPFR_RNDZ) != 0;
    if (!mpfr_regular_p(exact)) {
        result.bits = pattern_of(exact, op->to);
    } else {
        long quantum = mpfr_get_exp(exact) - f->precision;
        long least = f->least_normal - f->precision;
        round_ties_away(full, exact, rest, quantum);
        bool tiny = mpfr_get_exp(full) < f->least_normal;
        bool inexact = round_ties_away(final, exact, rest, MAX(quantum, least));
        if (mpfr_regular_p(final) && mpfr_get_exp(final) > f->most_exponent) {
            result.flags = FP_OF | FP_NX;
            mpfr_set_inf(final, mpfr_sgn(final));
        } else if (inexact) {
            result.flags = tiny ? FP_UF | FP_NX : FP_NX;
        }
        result.bits = pattern_of(final, op->to);
    }
    mpfr_clears(exact, full, final, (mpfr_ptr)NULL);
    return result;
}

static struct result rounded(const struct operation *op, mpfr_t *in, unsigned rm)
{
    const struct format *f = &formats[op->to];
    struct result result = {0, 0};
    mpfr_t value;

    mpfr_init2(value, f->precision);
    /* Down to the smallest subnormal, as mpfr_subnormalize asks for. */
    mpfr_set_emin(f->least_normal - f->precision + 1);
    mpfr_set_emax(f->most_exponent);
    mpfr_clear_flags();
    int side = op->compute(value, in, mpfr_modes[rm]);
    bool tiny =
        mpfr_zero_p(value) || (mpfr_regular_p(value) && mpfr_get_exp(value) < f->least_normal);
    side = mpfr_subnormalize(value, side, mpfr_modes[rm]);
    if (mpfr_overflow_p())
        result.flags = FP_OF | FP_NX;
    else if (side != 0)
        result.flags = tiny ? FP_UF | FP_NX : FP_NX;
    result.bits = pattern_of(value, op->to);
    mpfr_set_emin(-LIMIT);
    mpfr_set_emax(LIMIT);
    mpfr_clear(value);
    return result;
}

/* Operations with a floating-point result that rounds. */
static struct result reference_rounded(const struct operation *op, const uint64_t *in, unsigned rm)
{
    const struct format *from = op->from <= F64 ? &formats[op->from] : NULL;
    struct result result;
    mpfr_t values[3];
    bool nan = false, signaling = false;

    for (unsigned i = 0; i < 3; i++) {
        mpfr_init2(values[i], 64);
        value_of(values[i], op->from, in[i]);
        if (from && i < op->arity) {
            nan |= is_nan(from, in[i]);
            signaling |= is_signaling(from, in[i]);
        }
    }
    mpfr_clear_flags();
    result = rm == FP_RMM ? rounded_away(op, values) : rounded(op, values, rm);
    bool is_infinity_times_zero =
        op->arity == 3 && ((mpfr_inf_p(values[0]) && mpfr_zero_p(values[1])) ||
                           (mpfr_zero_p(values[0]) && mpfr_inf_p(values[1])));
    if (nan)
        result.flags = signaling || is_infinity_times_zero ? FP_NV : 0;
    else if (mpfr_divby0_p())
        result.flags = FP_DZ;
    else if (mpfr_nanflag_p())
        result.flags = FP_NV;
    for (unsigned i = 0; i < 3; i++)
        mpfr_clear(values[i]);
    return result;
}

static struct result reference_to_integer(const struct operation *op, const uint64_t *in,
                                          unsigned rm)
{
    static const uint64_t least[] = {
        [I32] = (uint64_t)INT32_MIN, [U32] = 0, [I64] = (uint64_t)INT64_MIN, [U64] = 0};
    static const uint64_t most[] = {
        [I32] = INT32_MAX, [U32] = UINT32_MAX, [I64] = INT64_MAX, [U64] = UINT64_MAX};
    bool is_signed = op->to == I32 || op->to == I64;
    struct result result = {0, 0};
    mpfr_t value, integer;

    mpfr_inits2(64, value, integer, (mpfr_ptr)NULL);
    value_of(value, op->from, in[0]);
    int changed =
        rm == FP_RMM ? mpfr_round(integer, value) : mpfr_rint(integer, value, mpfr_modes[rm]);
    bool below =
        is_signed ? mpfr_cmp_si(integer, (long)least[op->to]) < 0 : mpfr_cmp_ui(integer, 0) < 0;
    if (mpfr_nan_p(value) || (!below && mpfr_cmp_ui(integer, most[op->to]) > 0))
        result = (struct result){most[op->to], FP_NV};
    else if (below)
        result = (struct result){least[op->to], FP_NV};
    else
        result = (struct result){is_signed ? (uint64_t)mpfr_get_si(integer, MPFR_RNDN)
                                           : mpfr_get_ui(integer, MPFR_RNDN),
                                 changed ? FP_NX : 0};
    if (op->to == I32)
        result.bits = (uint32_t)result.bits;
    mpfr_clears(value, integer, (mpfr_ptr)NULL);
    return result;
}

/* eq, lt, le, min and max, told apart by name. */
static struct result reference_compare(const struct operation *op, const uint64_t *in, unsigned rm)
{
    const struct format *f = &formats[op->from];
    const char *kind = strchr(op->name, '_') + 1;
    bool is_min = strcmp(kind, "min") == 0, is_max = strcmp(kind, "max") == 0;
    bool nan = is_nan(f, in[0]) || is_nan(f, in[1]);
    bool signaling = is_signaling(f, in[0]) || is_signaling(f, in[1]);
    struct result result = {0, signaling ? FP_NV : 0};
    mpfr_t a, b;

    (void)rm;
    mpfr_inits2(64, a, b, (mpfr_ptr)NULL);
    value_of(a, op->from, in[0]);
    value_of(b, op->from, in[1]);
    if (is_min || is_max) {
        bool first = is_min ? mpfr_less_p(a, b) : mpfr_greater_p(a, b);
        if (mpfr_zero_p(a) && mpfr_zero_p(b))
            first = (mpfr_signbit(a) != 0) == is_min;
        if (nan)
            first = !is_nan(f, in[0]);
        result.bits =
            is_nan(f, in[0]) && is_nan(f, in[1]) ? f->infinity | f->quiet : in[first ? 0 : 1];
    } else if (strcmp(kind, "eq") == 0) {
        result.bits = mpfr_equal_p(a, b) != 0;
    } else {
        result.bits =
            strcmp(kind, "lt") == 0 ? mpfr_less_p(a, b) != 0 : mpfr_lessequal_p(a, b) != 0;
        if (nan)
            result.flags = FP_NV;
    }
    mpfr_clears(a, b, (mpfr_ptr)NULL);
    return result;
}

static struct result reference_classify(const struct operation *op, const uint64_t *in, unsigned rm)
{
    const struct format *f = &formats[op->from];
    double value = op->from == F64 ? double_of_bits(in[0]) : (double)float_of_bits(in[0]);
    int kind = op->from == F64 ? fpclassify(value) : fpclassify(float_of_bits(in[0]));
    bool negative = (in[0] & f->sign) != 0;

    (void)rm;
    switch (kind) {
    case FP_NAN:
        return (struct result){in[0] & f->quiet ? 1 << 9 : 1 << 8, 0};
    case FP_INFINITE:
        return (struct result){negative ? 1 << 0 : 1 << 7, 0};
    case FP_NORMAL:
        return (struct result){negative ? 1 << 1 : 1 << 6, 0};
    case FP_SUBNORMAL:
        return (struct result){negative ? 1 << 2 : 1 << 5, 0};
    default:
        return (struct result){negative ? 1 << 3 : 1 << 4, 0};
    }
}

/* --- Operations ----------------------------------------------------------- */

static int compute_add(mpfr_t to, mpfr_t *in, mpfr_rnd_t rnd)
{
    return mpfr_add(to, in[0], in[1], rnd);
}

static int compute_sub(mpfr_t to, mpfr_t *in, mpfr_rnd_t rnd)
{
    return mpfr_sub(to, in[0], in[1], rnd);
}

static int compute_mul(mpfr_t to, mpfr_t *in, mpfr_rnd_t rnd)
{
    return mpfr_mul(to, in[0], in[1], rnd);
}

static int compute_div(mpfr_t to, mpfr_t *in, mpfr_rnd_t rnd)
{
    return mpfr_div(to, in[0], in[1], rnd);
}

static int compute_sqrt(mpfr_t to, mpfr_t *in, mpfr_rnd_t rnd)
{
    return mpfr_sqrt(to, in[0], rnd);
}

static int compute_fma(mpfr_t to, mpfr_t *in, mpfr_rnd_t rnd)
{
    return mpfr_fma(to, in[0], in[1], in[2], rnd);
}

static int compute_set(mpfr_t to, mpfr_t *in, mpfr_rnd_t rnd)
{
    /* mpfr_set leaves exponents alone that the destination does not have. */
    return mpfr_check_range(to, mpfr_set(to, in[0], rnd), rnd);
}

#define OURS(name, ...)                                                           \
    static uint64_t ours_##name(const uint64_t *in, unsigned rm, uint32_t *flags) \
    {                                                                             \
        (void)rm, *flags |= 0;                                                    \
        return name(__VA_ARGS__);                                                 \
    }
#define OURS_I32(name, ...)                                                       \
    static uint64_t ours_##name(const uint64_t *in, unsigned rm, uint32_t *flags) \
    {                                                                             \
        return (uint32_t)name(__VA_ARGS__);                                       \
    }
#define OURS_EACH(fp, word)                                          \
    OURS(fp##_add, (word)in[0], (word)in[1], rm, flags)              \
    OURS(fp##_sub, (word)in[0], (word)in[1], rm, flags)              \
    OURS(fp##_mul, (word)in[0], (word)in[1], rm, flags)              \
    OURS(fp##_div, (word)in[0], (word)in[1], rm, flags)              \
    OURS(fp##_sqrt, (word)in[0], rm, flags)                          \
    OURS(fp##_fma, (word)in[0], (word)in[1], (word)in[2], rm, flags) \
    OURS(fp##_min, (word)in[0], (word)in[1], flags)                  \
    OURS(fp##_max, (word)in[0], (word)in[1], flags)                  \
    OURS(fp##_eq, (word)in[0], (word)in[1], flags)                   \
    OURS(fp##_lt, (word)in[0], (word)in[1], flags)                   \
    OURS(fp##_le, (word)in[0], (word)in[1], flags)                   \
    OURS(fp##_classify, (word)in[0])                                 \
    OURS_I32(fp##_to_i32, (word)in[0], rm, flags)                    \
    OURS(fp##_to_u32, (word)in[0], rm, flags)                        \
    OURS(fp##_to_i64, (word)in[0], rm, flags)                        \
    OURS(fp##_to_u64, (word)in[0], rm, flags)                        \
    OURS(fp##_from_i64, (int64_t)in[0], rm, flags)                   \
    OURS(fp##_from_u64, in[0], rm, flags)

/* clang-format off */
OURS_EACH(fp32, uint32_t)
OURS_EACH(fp64, uint64_t)
OURS(fp32_from_i32, (int32_t)in[0], rm, flags)
OURS(fp32_from_u32, (uint32_t)in[0], rm, flags)
OURS(fp64_from_i32, (int32_t)in[0])
OURS(fp64_from_u32, (uint32_t)in[0])
OURS(fp32_to_fp64, (uint32_t)in[0], flags)
OURS(fp64_to_fp32, in[0], rm, flags)

#define ROUNDED(fp, type, op, arity)                                                               \
    {#fp "_" #op, type, type, arity, ours_##fp##_##op, reference_rounded, compute_##op}
#define CONVERTED(function, to, from)                                                              \
    {#function, to, from, 1, ours_##function, reference_rounded, compute_set}
#define COMPARED(fp, type, to, op)                                                                 \
    {#fp "_" #op, to, type, 2, ours_##fp##_##op, reference_compare, NULL}
#define INTEGER(fp, type, to, op)                                                                  \
    {#fp "_" #op, to, type, 1, ours_##fp##_##op, reference_to_integer, NULL}
#define OPERATIONS(fp, type)                                                                       \
    ROUNDED(fp, type, add, 2), ROUNDED(fp, type, sub, 2), ROUNDED(fp, type, mul, 2),               \
    ROUNDED(fp, type, div, 2), ROUNDED(fp, type, sqrt, 1), ROUNDED(fp, type, fma, 3),              \
    COMPARED(fp, type, type, min), COMPARED(fp, type, type, max), COMPARED(fp, type, FLAG, eq),    \
    COMPARED(fp, type, FLAG, lt), COMPARED(fp, type, FLAG, le),                                    \
    {#fp "_classify", CLASS, type, 1, ours_##fp##_classify, reference_classify, NULL},             \
    INTEGER(fp, type, I32, to_i32), INTEGER(fp, type, U32, to_u32),                                \
    INTEGER(fp, type, I64, to_i64), INTEGER(fp, type, U64, to_u64),                                \
    CONVERTED(fp##_from_i32, type, I32), CONVERTED(fp##_from_u32, type, U32),                      \
    CONVERTED(fp##_from_i64, type, I64), CONVERTED(fp##_from_u64, type, U64)

static const struct operation operations[] = {
    OPERATIONS(fp32, F32),
    OPERATIONS(fp64, F64),
    CONVERTED(fp32_to_fp64, F64, F32),
    CONVERTED(fp64_to_fp32, F32, F64),
};
/* clang-format on */

/* --- Operands ------------------------------------------------------------- */

struct random {
    uint64_t state;
};

/* splitmix64 */
static uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned random_below(struct random *r, unsigned limit)
{
    return (unsigned)(random_next(r) % limit);
}

/* Few ones, few zeros, or runs: the patterns that carry far and tie often. */
static uint64_t random_sparse(struct random *r, unsigned bits)
{
    uint64_t value = 0;

    for (unsigned i = random_below(r, 4); i > 0; i--)
        value ^= UINT64_C(1) << random_below(r, bits);
    if (random_below(r, 3) == 0)
        value ^= (UINT64_C(1) << random_below(r, bits)) - 1;
    if (random_below(r, 4) == 0)
        value = ~value;
    return value & ((UINT64_C(1) << bits) - 1);
}

static uint64_t random_fraction(struct random *r, unsigned bits)
{
    if (random_below(r, 2))
        return random_sparse(r, bits);
    return random_next(r) & ((UINT64_C(1) << bits) - 1);
}

static uint64_t random_special(struct random *r, const struct format *f)
{
    unsigned bits = (unsigned)f->precision - 1;
    uint64_t ones = (UINT64_C(1) << bits) - 1;

    switch (random_below(r, 8)) {
    case 0:
        return 0;
    case 1:
        return f->infinity;
    case 2: /* a quiet NaN */
        return f->infinity | f->quiet | random_fraction(r, bits - 1);
    case 3: /* a signalling NaN */
        return f->infinity | ((random_fraction(r, bits - 1) & (f->quiet - 1)) | 1);
    case 4: /* the largest finite numbers */
        return f->infinity - 1 - random_below(r, 3);
    case 5: /* around the smallest normal number */
        return ones - 2 + random_below(r, 5);
    case 6: /* the smallest subnormal numbers */
        return 1 + random_below(r, 4);
    default:
        return random_fraction(r, bits); /* any subnormal number */
    }
}

/* A number whose integer part ends near the borders of the integer types, or
 * a small one with a half. */
static uint64_t random_near_integer(struct random *r, const struct format *f)
{
    static const int borders[] = {0, 1, 2, 8, 23, 24, 31, 32, 52, 53, 62, 63, 64};
    unsigned bits = (unsigned)f->precision - 1;
    int bias = f->most_exponent - 1;
    int exponent = borders[random_below(r, ARRAY_LEN(borders))] - (int)random_below(r, 3);
    uint64_t one = (uint64_t)(bias + exponent) << bits;

    switch (random_below(r, 3)) {
    case 0: /* a few ulps around a power of two */
        return one - 3 + random_below(r, 7);
    case 1: /* bits around the point only */
        if (exponent > 0 && exponent < (int)bits - 1)
            return one | (uint64_t)random_below(r, 8) << (bits - (unsigned)exponent - 2);
        return one;
    default:
        return one | random_fraction(r, bits);
    }
}

/* One operand. `earlier` holds the operands before it. */
static uint64_t random_operand(struct random *r, const struct format *f, const uint64_t *earlier,
                               unsigned count)
{
    unsigned bits = (unsigned)f->precision - 1;
    unsigned fields = (unsigned)(f->infinity >> bits); /* exponents, without the special one */
    unsigned bias = (fields - 1) / 2;
    uint64_t sign = random_next(r) & f->sign;
    unsigned kind = random_below(r, 16);

    if (kind == 0)
        return random_special(r, f) | sign;
    if (kind == 1)
        return (random_next(r) & (f->sign | (f->sign - 1)));
    if (kind <= 3)
        return random_near_integer(r, f) | sign;
    if (kind <= 5 || count == 0)
        return (uint64_t)random_below(r, fields) << bits | random_fraction(r, bits) | sign;

    uint64_t other = earlier[random_below(r, count)] & ~f->sign;
    int field = (int)(other >> bits);
    int wanted;
    if (kind <= 6) /* the neighbours of an earlier one */
        return ((other - 1 + random_below(r, 3)) & (f->sign - 1)) | sign;
    if (kind <= 10) /* exponents within reach of each other, for sums */
        wanted = field - 2 * (int)bits - 4 + (int)random_below(r, 4 * bits + 9);
    else if (kind <= 12) /* a product that is subnormal or nearly so */
        wanted = (int)bias - field + (int)random_below(r, bits + 8) - (int)bits - 3;
    else if (kind <= 13) /* a quotient that is */
        wanted = field + (int)bias - 4 + (int)random_below(r, bits + 8);
    else if (kind <= 14) /* a product or a quotient that overflows, or nearly */
        wanted = random_below(r, 2) ? (int)(3 * bias) - field - 3 + (int)random_below(r, 6)
                                    : field - (int)bias - 3 + (int)random_below(r, 6);
    else /* few bits, any exponent */
        return (uint64_t)random_below(r, fields) << bits | sign;
    wanted = wanted < 0 ? 0 : wanted >= (int)fields ? (int)fields - 1 : wanted;
    return (uint64_t)wanted << bits | random_fraction(r, bits) | sign;
}

/* For c in a * b + c: near -a * b, or far below a product of few bits. */
static uint64_t random_addend(struct random *r, const struct format *f, const uint64_t *in,
                              uint64_t fallback)
{
    unsigned kind = random_below(r, 4);
    bool narrow = f == &formats[F32];
    double product = narrow ? (double)(float_of_bits(in[0]) * float_of_bits(in[1]))
                            : double_of_bits(in[0]) * double_of_bits(in[1]);
    uint64_t bits = bits_of_double(product);

    if (kind > 1 || product != product)
        return fallback;
    if (narrow) {
        float single = (float)product;
        uint32_t word;
        memcpy(&word, &single, sizeof(word));
        bits = word;
    }
    unsigned fraction = (unsigned)f->precision - 1;
    if (kind == 1) { /* half an ulp of the product, or a little beside it */
        uint64_t below = (uint64_t)(fraction + random_below(r, 3)) << fraction;
        uint64_t magnitude = (bits & ~f->sign) >> fraction << fraction;
        bits = (magnitude > below ? magnitude - below : 0) | (random_next(r) & f->sign);
        return bits | (random_below(r, 2) ? 0 : random_sparse(r, fraction));
    }
    bits = (bits & ~f->sign) + random_below(r, 5) - 2;
    return (bits & (f->sign - 1)) | ((in[0] ^ in[1] ^ f->sign) & f->sign);
}

/* Results just below the smallest normal number, which tell tininess before
 * from tininess after rounding, and quotients that are subnormal ties. */
static void random_border(struct random *r, const struct operation *op, uint64_t *in)
{
    const struct format *f = &formats[op->from];
    unsigned fraction = (unsigned)f->precision - 1;
    uint64_t one = (uint64_t)(f->most_exponent - 1) << fraction;
    uint64_t smallest = UINT64_C(1) << fraction;
    uint64_t sign = random_next(r) & f->sign;
    unsigned scale = random_below(r, (unsigned)f->most_exponent - 4);
    uint32_t none = 0;

    /* A number in [1, 2) and one that makes the product the smallest normal. */
    in[0] = one | random_fraction(r, fraction);
    in[1] = op->from == F64 ? fp64_div(one, in[0], FP_RNE, &none)
                            : fp32_div((uint32_t)one, (uint32_t)in[0], FP_RNE, &none);
    in[0] -= (uint64_t)scale << fraction;
    in[1] -= (uint64_t)((unsigned)f->most_exponent - 2 - scale) << fraction;
    if (op->compute == compute_div) {
        in[0] = smallest + ((uint64_t)random_below(r, 8) << fraction) + random_sparse(r, fraction);
        in[1] = one + ((uint64_t)random_below(r, fraction) << fraction);
    } else if (op->compute == compute_fma) {
        unsigned below = random_below(r, 3) + (unsigned)f->precision;
        in[0] = one - ((uint64_t)below << fraction) + random_fraction(r, fraction);
        in[1] = smallest;
        in[2] = smallest | (f->sign ^ sign);
    }
    in[0] ^= sign;
}

static uint64_t random_integer(struct random *r, enum type type)
{
    uint64_t value = random_next(r);

    if (random_below(r, 2))
        value = random_sparse(r, 63) * 2 + random_below(r, 2);
    value >>= random_below(r, 64);
    if (random_below(r, 2))
        value = 0 - value;
    return type == I32 || type == U32 ? (uint32_t)value : value;
}

/* A double around the ends of the range of singles. */
static uint64_t random_near_single(struct random *r)
{
    uint64_t field = 1023 - 127 - 27 + random_below(r, 32);

    if (random_below(r, 4) == 0)
        field = 1023 + 125 + random_below(r, 5);
    return field << 52 | random_fraction(r, 52) | (random_next(r) & FP64_SIGN);
}

/* For roots: mostly positive, often near a square; `bits` where neither. */
static uint64_t random_radicand(struct random *r, const struct format *f, uint64_t bits)
{
    unsigned low = (unsigned)f->precision / 2 + random_below(r, 2);
    uint32_t none = 0;

    if (random_below(r, 8))
        bits &= ~f->sign;
    if (random_below(r, 4) || is_nan(f, bits) || is_infinite(f, bits))
        return bits;
    bits = bits >> low << low;
    bits = f == &formats[F64] ? fp64_mul(bits, bits, FP_RNE, &none)
                              : fp32_mul((uint32_t)bits, (uint32_t)bits, FP_RNE, &none);
    if (bits > 1 && bits < f->infinity - 1)
        bits = bits - 1 + random_below(r, 3);
    return bits;
}

static void random_operands(struct random *r, const struct operation *op, uint64_t *in)
{
    memset(in, 0, 3 * sizeof(in[0]));
    if (op->from > F64) {
        in[0] = random_integer(r, op->from);
        return;
    }

    const struct format *f = &formats[op->from];
    for (unsigned i = 0; i < op->arity; i++)
        in[i] = random_operand(r, f, in, i);
    if (op->arity == 3)
        in[2] = random_addend(r, f, in, in[2]);
    if (op->compute == compute_sqrt)
        in[0] = random_radicand(r, f, in[0]);
    else if (op->from == F64 && op->to == F32 && random_below(r, 2))
        in[0] = random_near_single(r);
    else if (op->compute && op->arity > 1 && random_below(r, 8) == 0)
        random_border(r, op, in);
}

/* --- Faults to be noticed ------------------------------------------------- */

enum fault {
    FAULT_NONE,
    FAULT_BIT,      /* one result in 4096 has its last bit flipped */
    FAULT_FLAG,     /* one result in 4096 lacks or gains inexact */
    FAULT_TIES,     /* RMM done as RNE */
    FAULT_TININESS, /* tininess detected before rounding */
    FAULT_FUSED,    /* a * b + c rounded twice */
    FAULTS,
};

static const char *const fault_names[] = {
    [FAULT_NONE] = "none",
    [FAULT_BIT] = "flipped bit",
    [FAULT_FLAG] = "flipped flag",
    [FAULT_TIES] = "ties to even in RMM",
    [FAULT_TININESS] = "tininess before rounding",
    [FAULT_FUSED] = "product rounded",
};
_Static_assert(ARRAY_LEN(fault_names) == FAULTS, "ORDER FAULT");

/* Whether the fault can show in this operation at all. */
static bool fault_applies(enum fault fault, const struct operation *op)
{
    bool rounds = op->reference == reference_rounded;
    /* A quotient never lies within an ulp below a power of two. */
    bool can_be_tiny = op->compute == compute_mul || op->compute == compute_fma ||
                       (op->from == F64 && op->to == F32);

    bool is_exact = op->to == F64 && (op->from == F32 || op->from == I32 || op->from == U32);

    switch (fault) {
    case FAULT_NONE:
        return false;
    case FAULT_BIT:
    case FAULT_FLAG:
        return true;
    case FAULT_TIES: /* no root is a tie, and some conversions are exact */
        return (rounds && op->compute != compute_sqrt && !is_exact) ||
               op->reference == reference_to_integer;
    case FAULT_TININESS:
        return rounds && can_be_tiny && op->from <= F64;
    case FAULT_FUSED:
        return op->arity == 3;
    case FAULTS:
        break;
    }
    abort();
}

static struct result run_ours(const struct operation *op, enum fault fault, const uint64_t *in,
                              unsigned rm)
{
    struct result result = {0, 0};
    unsigned mode = fault == FAULT_TIES && rm == FP_RMM ? FP_RNE : rm;

    if (fault == FAULT_FUSED && op->from == F32) {
        uint32_t product = fp32_mul((uint32_t)in[0], (uint32_t)in[1], rm, &result.flags);
        result.bits = fp32_add(product, (uint32_t)in[2], rm, &result.flags);
        return result;
    }
    if (fault == FAULT_FUSED) {
        uint64_t product = fp64_mul(in[0], in[1], rm, &result.flags);
        result.bits = fp64_add(product, in[2], rm, &result.flags);
        return result;
    }
    result.bits = op->ours(in, mode, &result.flags);
    bool rare = ((in[0] ^ in[1] ^ in[2]) * UINT64_C(0x9e3779b97f4a7c15)) >> 52 == 0;
    if (fault == FAULT_BIT && rare)
        result.bits ^= 1;
    if (fault == FAULT_FLAG && rare)
        result.flags ^= FP_NX;
    if (fault == FAULT_TININESS) {
        const struct format *f = &formats[op->to];
        uint64_t smallest = UINT64_C(1) << (f->precision - 1);
        if ((result.bits & ~f->sign) == smallest && result.flags == FP_NX)
            result.flags |= FP_UF;
    }
    return result;
}

/* --- The run -------------------------------------------------------------- */

static void report(const struct operation *op, unsigned rm, const uint64_t *in,
                   const struct result *ours, const struct result *expected)
{
    printf("%s rm=%u", op->name, rm);
    for (unsigned i = 0; i < op->arity; i++)
        printf(" %016" PRIx64, in[i]);
    printf(": %016" PRIx64 " flags %02x, expected %016" PRIx64 " flags %02x\n", ours->bits,
           ours->flags, expected->bits, expected->flags);
}

/* Returns the number of differences; prints the first few unless a fault is
 * planted. */
static uint64_t check_operation(const struct operation *op, enum fault fault, uint64_t cases,
                                uint64_t seed)
{
    struct random r = {seed};
    uint64_t errors = 0;

    for (uint64_t i = 0; i < cases; i++) {
        uint64_t in[3];
        random_operands(&r, op, in);
        for (unsigned rm = 0; rm < FP_ROUNDINGS; rm++) {
            struct result ours = run_ours(op, fault, in, rm);
            struct result expected = op->reference(op, in, rm);
            if (ours.bits == expected.bits && ours.flags == expected.flags)
                continue;
            if (errors++ < 5 && fault == FAULT_NONE)
                report(op, rm, in, &ours, &expected);
        }
    }
    return errors;
}

/* Nanoseconds per call of our function, with operands as above. */
static double measure(const struct operation *op, uint64_t seed)
{
    enum { COUNT = 1024, ROUNDS = 200 };
    static uint64_t in[COUNT][3];
    struct random r = {seed};
    struct timespec start, end;
    uint64_t sum = 0;

    for (unsigned i = 0; i < COUNT; i++) {
        do
            random_operands(&r, op, in[i]);
        while (op->from <= F64 &&
               (in[i][0] & formats[op->from].infinity) == formats[op->from].infinity);
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            uint32_t flags = 0;
            sum += op->ours(in[i], FP_RNE, &flags);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    __asm__ volatile("" ::"r"(sum));
    double elapsed_ns =
        (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
    return elapsed_ns / COUNT / ROUNDS;
}

/* Returns how many planted faults nobody noticed. */
static unsigned check_faults(const char *only, uint64_t cases, uint64_t seed)
{
    unsigned planted = 0, missed = 0;

    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        for (enum fault fault = FAULT_BIT; fault < FAULTS; fault++) {
            const struct operation *op = &operations[i];
            if (!fault_applies(fault, op) || (only && strcmp(only, op->name) != 0))
                continue;
            planted++;
            if (check_operation(op, fault, cases, seed) == 0) {
                printf("%s: not noticed: %s\n", op->name, fault_names[fault]);
                missed++;
            }
        }
    }
    printf("%u faults planted, %u missed\n", planted, missed);
    return missed;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"cases", required_argument, NULL, 'c'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"plant", no_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    uint64_t cases = 10000, seed = 1, errors = 0;
    const char *only = NULL;
    bool plant = false;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'c')
            cases = strtoull(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c == 'o')
            only = optarg;
        else if (c == 'p')
            plant = true;
        else
            return 2;
    }
    printf("seed %" PRIu64 ", %" PRIu64 " cases in 5 modes per operation\n", seed, cases);
    if (plant)
        return check_faults(only, cases, seed) != 0;

    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        const struct operation *op = &operations[i];
        if (only && strcmp(only, op->name) != 0)
            continue;
        uint64_t found = check_operation(op, FAULT_NONE, cases, seed);
        printf("%-14s %8" PRIu64 " errors  %6.1f ns\n", op->name, found, measure(op, seed));
        errors += found;
    }
    return errors != 0;
}
