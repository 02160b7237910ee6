/* SPDX-License-Identifier: Apache-2.0
 * Checksums. */
#include "base/hash.h"

#define CRC32C_REVERSED 0x82f63b78u

uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (CRC32C_REVERSED & (0 - (crc & 1)));
    }
    return ~crc;
}
