/* SPDX-License-Identifier: Apache-2.0
 * The checksum of IP, TCP and UDP. The sum is the same in any byte order but for the
 * order of its own two bytes (RFC 1071, section 2), so four bytes are added at a time. */
#include "format/checksum.h"

#include "base/endian.h"

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)sum;
}

uint16_t checksum_sum(const uint8_t *bytes, size_t size)
{
    uint64_t sum = 0; /* of little-endian words: room for 16 GiB */
    size_t at = 0;

    for (; size - at >= 16; at += 16)
        sum += (uint64_t)load_le32(bytes + at) + load_le32(bytes + at + 4) +
               load_le32(bytes + at + 8) + load_le32(bytes + at + 12);
    for (; size - at >= 2; at += 2)
        sum += load_le16(bytes + at);
    if (at < size)
        sum += bytes[at];
    uint16_t word = fold(sum);
    return (uint16_t)(word << 8 | word >> 8);
}
