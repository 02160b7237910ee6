/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "harness/harness.h"

#include <string.h>

/* RFC 3720, appendix B.4. */
TEST(crc32c, has_the_values_of_the_standard)
{
    uint8_t bytes[32] = {0};

    CHECK_EQ(hash_crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    CHECK_EQ(hash_crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    CHECK_EQ(hash_crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
}

TEST(crc32c, goes_on_from_a_part)
{
    uint32_t part = hash_crc32c(0, "1234", 4);

    CHECK_EQ(hash_crc32c(part, "56789", 5), 0xe3069283);
    CHECK_EQ(hash_crc32c(0, "", 0), 0);
}

TEST_MAIN(TESTS(crc32c, has_the_values_of_the_standard), TESTS(crc32c, goes_on_from_a_part))
