/* SPDX-License-Identifier: Apache-2.0
 * format_text is compared with snprintf, except where it stands off on purpose. */
#include "base/format.h"
#include "base/types.h"

#include "harness/harness.h"

#include <string.h>

#define CHECK_SAME(...)                                                     \
    do {                                                                    \
        char ours_[128], theirs_[128];                                      \
        size_t length_ = format_text(ours_, sizeof(ours_), __VA_ARGS__);    \
        CHECK_EQ(length_, snprintf(theirs_, sizeof(theirs_), __VA_ARGS__)); \
        CHECK_STR(ours_, theirs_);                                          \
    } while (0)

TEST(format, integers)
{
    CHECK_SAME("%d %i %u", -5, 7, 4000000000u);
    CHECK_SAME("%d %d", INT32_MIN, INT32_MAX);
    CHECK_SAME("%lld %llu", (long long)INT64_MIN, (unsigned long long)UINT64_MAX);
    CHECK_SAME("%ld %lu %zu %jd", -1L, 1UL, sizeof(int), (intmax_t)-9);
    CHECK_SAME("%x %X %lx", 0xabcu, 0xabcu, 0xffffffffffffffffUL);
    CHECK_SAME("%hhu %hu", 200, 60000);
}

TEST(format, width_and_padding)
{
    CHECK_SAME("[%5d] [%-5d] [%05d]", 42, 42, 42);
    CHECK_SAME("[%5d] [%-5d] [%05d]", -42, -42, -42);
    CHECK_SAME("[%016llx]", (unsigned long long)0x1234);
    CHECK_SAME("[%.3d] [%6.3d] [%-6.3x]", 7, 7, 7u);
    CHECK_SAME("[%*d] [%.*s]", 6, 3, 2, "abc");
}

TEST(format, strings_and_characters)
{
    CHECK_SAME("[%s] [%10s] [%-10s] [%.2s] [%5.1s]", "abc", "abc", "abc", "abc", "abc");
    CHECK_SAME("[%c] [%3c] [%-3c] %%", 'x', 'y', 'z');
}

TEST(format, precision_stops_before_the_end_of_the_memory)
{
    char four[4] = {'a', 'b', 'c', 'd'}; /* no NUL */
    char to[8];

    CHECK_EQ(format_text(to, sizeof(to), "%.4s", four), 4);
    CHECK_STR(to, "abcd");
}

TEST(format, null_strings_and_pointers)
{
    char to[32];
    const char *volatile null = NULL;

    format_text(to, sizeof(to), "%s", null);
    CHECK_STR(to, "(null)");
    CHECK_SAME("%p", (void *)0x1234);
}

TEST(format, cuts_and_says_how_long_it_would_be)
{
    char to[6] = "zzzzz";

    CHECK_EQ(format_text(to, 4, "%s", "abcdef"), 6);
    CHECK_STR(to, "abc");
    CHECK_EQ(to[4], 'z');
    CHECK_EQ(format_text(to, 1, "%d", 12345), 5);
    CHECK_STR(to, "");
    to[0] = 'q';
    CHECK_EQ(format_text(to, 0, "abc"), 3);
    CHECK_EQ(to[0], 'q');
    CHECK_EQ(format_text(NULL, 0, "abc"), 3);
}

TEST(format, huge_widths_and_precisions_are_bounded)
{
    char to[16];

    /* 64 digits at most, where the C library would print them all. */
    CHECK_EQ(format_text(to, sizeof(to), "%.200d", 1), 64);
    CHECK_EQ(format_text(to, sizeof(to), "%500s", "x"), 500);
}

TEST_MAIN(TESTS(format, integers), TESTS(format, width_and_padding),
          TESTS(format, strings_and_characters),
          TESTS(format, precision_stops_before_the_end_of_the_memory),
          TESTS(format, null_strings_and_pointers),
          TESTS(format, cuts_and_says_how_long_it_would_be),
          TESTS(format, huge_widths_and_precisions_are_bounded))
