/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bits.h"
#include "base/endian.h"

#include "harness/harness.h"

TEST(bits, extract_and_deposit_reach_both_ends)
{
    CHECK_EQ(bits_extract(UINT64_C(0xabcdef0123456789), 0, 64), UINT64_C(0xabcdef0123456789));
    CHECK_EQ(bits_extract(UINT64_C(0xabcdef0123456789), 60, 4), 0xa);
    CHECK_EQ(bits_extract(UINT64_C(0xabcdef0123456789), 4, 8), 0x78);
    CHECK_EQ(bits_deposit(0, 63, 1, 3), BIT(63));
    CHECK_EQ(bits_deposit(UINT64_MAX, 8, 8, 0x12), UINT64_C(0xffffffffffff12ff));
    CHECK_EQ(bits_deposit(5, 0, 64, 7), 7);
}

TEST(bits, mask_has_as_many_bits_as_asked)
{
    CHECK_EQ(bits_mask(0), 0);
    CHECK_EQ(bits_mask(1), 1);
    CHECK_EQ(bits_mask(63), UINT64_MAX >> 1);
    CHECK_EQ(bits_mask(64), UINT64_MAX);
}

TEST(bits, sign_extend_copies_the_top_bit)
{
    CHECK(bits_sign_extend(0xfff, 12) == -1);
    CHECK(bits_sign_extend(0x7ff, 12) == 2047);
    CHECK(bits_sign_extend(0xf800, 12) == -2048); /* what lies above is dropped */
    CHECK(bits_sign_extend(1, 1) == -1);
    CHECK(bits_sign_extend(UINT64_C(1) << 63, 64) == INT64_MIN);
}

TEST(bits, alignment_goes_the_way_it_says)
{
    CHECK_EQ(bits_align_down(0x1fff, 0x1000), 0x1000);
    CHECK_EQ(bits_align_up(0x1001, 0x1000), 0x2000);
    CHECK_EQ(bits_align_up(0x1000, 0x1000), 0x1000);
    CHECK_EQ(bits_align_up(UINT64_MAX, 0x1000), 0); /* wraps, as its comment says */
}

TEST(bits, powers_of_two)
{
    CHECK(!bits_is_power_of_two(0));
    CHECK(bits_is_power_of_two(1));
    CHECK(bits_is_power_of_two(BIT(63)));
    CHECK(!bits_is_power_of_two(BIT(63) | 1));
}

TEST(endian, loads_and_stores_at_odd_addresses)
{
    uint8_t bytes[9] = {0};

    store_le64(bytes + 1, UINT64_C(0x0807060504030201));
    CHECK_EQ(bytes[1], 1);
    CHECK_EQ(bytes[8], 8);
    CHECK_EQ(load_le16(bytes + 1), 0x0201);
    CHECK_EQ(load_be16(bytes + 1), 0x0102);
    CHECK_EQ(load_be32(bytes + 3), 0x03040506);
    store_be64(bytes + 1, load_le64(bytes + 1));
    CHECK_EQ(bytes[1], 8);
}

TEST_MAIN(TESTS(bits, extract_and_deposit_reach_both_ends),
          TESTS(bits, mask_has_as_many_bits_as_asked), TESTS(bits, sign_extend_copies_the_top_bit),
          TESTS(bits, alignment_goes_the_way_it_says), TESTS(bits, powers_of_two),
          TESTS(endian, loads_and_stores_at_odd_addresses))
