/* SPDX-License-Identifier: Apache-2.0 */
#include "format/checksum.h"
#include "harness/harness.h"

#include <stdlib.h>

/* RFC 1071, word by word. */
static uint16_t slow_sum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
    while (sum >> 16)
        sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)sum;
}

TEST(checksum, is_that_of_the_rfc_at_any_size_and_alignment)
{
    uint8_t bytes[400];

    srand(1);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(rand() >> 4);
    for (unsigned from = 0; from < 17; from++)
        for (unsigned size = 0; size < 300; size++)
            CHECK_EQ(checksum_sum(bytes + from, size), slow_sum(bytes + from, size));
}

TEST(checksum, of_the_rfcs_example)
{
    const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    CHECK_EQ(checksum_sum(bytes, sizeof(bytes)), 0xddf2);
}

TEST_MAIN(TESTS(checksum, is_that_of_the_rfc_at_any_size_and_alignment),
          TESTS(checksum, of_the_rfcs_example))
