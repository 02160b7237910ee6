/* SPDX-License-Identifier: Apache-2.0
 * The corners of the F and D chapters, by hand; tests/conformance/fp_mpfr.c
 * compares at random what can be compared. */
#include "riscv/fp.h"

#include "harness/harness.h"

#define ONE32  UINT32_C(0x3f800000)
#define INF32  UINT32_C(0x7f800000)
#define SNAN32 UINT32_C(0x7f800001)
#define QNAN32 UINT32_C(0xffc12345)
#define ONE64  UINT64_C(0x3ff0000000000000)
#define INF64  UINT64_C(0x7ff0000000000000)
#define SNAN64 UINT64_C(0xfff0000000000001)
#define QNAN64 UINT64_C(0x7ff8000000000055)

TEST(fp, nan_results_are_canonical)
{
    uint32_t flags = 0;

    CHECK_EQ(fp32_add(QNAN32, ONE32, FP_RNE, &flags), FP32_CANONICAL_NAN);
    CHECK_EQ(fp64_sqrt(QNAN64, FP_RNE, &flags), FP64_CANONICAL_NAN);
    CHECK_EQ(fp32_to_fp64(QNAN32, &flags), FP64_CANONICAL_NAN);
    CHECK_EQ(flags, 0);
    CHECK_EQ(fp64_sub(INF64, INF64, FP_RNE, &flags), FP64_CANONICAL_NAN);
    CHECK_EQ(flags, FP_NV);
}

TEST(fp, flags_accumulate)
{
    uint32_t flags = FP_OF;

    CHECK_EQ(fp32_div(ONE32, 0, FP_RNE, &flags), INF32);
    CHECK_EQ(flags, FP_OF | FP_DZ);
}

TEST(fp, infinity_times_zero_plus_quiet_nan_is_invalid)
{
    uint32_t flags = 0;

    CHECK_EQ(fp32_fma(INF32, 0, QNAN32, FP_RNE, &flags), FP32_CANONICAL_NAN);
    CHECK_EQ(flags, FP_NV);
    flags = 0;
    CHECK_EQ(fp64_fma(ONE64, 0, QNAN64, FP_RNE, &flags), FP64_CANONICAL_NAN);
    CHECK_EQ(flags, 0);
}

TEST(fp, cancellation_is_negative_zero_only_when_rounding_down)
{
    uint32_t flags = 0;

    for (unsigned rm = 0; rm < FP_ROUNDINGS; rm++) {
        uint32_t zero = rm == FP_RDN ? FP32_SIGN : 0;
        CHECK_EQ(fp32_sub(ONE32, ONE32, rm, &flags), zero);
        CHECK_EQ(fp32_fma(ONE32, ONE32, ONE32 | FP32_SIGN, rm, &flags), zero);
        CHECK_EQ(fp32_add(FP32_SIGN, FP32_SIGN, rm, &flags), FP32_SIGN);
    }
    CHECK_EQ(flags, 0);
}

TEST(fp, min_prefers_numbers_and_negative_zero)
{
    uint32_t flags = 0;

    CHECK_EQ(fp32_min(0, FP32_SIGN, &flags), FP32_SIGN);
    CHECK_EQ(fp32_max(FP32_SIGN, 0, &flags), 0);
    CHECK_EQ(fp64_min(QNAN64, ONE64, &flags), ONE64);
    CHECK_EQ(fp64_max(QNAN64, QNAN64 | FP64_SIGN, &flags), FP64_CANONICAL_NAN);
    CHECK_EQ(flags, 0);
    CHECK_EQ(fp64_max(ONE64, SNAN64, &flags), ONE64);
    CHECK_EQ(flags, FP_NV);
}

TEST(fp, eq_is_quiet_and_lt_signals)
{
    uint32_t flags = 0;

    CHECK(!fp32_eq(QNAN32, QNAN32, &flags));
    CHECK(fp32_eq(0, FP32_SIGN, &flags));
    CHECK(!fp32_lt(FP32_SIGN, 0, &flags));
    CHECK(fp32_le(0, FP32_SIGN, &flags));
    CHECK_EQ(flags, 0);
    CHECK(!fp32_lt(QNAN32, ONE32, &flags));
    CHECK_EQ(flags, FP_NV);
    flags = 0;
    CHECK(!fp64_eq(SNAN64, ONE64, &flags));
    CHECK_EQ(flags, FP_NV);
}

TEST(fp, integers_saturate_with_invalid_alone)
{
    uint32_t flags = 0;

    CHECK_EQ(fp32_to_i32(QNAN32, FP_RNE, &flags), INT32_MAX);
    CHECK_EQ(fp64_to_u64(SNAN64, FP_RNE, &flags), UINT64_MAX);
    CHECK_EQ((uint32_t)fp64_to_i32(0xc1f0000000080000, FP_RNE, &flags), 0x80000000);
    CHECK_EQ(fp64_to_u32(ONE64 | FP64_SIGN, FP_RTZ, &flags), 0);
    CHECK_EQ(flags, FP_NV);
    flags = 0;
    /* -0.5 is in range when it rounds to 0. */
    CHECK_EQ(fp32_to_u32(0xbf000000, FP_RNE, &flags), 0);
    CHECK_EQ(flags, FP_NX);
}

TEST(fp, tininess_is_detected_after_rounding)
{
    uint32_t flags = 0;

    /* 1 - 2^-53 times the smallest normal number has 53 bits: with an unbounded
     * exponent it would be exact, so it is tiny although it rounds up. */
    CHECK_EQ(fp64_mul(0x0010000000000000, 0x3fefffffffffffff, FP_RUP, &flags), 0x0010000000000000);
    CHECK_EQ(flags, FP_NX | FP_UF);
    flags = 0;
    /* (1 + 2^-52) * (1 - 2^-52) = 1 - 2^-104: not tiny. */
    CHECK_EQ(fp64_mul(0x0010000000000001, 0x3feffffffffffffe, FP_RNE, &flags), 0x0010000000000000);
    CHECK_EQ(flags, FP_NX);
}

TEST(fp, overflow_obeys_the_rounding_mode)
{
    static const uint32_t expected[] = {INF32, INF32 - 1, INF32 - 1, INF32, INF32};

    for (unsigned rm = 0; rm < FP_ROUNDINGS; rm++) {
        uint32_t flags = 0;
        CHECK_EQ(fp32_mul(INF32 - 1, INF32 - 1, rm, &flags), expected[rm]);
        CHECK_EQ(flags, FP_OF | FP_NX);
    }
}

TEST(fp, unboxed_single_reads_as_canonical_nan)
{
    CHECK_EQ(fp32_unbox(fp32_box(ONE32)), ONE32);
    CHECK_EQ(fp32_unbox(ONE64), FP32_CANONICAL_NAN);
}

TEST(fp, classes_are_one_hot)
{
    CHECK_EQ(fp32_classify(INF32 | FP32_SIGN), 1 << FP_CLASS_NEGATIVE_INFINITY);
    CHECK_EQ(fp32_classify(SNAN32), 1 << FP_CLASS_SIGNALING_NAN);
    CHECK_EQ(fp64_classify(QNAN64), 1 << FP_CLASS_QUIET_NAN);
    CHECK_EQ(fp64_classify(1 | FP64_SIGN), 1 << FP_CLASS_NEGATIVE_SUBNORMAL);
    CHECK_EQ(fp64_classify(0), 1 << FP_CLASS_POSITIVE_ZERO);
    CHECK_EQ(fp64_classify(ONE64), 1 << FP_CLASS_POSITIVE_NORMAL);
}

TEST_MAIN(TESTS(fp, nan_results_are_canonical), TESTS(fp, flags_accumulate),
          TESTS(fp, infinity_times_zero_plus_quiet_nan_is_invalid),
          TESTS(fp, cancellation_is_negative_zero_only_when_rounding_down),
          TESTS(fp, min_prefers_numbers_and_negative_zero), TESTS(fp, eq_is_quiet_and_lt_signals),
          TESTS(fp, integers_saturate_with_invalid_alone),
          TESTS(fp, tininess_is_detected_after_rounding),
          TESTS(fp, overflow_obeys_the_rounding_mode),
          TESTS(fp, unboxed_single_reads_as_canonical_nan), TESTS(fp, classes_are_one_hot))
