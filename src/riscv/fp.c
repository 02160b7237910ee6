/* SPDX-License-Identifier: Apache-2.0
 * Soft-float: arithmetic and conversions of the F and D extensions.
 *
 * Both formats share one body of code. Operands are unpacked to a 64-bit
 * significand with its leading one at bit 63, operations produce such a
 * significand with everything lost ORed ("jammed") into bit 0, and one function
 * rounds and packs. At least ten bits lie below the last kept bit of a double,
 * so the jammed bit never reaches the rounding position. The format is always
 * a compile-time constant after inlining, which is why the bodies are inline
 * and the public functions are one line each. */
#include "riscv/fp.h"

#include "base/bits.h"

typedef unsigned __int128 uint128_t;

struct layout {
    unsigned precision; /* significand bits, with the implicit one */
    int bias;
    uint64_t infinity; /* exponent field all ones, fraction zero */
    uint64_t sign;
    uint64_t quiet; /* the fraction's top bit: set in quiet NaNs */
};

static const struct layout binary32 = {
    .precision = 24,
    .bias = 127,
    .infinity = 0x7f800000,
    .sign = FP32_SIGN,
    .quiet = BIT(22),
};

static const struct layout binary64 = {
    .precision = 53,
    .bias = 1023,
    .infinity = UINT64_C(0x7ff0000000000000),
    .sign = FP64_SIGN,
    .quiet = BIT(51),
};

/* significand * 2^(exponent - 63): a finite number. The significand is zero or
 * has bit 63 set. */
struct number {
    uint64_t significand;
    int exponent;
    bool negative;
};

/* --- Bit patterns --------------------------------------------------------- */

static ALWAYS_INLINE uint64_t magnitude(const struct layout *l, uint64_t bits)
{
    return bits & (l->sign - 1);
}

static ALWAYS_INLINE bool is_nan(const struct layout *l, uint64_t bits)
{
    return magnitude(l, bits) > l->infinity;
}

static ALWAYS_INLINE bool is_signaling(const struct layout *l, uint64_t bits)
{
    return is_nan(l, bits) && !(bits & l->quiet);
}

/* Infinity or NaN. */
static ALWAYS_INLINE bool is_special(const struct layout *l, uint64_t bits)
{
    return magnitude(l, bits) >= l->infinity;
}

static ALWAYS_INLINE bool is_zero(const struct layout *l, uint64_t bits)
{
    return magnitude(l, bits) == 0;
}

static ALWAYS_INLINE uint64_t canonical_nan(const struct layout *l)
{
    return l->infinity | l->quiet;
}

static ALWAYS_INLINE uint64_t invalid(const struct layout *l, uint32_t *flags)
{
    *flags |= FP_NV;
    return canonical_nan(l);
}

/* The result when a or b is a NaN. */
static ALWAYS_INLINE uint64_t nan_result(const struct layout *l, uint64_t a, uint64_t b,
                                         uint32_t *flags)
{
    if (is_signaling(l, a) || is_signaling(l, b))
        *flags |= FP_NV;
    return canonical_nan(l);
}

static ALWAYS_INLINE uint64_t zero_of_sign(const struct layout *l, bool negative)
{
    return negative ? l->sign : 0;
}

static ALWAYS_INLINE uint64_t infinity_of_sign(const struct layout *l, bool negative)
{
    return l->infinity | zero_of_sign(l, negative);
}

/* An exact zero from operands of unlike signs is +0, but -0 when rounding
 * down (IEEE 754, 6.3). */
static ALWAYS_INLINE uint64_t cancelled_zero(const struct layout *l, unsigned rm)
{
    return zero_of_sign(l, rm == FP_RDN);
}

/* `bits` is finite. */
static ALWAYS_INLINE struct number unpack(const struct layout *l, uint64_t bits)
{
    uint64_t size = magnitude(l, bits);
    int field = (int)(size >> (l->precision - 1));
    struct number n = {
        .significand = size << (64 - l->precision),
        .exponent = field - l->bias,
        .negative = (bits & l->sign) != 0,
    };

    if (LIKELY(field != 0)) {
        n.significand |= BIT(63);
    } else if (size != 0) {
        int shift = __builtin_clzll(n.significand);
        n.significand <<= shift;
        n.exponent = 1 - l->bias - shift;
    }
    return n;
}

/* --- Rounding ------------------------------------------------------------- */

static ALWAYS_INLINE uint64_t shift_right_jam(uint64_t value, unsigned count)
{
    if (count > 63)
        return value != 0;
    return value >> count | ((value & bits_mask(count)) != 0);
}

static ALWAYS_INLINE uint128_t shift_right_jam_128(uint128_t value, unsigned count)
{
    if (count > 127)
        return value != 0;
    return value >> count | ((value & (((uint128_t)1 << count) - 1)) != 0);
}

/* `value` without its low `drop` bits (1-63), rounded. */
static ALWAYS_INLINE uint64_t round_bits(uint64_t value, unsigned drop, bool negative, unsigned rm)
{
    uint64_t kept = value >> drop;
    uint64_t lost = value & bits_mask(drop);
    uint64_t half = BIT(drop - 1);
    uint64_t increment; /* makes lost carry exactly when the mode rounds up */

    if (LIKELY(rm == FP_RNE))
        increment = half - 1 + (kept & 1);
    else if (rm == FP_RMM)
        increment = half;
    else if (rm == (negative ? FP_RDN : FP_RUP))
        increment = bits_mask(drop);
    else
        increment = 0;
    return kept + ((lost + increment) >> drop);
}

static COLD uint64_t overflow(const struct layout *l, bool negative, unsigned rm, uint32_t *flags)
{
    bool to_infinity = rm == FP_RNE || rm == FP_RMM || rm == (negative ? FP_RDN : FP_RUP);

    *flags |= FP_OF | FP_NX;
    return (to_infinity ? l->infinity : l->infinity - 1) | zero_of_sign(l, negative);
}

/* A number below the normal range. It is tiny unless rounding to full precision
 * with an unbounded exponent carries it up to the smallest normal number. */
static NOINLINE uint64_t round_subnormal(const struct layout *l, struct number n, unsigned rm,
                                         uint32_t *flags)
{
    unsigned drop = 64 - l->precision;
    int below = 1 - (n.exponent + l->bias);
    bool tiny = below > 1 || round_bits(n.significand, drop, n.negative, rm) < BIT(l->precision);
    uint64_t significand = shift_right_jam(n.significand, (unsigned)below);

    if (significand & bits_mask(drop))
        *flags |= tiny ? FP_NX | FP_UF : FP_NX;
    /* A carry out of the fraction makes the exponent field 1, as it must. */
    return round_bits(significand, drop, n.negative, rm) | zero_of_sign(l, n.negative);
}

/* Rounds n (not zero) to the format. Bit 0 of the significand may stand for
 * any non-zero rest. */
static ALWAYS_INLINE uint64_t round_pack(const struct layout *l, struct number n, unsigned rm,
                                         uint32_t *flags)
{
    unsigned drop = 64 - l->precision;
    int field = n.exponent + l->bias;

    if (UNLIKELY(field < 1))
        return round_subnormal(l, n, rm, flags);
    if (UNLIKELY(field >= 2 * l->bias + 1))
        return overflow(l, n.negative, rm, flags);

    /* The kept leading one adds 1 to the exponent field, and so does a carry. */
    uint64_t packed = ((uint64_t)(field - 1) << (l->precision - 1)) +
                      round_bits(n.significand, drop, n.negative, rm);
    if (UNLIKELY(packed >= l->infinity))
        return overflow(l, n.negative, rm, flags);
    if (n.significand & bits_mask(drop))
        *flags |= FP_NX;
    return packed | zero_of_sign(l, n.negative);
}

/* --- Addition ------------------------------------------------------------- */

static NOINLINE uint64_t add_special(const struct layout *l, uint64_t a, uint64_t b,
                                     uint32_t *flags)
{
    if (is_nan(l, a) || is_nan(l, b))
        return nan_result(l, a, b, flags);
    if (is_special(l, a) && is_special(l, b) && a != b)
        return invalid(l, flags);
    return is_special(l, a) ? a : b;
}

static ALWAYS_INLINE uint64_t add(const struct layout *l, uint64_t a, uint64_t b, unsigned rm,
                                  uint32_t *flags)
{
    if (UNLIKELY(is_special(l, a) || is_special(l, b)))
        return add_special(l, a, b, flags);
    if (magnitude(l, a) < magnitude(l, b)) {
        uint64_t swap = a;
        a = b;
        b = swap;
    }
    if (is_zero(l, b)) {
        if (is_zero(l, a) && a != b)
            return cancelled_zero(l, rm);
        return a;
    }

    struct number x = unpack(l, a);
    struct number y = unpack(l, b);
    /* One bit of room for the carry. */
    uint64_t small = shift_right_jam(y.significand >> 1, (unsigned)(x.exponent - y.exponent));
    uint64_t sum = x.significand >> 1;

    if (x.negative == y.negative)
        sum += small;
    else
        sum -= small;
    if (sum == 0)
        return cancelled_zero(l, rm);

    int shift = __builtin_clzll(sum);
    x.significand = sum << shift;
    x.exponent += 1 - shift;
    return round_pack(l, x, rm, flags);
}

uint32_t fp32_add(uint32_t a, uint32_t b, unsigned rm, uint32_t *flags)
{
    return (uint32_t)add(&binary32, a, b, rm, flags);
}

uint64_t fp64_add(uint64_t a, uint64_t b, unsigned rm, uint32_t *flags)
{
    return add(&binary64, a, b, rm, flags);
}

/* The sign of a NaN does not matter, so a - b is a + (-b). */
uint32_t fp32_sub(uint32_t a, uint32_t b, unsigned rm, uint32_t *flags)
{
    return (uint32_t)add(&binary32, a, b ^ FP32_SIGN, rm, flags);
}

uint64_t fp64_sub(uint64_t a, uint64_t b, unsigned rm, uint32_t *flags)
{
    return add(&binary64, a, b ^ FP64_SIGN, rm, flags);
}

/* --- Multiplication, division --------------------------------------------- */

/* a or b is infinite, NaN or zero. */
static NOINLINE uint64_t multiply_special(const struct layout *l, uint64_t a, uint64_t b,
                                          uint32_t *flags)
{
    bool negative = ((a ^ b) & l->sign) != 0;

    if (is_nan(l, a) || is_nan(l, b))
        return nan_result(l, a, b, flags);
    if (!is_special(l, a) && !is_special(l, b))
        return zero_of_sign(l, negative);
    if (is_zero(l, a) || is_zero(l, b))
        return invalid(l, flags);
    return infinity_of_sign(l, negative);
}

/* Infinite, NaN or zero: no significand to multiply or divide by. */
static ALWAYS_INLINE bool is_special_or_zero(const struct layout *l, uint64_t bits)
{
    return magnitude(l, bits) - 1 >= l->infinity - 1;
}

static ALWAYS_INLINE uint64_t multiply(const struct layout *l, uint64_t a, uint64_t b, unsigned rm,
                                       uint32_t *flags)
{
    if (UNLIKELY(is_special_or_zero(l, a) || is_special_or_zero(l, b)))
        return multiply_special(l, a, b, flags);

    struct number x = unpack(l, a);
    struct number y = unpack(l, b);
    uint128_t product = (uint128_t)x.significand * y.significand;

    x.exponent += y.exponent + 1;
    if (!(product >> 127)) {
        product <<= 1;
        x.exponent--;
    }
    x.significand = (uint64_t)(product >> 64) | ((uint64_t)product != 0);
    x.negative ^= y.negative;
    return round_pack(l, x, rm, flags);
}

uint32_t fp32_mul(uint32_t a, uint32_t b, unsigned rm, uint32_t *flags)
{
    return (uint32_t)multiply(&binary32, a, b, rm, flags);
}

uint64_t fp64_mul(uint64_t a, uint64_t b, unsigned rm, uint32_t *flags)
{
    return multiply(&binary64, a, b, rm, flags);
}

/* a or b is infinite, NaN or zero. */
static NOINLINE uint64_t divide_special(const struct layout *l, uint64_t a, uint64_t b,
                                        uint32_t *flags)
{
    bool negative = ((a ^ b) & l->sign) != 0;

    if (is_nan(l, a) || is_nan(l, b))
        return nan_result(l, a, b, flags);
    if ((is_special(l, a) && is_special(l, b)) || (is_zero(l, a) && is_zero(l, b)))
        return invalid(l, flags);
    if (is_zero(l, a) || is_special(l, b))
        return zero_of_sign(l, negative);
    if (!is_special(l, a))
        *flags |= FP_DZ;
    return infinity_of_sign(l, negative);
}

/* One base 2^32 digit of a quotient: (remainder * 2^32) / divisor, remainder <
 * divisor, bit 63 of divisor set. The estimate from the upper half is at most
 * two too large (Knuth, 4.3.1); the remainder is updated. */
static ALWAYS_INLINE uint64_t quotient_digit(uint64_t *remainder, uint64_t divisor)
{
    uint64_t digit = *remainder / (divisor >> 32);
    uint64_t rest = *remainder % (divisor >> 32);
    uint64_t low = digit * (divisor & UINT32_MAX);

    while (rest <= UINT32_MAX && (digit > UINT32_MAX || low > rest << 32)) {
        digit--;
        low -= divisor & UINT32_MAX;
        rest += divisor >> 32;
    }
    *remainder = (rest << 32) - low;
    return digit;
}

/* The significand of x / y, jammed, with bit 63 set: the quotient, doubled when
 * x is below y. */
static ALWAYS_INLINE uint64_t divide_significands(const struct layout *l, uint64_t x, uint64_t y)
{
    bool below = x < y;

    if (l->precision == 24) {
        /* The divisor has 24 bits: one 64-bit division gives 32 quotient bits. */
        uint64_t dividend = below ? x : x >> 1;
        uint64_t divisor = y >> 32;
        return dividend / divisor << 32 | (dividend % divisor != 0);
    }

    uint64_t remainder = below ? x : x - y;
    uint64_t quotient = quotient_digit(&remainder, y) << 32;
    quotient |= quotient_digit(&remainder, y);
    if (!below) /* the integer part goes in front */
        quotient = BIT(63) | shift_right_jam(quotient, 1);
    return quotient | (remainder != 0);
}

static ALWAYS_INLINE uint64_t divide(const struct layout *l, uint64_t a, uint64_t b, unsigned rm,
                                     uint32_t *flags)
{
    if (UNLIKELY(is_special_or_zero(l, a) || is_special_or_zero(l, b)))
        return divide_special(l, a, b, flags);

    struct number x = unpack(l, a);
    struct number y = unpack(l, b);

    x.exponent -= y.exponent + (x.significand < y.significand);
    x.significand = divide_significands(l, x.significand, y.significand);
    x.negative ^= y.negative;
    return round_pack(l, x, rm, flags);
}

uint32_t fp32_div(uint32_t a, uint32_t b, unsigned rm, uint32_t *flags)
{
    return (uint32_t)divide(&binary32, a, b, rm, flags);
}

uint64_t fp64_div(uint64_t a, uint64_t b, unsigned rm, uint32_t *flags)
{
    return divide(&binary64, a, b, rm, flags);
}

/* --- Square root ---------------------------------------------------------- */

/* root^2 + remainder is the radicand, 0 <= remainder <= 2 root. */
struct root {
    uint64_t root;
    uint64_t remainder;
};

/* The root of a radicand below 2^14, digit by digit. */
static ALWAYS_INLINE struct root root_of_14_bits(uint64_t radicand)
{
    struct root r = {.root = 0, .remainder = radicand};

    for (unsigned bit = 6; bit < 7; bit--) {
        uint64_t step = (r.root << (bit + 1)) + BIT(2 * bit);
        if (r.remainder >= step) {
            r.remainder -= step;
            r.root += BIT(bit);
        }
    }
    return r;
}

/* From the root of the radicand's upper half to that of the whole, doubling the
 * root's digits with one division: Zimmermann's "Karatsuba square root" (INRIA
 * report 3805). `low` is the lower half, 2 * `bits` wide; bits <= 28 keeps all
 * of it in 64 bits. The upper half's top two bits are not both zero. */
static ALWAYS_INLINE struct root extend_root(struct root upper, uint64_t low, unsigned bits)
{
    uint64_t dividend = upper.remainder << bits | low >> bits;
    uint64_t quotient = dividend / (2 * upper.root);
    uint64_t rest = dividend % (2 * upper.root);
    uint64_t root = (upper.root << bits) + quotient;
    int64_t remainder =
        (int64_t)(rest << bits | (low & bits_mask(bits))) - (int64_t)(quotient * quotient);

    if (remainder < 0) {
        remainder += (int64_t)(2 * root - 1);
        root--;
    }
    return (struct root){.root = root, .remainder = (uint64_t)remainder};
}

static ALWAYS_INLINE uint64_t square_root(const struct layout *l, uint64_t a, unsigned rm,
                                          uint32_t *flags)
{
    if (is_nan(l, a))
        return nan_result(l, a, a, flags);
    if (is_zero(l, a))
        return a;
    if (a & l->sign)
        return invalid(l, flags);
    if (is_special(l, a))
        return a;

    struct number x = unpack(l, a);
    /* An even exponent, and 56 bits that begin with 01, 10 or 11. */
    uint64_t radicand = x.significand >> (x.exponent & 1 ? 8 : 9);
    struct root r = root_of_14_bits(radicand >> 42);

    r = extend_root(r, bits_extract(radicand, 28, 14), 7);
    r = extend_root(r, bits_extract(radicand, 0, 28), 14);
    unsigned width = 28;
    if (l->precision > 26) {
        r = extend_root(r, 0, 28);
        width = 56;
    }
    x.significand = r.root << (64 - width) | (r.remainder != 0);
    x.exponent >>= 1;
    return round_pack(l, x, rm, flags);
}

uint32_t fp32_sqrt(uint32_t a, unsigned rm, uint32_t *flags)
{
    return (uint32_t)square_root(&binary32, a, rm, flags);
}

uint64_t fp64_sqrt(uint64_t a, unsigned rm, uint32_t *flags)
{
    return square_root(&binary64, a, rm, flags);
}

/* --- Fused multiply-add --------------------------------------------------- */

struct operands {
    uint64_t a;
    uint64_t b;
    uint64_t c;
};

/* One of the operands is infinite or NaN, or a factor is zero. */
static NOINLINE uint64_t fused_special(const struct layout *l, const struct operands *o,
                                       unsigned rm, uint32_t *flags)
{
    bool negative = ((o->a ^ o->b) & l->sign) != 0;
    bool factor_is_zero = is_zero(l, o->a) || is_zero(l, o->b);
    bool factor_is_nan = is_nan(l, o->a) || is_nan(l, o->b);
    bool factor_is_infinite = !factor_is_nan && (is_special(l, o->a) || is_special(l, o->b));

    /* Infinity times zero is invalid even when c is a quiet NaN (F, section
     * "Single-Precision Floating-Point Computational Instructions"). */
    if (factor_is_infinite && factor_is_zero)
        return invalid(l, flags);
    if (factor_is_nan || is_nan(l, o->c)) {
        if (is_signaling(l, o->c))
            *flags |= FP_NV;
        return nan_result(l, o->a, o->b, flags);
    }
    if (factor_is_infinite)
        return add_special(l, infinity_of_sign(l, negative), o->c, flags);
    if (is_special(l, o->c))
        return o->c;
    uint64_t product = zero_of_sign(l, negative);
    if (is_zero(l, o->c) && o->c != product)
        return cancelled_zero(l, rm);
    return o->c;
}

/* The product's 106 bits and the addend are added in 128, of which the top one
 * is left for the carry. */
static ALWAYS_INLINE uint64_t fused(const struct layout *l, struct operands o, unsigned rm,
                                    uint32_t *flags)
{
    if (UNLIKELY(is_special_or_zero(l, o.a) || is_special_or_zero(l, o.b) || is_special(l, o.c)))
        return fused_special(l, &o, rm, flags);

    struct number x = unpack(l, o.a);
    struct number y = unpack(l, o.b);
    struct number z = unpack(l, o.c);
    uint128_t sum = (uint128_t)(x.significand >> 1) * y.significand;
    uint128_t addend = (uint128_t)z.significand << 63;

    /* Values are now sum * 2^(exponent - 126). */
    x.exponent += y.exponent + 1;
    x.negative ^= y.negative;
    if (addend != 0) {
        int distance = x.exponent - z.exponent;
        if (distance >= 0) {
            addend = shift_right_jam_128(addend, (unsigned)distance);
        } else {
            sum = shift_right_jam_128(sum, (unsigned)-distance);
            x.exponent = z.exponent;
        }
        if (x.negative == z.negative) {
            sum += addend;
        } else if (sum >= addend) {
            sum -= addend;
        } else {
            sum = addend - sum;
            x.negative = z.negative;
        }
        if (sum == 0)
            return cancelled_zero(l, rm);
    }

    uint64_t high = (uint64_t)(sum >> 64);
    int shift = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)sum);
    sum <<= shift;
    x.significand = (uint64_t)(sum >> 64) | ((uint64_t)sum != 0);
    x.exponent += 1 - shift;
    return round_pack(l, x, rm, flags);
}

uint32_t fp32_fma(uint32_t a, uint32_t b, uint32_t c, unsigned rm, uint32_t *flags)
{
    return (uint32_t)fused(&binary32, (struct operands){a, b, c}, rm, flags);
}

uint64_t fp64_fma(uint64_t a, uint64_t b, uint64_t c, unsigned rm, uint32_t *flags)
{
    return fused(&binary64, (struct operands){a, b, c}, rm, flags);
}

/* --- To integers ---------------------------------------------------------- */

/* The integer types: the largest magnitude of each sign. */
struct integer_range {
    uint64_t most;  /* of a positive result */
    uint64_t least; /* of a negative result */
};

static const struct integer_range range_i32 = {INT32_MAX, BIT(31)};
static const struct integer_range range_u32 = {UINT32_MAX, 0};
static const struct integer_range range_i64 = {INT64_MAX, BIT(63)};
static const struct integer_range range_u64 = {UINT64_MAX, 0};

/* n (below 2^64) rounded to an integer; *inexact tells of a lost fraction. */
static ALWAYS_INLINE uint64_t round_to_integer(struct number n, unsigned rm, bool *inexact)
{
    unsigned shift = (unsigned)(63 - n.exponent); /* bits after the point */
    uint64_t integer = shift > 63 ? 0 : n.significand >> shift;
    uint64_t fraction; /* in units of 2^-64, jammed */

    if (shift == 0)
        fraction = 0;
    else if (shift < 64)
        fraction = n.significand << (64 - shift);
    else
        fraction = shift_right_jam(n.significand, shift - 64);

    bool up;
    if (rm == FP_RNE)
        up = fraction > BIT(63) || (fraction == BIT(63) && (integer & 1));
    else if (rm == FP_RMM)
        up = fraction >= BIT(63);
    else
        up = fraction != 0 && rm == (n.negative ? FP_RDN : FP_RUP);
    *inexact = fraction != 0;
    /* No overflow: a number of 2^63 or more has no fraction. */
    return integer + up;
}

static ALWAYS_INLINE uint64_t to_integer(const struct layout *l, uint64_t a,
                                         const struct integer_range *range, unsigned rm,
                                         uint32_t *flags)
{
    bool negative = (a & l->sign) != 0 && !is_nan(l, a);
    uint64_t limit = negative ? range->least : range->most;
    uint64_t result = limit;
    bool inexact = false;
    bool fits = false;

    if (is_zero(l, a))
        return 0;
    if (LIKELY(!is_special(l, a))) {
        struct number n = unpack(l, a);
        if (n.exponent < 64) {
            result = round_to_integer(n, rm, &inexact);
            fits = result <= limit;
        }
    }
    if (!fits) {
        *flags |= FP_NV;
        result = limit;
    } else if (inexact) {
        *flags |= FP_NX;
    }
    return negative ? 0 - result : result;
}

int32_t fp32_to_i32(uint32_t a, unsigned rm, uint32_t *flags)
{
    return (int32_t)to_integer(&binary32, a, &range_i32, rm, flags);
}

uint32_t fp32_to_u32(uint32_t a, unsigned rm, uint32_t *flags)
{
    return (uint32_t)to_integer(&binary32, a, &range_u32, rm, flags);
}

int64_t fp32_to_i64(uint32_t a, unsigned rm, uint32_t *flags)
{
    return (int64_t)to_integer(&binary32, a, &range_i64, rm, flags);
}

uint64_t fp32_to_u64(uint32_t a, unsigned rm, uint32_t *flags)
{
    return to_integer(&binary32, a, &range_u64, rm, flags);
}

int32_t fp64_to_i32(uint64_t a, unsigned rm, uint32_t *flags)
{
    return (int32_t)to_integer(&binary64, a, &range_i32, rm, flags);
}

uint32_t fp64_to_u32(uint64_t a, unsigned rm, uint32_t *flags)
{
    return (uint32_t)to_integer(&binary64, a, &range_u32, rm, flags);
}

int64_t fp64_to_i64(uint64_t a, unsigned rm, uint32_t *flags)
{
    return (int64_t)to_integer(&binary64, a, &range_i64, rm, flags);
}

uint64_t fp64_to_u64(uint64_t a, unsigned rm, uint32_t *flags)
{
    return to_integer(&binary64, a, &range_u64, rm, flags);
}

/* --- From integers -------------------------------------------------------- */

static ALWAYS_INLINE uint64_t from_integer(const struct layout *l, uint64_t size, bool negative,
                                           unsigned rm, uint32_t *flags)
{
    if (size == 0)
        return 0;

    int shift = __builtin_clzll(size);
    struct number n = {.significand = size << shift, .exponent = 63 - shift, .negative = negative};
    return round_pack(l, n, rm, flags);
}

static ALWAYS_INLINE uint64_t from_signed(const struct layout *l, int64_t value, unsigned rm,
                                          uint32_t *flags)
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    return from_integer(l, size, value < 0, rm, flags);
}

uint32_t fp32_from_i32(int32_t value, unsigned rm, uint32_t *flags)
{
    return (uint32_t)from_signed(&binary32, value, rm, flags);
}

uint32_t fp32_from_u32(uint32_t value, unsigned rm, uint32_t *flags)
{
    return (uint32_t)from_integer(&binary32, value, false, rm, flags);
}

uint32_t fp32_from_i64(int64_t value, unsigned rm, uint32_t *flags)
{
    return (uint32_t)from_signed(&binary32, value, rm, flags);
}

uint32_t fp32_from_u64(uint64_t value, unsigned rm, uint32_t *flags)
{
    return (uint32_t)from_integer(&binary32, value, false, rm, flags);
}

uint64_t fp64_from_i32(int32_t value)
{
    uint32_t none = 0;
    return from_signed(&binary64, value, FP_RNE, &none);
}

uint64_t fp64_from_u32(uint32_t value)
{
    uint32_t none = 0;
    return from_integer(&binary64, value, false, FP_RNE, &none);
}

uint64_t fp64_from_i64(int64_t value, unsigned rm, uint32_t *flags)
{
    return from_signed(&binary64, value, rm, flags);
}

uint64_t fp64_from_u64(uint64_t value, unsigned rm, uint32_t *flags)
{
    return from_integer(&binary64, value, false, rm, flags);
}

/* --- Between the formats -------------------------------------------------- */

static ALWAYS_INLINE uint64_t convert(const struct layout *from, const struct layout *to,
                                      uint64_t a, unsigned rm, uint32_t *flags)
{
    bool negative = (a & from->sign) != 0;

    if (is_zero(from, a))
        return zero_of_sign(to, negative);
    if (UNLIKELY(is_nan(from, a))) {
        if (is_signaling(from, a))
            *flags |= FP_NV;
        return canonical_nan(to);
    }
    if (UNLIKELY(is_special(from, a)))
        return infinity_of_sign(to, negative);
    return round_pack(to, unpack(from, a), rm, flags);
}

uint64_t fp32_to_fp64(uint32_t a, uint32_t *flags)
{
    return convert(&binary32, &binary64, a, FP_RNE, flags);
}

uint32_t fp64_to_fp32(uint64_t a, unsigned rm, uint32_t *flags)
{
    return (uint32_t)convert(&binary64, &binary32, a, rm, flags);
}
