/* SPDX-License-Identifier: Apache-2.0
 * Words of command lines. */
#include "harness/harness.h"

#include "base/types.h"
#include "manager/words.h"

TEST(words, are_what_was_added_and_end_with_null)
{
    struct words words = {0};

    words_add(&words, "a");
    words_add(&words, "--b=%s %d", "c d", 7);
    words_add(&words, "%s", "");
    CHECK_EQ(words.count, 3);
    CHECK_STR(words.list[1], "--b=c d 7");
    CHECK_STR(words.list[2], "");
    assert_null(words.list[3]);
    CHECK(!words.is_broken);
    words_fini(&words);
    CHECK_EQ(words.count, 0);
    words_fini(&words);
}

TEST(words, too_many_are_noticed)
{
    struct words words = {0};

    for (unsigned i = 0; i < WORDS_MAX; i++)
        words_add(&words, "%u", i);
    CHECK(!words.is_broken);
    assert_null(words.list[WORDS_MAX]);
    words_add(&words, "x");
    CHECK(words.is_broken);
    assert_null(words.list[WORDS_MAX]);
    words_fini(&words);
}

TEST_MAIN(TESTS(words, are_what_was_added_and_end_with_null), TESTS(words, too_many_are_noticed))
