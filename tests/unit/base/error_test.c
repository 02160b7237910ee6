/* SPDX-License-Identifier: Apache-2.0 */
#include "base/errno.h"
#include "base/error.h"

#include "harness/harness.h"

#include <string.h>

TEST(error, keeps_the_code_and_the_text)
{
    struct error err = {0};

    CHECK(error_set(&err, -ENOENT, "no '%s' in %u", "key", 7u) == -ENOENT);
    CHECK(err.code == -ENOENT);
    CHECK_STR(err.text, "no 'key' in 7");
}

TEST(error, the_first_reason_stays)
{
    struct error err = {0};

    error_set(&err, -EIO, "cannot read");
    CHECK(error_set(&err, -EINVAL, "cannot load") == -EINVAL);
    CHECK(err.code == -EIO);
    CHECK_STR(err.text, "cannot read");
}

TEST(error, may_be_ignored)
{
    CHECK(error_set(NULL, -ENOMEM, "%s", "x") == -ENOMEM);
}

TEST(error, long_texts_are_cut)
{
    struct error err = {0};
    char long_text[2000];

    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = 0;
    error_set(&err, -EINVAL, "%s", long_text);
    CHECK_EQ(strlen(err.text), sizeof(err.text) - 1);
}

TEST_MAIN(TESTS(error, keeps_the_code_and_the_text), TESTS(error, the_first_reason_stays),
          TESTS(error, may_be_ignored), TESTS(error, long_texts_are_cut))
