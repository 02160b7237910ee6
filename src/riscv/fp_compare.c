/* SPDX-License-Identifier: Apache-2.0
 * Soft-float: comparison, minimum, maximum and classification.
 *
 * None of these rounds, so they work on the bit patterns: without its sign bit
 * a pattern orders like the number it means. */
#include "riscv/fp.h"

#include "base/bits.h"

struct shape {
    uint64_t sign;
    uint64_t infinity;
    uint64_t quiet; /* the fraction's top bit: set in quiet NaNs */
    uint64_t smallest_normal;
};

static const struct shape binary32 = {
    .sign = FP32_SIGN,
    .infinity = 0x7f800000,
    .quiet = BIT(22),
    .smallest_normal = BIT(23),
};

static const struct shape binary64 = {
    .sign = FP64_SIGN,
    .infinity = UINT64_C(0x7ff0000000000000),
    .quiet = BIT(51),
    .smallest_normal = BIT(52),
};

static ALWAYS_INLINE bool is_nan(const struct shape *s, uint64_t bits)
{
    return (bits & (s->sign - 1)) > s->infinity;
}

static ALWAYS_INLINE bool is_signaling(const struct shape *s, uint64_t bits)
{
    return is_nan(s, bits) && !(bits & s->quiet);
}

/* The order of numbers as the order of integers; -0 comes right below +0. */
static ALWAYS_INLINE int64_t order_key(const struct shape *s, uint64_t bits)
{
    int64_t size = (int64_t)(bits & (s->sign - 1));
    return bits & s->sign ? -1 - size : size;
}

/* Both are zeros, of any sign. */
static ALWAYS_INLINE bool both_zero(const struct shape *s, uint64_t a, uint64_t b)
{
    return ((a | b) & (s->sign - 1)) == 0;
}

static ALWAYS_INLINE bool equal(const struct shape *s, uint64_t a, uint64_t b, uint32_t *flags)
{
    if (UNLIKELY(is_nan(s, a) || is_nan(s, b))) {
        if (is_signaling(s, a) || is_signaling(s, b))
            *flags |= FP_NV;
        return false;
    }
    return a == b || both_zero(s, a, b);
}

static ALWAYS_INLINE bool less(const struct shape *s, uint64_t a, uint64_t b, uint32_t *flags)
{
    if (UNLIKELY(is_nan(s, a) || is_nan(s, b))) {
        *flags |= FP_NV;
        return false;
    }
    return order_key(s, a) < order_key(s, b) && !both_zero(s, a, b);
}

static ALWAYS_INLINE bool less_or_equal(const struct shape *s, uint64_t a, uint64_t b,
                                        uint32_t *flags)
{
    if (UNLIKELY(is_nan(s, a) || is_nan(s, b))) {
        *flags |= FP_NV;
        return false;
    }
    return order_key(s, a) <= order_key(s, b) || both_zero(s, a, b);
}

/* The number that `lowest` asks for; see fp32_min. */
static ALWAYS_INLINE uint64_t select(const struct shape *s, uint64_t a, uint64_t b, bool lowest,
                                     uint32_t *flags)
{
    if (UNLIKELY(is_nan(s, a) || is_nan(s, b))) {
        if (is_signaling(s, a) || is_signaling(s, b))
            *flags |= FP_NV;
        if (is_nan(s, a) && is_nan(s, b))
            return s->infinity | s->quiet;
        return is_nan(s, a) ? b : a;
    }
    return (order_key(s, a) < order_key(s, b)) == lowest ? a : b;
}

static ALWAYS_INLINE uint32_t classify(const struct shape *s, uint64_t bits)
{
    uint64_t size = bits & (s->sign - 1);
    enum fp_class class;

    if (size > s->infinity)
        return UINT32_C(1) << (bits & s->quiet ? FP_CLASS_QUIET_NAN : FP_CLASS_SIGNALING_NAN);
    if (size == s->infinity)
        class = FP_CLASS_POSITIVE_INFINITY;
    else if (size >= s->smallest_normal)
        class = FP_CLASS_POSITIVE_NORMAL;
    else if (size != 0)
        class = FP_CLASS_POSITIVE_SUBNORMAL;
    else
        class = FP_CLASS_POSITIVE_ZERO;
    /* ORDER FP_CLASS: the negative classes mirror the positive ones. */
    return UINT32_C(1) << (bits & s->sign ? FP_CLASS_POSITIVE_INFINITY - class : class);
}
_Static_assert(FP_CLASS_POSITIVE_INFINITY - FP_CLASS_POSITIVE_ZERO == FP_CLASS_NEGATIVE_ZERO,
               "ORDER FP_CLASS");

uint32_t fp32_min(uint32_t a, uint32_t b, uint32_t *flags)
{
    return (uint32_t)select(&binary32, a, b, true, flags);
}

uint32_t fp32_max(uint32_t a, uint32_t b, uint32_t *flags)
{
    return (uint32_t)select(&binary32, a, b, false, flags);
}

uint64_t fp64_min(uint64_t a, uint64_t b, uint32_t *flags)
{
    return select(&binary64, a, b, true, flags);
}

uint64_t fp64_max(uint64_t a, uint64_t b, uint32_t *flags)
{
    return select(&binary64, a, b, false, flags);
}

bool fp32_eq(uint32_t a, uint32_t b, uint32_t *flags)
{
    return equal(&binary32, a, b, flags);
}

bool fp32_lt(uint32_t a, uint32_t b, uint32_t *flags)
{
    return less(&binary32, a, b, flags);
}

bool fp32_le(uint32_t a, uint32_t b, uint32_t *flags)
{
    return less_or_equal(&binary32, a, b, flags);
}

bool fp64_eq(uint64_t a, uint64_t b, uint32_t *flags)
{
    return equal(&binary64, a, b, flags);
}

bool fp64_lt(uint64_t a, uint64_t b, uint32_t *flags)
{
    return less(&binary64, a, b, flags);
}

bool fp64_le(uint64_t a, uint64_t b, uint32_t *flags)
{
    return less_or_equal(&binary64, a, b, flags);
}

uint32_t fp32_classify(uint32_t a)
{
    return classify(&binary32, a);
}

uint32_t fp64_classify(uint64_t a)
{
    return classify(&binary64, a);
}
