/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include "harness/harness.h"

TEST(text, numbers_are_decimal_or_hexadecimal)
{
    uint64_t value = 0;

    CHECK(text_parse_u64("0", UINT64_MAX, &value) && value == 0);
    CHECK(text_parse_u64("007", UINT64_MAX, &value) && value == 7);
    CHECK(text_parse_u64("0xAbC", UINT64_MAX, &value) && value == 0xabc);
    CHECK(text_parse_u64("18446744073709551615", UINT64_MAX, &value) && value == UINT64_MAX);
    CHECK(text_parse_u64("0xffffffffffffffff", UINT64_MAX, &value) && value == UINT64_MAX);
}

TEST(text, what_is_no_number_is_refused_and_changes_nothing)
{
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "-1",
                                      "+1",
                                      "0x",
                                      "0xg",
                                      "1a",
                                      "1.5",
                                      "18446744073709551616",
                                      "x1",
                                      "0x1ffffffffffffffff",
                                      "99999999999999999999999"};
    uint64_t value = 42;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!text_parse_u64(bad[i], UINT64_MAX, &value));
    CHECK_EQ(value, 42);
}

TEST(text, numbers_have_a_limit)
{
    uint64_t value = 42;

    CHECK(text_parse_u64("64", 64, &value) && value == 64);
    CHECK(!text_parse_u64("65", 64, &value) && value == 64);
}

TEST(text, sizes_take_suffixes)
{
    uint64_t value = 0;

    CHECK(text_parse_size("512", &value) && value == 512);
    CHECK(text_parse_size("4k", &value) && value == 4 * KIB);
    CHECK(text_parse_size("3M", &value) && value == 3 * MIB);
    CHECK(text_parse_size("2GiB", &value) && value == 2 * GIB);
    CHECK(text_parse_size("1T", &value) && value == 1024 * GIB);
    CHECK(text_parse_size("0x10K", &value) && value == 16 * KIB);
}

TEST(text, bad_sizes_are_refused_and_change_nothing)
{
    static const char *const bad[] = {
        "",    "K",   "1B",        "1KB", "1Ki",   "1X",   "1MM",
        "1 G", "1iB", "16777216T", "-1G", "1KiBx", "1.5G", "99999999999999999999"};
    uint64_t value = 42;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!text_parse_size(bad[i], &value));
    CHECK_EQ(value, 42);
    CHECK(text_parse_size("16777215T", &value));
}

TEST(text, prefixes)
{
    CHECK(text_starts_with("file:a", "file:"));
    CHECK(text_starts_with("", ""));
    CHECK(!text_starts_with("fil", "file:"));
}

TEST_MAIN(TESTS(text, numbers_are_decimal_or_hexadecimal),
          TESTS(text, what_is_no_number_is_refused_and_changes_nothing),
          TESTS(text, numbers_have_a_limit), TESTS(text, sizes_take_suffixes),
          TESTS(text, bad_sizes_are_refused_and_change_nothing), TESTS(text, prefixes))
